# SPDX-License-Identifier: Apache-2.0
"""
Where the records of a claim and its result are stored, and how they are found.

:class:`RecordStore` reads and writes the XCom of one task instance. The functions find records: those of this
run (:func:`find_claim`, :func:`records_before`), of any run, and of a task adjacent to the running one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from airflow_codepipeline_partner._compat import XCom
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker.dag import (
    claiming_tasks,
    is_marked,
    matching_instance,
    unknown_claim_of,
)
from airflow_codepipeline_partner._worker.records import (
    CLAIM_KEY,
    NO_RESULT,
    RESULT_KEY,
    ClaimRecord,
    ResultRecord,
    ResultState,
)

#: The limit of Airflow's table of XComs.
MAX_KEY_CHARS = 512
#: States of a run that may still claim a job.
LIVING = ("queued", "running")


@dataclass(frozen=True)
class RecordStore:
    """
    The XCom of one task instance, which holds the records of one claim.

    :param ref: The task instance.
    :param shared: Whether it holds the results of several jobs, each under its own key, since the task
        claimed none of them.
    """

    ref: TaskInstanceRef
    shared: bool = False

    @classmethod
    def of(cls, ti: Any) -> Self:
        """Return the store that is a task instance's own XCom."""
        return cls(TaskInstanceRef.of(ti))

    def read_claim(self) -> ClaimRecord | None:
        """Return the record of the claim, or None."""
        value = self.read(CLAIM_KEY)
        return None if value is None else ClaimRecord.from_xcom(value)

    def write_claim(self, record: ClaimRecord) -> None:
        """Write the record of the claim."""
        self.write(CLAIM_KEY, record.to_xcom())

    def read_result(self, job_id: str) -> ResultRecord | None:
        """Return the record of this job's result, or None."""
        return ResultRecord.of_job(job_id, self.read(self._result_key(job_id)))

    def expect_result(self) -> None:
        """
        Record that there is no result yet. Otherwise Airflow logs an error each time the record is read.

        Only for a mapped task: for any other, :meth:`read` has a way without the error.
        """
        if self.ref.map_index >= 0:
            self.write(RESULT_KEY, NO_RESULT)

    def write_result(self, state: ResultState, call: Call) -> None:
        """Write the record of a result."""
        record = ResultRecord.of_call(state, call)
        self.write(self._result_key(record.job_id), record.to_xcom())

    def withdraw_result(self, job_id: str) -> None:
        """Forget an intended result that was certainly not put."""
        XCom.delete(key=self._result_key(job_id), **self._names())

    def _result_key(self, job_id: str) -> str:
        return f"{RESULT_KEY}_{job_id}"[:MAX_KEY_CHARS] if self.shared else RESULT_KEY

    def read(self, key: str) -> Any:
        """Return the value of an XCom key, or None."""
        names = self._names()
        if self.ref.map_index >= 0:
            return XCom.get_one(key=key, **names)
        # If there is no value, Airflow's get_one writes an error into the scheduler's log.
        del names["map_index"]
        return next(iter(XCom.get_all(key=key, **names) or ()), None)

    def write(self, key: str, value: Any) -> None:
        """Write a JSON value under an XCom key."""
        XCom.set(key=key, value=value, **self._names())

    def _names(self) -> dict[str, Any]:
        return asdict(self.ref)


def records_of_run(
    dag_id: str, run_id: str, task_id: str
) -> Iterator[tuple[ClaimRecord, ResultRecord | None]]:
    """Yield the claims of a task in a run, of all its map indexes, each with its recorded result or None."""
    names = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    results = {
        value["job_id"]: ResultRecord.from_xcom(value)
        for value in XCom.get_all(key=RESULT_KEY, **names) or ()
        if value != NO_RESULT
    }
    for value in XCom.get_all(key=CLAIM_KEY, **names) or ():
        claim = ClaimRecord.from_xcom(value)
        yield claim, results.get(claim.job.job_id)


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
        claim.is_about(job_id) and (claim.is_certain or (result is not None and result.state == "done"))
        for claim, result in _records_of_any_run(ti, dag_id, run_id)
    )


