# SPDX-License-Identifier: Apache-2.0
"""
The checkpoints of a task: what it knows of its earlier tries.

Airflow clears a task's own XCom when a retry starts. From Airflow 3.3 on, the task state store outlives a
retry. Before 3.3, the XCom of a task just before or after it does. If there is no such task either, the task
knows nothing of its earlier tries.

:class:`ClaimCheckpoint` is for a task that claims, :class:`ResultCheckpoint` for a task that claims and
reports, and :func:`result_store` for a task that only reports.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from airflow_codepipeline_partner._compat import TaskStateStore, count_instances, task_state_store
from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker.claiming import Earlier
from airflow_codepipeline_partner._worker.dag import is_marked, mapped_group_of, reporting_tasks
from airflow_codepipeline_partner._worker.job_life import MAY_BE_ACKNOWLEDGED, Results, newest_claim
from airflow_codepipeline_partner._worker.record_search import (
    ClaimInRun,
    claims_of_next_jobs,
    readable,
    records_of_run,
    results_of_continuing_tasks,
)
from airflow_codepipeline_partner._worker.record_store import (
    MAX_KEY_CHARS,
    RecordStore,
    adjacent_task,
    undisturbed_tasks,
    writers_of,
)
from airflow_codepipeline_partner._worker.records import (
    CLAIM_KEY,
    NO_RESULT,
    RESULT_KEY,
    ClaimRecord,
    ResultRecord,
)
from airflow_codepipeline_partner._worker.report import ResultStore

log = logging.getLogger(__name__)

#: Member of the stored claim: the task has done its work. Its value is the task's ``max_tries``, which rises
#: when a user clears an ended task, but not with a retry.
_ENDED = "ended"
#: Member of the stored claim: what earlier tries knew is gone, so this record does not say it.
_FORGOTTEN = "forgotten"
#: Member of a stored result: it was certainly not put.
_WITHDRAWN = "withdrawn"


class _AdjacentStore:
    """
    Store a task's values in the XCom of an adjacent task.

    :param adjacent: The store of the adjacent task.
    :param own: The task itself. Its id and map index are part of each key, so that keys do not clash.
    """

    def __init__(self, adjacent: RecordStore, own: TaskInstanceRef) -> None:
        self._adjacent = adjacent
        self._suffix = f"_{own.task_id}_{own.map_index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _AdjacentStore) and self._adjacent.ref == other._adjacent.ref

    def get(self, key: str) -> Any:
        """Return what was stored under the key, or None."""
        return self._adjacent.read((key + self._suffix)[:MAX_KEY_CHARS])

    def set(self, key: str, value: Any) -> None:
        """Store a JSON value under the key."""
        self._adjacent.write((key + self._suffix)[:MAX_KEY_CHARS], value)


def _store_of(context: Mapping[str, Any]) -> TaskStateStore | None:
    """Return the store that outlives a retry of the running task, or None."""
    store = task_state_store(context)
    if store is not None:
        return store
    return _adjacent_store(context["dag"], TaskInstanceRef.of(context["ti"]))


def _adjacent_store(dag: Any, own: TaskInstanceRef) -> _AdjacentStore | None:
    adjacent = adjacent_task(dag, own)
    return None if adjacent is None else _AdjacentStore(adjacent, own)


def claim_of_all_tries(dag: Any, claiming: TaskInstanceRef, record: ClaimRecord | None) -> ClaimRecord | None:
    """
    Return what all tries of all claiming tasks recorded of a claim: in its own place, and in copies.

    The last try of the claiming task may have ended before it could write anything, when the XCom of the
    tries before it was cleared already. It may have died between its two writes: the copy beside it is
    written first, and may be certain already. And a user may have cleared it when the action was at its next
    job.

    :param dag: The DAG.
    :param claiming: The claiming task's instance.
    :param record: The record in the task's own XCom, or None.
    """
    copies: list[ClaimRecord] = []
    if record is None or record.state.is_unknown:
        stored = (_AdjacentStore(each, claiming).get(CLAIM_KEY) for each in undisturbed_tasks(dag, claiming))
        found = (readable(ClaimRecord.from_xcom, value, claiming.task_id) for value in stored if value)
        # After a clear, the task may have claimed another job.
        copies = [copy for copy in found if copy and (record is None or copy.is_of_same_job(record))]
    known = newest_claim((record, *copies))
    if known is None:
        return None
    job_id = known.job.job_id
    later = (each for each in claims_of_next_jobs(dag, claiming) if each.is_about(job_id))
    return newest_claim((known, *later))


def records_in_copies(dag: Any, claiming: Any, ref: TaskInstanceRef) -> Iterator[tuple[ClaimRecord, Results]]:
    """
    Yield the claims of a task in a run of which copies may know more than its own records.

    :param dag: The DAG.
    :param claiming: The claiming task.
    :param ref: Its instance, or that of any map index.
    """
    names = {"dag_id": ref.dag_id, "run_id": ref.run_id, "task_id": ref.task_id}
    found = [claim for claim, _ in records_of_run(**names, writers=writers_of(dag, claiming, ref))]
    is_mapped = claiming.is_mapped or mapped_group_of(claiming) is not None
    indexes = range(count_instances(**names)) if is_mapped else (-1,)
    goes_on = any(is_marked(task, "claims_next_job") for task in reporting_tasks(dag, claiming))
    if len(found) >= len(indexes) and not goes_on and not any(claim.state.is_unknown for claim in found):
        return
    for index in indexes:
        store = RecordStore.of_claim(replace(ref, map_index=index), claiming, dag, None)
        try:
            claim = claim_of_all_tries(dag, store.ref, store.read_claim())
            if claim is not None and claim not in found:
                yield claim, store.read_results(claim.job.job_id)
        except Exception as error:
            # Of whatever kind: it must not keep other jobs from their end.
            log.error("A record of the task %s cannot be read: %s.", ref.task_id, type(error).__name__)


class ClaimCheckpoint:
    """
    The claim that a task recorded, in this try or an earlier one.

    :param context: The task's context.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._records = RecordStore.of(context["ti"])
        self._dag = context["dag"]
        self._store = _store_of(context)
        self._max_tries: int = context["ti"].max_tries
        self._is_retry = context["ti"].try_number > 1
        run = context.get("dag_run")
        #: When the run began anew, if a user has cleared it after its end.
        self._cleared_at: datetime | None = run.start_date if run is not None and run.clear_number else None
        #: Before Airflow 3.3, what an earlier try knew lies in the XCom of a task beside this one. It is gone
        #: if a user clears both.
        is_cleared = self._max_tries > context["task"].retries
        self._may_be_gone = task_state_store(context) is None and is_cleared
        self._unknown_claim: str | None = getattr(context["task"], "unknown_claim", None)
        #: Where the finishing task finds the claim if a further try of this task dies before it can write
        #: anything. It cannot read another task's state store. A user may clear a task without retries, too.
        own = TaskInstanceRef.of(context["ti"])
        beside = (_AdjacentStore(each, own) for each in undisturbed_tasks(context["dag"], own))
        #: Without the one that is this task's store already.
        self._copies = [each for each in beside if each != self._store]
        #: When the job may first have been acknowledged. Its timeout may run from then on.
        self._since: datetime | None = None
        #: What an earlier try, which did its work, noted of its end. It is kept until this try notes its own.
        self._ended_with: int | None = None
        #: Whether what an earlier try knew is gone.
        self._is_forgotten = False

    @property
    def outlives_a_retry(self) -> bool:
        """Whether a retry of the task will know what this try did."""
        return self._store is not None

    def write(self, state: ClaimState, job: ClaimedJob) -> None:
        """Write the claim's record. From the intent on, its time is the time of the intent."""
        if state is ClaimState.INTENT and self._since is None:
            self._since = datetime.now(UTC)
        record = ClaimRecord(
            state, job, at=self._since or datetime.now(UTC), unknown_claim=self._unknown_claim
        )
        # First where a retry does not clear it; and first of all where other tasks find it, too.
        for copy in self._copies:
            copy.set(CLAIM_KEY, record.to_xcom())
        if self._store is not None:
            ended = {} if self._ended_with is None else {_ENDED: self._ended_with}
            forgotten = {_FORGOTTEN: True} if self._is_forgotten else {}
            self._store.set(CLAIM_KEY, {**record.to_xcom(), **ended, **forgotten})
        self._records.write_claim(record)

    def note_end(self, claim: Claim) -> None:
        """Note that the task has done its work. This shows later whether a user has cleared the task."""
        if self._store is not None:
            value = ClaimRecord(claim.state, claim.job, unknown_claim=self._unknown_claim).to_xcom()
            self._store.set(CLAIM_KEY, {**value, _ENDED: self._max_tries})

    def recall(self, job_id: str) -> Earlier:
        """
        Return what the task knows of its earlier tries.

        Only a record shows that an earlier try may have acknowledged the job. That there is none, although
        this is a retry, proves nothing: the earlier tries may have ended before they asked for anything.
        """
        held = self._held()
        record = _record_in(held, job_id)
        self._ended_with = held.get(_ENDED)
        was_cleared = self._ended_with not in (None, self._max_tries)
        if self._is_retry and self._may_be_gone and record is None:
            record = newest_claim(self._in_copies(job_id))
            was_cleared = record is not None
            self._is_forgotten = True
        elif self._is_retry:
            self._is_forgotten = not self.outlives_a_retry or bool(held.get(_FORGOTTEN))
        if record is not None and record.state.is_unknown:
            # The earlier try may have died between its copy and its own record.
            record = newest_claim((record, *self._in_copies(job_id)))
        if record is not None and record.state in MAY_BE_ACKNOWLEDGED:
            self._since = record.at
        later = self._later(job_id) if self._is_retry else None
        newest_id = job_id if later is None else later.job.job_id
        return Earlier(
            record,
            was_cleared,
            is_forgotten=self._is_forgotten,
            is_of_ended_run=(
                record is not None
                and record.state in MAY_BE_ACKNOWLEDGED
                and self._cleared_at is not None
                and record.at < self._cleared_at
            ),
            later=later,
            continued=self._continued(newest_id) if self._is_retry else None,
        )

    def _in_copies(self, job_id: str) -> Iterator[ClaimRecord]:
        for copy in self._copies:
            value = copy.get(CLAIM_KEY)
            record = value and readable(ClaimRecord.from_xcom, value, self._records.ref.task_id)
            if record and record.job.job_id == job_id:
                yield record

    def _later(self, job_id: str) -> ClaimRecord | None:
        """Return what other tasks recorded of a later job of the action."""
        records = claims_of_next_jobs(self._dag, self._records.ref)
        return newest_claim(record for record in records if job_id in record.former_job_ids)

    def _continued(self, job_id: str) -> ResultRecord | None:
        """Return the result with which another task certainly ended the job to wait for the next one."""
        results = results_of_continuing_tasks(self._dag, self._records.ref)
        return next((each for each in results if each.job_id == job_id and each.state == "done"), None)

    def put_back_result(self, record: ResultRecord) -> None:
        """Write the record of another task's result in XCom, from where a clear has removed it."""
        self._records.write(RESULT_KEY, record.to_xcom())

    def put_back(self, record: ClaimRecord) -> None:
        """Write a record of a later job of the action in XCom, from where a clear has removed it."""
        self._records.write_claim(record)

    def restore(self, job_id: str | None = None) -> ClaimRecord | None:
        """
        Return the claim that this try or an earlier one has recorded, or None.

        A retry has cleared it in XCom, where the finishing task looks: there, it is restored.

        :param job_id: The job; None for any.
        """
        record = self._records.read_claim()
        if record is None:
            record = _record_in(self._held(), job_id)
            if record is not None:
                self._records.write_claim(record)
        return record

    def _held(self) -> Mapping[str, Any]:
        """Return what an earlier try stored of the claim, where a retry does not clear it."""
        return (None if self._store is None else self._store.get(CLAIM_KEY)) or {}


