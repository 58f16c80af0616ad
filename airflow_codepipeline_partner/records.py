# SPDX-License-Identifier: Apache-2.0
"""
The records of a claim and of a result, in the XCom of the task instance that claimed.

A task's own XCom is cleared when it is retried; the claim's task instance does not run again while its
job is worked on, so what is written there outlives a retry, or a death, of the task that reports.
Whoever finishes a job (the finishing piece, a callback) reads these records, never the claim's return
value. They hold neither a token nor a nonce nor a credential nor a configuration value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

from airflow_codepipeline_partner._compat import XCom, task_state_store
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner.protocol import Call, Claim, ClaimState, dialect_of, result_of

#: XCom key of the claim's record: the claimed job with ``state`` and ``at``.
CLAIM_KEY = "codepipeline_claim"
#: XCom key of the result's record: ``state``, ``result``, ``job_id``, ``call``, ``at``.
RESULT_KEY = "codepipeline_result"
MAX_KEY_CHARS = 512  # of Airflow's table of XComs

ResultState = Literal["intended", "done"]


@dataclass(frozen=True)
class ClaimRecord:
    """
    Where the claim of a job stands.

    :param state: See :class:`~airflow_codepipeline_partner.protocol.ClaimState`.
    :param job: The job, with what its details told if they were asked for.
    """

    state: ClaimState
    job: ClaimedJob

    @classmethod
    def from_xcom(cls, value: Mapping[str, Any]) -> Self:
        """Return the record that lies in XCom."""
        return cls(ClaimState(value["state"]), ClaimedJob.from_value(value))

    def to_xcom(self) -> dict[str, Any]:
        """Return what is written, with the time of writing."""
        return {**self.job.to_xcom(), "state": str(self.state), "at": _now()}

    def may_be_ours(self, unknown_claim: str) -> bool:
        """
        Tell whether the job is ours to end.

        An ``intent`` that was left over by a task that died counts as unknown.

        :param unknown_claim: ``assume_ours`` or ``leave``.
        """
        if self.state in (ClaimState.UNKNOWN, ClaimState.INTENT):
            return unknown_claim == "assume_ours"
        return self.state is ClaimState.CLAIMED


@dataclass(frozen=True)
class ResultRecord:
    """
    Which result a job is to get, or got.

    :param state: ``intended`` before the put, ``done`` after it.
    :param operation: AWS's name of the put.
    :param arguments: Its arguments, without the client token.
    """

    state: ResultState
    job_id: str
    result: str
    arguments: Mapping[str, Any]

    @classmethod
    def from_xcom(cls, value: Mapping[str, Any]) -> Self:
        """Return the record that lies in XCom."""
        return cls(value["state"], value["job_id"], value["result"], value["call"])

    def call(self, job: OfferedJob) -> Call:
        """Return the call that was intended, to be sent again unchanged."""
        dialect = dialect_of(job)
        operation = dialect.failure if self.result == "failure" else dialect.success
        return Call(operation, self.arguments, job)


@dataclass(frozen=True)
class Place:
    """
    A task instance, whose XCom holds the records of one claim.

    :param shared: Whether it holds the results of several jobs, each under a key of its own, since it
        claimed none of them.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    shared: bool = False

    @classmethod
    def of(cls, ti: Any) -> Self:
        """Return the place that is a task instance's own."""
        return cls(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)

    def read_claim(self) -> ClaimRecord | None:
        """Return the record of the claim, or None."""
        value = self._read(CLAIM_KEY)
        return None if value is None else ClaimRecord.from_xcom(value)

    def write_claim(self, record: ClaimRecord) -> None:
        """Write the record of the claim."""
        self._write(CLAIM_KEY, record.to_xcom())

    def read_result(self, job_id: str) -> ResultRecord | None:
        """Return the record of this job's result, or None."""
        value = self._read(self._result_key(job_id))
        if value is None or value["job_id"] != job_id:
            return None
        return ResultRecord.from_xcom(value)

    def write_result(self, state: ResultState, call: Call) -> None:
        """Write the record of a result."""
        record = {
            "state": state,
            "result": result_of(call),
            "job_id": call.arguments["jobId"],
            "call": dict(call.arguments),
            "at": _now(),
        }
        self._write(self._result_key(record["job_id"]), record)

    def withdraw_result(self, job_id: str) -> None:
        """Forget an intended result that certainly was not put."""
        XCom.delete(key=self._result_key(job_id), **self._names())

    def _result_key(self, job_id: str) -> str:
        return f"{RESULT_KEY}_{job_id}"[:MAX_KEY_CHARS] if self.shared else RESULT_KEY

    def _read(self, key: str) -> Any:
        names = self._names()
        if self.map_index >= 0:
            return XCom.get_one(key=key, **names)
        # Asked for one, Airflow writes an error into the scheduler's log where there is none.
        del names["map_index"]
        return next(iter(XCom.get_all(key=key, **names) or ()), None)

    def _write(self, key: str, value: Any) -> None:
        XCom.set(key=key, value=value, **self._names())

    def _names(self) -> dict[str, Any]:
        return {
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "task_id": self.task_id,
            "map_index": self.map_index,
        }


def claiming_tasks(dag: Any) -> Iterator[Any]:
    """Return the tasks of a DAG that claim jobs, mapped or not."""
    return (task for task in dag.tasks if _is_marked(task, "claims_job"))


