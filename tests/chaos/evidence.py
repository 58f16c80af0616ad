# SPDX-License-Identifier: Apache-2.0
"""What was seen in a run of the suite: all that the verdict needs, and nothing that could still change."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from airflow_codepipeline_partner.emulator.ledger import Ledger
from tests.chaos.plan import PlannedJob
from tests.chaos.work_log import WorkEntry

#: The external execution id of the other worker's results, by which the ledger shows whose they are.
RIVALS_EXECUTION_ID = "the rival's"


@dataclasses.dataclass(frozen=True)
class Claim:
    """
    The record that a run of ours kept of a claim.

    :param state: ``claimed``, ``unknown``, ``intent`` (left over by a task that died), ``lost``, ``refused``.
    :param airflow: The Airflow whose run it is: a name, or ``""`` for the first.
    :param former_job_ids: The action's earlier jobs, which the run went on from.
    """

    job_id: str
    dag_id: str
    run_id: str
    state: str
    airflow: str = ""
    former_job_ids: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Run:
    """
    A run of one of our DAGs.

    :param state: Airflow's.
    :param airflow: See :class:`Claim`.
    :param ended_at: When it ended, in seconds since the epoch, or None.
    """

    dag_id: str
    run_id: str
    state: str
    airflow: str = ""
    ended_at: float | None = None


@dataclasses.dataclass(frozen=True)
class Strike:
    """
    A blow that was struck.

    :param what: As the plan names it.
    :param time: Seconds since the epoch.
    :param job_ids: The jobs that it befell: those whose tasks were running in what was killed.
    :param said: What was hit, for people.
    """

    what: str
    time: float
    job_ids: frozenset[str] = frozenset()
    said: str = ""


@dataclasses.dataclass(frozen=True)
class Evidence:
    """
    What was seen.

    :param jobs: The jobs that were started.
    :param ledger: CodePipeline's ledger, from the first of them on.
    :param work: What users' functions did.
    :param claims: The records of our claims.
    :param runs: The runs of our DAGs.
    :param strikes: What befell them.
    :param not_struck: The blows that could not be struck, by name.
    :param rivals_jobs: The jobs that the other worker claimed.
    """

    jobs: Sequence[PlannedJob]
    ledger: Ledger
    work: Sequence[WorkEntry] = ()
    claims: Sequence[Claim] = ()
    runs: Sequence[Run] = ()
    strikes: Sequence[Strike] = ()
    not_struck: Sequence[str] = ()
    rivals_jobs: frozenset[str] = frozenset()

    def followed_by(self, later: Evidence) -> Evidence:
        """Return the evidence of this and of what came later, of other jobs."""
        return Evidence(
            jobs=[*self.jobs, *later.jobs],
            ledger=Ledger([*self.ledger, *later.ledger]),
            work=[*self.work, *later.work],
            claims=[*self.claims, *later.claims],
            runs=[*self.runs, *later.runs],
            strikes=[*self.strikes, *later.strikes],
            not_struck=[*self.not_struck, *later.not_struck],
            rivals_jobs=self.rivals_jobs | later.rivals_jobs,
        )
