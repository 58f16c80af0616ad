# SPDX-License-Identifier: Apache-2.0
"""What Airflow's own database says; its tables are the same in all versions that we run on."""

from __future__ import annotations

import dataclasses
import json
import re

from tests.chaos.evidence import Claim, Run
from tests.chaos.services import Services

# A public name of the package, written out: importing the records would import Airflow here.
_CLAIM_KEY = "codepipeline_claim"
_JOB_TYPES = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag-processor": "DagProcessorJob"}
_RUN_ID = re.compile(r"codepipeline__([0-9a-f-]{36})(__\d+)?")


@dataclasses.dataclass(frozen=True)
class RunningTask:
    """
    A task that runs.

    :param pid: Of the process that runs the task's code; its parent watches over it.
    """

    pid: int
    dag_id: str
    run_id: str
    task_id: str
    try_number: int

    @property
    def job_id(self) -> str | None:
        """The job that its run is for, or None."""
        return job_of_run(self.run_id)

    def __str__(self) -> str:
        return f"{self.dag_id}.{self.task_id}, try {self.try_number}, of {self.run_id}"


class Metadata:
    """
    Airflow's database.

    :param services: Where it is.
    :param airflow: The Airflow's name, or ``""`` for the first.
    """

    def __init__(self, services: Services, airflow: str = "") -> None:
        self._services = services
        self._airflow = airflow

    def running_tasks(self) -> list[RunningTask]:
        """Return the tasks that run, in a fixed order."""
        rows = self._services.query(
            "SELECT pid, dag_id, run_id, task_id, try_number FROM task_instance "
            "WHERE state = 'running' AND pid IS NOT NULL ORDER BY dag_id, run_id, task_id"
        )
        return [RunningTask(*row) for row in rows]

    def newest_part(self) -> int:
        """Return the number of the scheduler, triggerer or DAG processor that was started last."""
        [(number,)] = self._services.query("SELECT coalesce(max(id), 0) FROM job")
        return int(number)

    def is_up(self, kind: str, *, after: int) -> bool:
        """Return whether a part of a kind runs that was started after the one with a number."""
        rows = self._services.query(
            "SELECT id FROM job WHERE job_type = %s AND state = 'running' AND id > %s",
            [_JOB_TYPES[kind], after],
        )
        return bool(rows)

    def living_runs(self) -> list[Run]:
        """Return the runs that have not ended and are for one job each, in a fixed order."""
        return [run for run in self.runs() if run.state in ("queued", "running")]

    def runs(self) -> list[Run]:
        """Return the runs that are for one job each."""
        rows = self._services.query(
            "SELECT dag_id, run_id, state, extract(epoch FROM end_date)::float FROM dag_run "
            "ORDER BY dag_id, run_id"
        )
        return [
            Run(dag_id, run_id, state, self._airflow, ended_at)
            for dag_id, run_id, state, ended_at in rows
            if job_of_run(run_id)
        ]

    def polls(self) -> int:
        """Return for how many assets and tasks the triggerers watch."""
        [(number,)] = self._services.query("SELECT count(*) FROM trigger WHERE triggerer_id IS NOT NULL")
        return int(number)

    def unfinished_tasks(self) -> list[str]:
        """Return how many tasks wait for what, for people."""
        rows = self._services.query(
            "SELECT dag_id, task_id, coalesce(state, 'none'), count(*) FROM task_instance "
            "WHERE coalesce(state, 'none') NOT IN ('success', 'failed', 'skipped', 'upstream_failed') "
            "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        return [f"{dag_id}.{task_id}: {count} {state}" for dag_id, task_id, state, count in rows]

    def claims(self) -> list[Claim]:
        """Return the records of claims."""
        rows = self._services.query("SELECT dag_id, run_id, value FROM xcom WHERE key = %s", [_CLAIM_KEY])
        claims = []
        for dag_id, run_id, value in rows:
            while isinstance(value, str):
                value = json.loads(value)
            former = tuple(value.get("former_job_ids") or ())
            claims.append(Claim(value["job_id"], dag_id, run_id, value["state"], self._airflow, former))
        return claims


def job_of_run(run_id: str) -> str | None:
    """Return the job that a run was started for, or None."""
    match = _RUN_ID.fullmatch(run_id)
    return match[1] if match else None
