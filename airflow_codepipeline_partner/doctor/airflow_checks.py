# SPDX-License-Identifier: Apache-2.0
"""Checks of Airflow: its components live, DAGs end what they claim, and no claimed job is left behind."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord, readable
from airflow_codepipeline_partner.doctor.airflow_database import AirflowDatabase, StoredRecord
from airflow_codepipeline_partner.doctor.findings import Finding, failed, passed, unknown

_PACKAGE = "airflow_codepipeline_partner"
_ENDED = ("done", "refused", "left")
#: The component → what does not happen without it, and the command that starts it.
_COMPONENTS = {
    "scheduler": ("no task runs", "airflow scheduler"),
    "triggerer": ("nobody polls for jobs, and nothing that waits goes on", "airflow triggerer"),
    "dag_processor": ("changed DAGs are not seen", "airflow dag-processor"),
}
_MAX_NAMED = 10


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
        f"{_counted(len(files), 'DAG file')} cannot be imported: {_named(files)}.",
        "airflow dags list-import-errors says why.",
    )


def check_claims_are_ended(database: AirflowDatabase) -> Finding:
    """Check that each DAG that claims a job has a task that ends it."""
    dags = database.serialized_dags()
    claiming = {dag_id: tasks for dag_id, dag in dags.items() if (tasks := unended_claims(dag)) is not None}
    open_ones = sorted(dag_id for dag_id, tasks in claiming.items() if tasks)
    if open_ones:
        return unknown(
            f"{len(open_ones)} of {_counted(len(claiming), 'DAG')} that claim jobs have no task that ends "
            f"them: {_named(open_ones)}. Their claims say finished_elsewhere=True.",
            "Check that your own code reports each job's result, or add finish_job after the work.",
        )
    if not claiming:
        return passed("No DAG claims jobs.")
    return passed(f"All DAGs that claim jobs have tasks that end them ({_counted(len(claiming), 'DAG')}).")


def unended_claims(dag: Mapping[str, Any]) -> list[str] | None:
    """
    Return the tasks of a serialized DAG that claim a job which no task after them ends.

    :param dag: The DAG, as Airflow stores it.
    :return: None if no task claims a job.
    """
    tasks = {task["task_id"]: task for task in (each.get("__var", each) for each in dag["tasks"])}
    claiming = [task_id for task_id, task in tasks.items() if _has_mark(task, "claims_job")]
    ending = {task_id for task_id, task in tasks.items() if _has_mark(task, "ends_job")}
    if not claiming and not ending:
        return None
    return [task_id for task_id in claiming if not ({task_id, *_after(task_id, tasks)} & ending)]


def _after(task_id: str, tasks: Mapping[str, Mapping[str, Any]]) -> set[str]:
    found: set[str] = set()
    left = [task_id]
    while left:
        for each in tasks.get(left.pop(), {}).get("downstream_task_ids", ()):
            if each not in found:
                found.add(each)
                left.append(each)
    return found


def _has_mark(task: Mapping[str, Any], mark: str) -> bool:
    """Return whether a task is of an operator of this package that has a mark, such as ``ends_job``."""
    module, name = str(task.get("_task_module")), str(task.get("task_type"))
    if module.partition(".")[0] != _PACKAGE:
        return False
    try:
        return bool(getattr(getattr(importlib.import_module(module), name), mark, False))
    except (AttributeError, ImportError):
        # Of another version of this package.
        return False


def check_paused(database: AirflowDatabase) -> Finding:
    """Check that no job waits for the work of a DAG that is paused."""
    jobs = open_jobs(database.records_of_paused_dags())
    if not jobs:
        return passed("No job waits for a DAG that is paused.")
    return failed(
        f"{_without_result(jobs)}, and {_its(jobs)} DAG is paused: {_runs(jobs)}.",
        "Unpause the DAGs: their runs go on, and end the jobs.",
    )


def check_ended_runs(database: AirflowDatabase) -> Finding:
    """Check that no run has ended lately without the result of its job."""
    jobs = open_jobs(database.records_of_ended_runs())
    if not jobs:
        return passed("No run has ended within a day without the result of its job.")
    return failed(
        f"{_without_result(jobs)}, although {_its(jobs)} run has ended within a day: {_runs(jobs)}.",
        "Clear the finishing task of the run, which then reports; or wait for the job's timeout.",
    )


def open_jobs(records: Iterable[StoredRecord]) -> dict[str, StoredRecord]:
    """
    Return the claimed jobs that have no result: job id → the record of the claim.

    :param records: The records of some runs. One that cannot be read is left out.
    """
    claimed: dict[str, StoredRecord] = {}
    ended: set[str] = set()
    for record in records:
        if record.key.startswith("codepipeline_result"):
            result = readable(ResultRecord.from_xcom, record.value, record.task_id) if record.value else None
            if result is not None and result.state in _ENDED:
                ended.add(result.job_id)
        elif "claim" in record.key:
            claim = readable(ClaimRecord.from_xcom, record.value, record.task_id)
            if claim is not None:
                ended.update(claim.former_job_ids)
                if claim.counts_as_ours(claim.unknown_claim or "assume_ours"):
                    claimed.setdefault(claim.job.job_id, record)
    return {job_id: record for job_id, record in claimed.items() if job_id not in ended}


def _without_result(jobs: Mapping[str, StoredRecord]) -> str:
    return f"{_counted(len(jobs), 'claimed job')} {'has' if len(jobs) == 1 else 'have'} no result"


def _its(jobs: Mapping[str, StoredRecord]) -> str:
    return "its" if len(jobs) == 1 else "each one's"


def _runs(jobs: Mapping[str, StoredRecord]) -> str:
    return _named(sorted({f"{record.dag_id} ({record.run_id})" for record in jobs.values()}))


def _named(names: list[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
