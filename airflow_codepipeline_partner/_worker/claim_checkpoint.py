# SPDX-License-Identifier: Apache-2.0
"""What a task that claims knows of the claim of its earlier tries."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from airflow_codepipeline_partner._compat import task_state_store
from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._worker.claiming import Earlier
from airflow_codepipeline_partner._worker.copies import AdjacentStore, lasting_store
from airflow_codepipeline_partner._worker.job_life import MAY_BE_ACKNOWLEDGED, newest_claim
from airflow_codepipeline_partner._worker.record_search import (
    claims_of_next_jobs,
    results_of_continuing_tasks,
)
from airflow_codepipeline_partner._worker.record_store import RecordStore, undisturbed_tasks
from airflow_codepipeline_partner._worker.records import (
    CLAIM_KEY,
    RESULT_KEY,
    ClaimRecord,
    ResultRecord,
    readable,
)

log = logging.getLogger(__name__)

#: Member of the stored claim: the task has done its work. Its value is the task's ``max_tries``, which rises
#: when a user clears an ended task, but not with a retry.
_ENDED = "ended"
#: Member of the stored claim: what earlier tries knew is gone, so this record does not say it.
_FORGOTTEN = "forgotten"


class ClaimCheckpoint:
    """
    The claim that a task recorded, in this try or an earlier one.

    :param context: The task's context.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._ti = context["ti"]
        self._records = RecordStore.of(self._ti)
        self._dag = context["dag"]
        self._store = lasting_store(context)
        self._max_tries: int = context["ti"].max_tries
        self._is_retry = context["ti"].try_number > 1
        run = context.get("dag_run")
        #: When the run began, if a user has cleared tasks of it. From Airflow 3.2 on, this counts a clear
        #: while the run goes on, too; then it began before all that it has recorded.
        self._cleared_at: datetime | None = run.start_date if run is not None and run.clear_number else None
        #: Before Airflow 3.3, what an earlier try knew lies in the XCom of a task beside this one. It is gone
        #: if a user clears both.
        is_cleared = self._max_tries > context["task"].retries
        self._may_be_gone = task_state_store(context) is None and is_cleared
        self._unknown_claim: str | None = getattr(context["task"], "unknown_claim", None)
        #: Where the finishing task finds the claim if a further try of this task dies before it can write
        #: anything. It cannot read another task's state store. A user may clear a task without retries, too.
        own = TaskInstanceRef.of(context["ti"])
        beside = (AdjacentStore(each, own) for each in undisturbed_tasks(context["dag"], own))
        #: Without the one that is this task's store already.
        self._copies = [each for each in beside if each != self._store]
        #: When the job may first have been acknowledged. Its timeout may run from then on.
        self._since: datetime | None = None
        #: What an earlier try, which did its work, noted of its end. It is kept until this try notes its own.
        self._ended_with: int | None = None
        #: Whether what an earlier try knew is gone.
        self._is_forgotten = False
        #: Whether this try has known that the job is the run's.
        self._was_certain = False

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
        if self._was_certain and not record.is_certain:
            self._records.withdraw_certain_claim()
        self._was_certain = record.is_certain
        # First where a retry does not clear it; and first of all where other tasks find it, too.
        for copy in self._copies:
            if copy.is_there(self._ti):
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
        self._was_certain = record is not None and record.is_certain
        later = self._later(job_id) if self._is_retry else None
        newest_id = job_id if later is None else later.job.job_id
        continued = self._continued(newest_id) if self._is_retry else None
        return Earlier(
            record,
            was_cleared,
            is_forgotten=self._is_forgotten,
            was_run_cleared=self._was_run_cleared(record, later, continued),
            is_of_ended_run=(
                record is not None
                and record.state in MAY_BE_ACKNOWLEDGED
                and self._cleared_at is not None
                and record.at < self._cleared_at
            ),
            later=later,
            continued=continued,
        )

    def left_job(self, job_id: str) -> ClaimedJob | None:
        """
        Return the job, or the action's newest one, that an earlier try won, if this try is given another job.

        A user has cleared the task together with what offers it jobs.

        :param job_id: The job that this try is given.
        """
        record = _record_in(self._held(), None) if self._is_retry else None
        if record is None or not record.is_certain:
            return None
        later = (
            each
            for each in claims_of_next_jobs(self._dag, self._records.ref)
            if each.is_about(record.job.job_id)
        )
        newest = newest_claim((record, *later))
        is_other = newest is not None and newest.is_certain and not newest.is_about(job_id)
        return replace(newest.job, certain=True) if newest is not None and is_other else None

    def _was_run_cleared(self, *records: ClaimRecord | ResultRecord | None) -> bool:
        """Return whether a user has cleared tasks of the run after its end, and nothing is recorded since."""
        if self._cleared_at is None:
            return False
        known = [each.at for each in records if each is not None]
        # What was recorded may be gone: before Airflow 3.3, and also if it clears its state store on success.
        return not known or self._is_forgotten or max(known) < self._cleared_at

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
        """
        Return the result with which another task ended the job, or was about to, to wait for the next one.

        If the job's claim was unknown, this may have been a guess. A newer claim of the same job proves it
        wrong.
        """
        claims = claims_of_next_jobs(self._dag, self._records.ref)
        anew = [claim.at for claim in claims if claim.is_certain and claim.job.job_id == job_id]
        results = results_of_continuing_tasks(self._dag, self._records.ref)
        of_job = [each for each in results if each.job_id == job_id and each.state in ("done", "intended")]
        known = [each for each in of_job if all(at <= each.at for at in anew)]
        return min(known, key=lambda each: each.state != "done", default=None)

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

    def is_of_ended_run(self) -> bool:
        """Return whether what is stored was recorded before a user cleared the run after its end."""
        held = self._held()
        record = ClaimRecord.from_xcom(held) if held else None
        return record is not None and self._cleared_at is not None and record.at < self._cleared_at


def _record_in(held: Mapping[str, Any], job_id: str | None) -> ClaimRecord | None:
    """Return the record that was stored, if it is of a job; None for any job."""
    record = ClaimRecord.from_xcom(held) if held else None
    return record if record is not None and job_id in (None, record.job.job_id) else None


def claim_of_retry(context: Mapping[str, Any]) -> ClaimRecord | None:
    """
    Restore the claim of an earlier try as this one begins, and return its record, or None.

    If the run had ended meanwhile, its job had, too: nothing is restored.

    :param context: The running task's context.
    """
    if context["ti"].try_number < 2:
        return None
    try:
        checkpoint = ClaimCheckpoint(context)
        return None if checkpoint.is_of_ended_run() else checkpoint.restore()
    except Exception as error:
        log.warning("The record of an earlier try's claim cannot be read: %s.", type(error).__name__)
        return None


def restore_claim(context: Mapping[str, Any]) -> ClaimRecord | None:
    """
    Restore the claim of an earlier try, and return its record, or None.

    Also an ``on_failure_callback``, if the last try failed before it did. After a try that is to be retried,
    Airflow gives no access to its state store.
    """
    try:
        return ClaimCheckpoint(context).restore()
    except Exception as error:
        log.warning("The record of an earlier try's claim cannot be restored: %s.", type(error).__name__)
        return None