def _is_marked(task: Any, mark: str) -> bool:
    return bool(getattr(task.operator_class if task.is_mapped else type(task), mark, False))


def records_of_run(
    dag_id: str, run_id: str, task_id: str
) -> Iterator[tuple[ClaimRecord, ResultRecord | None]]:
    """Yield what a task claimed in a run, over all its map indexes, with the results that are recorded."""
    names = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    results = {
        value["job_id"]: ResultRecord.from_xcom(value)
        for value in XCom.get_all(key=RESULT_KEY, **names) or ()
    }
    for value in XCom.get_all(key=CLAIM_KEY, **names) or ():
        claim = ClaimRecord.from_xcom(value)
        yield claim, results.get(claim.job.job_id)


def records_before(
    context: Mapping[str, Any], claiming: Any
) -> Iterator[tuple[ClaimRecord, ResultRecord | None]]:
    """Yield what one claiming task claimed for the running task: itself, or the instance that it follows."""
    task, own = context["task"], Place.of(context["ti"])
    place: Place | None = None
    if claiming.task_id == own.task_id:
        place = own
    elif claiming.task_id in task.get_flat_relative_ids(upstream=True):
        place = _seen_from(task, own, claiming)
    claim = place.read_claim() if place else None
    if place and claim:
        yield claim, place.read_result(claim.job.job_id)


class ClaimMemory:
    """
    What a claiming task wrote down, in this try and in those before it.

    XCom is cleared as a retry starts. From Airflow 3.3 on the task state store tells what an earlier try
    did; before, all that is known is that there was one.

    :param context: The task's context.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._place = Place.of(context["ti"])
        self._store = task_state_store(context)
        self._is_retry: bool = context["ti"].try_number > 1

    def write(self, state: ClaimState, job: ClaimedJob) -> None:
        """Write the claim's record."""
        record = ClaimRecord(state, job)
        self._place.write_claim(record)
        if self._store is not None:
            self._store.set(CLAIM_KEY, record.to_xcom())

    def claim_of_earlier_try(self, job_id: str) -> Claim | None:
        """Return the claim that an earlier try certainly won, with its record restored, or None."""
        record = self._earlier(job_id)
        if record is None or record.state is not ClaimState.CLAIMED:
            return None
        self.write(record.state, record.job)
        return Claim(record.state, record.job)

    def acknowledged_before(self, job_id: str) -> bool:
        """Tell whether an earlier try may have acknowledged the job."""
        if self._store is None or self._store.get(CLAIM_KEY) is None:
            # The store may have been emptied since: by its retention, after a success, by a user.
            return self._is_retry
        record = self._earlier(job_id)
        return record is not None and record.state in (ClaimState.INTENT, ClaimState.UNKNOWN)

    def _earlier(self, job_id: str) -> ClaimRecord | None:
        value = None if self._store is None else self._store.get(CLAIM_KEY)
        record = None if value is None else ClaimRecord.from_xcom(value)
        return record if record is not None and record.job.job_id == job_id else None


def mapped_group_of(task: Any) -> Any:
    """Return the mapped task group that a task lies in, or None."""
    return task.get_closest_mapped_task_group()


def place_for_result(context: Mapping[str, Any], job_id: str) -> Place:
    """
    Return where the result of a job is recorded, so that a retry of the running task does not clear it.

    That is where this run claimed the job; where it did not, a task just before the running one; and only
    where there is none, the running task itself.

    :param context: The running task's context.
    :param job_id: The job.
    """
    task, dag = context["task"], context["dag"]
    own = Place.of(context["ti"])
    for claiming in claiming_tasks(dag):
        for place in _instances(context, own, claiming, job_id):
            claim = place.read_claim()
            if claim is not None and claim.job.job_id == job_id:
                return place
    for task_id in sorted(task.upstream_task_ids):
        before = dag.get_task(task_id)
        beside = _seen_from(task, own, before)
        if beside is not None:
            users = [dag.get_task(other) for other in before.downstream_task_ids]
            several = sum(_is_marked(user, "puts_result") for user in users) > 1
            return replace(beside, shared=several or beside.map_index != own.map_index)
    return own


def _instances(context: Mapping[str, Any], own: Place, claiming: Any, job_id: str) -> Iterator[Place]:
    """Yield the instances of a claiming task that may have claimed a job, the likeliest first."""
    place = _seen_from(context["task"], own, claiming)
    if place is not None:
        yield place
        return
    names = {"dag_id": own.dag_id, "run_id": own.run_id, "task_id": claiming.task_id}
    claimed = [value["job_id"] for value in XCom.get_all(key=CLAIM_KEY, **names) or ()]
    if job_id not in claimed:
        return
    # The values come in the order of the map indexes, where one that did not run has none.
    count = context["ti"].get_ti_count(dag_id=own.dag_id, run_ids=[own.run_id], task_ids=[claiming.task_id])
    for map_index in range(claimed.index(job_id), count):
        yield Place(**names, map_index=map_index)


def _seen_from(task: Any, own: Place, other: Any) -> Place | None:
    """Return the one instance of another task that belongs to the running one, or None if there are many."""
    group = mapped_group_of(other)
    if other.is_mapped or (group is not None and group is not mapped_group_of(task)):
        return None
    return Place(own.dag_id, own.run_id, other.task_id, -1 if group is None else own.map_index)


def _now() -> str:
    return datetime.now(UTC).isoformat()
