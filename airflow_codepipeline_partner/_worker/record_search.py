# SPDX-License-Identifier: Apache-2.0
"""
How the records of claims and results are found: those of this run, of any run, and of a task's own job.

:func:`find_claim` and :func:`records_before` are for a task that asks about its own job,
:func:`records_of_run` for the callback, :func:`has_claimed` and :func:`has_continued` for other runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from airflow_codepipeline_partner._compat import OUTDATED_TRIES_WRITE
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.dag import (
    claiming_tasks,
    is_marked,
    matching_instance,
    reporting_tasks,
    task_ids_of_run,
    unknown_claim_of,
)
from airflow_codepipeline_partner._worker.job_life import (
    MAY_BE_ACKNOWLEDGED,
    Results,
    Step,
    newest_claim,
)
from airflow_codepipeline_partner._worker.record_store import RecordStore, key_of, values_of
from airflow_codepipeline_partner._worker.records import (
    CERTAIN_CLAIM_KEY,
    CLAIM_KEY,
    CONTINUED_KEY,
    NEXT_CLAIM_KEY,
    NO_RESULT,
    RESULT_KEY,
    ClaimRecord,
    Record,
    ResultRecord,
    readable,
)

log = logging.getLogger(__name__)

#: States of a run that may still claim a job.
LIVING = ("queued", "running")


def claims_of_next_jobs(dag: Any, claiming: TaskInstanceRef) -> Iterator[ClaimRecord]:
    """
    Yield what the tasks that report recorded in their own XCom of the action's next jobs that they claimed.

    :param dag: The DAG.
    :param claiming: The instance of the task that claimed the action's first job.
    """
    reporting = reporting_tasks(dag, dag.get_task(claiming.task_id))
    if any(is_marked(task, "claims_next_job") for task in reporting):
        # A task that puts a last result may have claimed the job, too, to end it.
        yield from _copies(reporting, claiming, NEXT_CLAIM_KEY, ClaimRecord.from_xcom)


def results_of_continuing_tasks(dag: Any, claiming: TaskInstanceRef) -> Iterator[ResultRecord]:
    """
    Yield what the tasks that continue an action recorded in their own XCom of how they ended its jobs.

    :param dag: The DAG.
    :param claiming: The instance of the task that claimed the action's first job.
    """
    reporting = reporting_tasks(dag, dag.get_task(claiming.task_id))
    waiting = [task for task in reporting if is_marked(task, "claims_next_job")]
    yield from _copies(waiting, claiming, CONTINUED_KEY, ResultRecord.from_xcom)


def _copies(
    tasks: Iterable[Any], claiming: TaskInstanceRef, key: str, read: Callable[[Any], Record]
) -> Iterator[Record]:
    for other in tasks:
        names = {"dag_id": claiming.dag_id, "run_id": claiming.run_id, "task_id": other.task_id}
        for value in values_of(key, **names):
            record = readable(read, value, other.task_id)
            if record is not None:
                yield record


def records_of_run(
    dag_id: str, run_id: str, task_id: str, writers: Iterable[str] = ()
) -> Iterator[tuple[ClaimRecord, Results]]:
    """
    Yield the claims of a task in a run, of all its map indexes, each with all records of its result.

    A record that cannot be read is logged and left out: it must not keep other jobs from their end.

    :param dag_id: The DAG.
    :param run_id: The run.
    :param task_id: The claiming task.
    :param writers: The names of the tasks that may have keys of their own; see :func:`writers_of`.
    """
    names = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}

    def values(key: str) -> Iterator[Any]:
        for writer in ("", *writers):
            yield from values_of(key_of(key, writer), **names)

    # The values come without their map indexes. An action is known by its first job.
    actions: dict[str, list[ClaimRecord]] = {}
    certain = values_of(CERTAIN_CLAIM_KEY, **names) if OUTDATED_TRIES_WRITE else ()
    for value in (*values(CLAIM_KEY), *certain):
        claim = None if value == NO_RESULT else readable(ClaimRecord.from_xcom, value, task_id)
        if claim is not None:
            actions.setdefault(next(iter(claim.former_job_ids), claim.job.job_id), []).append(claim)
    if not actions:
        return
    found = [
        readable(ResultRecord.from_xcom, value, task_id) for value in values(RESULT_KEY) if value != NO_RESULT
    ]
    results = [result for result in found if result is not None]
    for records in actions.values():
        newest = newest_claim(records)
        assert newest is not None  # noqa: S101 - there is one record at least
        yield newest, Results.of(None, [each for each in results if each.job_id == newest.job.job_id])


def has_claimed(ti: Any, dag_id: str, run_id: str, job_id: str) -> bool:
    """
    Return whether a run of any DAG, which has ended, claimed a job.

    An unknown claim counts only if CodePipeline took the job's result. If it was ours without that, the next
    run loses its claim.

    :param ti: The running task instance.
    :param dag_id: The run's DAG. Only its id is known here.
    :param run_id: The run.
    :param job_id: The job.
    """
    return any(
        claim.is_about(job_id) and (claim.is_certain or results.step is Step.NOTHING)
        for claim, results in _records_of_any_run(ti, dag_id, run_id)
    )


def has_continued(ti: Any, waiting: TaskInstanceRef) -> bool:
    """
    Return whether a run, which has ended, ended a job with the continuation token that names its task.

    If not, the token is from another Airflow with a run of the same id.

    :param ti: The running task instance.
    :param waiting: The task that the token names.
    """
    names = {"dag_id": waiting.dag_id, "run_id": waiting.run_id, "task_id": waiting.task_id}
    copies = values_of(CONTINUED_KEY, **names)
    results = (readable(ResultRecord.from_xcom, value, waiting.task_id) for value in copies)
    # Even a call that was refused: its answer may have been lost before, and the token is ours.
    if any(result is not None and result.names == waiting for result in results):
        return True
    writers = (waiting.task_id, f"{waiting.task_id}_{waiting.map_index}")
    return any(
        claim.job.continuation_token == waiting.token
        or any(result.names == waiting for result in (*results.others, *results.left))
        for claim, results in _records_of_any_run(ti, waiting.dag_id, waiting.run_id, writers)
    )


def _records_of_any_run(
    ti: Any, dag_id: str, run_id: str, writers: Iterable[str] = ()
) -> Iterator[tuple[ClaimRecord, Results]]:
    """Yield the claims of a run of any DAG, of which only the ids are known here."""
    for task_id in task_ids_of_run(ti.get_task_states, dag_id, run_id):
        yield from records_of_run(dag_id, run_id, task_id, writers)


def records_before(context: Mapping[str, Any], claiming: Any) -> Iterator[tuple[ClaimRecord, Results]]:
    """Yield the claim of one claiming task for the running task: its own, or of the instance before it."""
    task, own = context["task"], TaskInstanceRef.of(context["ti"])
    found: TaskInstanceRef | None = None
    if claiming.task_id == own.task_id:
        found = own
    elif claiming.task_id in task.get_flat_relative_ids(upstream=True):
        found = matching_instance(task, own, claiming)
    if found is None:
        return
    store = RecordStore.of_claim(found, claiming, context["dag"], None)
    claim = store.read_claim()
    if claim is not None:
        yield claim, store.read_results(claim.job.job_id)


@dataclass(frozen=True)
class ClaimInRun:
    """
    The claim of a job in this run.

    :param store: The store of the claim's record.
    :param record: The claim's record.
    :param unknown_claim: What an unknown claim counts as, by the claiming task's parameter.
    """

    store: RecordStore
    record: ClaimRecord
    unknown_claim: str

    @cached_property
    def results(self) -> Results:
        """All records of the job's result, as they are at the first look; see :meth:`anew`."""
        return self.store.read_results(self.record.job.job_id)

    def anew(self) -> Self:
        """Return the same claim, whose results are read anew: a task may have put one since."""
        return replace(self)

    @property
    def counts_as_ours(self) -> bool:
        """Whether the job is ours to end."""
        return self.record.counts_as_ours(self.unknown_claim)


