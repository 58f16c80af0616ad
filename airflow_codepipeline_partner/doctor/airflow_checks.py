# SPDX-License-Identifier: Apache-2.0
"""Checks of Airflow: its components live, DAGs end what they claim, and no claimed job is left behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from airflow_codepipeline_partner._worker.records import (
    NO_RESULT,
    RESULT_KEY,
    ClaimRecord,
    ResultRecord,
    readable,
)
from airflow_codepipeline_partner.doctor.airflow_database import (
    CLAIM_KEYS,
    MAX_RECORDS,
    AirflowDatabase,
    StoredRecord,
    StoredRecords,
)
from airflow_codepipeline_partner.doctor.findings import Finding, failed, passed, unknown
from airflow_codepipeline_partner.doctor.report import counted, named
from airflow_codepipeline_partner.doctor.stored_dags import may_end_unrecorded, unended_claims

_ENDED = ("done", "refused", "left")
#: The component → what does not happen without it, and the command that starts it.
_COMPONENTS = {
    "scheduler": ("no task runs", "airflow scheduler"),
    "triggerer": ("nobody polls for jobs, and nothing that waits goes on", "airflow triggerer"),
    "dag_processor": ("changed DAGs are not seen", "airflow dag-processor"),
}
_UNRECORDED = (
    "CodePipelineJobFailureNotifier leaves no record, nor does your own code with finished_elsewhere=True."
)


def check_components(database: AirflowDatabase) -> Iterator[Finding]:
    """Check that scheduler, triggerer and DAG processor have sent a heartbeat lately."""
    health = database.health()
    for name, (without, command) in _COMPONENTS.items():
        state = health.get(name) or {}
        shown = name.replace("_", " ").replace("dag", "DAG")
        start = f"Start it: {command}. Check its log if it runs."
        if state.get("status") == "healthy":
            yield passed(f"The {shown} is alive.", shown)
        elif state.get(f"latest_{name}_heartbeat") is None:
            yield failed(f"No {shown} has ever run here: {without}.", start, shown)
        else:
            yield failed(f"The {shown} has sent no heartbeat lately: {without}.", start, shown)


def check_imports(database: AirflowDatabase) -> Finding:
    """Check that no DAG file is refused by this package: its DAGs would take no jobs."""
    files = database.files_that_we_refuse()
    if not files:
        return passed("No DAG file is refused by this package.")
    return failed(
        f"{counted(len(files), 'DAG file')} cannot be imported: {named(files)}.",
        "airflow dags list-import-errors says why.",
    )


def check_claims_are_ended(database: AirflowDatabase) -> Finding:
    """Check that each DAG that claims a job has a task that ends it."""
    dags = database.serialized_dags()
    unreadable = sorted(dag_id for dag_id, dag in dags.items() if dag is None)
    if unreadable:
        return unknown(
            f"Airflow's database has {counted(len(unreadable), 'DAG')} in a form that cannot be read: "
            f"{named(unreadable)}.",
            "Run the doctor with the scheduler's version of Airflow, or airflow dags reserialize.",
        )
    known = {dag_id: dag for dag_id, dag in dags.items() if dag is not None}
    claiming = {dag_id: tasks for dag_id, dag in known.items() if (tasks := unended_claims(dag)) is not None}
    open_ones = sorted(dag_id for dag_id, tasks in claiming.items() if tasks)
    is_one, dags_that_claim = len(claiming) == 1, counted(len(claiming), "DAG")
    if open_ones:
        return unknown(
            f"Of {dags_that_claim} that {'claims' if is_one else 'claim'} jobs, {len(open_ones)} "
            f"{'has' if len(open_ones) == 1 else 'have'} no task that ends them: {named(open_ones)}. "
            "Their claims say finished_elsewhere=True.",
            "Check that your own code reports each job's result, or add finish_job after the work.",
        )
    if not claiming:
        return passed("No DAG claims jobs.")
    verbs = ("claims", "has") if is_one else ("claim", "have")
    return passed(f"{dags_that_claim} {verbs[0]} jobs and {verbs[1]} tasks that end them.")


def check_paused(database: AirflowDatabase) -> Iterator[Finding]:
    """Check that no job waits for the work of a DAG that is paused."""
    records = database.records_of_paused_dags()
    left = _LeftJobs.of(records, database, are_runs_over=False)
    where = "and {its} DAG is paused"
    if left.certain:
        yield failed(left.text(left.certain, where), "Unpause the DAGs: their runs go on, and end the jobs.")
    if left.possible:
        yield unknown(
            left.text(left.possible, where),
            f"Unpause the DAGs, unless the jobs have ended: {_UNRECORDED}",
        )
    yield from left.not_seen()
    waiting = database.queued_runs_of_paused_dags()
    for dag_id, number in sorted(waiting.items()):
        runs = f"{counted(number, 'run')} for {'a job waits' if number == 1 else 'jobs wait'}"
        yield failed(f"{runs}, since the DAG {dag_id} is paused.", f"airflow dags unpause {dag_id}")
    if left.is_nothing and not waiting:
        yield passed("No job waits for a DAG that is paused.")


def check_ended_runs(database: AirflowDatabase) -> Iterator[Finding]:
    """Check that no run has ended lately without the result of its job."""
    records = database.records_of_ended_runs()
    left = _LeftJobs.of(records, database, are_runs_over=True)
    where = "although {its} run has ended within a day"
    if left.certain:
        yield failed(
            left.text(left.certain, where),
            "Clear the finishing task of the run, which then reports; or wait for the job's timeout.",
        )
    if left.possible:
        yield unknown(
            left.text(left.possible, where),
            f"Look in the pipeline whether the jobs have ended: {_UNRECORDED} If a job has not ended, clear "
            "the finishing task of its run, or wait for the job's timeout.",
        )
    yield from left.not_seen()
    if left.is_nothing:
        yield passed("No run has ended within a day without the result of its job.")


@dataclass(frozen=True)
class _LeftJobs:
    """
    The claimed jobs of some runs for which no result is recorded.

    :param certain: Those that this package has certainly not ended: job id → the record of the claim.
    :param possible: Those that may have ended.
    :param unreadable: The records that cannot be read.
    :param is_complete: Whether all records of the runs were looked at.
    """

    certain: Mapping[str, StoredRecord]
    possible: Mapping[str, StoredRecord]
    unreadable: Sequence[StoredRecord]
    is_complete: bool

    @classmethod
    def of(cls, records: StoredRecords, database: AirflowDatabase, *, are_runs_over: bool) -> Self:
        """Find them among the records of runs."""
        unreadable = [record for record in records.all if _is_unreadable(record)]
        half_known = {(record.dag_id, record.run_id) for record in unreadable}
        jobs = open_jobs(records.all)
        dags = database.serialized_dags() if jobs else {}
        possible = {
            job_id: record
            for job_id, record in jobs.items()
            if (record.dag_id, record.run_id) in half_known
            or may_end_unrecorded(dags.get(record.dag_id), record.task_id, is_run_over=are_runs_over)
        }
        certain = {job_id: record for job_id, record in jobs.items() if job_id not in possible}
        return cls(certain, possible, unreadable, records.is_complete)

    @property
    def is_nothing(self) -> bool:
        """Whether there are certainly none."""
        return not (self.certain or self.possible or self.unreadable) and self.is_complete

    def text(self, jobs: Mapping[str, StoredRecord], where: str) -> str:
        """Say that jobs have no recorded result, and where they are."""
        have = "has" if len(jobs) == 1 else "have"
        its = "its" if len(jobs) == 1 else "each one's"
        found = f"{counted(len(jobs), 'claimed job')} {have} no recorded result"
        return f"{found}, {where.format(its=its)}: {_runs(jobs.values())}."

    def not_seen(self) -> Iterator[Finding]:
        """Yield what could not be looked at."""
        if self.unreadable:
            yield unknown(
                f"{counted(len(self.unreadable), 'record')} of claims and results cannot be read: "
                f"{_runs(self.unreadable)}.",
                "If you have an XCom backend of your own, run the doctor with its settings and permissions.",
            )
        if not self.is_complete:
            yield unknown(
                f"Only the newest {MAX_RECORDS:,} records of claims and results were looked at.",
                "Look at the page CodePipeline jobs in Airflow for the older ones.",
            )


def open_jobs(records: Iterable[StoredRecord]) -> dict[str, StoredRecord]:
    """
    Return the claimed jobs that have no recorded result: job id → the record of the claim.

    :param records: The records of some runs. One that cannot be read is left out.
    """
    claimed: dict[str, StoredRecord] = {}
    ended: set[str] = set()
    for record in records:
        found = _read(record)
        if isinstance(found, ResultRecord):
            if found.state in _ENDED:
                ended.add(found.job_id)
        elif found is not None:
            ended.update(found.former_job_ids)
            if found.counts_as_ours(found.unknown_claim or "assume_ours"):
                claimed.setdefault(found.job.job_id, record)
    return {job_id: record for job_id, record in claimed.items() if job_id not in ended}


def _read(record: StoredRecord) -> ClaimRecord | ResultRecord | None:
    """Return the claim or the result that a record holds; None if it holds none, or cannot be read."""
    if not record.value or record.value == NO_RESULT:
        return None
    if record.key.startswith(RESULT_KEY):
        return readable(ResultRecord.from_xcom, record.value, record.task_id)
    if record.key.startswith(CLAIM_KEYS):
        return readable(ClaimRecord.from_xcom, record.value, record.task_id)
    return None


def _is_unreadable(record: StoredRecord) -> bool:
    if record.fault is not None:
        return True
    return bool(record.value) and record.value != NO_RESULT and _read(record) is None


def _runs(records: Iterable[StoredRecord]) -> str:
    return named(sorted({f"{record.dag_id} ({record.run_id})" for record in records}))