def _record_in(held: Mapping[str, Any], job_id: str | None) -> ClaimRecord | None:
    """Return the record that was stored, if it is of a job; None for any job."""
    record = ClaimRecord.from_xcom(held) if held else None
    return record if record is not None and job_id in (None, record.job.job_id) else None


def restore_claim(context: Mapping[str, Any]) -> None:
    """
    Restore the claim of an earlier try, if the last try failed before it did.

    An ``on_failure_callback``. After a try that is to be retried, Airflow gives no access to its state store.
    """
    try:
        ClaimCheckpoint(context).restore()
    except Exception as error:
        log.warning("The record of an earlier try's claim cannot be restored: %s.", type(error).__name__)


class _TaskStateResults:
    """
    Store a result in the task state store of the task that puts it.

    :param store: The task's store.
    """

    def __init__(self, store: TaskStateStore) -> None:
        self._store = store

    def read_results(self, job_id: str) -> Results:
        """Return the record of this job's result."""
        return Results(ResultRecord.of_job(job_id, self._store.get(RESULT_KEY)))

    def write_result(self, record: ResultRecord) -> None:
        """Write the record of a result."""
        self._store.set(RESULT_KEY, record.to_xcom())

    def withdraw_result(self, job_id: str) -> None:
        """Forget an intended result that was certainly not put."""
        self._store.set(RESULT_KEY, dict(NO_RESULT))


