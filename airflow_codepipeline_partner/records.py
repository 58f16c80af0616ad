# SPDX-License-Identifier: Apache-2.0
"""
The records of a claim and of a result, in the XCom of the task instance that claimed.

A task's own XCom is cleared when it is retried. Where claim, work and report are tasks of their own, the
claim does not run again while its job is worked on, so what is written there outlives a retry, or a death,
of the task that reports; a task that does all of it keeps it in a second place as well, see ``memory``.
Whoever finishes a job (the finishing piece, a callback) reads these records, never the claim's return
value. They hold neither a client token nor a partner's nonce nor a credential nor a
configuration value but the one that custom jobs were polled for with, which is no secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

from airflow_codepipeline_partner._compat import XCom
from airflow_codepipeline_partner.continuation import WaitingTask
from airflow_codepipeline_partner.dialects import dialect_of
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner.protocol import Call, ClaimState, result_of

#: XCom key of the claim's record: the claimed job with ``state`` and ``at``.
CLAIM_KEY = "codepipeline_claim"
#: XCom key of the result's record: ``state``, ``result``, ``job_id``, ``call``, ``at``.
RESULT_KEY = "codepipeline_result"
MAX_KEY_CHARS = 512  # of Airflow's table of XComs

#: What lies there where there is no result yet, or none any more.
NO_RESULT: Mapping[str, Any] = {"job_id": None}
ResultState = Literal["intended", "done", "refused"]
#: States of a run that may still claim a job.
LIVING = ("queued", "running")


@dataclass(frozen=True)
class ClaimRecord:
    """
    Where the claim of a job stands.

    Where an action goes on in a new job, the record is of the newest one.

    :param state: See :class:`~airflow_codepipeline_partner.protocol.ClaimState`.
    :param job: The job, with what its details told if they were asked for.
    :param former_job_ids: The action's earlier jobs, which this run ended with a continuation token of ours.
    :param at: When it was written.
    """

    state: ClaimState
    job: ClaimedJob
    former_job_ids: tuple[str, ...] = ()
    at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)

    @classmethod
    def from_xcom(cls, value: Mapping[str, Any]) -> Self:
        """Return the record that lies in XCom."""
        return cls(
            ClaimState(value["state"]),
            ClaimedJob.from_value(value),
            tuple(value.get("former_job_ids") or ()),
            datetime.fromisoformat(value["at"]),
        )

    def to_xcom(self) -> dict[str, Any]:
        """Return what is written."""
        return {
            **self.job.to_xcom(),
            "state": str(self.state),
            "at": self.at.isoformat(),
            **({"former_job_ids": list(self.former_job_ids)} if self.former_job_ids else {}),
        }

    @property
    def is_certain(self) -> bool:
        """Whether the job is certainly ours."""
        return self.state is ClaimState.CLAIMED

    def is_about(self, job_id: str) -> bool:
        """Tell whether it is the record of this job, or of one that followed it."""
        return job_id == self.job.job_id or job_id in self.former_job_ids

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

    :param state: ``intended`` before the put, ``done`` after it; ``refused`` where the job, which is
        certainly ours, did not take it: it has most likely ended.
    :param job_id: The job.
    :param result: ``success``, ``continue`` or ``failure``.
    :param arguments: The put's arguments, without the client token.
    :param at: When it was written.
    """

    state: ResultState
    job_id: str
    result: str
    arguments: Mapping[str, Any]
    at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)

    @classmethod
    def from_xcom(cls, value: Mapping[str, Any]) -> Self:
        """Return the record that lies in XCom."""
        at = datetime.fromisoformat(value["at"])
        return cls(value["state"], value["job_id"], value["result"], value["call"], at)

    @classmethod
    def of_job(cls, job_id: str, value: Mapping[str, Any] | None) -> Self | None:
        """Return the record that lies there if it is this job's, or None."""
        return None if value is None or value["job_id"] != job_id else cls.from_xcom(value)

    @classmethod
    def of_call(cls, state: ResultState, call: Call) -> Self:
        """Return the record of a put."""
        return cls(state, call.arguments["jobId"], result_of(call), dict(call.arguments))

    def to_xcom(self) -> dict[str, Any]:
        """Return what is written."""
        return {
            "state": self.state,
            "result": self.result,
            "job_id": self.job_id,
            "call": self.arguments,
            "at": self.at.isoformat(),
        }

    @property
    def awaited_by(self) -> WaitingTask | None:
        """The task that goes on with the action's next job, by a token of ours; None for any other result."""
        if self.state == "refused":
            return None
        return WaitingTask.from_token(self.arguments.get("continuationToken"))

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
        Write that there is no result yet, where Airflow else logs an error for each look at it.

        That is for a mapped task alone: for any other :meth:`read` has a way to ask without that.
        """
        if self.map_index >= 0:
            self.write(RESULT_KEY, NO_RESULT)

    def write_result(self, state: ResultState, call: Call) -> None:
        """Write the record of a result."""
        record = ResultRecord.of_call(state, call)
        self.write(self._result_key(record.job_id), record.to_xcom())

    def withdraw_result(self, job_id: str) -> None:
        """Forget an intended result that certainly was not put."""
        XCom.delete(key=self._result_key(job_id), **self._names())

    def _result_key(self, job_id: str) -> str:
        return f"{RESULT_KEY}_{job_id}"[:MAX_KEY_CHARS] if self.shared else RESULT_KEY

    def read(self, key: str) -> Any:
        """Return what lies there in XCom, or None."""
        names = self._names()
        if self.map_index >= 0:
            return XCom.get_one(key=key, **names)
        # Asked for one, Airflow writes an error into the scheduler's log where there is none.
        del names["map_index"]
        return next(iter(XCom.get_all(key=key, **names) or ()), None)

    def write(self, key: str, value: Any) -> None:
        """Put a JSON value there into XCom."""
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
    return (task for task in dag.tasks if is_marked(task, "claims_job"))


def reports_results(dag: Any) -> bool:
    """Tell whether a DAG has a task that ends jobs, or a callback, which may be the notifier."""
    tasks = any(is_marked(task, "ends_job") for task in dag.tasks)
    return tasks or bool(dag.has_on_failure_callback or dag.on_failure_callback)


def unknown_claim_of(claiming: Any) -> str:
    """Return what a claiming task says that a claim in doubt counts as."""
    given = claiming.partial_kwargs if claiming.is_mapped else vars(claiming)
    return str(given.get("unknown_claim", "assume_ours"))


def is_marked(task: Any, mark: str) -> bool:
    """Tell whether a task, mapped or not, is of a class that bears a mark of ours."""
    return bool(getattr(task.operator_class if task.is_mapped else type(task), mark, False))


def records_of_run(
    dag_id: str, run_id: str, task_id: str
) -> Iterator[tuple[ClaimRecord, ResultRecord | None]]:
    """Yield what a task claimed in a run, over all its map indexes, with the results that are recorded."""
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
    Tell whether a run of any DAG, which has ended, claimed a job.

    A claim in doubt is one where CodePipeline took its result, and else none: if it was one after all, the
    next run's will be lost.

    :param ti: The running task instance.
    :param dag_id: The run's DAG, of which nothing else is known here.
    :param run_id: The run.
    :param job_id: The job.
    """
    return any(
        claim.is_about(job_id) and (claim.is_certain or (result is not None and result.state == "done"))
        for claim, result in _records_of_any_run(ti, dag_id, run_id)
    )