def has_continued(ti: Any, waiting: TaskInstanceRef) -> bool:
    """
    Return whether a run, which has ended, ended a job with the continuation token that names its task.

    If not, the token is from another Airflow with a run of the same id.

    :param ti: The running task instance.
    :param waiting: The task that the token names.
    """
    return any(
        claim.job.continuation_token == waiting.token or (result is not None and result.awaited_by == waiting)
        for claim, result in _records_of_any_run(ti, waiting.dag_id, waiting.run_id)
    )


def _records_of_any_run(
    ti: Any, dag_id: str, run_id: str
) -> Iterator[tuple[ClaimRecord, ResultRecord | None]]:
    """Yield the claims of a run of any DAG, of which only the ids are known here."""
    answer = ti.get_task_states(dag_id=dag_id, run_ids=[run_id])
    # The answer has each instance of a mapped task, as its task id with the map index behind it.
    names = {name for found in answer.get(run_id, {}) for name in (found, found.rpartition("_")[0]) if name}
    for task_id in sorted(names):
        yield from records_of_run(dag_id, run_id, task_id)


def records_before(
    context: Mapping[str, Any], claiming: Any
) -> Iterator[tuple[ClaimRecord, ResultRecord | None]]:
    """Yield the claim of one claiming task for the running task: its own, or of the instance before it."""
    task, own = context["task"], TaskInstanceRef.of(context["ti"])
    found: TaskInstanceRef | None = None
    if claiming.task_id == own.task_id:
        found = own
    elif claiming.task_id in task.get_flat_relative_ids(upstream=True):
        found = matching_instance(task, own, claiming)
    if found is None:
        return
    store = RecordStore(found)
    claim = store.read_claim()
    if claim is not None:
        yield claim, store.read_result(claim.job.job_id)


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

    @property
    def counts_as_ours(self) -> bool:
        """Whether the job is ours to end."""
        return self.record.counts_as_ours(self.unknown_claim)


def find_claim(context: Mapping[str, Any], job_id: str) -> ClaimInRun | None:
    """
    Return this run's claim of a job, or of the newest job that followed it; None if it claimed neither.

    :param context: The running task's context.
    :param job_id: The job.
    """
    own = TaskInstanceRef.of(context["ti"])
    for claiming in claiming_tasks(context["dag"]):
        for ref in _instances(context, own, claiming, job_id):
            store = RecordStore(ref)
            record = store.read_claim()
            if record is not None and record.is_about(job_id):
                return ClaimInRun(store, record, unknown_claim_of(claiming))
    return None


def adjacent_task(context: Mapping[str, Any]) -> RecordStore | None:
    """
    Return the store of an adjacent task, whose XCom a retry of the running task does not clear.

    It is a task just before the running one; if there is none, a task just after it. Airflow clears the XCom
    of a task after it when that task starts, and by then the running task has ended.

    :param context: The running task's context.
    """
    task, dag, own = context["task"], context["dag"], TaskInstanceRef.of(context["ti"])
    for task_id in sorted(task.upstream_task_ids):
        before = dag.get_task(task_id)
        found = matching_instance(task, own, before)
        if found is not None:
            users = [dag.get_task(other) for other in before.downstream_task_ids]
            several = sum(is_marked(user, "puts_result") for user in users) > 1
            others = several or found.map_index != own.map_index or is_marked(before, "claims_job")
            return RecordStore(found, shared=others)
    for task_id in sorted(task.downstream_task_ids):
        found = matching_instance(task, own, dag.get_task(task_id))
        if found is not None:
            return RecordStore(found, shared=True)
    return None


def _instances(
    context: Mapping[str, Any], own: TaskInstanceRef, claiming: Any, job_id: str
) -> Iterator[TaskInstanceRef]:
    """Yield the instances of a claiming task that may have claimed a job, the most likely first."""
    found = matching_instance(context["task"], own, claiming)
    if found is not None:
        yield found
        return
    names = {"dag_id": own.dag_id, "run_id": own.run_id, "task_id": claiming.task_id}
    claimed = [ClaimRecord.from_xcom(value) for value in XCom.get_all(key=CLAIM_KEY, **names) or ()]
    first = next((number for number, record in enumerate(claimed) if record.is_about(job_id)), None)
    if first is None:
        return
    # The values come in the order of the map indexes. An instance that did not run has no value.
    count = context["ti"].get_ti_count(dag_id=own.dag_id, run_ids=[own.run_id], task_ids=[claiming.task_id])
    for map_index in range(first, count):
        yield TaskInstanceRef(**names, map_index=map_index)