def result_store(context: Mapping[str, Any], claim: ClaimInRun | None) -> ResultStore:
    """
    Return the store for a job's result: one that a retry of the running task does not clear.

    The first of these that exists: the XCom of the task that claimed the job in this run; the XCom of an
    adjacent task; the running task's state store. Before Airflow 3.3 the last resort is the XCom of the
    running task itself.

    :param context: The running task's context.
    :param claim: This run's claim of the job, or None.
    """
    own = TaskInstanceRef.of(context["ti"])
    records = claim.store if claim is not None else adjacent_task(context["dag"], own)
    store = task_state_store(context)
    if records is None and store is not None:
        return _TaskStateResults(store)
    return records or RecordStore.of(context["ti"])


class ResultCheckpoint:
    """
    The result that a task reports for a job that it claimed itself, recorded in two stores.

    One is the task's own XCom, where other tasks look for it. The other is a store that a retry does not
    clear, so that a task that was killed after it had put a result does not do its work again.

    :param context: The task's context.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._records = RecordStore.of_claiming_task(context)
        self._store = _store_of(context)

    def read_results(self, job_id: str) -> Results:
        """Return all records of this job's result. Restore the own one in XCom if a retry has cleared it."""
        results = self._records.read_results(job_id)
        if results.own is not None or self._stored().get(_WITHDRAWN):
            return results
        own = ResultRecord.of_job(job_id, self._stored())
        if own is not None:
            self._records.write(RESULT_KEY, own.to_xcom())
        return replace(results, own=own)

    def write_result(self, record: ResultRecord) -> None:
        """Write the record of a result, first in XCom: only that one is of use if this is the last try."""
        self._records.write_result(record)
        self._set_stored(record.to_xcom())

    def withdraw_result(self, job_id: str) -> None:
        """Forget that a result may have been put. Keep the work's own result, unless it was a failure."""
        self._records.withdraw_result(job_id)
        stored = self._stored()
        # The next try may fail differently, or not at all.
        self._set_stored({**stored, _WITHDRAWN: True} if stored.get("result") != "failure" else NO_RESULT)

    def result_of_earlier_try(self, job: OfferedJob) -> Call | None:
        """Return the result of an earlier try's work, put or not; None if there is none."""
        record = self.read_results(job.job_id).best or ResultRecord.of_job(job.job_id, self._stored())
        return None if record is None else record.call(job)

    def leave_to_others(self, call: Call) -> None:
        """
        Leave a result that could not be put to the finishing task or the callback, unless there is another.

        They treat it as a result that may have been put. This task has failed, so the run is not green.
        """
        if self._records.read_result(call.arguments["jobId"]) is None:
            self._records.write_result(ResultRecord.of_call("intended", call))

    def _stored(self) -> Mapping[str, Any]:
        return (None if self._store is None else self._store.get(RESULT_KEY)) or NO_RESULT

    def _set_stored(self, value: Mapping[str, Any]) -> None:
        if self._store is not None:
            self._store.set(RESULT_KEY, dict(value))
