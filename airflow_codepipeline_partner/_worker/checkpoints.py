# SPDX-License-Identifier: Apache-2.0
"""
What a task still knows of its earlier tries.

A task's own XCom is cleared as a retry starts. From Airflow 3.3 on the task state store outlives that;
before, the XCom of a task just before or after it does; where there is none either, only the number of the
try tells anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from airflow_codepipeline_partner._compat import TaskStateStore, task_state_store
from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker.record_store import (
    MAX_KEY_CHARS,
    ClaimInRun,
    RecordStore,
    adjacent_task,
)
from airflow_codepipeline_partner._worker.records import (
    CLAIM_KEY,
    NO_RESULT,
    RESULT_KEY,
    ClaimRecord,
    ResultRecord,
    ResultState,
)

#: Member of what is stored: the task has done its work. It holds the task's ``max_tries``, which a user who
#: clears an ended task raises, and a retry does not.
_ENDED = "ended"
#: Member of a result that is kept: it certainly was not put.
_WITHDRAWN = "withdrawn"
#: States in which the job may be acknowledged already, by an earlier try or before the task was cleared.
_MAY_BE_ACKNOWLEDGED = (ClaimState.INTENT, ClaimState.UNKNOWN, ClaimState.CLAIMED)


class _NeighboursStore:
    """
    Keeps what a task writes in the XCom of a task beside it.

    :param neighbour: The task beside it.
    :param own: The task, whose name makes the keys its own.
    """

    def __init__(self, neighbour: RecordStore, own: TaskInstanceRef) -> None:
        self._neighbour = neighbour
        self._suffix = f"_{own.task_id}_{own.map_index}"

    def get(self, key: str) -> Any:
        """Return what was stored under the key, or None."""
        return self._neighbour.read((key + self._suffix)[:MAX_KEY_CHARS])

    def set(self, key: str, value: Any) -> None:
        """Store a JSON value under the key."""
        self._neighbour.write((key + self._suffix)[:MAX_KEY_CHARS], value)


def _store_of(context: Mapping[str, Any]) -> TaskStateStore | None:
    """Return what outlives a retry of the running task, or None."""
    store = task_state_store(context)
    if store is not None:
        return store
    neighbour = adjacent_task(context)
    return None if neighbour is None else _NeighboursStore(neighbour, TaskInstanceRef.of(context["ti"]))


class ClaimCheckpoint:
    """
    What a claiming task wrote down, in this try and in those before it.

    :param context: The task's context.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._records = RecordStore.of(context["ti"])
        self._store = _store_of(context)
        self._is_retry: bool = context["ti"].try_number > 1
        self._max_tries: int = context["ti"].max_tries
        #: When the job may first have been acknowledged: from then on its time may run.
        self._since: datetime | None = None

    @property
    def outlives_a_retry(self) -> bool:
        """Whether a retry of the task will know what this try did."""
        return self._store is not None

    def write(self, state: ClaimState, job: ClaimedJob) -> None:
        """Write the claim's record; from its intent on it bears the time of that."""
        if state is ClaimState.INTENT and self._since is None:
            self._since = datetime.now(UTC)
        record = ClaimRecord(state, job, at=self._since or datetime.now(UTC))
        self._records.write_claim(record)
        if self._store is not None:
            self._store.set(CLAIM_KEY, record.to_xcom())

    def note_end(self, claim: Claim) -> None:
        """Note that the task has done its work, by which it is known if a user has cleared it since."""
        if self._store is not None:
            value = ClaimRecord(claim.state, claim.job).to_xcom()
            self._store.set(CLAIM_KEY, {**value, _ENDED: self._max_tries})

    def claim_of_earlier_try(self, job_id: str) -> Claim | None:
        """Return the claim that an earlier try certainly won, with its record restored, or None."""
        record = self._earlier(job_id)
        if record is None or record.state is not ClaimState.CLAIMED or self._was_cleared:
            # Whether a job is still there to be worked on after a user's clear, CodePipeline must tell.
            return None
        self._since = record.at
        self.write(record.state, record.job)
        return Claim(record.state, record.job)

    def restore(self, job_id: str) -> ClaimedJob | None:
        """Write the claim of an earlier try back to where the retry cleared it; return the job, or None."""
        record = self._earlier(job_id)
        if record is None:
            return None
        self._records.write_claim(record)
        return record.job

    def acknowledged_before(self, job_id: str) -> bool:
        """Tell whether an earlier try may have acknowledged the job."""
        if self._store is None or self._store.get(CLAIM_KEY) is None:
            # The store may have been emptied since: by its retention, after a success, by a user.
            return self._is_retry
        record = self._earlier(job_id)
        if record is None or record.state not in _MAY_BE_ACKNOWLEDGED:
            return False
        self._since = record.at
        return True

    @property
    def _was_cleared(self) -> bool:
        held = None if self._store is None else (self._store.get(CLAIM_KEY) or {}).get(_ENDED)
        return held is not None and held != self._max_tries

    def _earlier(self, job_id: str) -> ClaimRecord | None:
        value = None if self._store is None else self._store.get(CLAIM_KEY)
        record = None if value is None else ClaimRecord.from_xcom(value)
        return record if record is not None and record.job.job_id == job_id else None