def find_claim(context: Mapping[str, Any], job_id: str) -> ClaimInRun | None:
    """
    Return this run's claim of a job, or of the newest job that followed it; None if it claimed neither.

    The same job may have been offered to two claiming tasks of a run. Then the claim counts that won it.

    :param context: The running task's context.
    :param job_id: The job.
    """
    own = TaskInstanceRef.of(context["ti"])
    found: list[ClaimInRun] = []
    for claiming in claiming_tasks(context["dag"]):
        for ref in _instances(context, own, claiming, job_id):
            store = RecordStore.of_claim(ref, claiming, context["dag"], own)
            record = store.read_claim()
            if record is not None and record.is_about(job_id):
                found.append(ClaimInRun(store, record, record.unknown_claim or unknown_claim_of(claiming)))
                if record.is_certain:
                    return found[-1]
    return max(found, key=lambda claim: claim.counts_as_ours, default=None)


def find_claim_by(claiming: TaskInstanceRef, job_id: str) -> ClaimInRun | None:
    """
    Return the claim that a task of any run has made of a job, or of the newest job that followed it, or None.

    Of a run of another DAG only the plain records are known. They show the newest state that is certain.

    :param claiming: The task.
    :param job_id: The job.
    """
    store = RecordStore(claiming)
    record = store.read_claim()
    if record is None or not record.is_about(job_id):
        return None
    return ClaimInRun(store, record, record.unknown_claim or "assume_ours")


def is_claimed_in_run(context: Mapping[str, Any], job_id: str) -> bool:
    """
    Return whether a task of this run has claimed a job, or may have.

    :param context: The context of a task that has not: its own record does not count.
    :param job_id: The job.
    """
    own = TaskInstanceRef.of(context["ti"])
    for claiming in claiming_tasks(context["dag"]):
        names = {"dag_id": own.dag_id, "run_id": own.run_id, "task_id": claiming.task_id}
        for value in values_of(CLAIM_KEY, **names):
            record = readable(ClaimRecord.from_xcom, value, claiming.task_id)
            if record is not None and record.is_about(job_id) and record.state in MAY_BE_ACKNOWLEDGED:
                return True
    return False


def _instances(
    context: Mapping[str, Any], own: TaskInstanceRef, claiming: Any, job_id: str
) -> Iterator[TaskInstanceRef]:
    """Yield the instances of a claiming task that may have claimed a job, the most likely first."""
    found = matching_instance(context["task"], own, claiming)
    if found is not None:
        yield found
        return
    names = {"dag_id": own.dag_id, "run_id": own.run_id, "task_id": claiming.task_id}
    claimed = [
        readable(ClaimRecord.from_xcom, value, claiming.task_id) for value in values_of(CLAIM_KEY, **names)
    ]
    first = next(
        (number for number, record in enumerate(claimed) if record and record.is_about(job_id)), None
    )
    if first is None:
        return
    # The values come in the order of the map indexes. An instance that did not run has no value.
    count = context["ti"].get_ti_count(dag_id=own.dag_id, run_ids=[own.run_id], task_ids=[claiming.task_id])
    for map_index in range(first, count):
        yield TaskInstanceRef(**names, map_index=map_index)