def has_continued(ti: Any, waiting: WaitingTask) -> bool:
    """
    Tell whether a run, which has ended, did end a job with the continuation token that names its task.

    If not, the token is that of another Airflow, whose run has the same id.

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
    """Yield what a run of any DAG claimed, of which nothing else is known here."""
    answer = ti.get_task_states(dag_id=dag_id, run_ids=[run_id])
    # A mapped task stands there once for each instance, with its map index behind its id.
    names = {name for found in answer.get(run_id, {}) for name in (found, found.rpartition("_")[0]) if name}
    for task_id in sorted(names):
        yield from records_of_run(dag_id, run_id, task_id)


def records_before(
    context: Mapping[str, Any], claiming: Any
) -> Iterator[tuple[ClaimRecord, ResultRecord | None]]:
    """Yield what one claiming task claimed for the running task: itself, or the instance that it follows."""
    task, own = context["task"], Place.of(context["ti"])
    place: Place | None = None
    if claiming.task_id == own.task_id:
        place = own
    elif claiming.task_id in task.get_flat_relative_ids(upstream=True):
        place = seen_from(task, own, claiming)
    claim = place.read_claim() if place else None
    if place and claim:
        yield claim, place.read_result(claim.job.job_id)


def mapped_group_of(task: Any) -> Any:
    """Return the mapped task group that a task lies in, or None."""
    return task.get_closest_mapped_task_group()


@dataclass(frozen=True)
class ClaimInRun:
    """
    What became of a job in the run at hand.

    :param place: Where it was claimed.
    :param record: The claim's record.
    :param unknown_claim: What the claiming task says that a claim in doubt counts as.
    """

    place: Place
    record: ClaimRecord
    unknown_claim: str

    @property
    def may_be_ours(self) -> bool:
        """Whether the job is ours to end."""
        return self.record.may_be_ours(self.unknown_claim)


def find_claim(context: Mapping[str, Any], job_id: str) -> ClaimInRun | None:
    """
    Return how this run claimed a job, or the newest job that followed it; None where it did not.

    :param context: The running task's context.
    :param job_id: The job.
    """
    own = Place.of(context["ti"])
    for claiming in claiming_tasks(context["dag"]):
        for place in _instances(context, own, claiming, job_id):
            record = place.read_claim()
            if record is not None and record.is_about(job_id):
                return ClaimInRun(place, record, unknown_claim_of(claiming))
    return None


def place_beside(context: Mapping[str, Any]) -> Place | None:
    """
    Return a task instance beside the running one, whose XCom a retry of the running one does not clear.

    One just before it or, where there is none, one just after it: that one's XCom is cleared as it starts,
    when the running one has ended.

    :param context: The running task's context.
    """
    task, dag, own = context["task"], context["dag"], Place.of(context["ti"])
    for task_id in sorted(task.upstream_task_ids):
        before = dag.get_task(task_id)
        place = seen_from(task, own, before)
        if place is not None:
            users = [dag.get_task(other) for other in before.downstream_task_ids]
            several = sum(is_marked(user, "puts_result") for user in users) > 1
            others = several or place.map_index != own.map_index or is_marked(before, "claims_job")
            return replace(place, shared=others)
    for task_id in sorted(task.downstream_task_ids):
        place = seen_from(task, own, dag.get_task(task_id))
        if place is not None:
            return replace(place, shared=True)
    return None


def _instances(context: Mapping[str, Any], own: Place, claiming: Any, job_id: str) -> Iterator[Place]:
    """Yield the instances of a claiming task that may have claimed a job, the likeliest first."""
    place = seen_from(context["task"], own, claiming)
    if place is not None:
        yield place
        return
    names = {"dag_id": own.dag_id, "run_id": own.run_id, "task_id": claiming.task_id}
    claimed = [ClaimRecord.from_xcom(value) for value in XCom.get_all(key=CLAIM_KEY, **names) or ()]
    first = next((number for number, record in enumerate(claimed) if record.is_about(job_id)), None)
    if first is None:
        return
    # The values come in the order of the map indexes, where one that did not run has none.
    count = context["ti"].get_ti_count(dag_id=own.dag_id, run_ids=[own.run_id], task_ids=[claiming.task_id])
    for map_index in range(first, count):
        yield Place(**names, map_index=map_index)


def seen_from(task: Any, own: Place, other: Any) -> Place | None:
    """Return the one instance of another task that belongs to the running one, or None if there are many."""
    group = mapped_group_of(other)
    if other.is_mapped or (group is not None and group is not mapped_group_of(task)):
        return None
    return Place(own.dag_id, own.run_id, other.task_id, -1 if group is None else own.map_index)