class ResultStore(Protocol):
    """Where the record of a job's result is kept."""

    def read_result(self, job_id: str) -> ResultRecord | None:
        """Return the record of this job's result, or None."""

    def write_result(self, state: ResultState, call: Call) -> None:
        """Write the record of a result."""

    def withdraw_result(self, job_id: str) -> None:
        """Forget an intended result that certainly was not put."""


class _OwnResult:
    """
    Keeps a result in the task state store of the task that puts it.

    :param store: The task's store.
    """

    def __init__(self, store: TaskStateStore) -> None:
        self._store = store

    def read_result(self, job_id: str) -> ResultRecord | None:
        """Return the record of this job's result, or None."""
        return ResultRecord.of_job(job_id, self._store.get(RESULT_KEY))

    def write_result(self, state: ResultState, call: Call) -> None:
        """Write the record of a result."""
        self._store.set(RESULT_KEY, ResultRecord.of_call(state, call).to_xcom())

    def withdraw_result(self, job_id: str) -> None:
        """Forget an intended result that certainly was not put."""
        self._store.set(RESULT_KEY, dict(NO_RESULT))


def result_store(context: Mapping[str, Any], claim: ClaimInRun | None) -> ResultStore:
    """
    Return where the result of a job is recorded, so that a retry of the running task does not clear it.

    That is where this run claimed the job; where it did not, a task just before the running one; where there
    is none, the task's state store; and only before Airflow 3.3 the running task itself.

    :param context: The running task's context.
    :param claim: How this run claimed the job, or None.
    """
    records = claim.store if claim is not None else adjacent_task(context)
    store = task_state_store(context)
    if records is None and store is not None:
        return _OwnResult(store)
    return records or RecordStore.of(context["ti"])


class ResultCheckpoint:
    """
    Keeps the result that a task gives to the job that it has claimed itself, in two places.

    In the task's own XCom, where others look for it; and where a retry does not clear it, so that a task that
    was killed after it had put a result does not do its work again.

    :param context: The task's context.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._records = RecordStore.of(context["ti"])
        self._store = _store_of(context)

    def read_result(self, job_id: str) -> ResultRecord | None:
        """Return the record of this job's result, or None; it is again where the retry has cleared it."""
        record = self._records.read_result(job_id)
        if record is None and not self._kept().get(_WITHDRAWN):
            record = ResultRecord.of_job(job_id, self._kept())
            if record is not None:
                self._records.write(RESULT_KEY, record.to_xcom())
        return record

    def write_result(self, state: ResultState, call: Call) -> None:
        """Write the record of a result, first where it is of use if this is the task's last try."""
        self._records.write_result(state, call)
        self._keep(ResultRecord.of_call(state, call).to_xcom())

    def withdraw_result(self, job_id: str) -> None:
        """Forget that a result may have been put; what the work came to is kept, if it was no failure."""
        self._records.withdraw_result(job_id)
        kept = self._kept()
        # A failure would be another's in the next try.
        self._keep({**kept, _WITHDRAWN: True} if kept.get("result") != "failure" else NO_RESULT)

    def result_of_earlier_try(self, job: OfferedJob) -> Call | None:
        """Return the result to which an earlier try came, whether or not it was put, or None."""
        record = self.read_result(job.job_id) or ResultRecord.of_job(job.job_id, self._kept())
        return None if record is None else record.call(job)

    def leave_to_others(self, call: Call) -> None:
        """
        Have whoever comes after this task put a result that could not be put, unless there is another.

        They take it as one that may have been put; this task has failed, so that no run is green for it.
        """
        if self._records.read_result(call.arguments["jobId"]) is None:
            self._records.write_result("intended", call)

    def _kept(self) -> Mapping[str, Any]:
        return (None if self._store is None else self._store.get(RESULT_KEY)) or NO_RESULT

    def _keep(self, value: Mapping[str, Any]) -> None:
        if self._store is not None:
            self._store.set(RESULT_KEY, dict(value))
