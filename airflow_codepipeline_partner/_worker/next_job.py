# SPDX-License-Identifier: Apache-2.0
"""
How a run goes on with the next job of an action.

Progress is put with a token of ours that names the waiting task; CodePipeline ends the job and offers a new
one, which is claimed. All of it is written where the first job was claimed: the newest job's record takes the
former one's store there, so that whoever reports finds it, and a retry of the waiting task clears nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_codepipeline_partner._compat import AirflowSkipException
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ActionType, ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.results import CurrentRevision, ExecutionDetails
from airflow_codepipeline_partner._worker import report
from airflow_codepipeline_partner._worker.record_store import ClaimInRun, RecordStore, find_claim
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
    InvalidJobReference,
    JobNotInProgress,
    NextJobNotOffered,
    ServiceUnavailable,
    from_description,
)

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)

#: For how long the next job of an action is waited for, in seconds. AWS documents 30 s until it is offered,
#: for another kind of action; it is never offered if the customer has stopped the pipeline.
CONTINUATION_TIMEOUT = 3600.0


def action_of(context: Mapping[str, Any], offered: OfferedJob) -> ClaimInRun:
    """
    Return how this run claimed the newest job of an action.

    :param context: The running task's context.
    :param offered: Any job of the action that this run claimed.
    :raises InvalidJobReference: This run claimed no such job.
    :raises AirflowSkipException: It did not win it.
    """
    claim = find_claim(context, offered.job_id)
    if claim is None:
        raise InvalidJobReference(
            f"No task of this run claimed job {offered.job_id}. Hand on what CodePipelineClaimJobOperator "
            "returned.",
            job_id=offered.job_id,
        )
    goes_on = is_in_doubt(claim) or awaited_token(claim.store, claim.record) is not None
    if not goes_on and not claim.counts_as_ours:
        raise AirflowSkipException(
            f"Job {offered.job_id} is not this run's, which has its claim as {claim.record.state}."
        )
    return claim


def awaited_token(store: RecordStore, record: ClaimRecord) -> str | None:
    """
    Return the token that the action's next job will carry, if this run is to claim that; else None.

    :param store: Where the action's jobs are recorded.
    :param record: The record of the newest.
    """
    token = record.job.continuation_token
    if record.former_job_ids and record.state in (ClaimState.LOST, ClaimState.REFUSED):
        # It was offered and not won; a job whose nonce was merely stale is offered again.
        return token
    result = store.read_result(record.job.job_id)
    waiting = result.awaited_by if result else None
    return waiting.token if waiting and waiting.is_of_run(store.ref.dag_id, store.ref.run_id) else None


def is_in_doubt(claim: ClaimInRun) -> bool:
    """Tell whether an action's next job, which only this run may claim, may or may not be acknowledged."""
    record = claim.record
    if not record.former_job_ids or not record.state.is_unknown:
        return False
    return claim.store.read_result(record.job.job_id) is None


def put_progress(
    hook: CodePipelineHook,
    claim: ClaimInRun,
    me: TaskInstanceRef,
    *,
    execution_details: ExecutionDetails | None = None,
    current_revision: CurrentRevision | None = None,
) -> None:
    """
    End the newest job with a continuation token that names the task that goes on with the next.

    :param hook: What puts it.
    :param claim: The newest job's claim.
    :param me: The running task.
    :param execution_details: What the customer sees of the work.
    :param current_revision: The revision that the work made or found, or None.
    :raises JobNotInProgress: The job has another result.
    """
    job = claim.record.job.job
    # Before anything is put: who cannot wait for the next job must not end this one.
    action_type_of(job)
    details = report.with_defaults(execution_details, dag_id=me.dag_id, run_id=me.run_id, continued=True)
    call = requests.success(
        job, current_revision=current_revision, continuation_token=me.token, execution_details=details
    )
    result = report.put_once(hook, claim.store, call, certain=claim.record.is_certain)
    if awaited_token(claim.store, claim.record) is None:
        raise JobNotInProgress(
            f"Job {job.job_id} has the result {result} already, so that it cannot go on. To run the action "
            "again, retry it in CodePipeline.",
            job_id=job.job_id,
        )


def wait_deadline(claim: ClaimInRun, timeout: float) -> float:
    result = claim.store.read_result(claim.record.job.job_id)
    return (claim.record.at if result is None else result.at).timestamp() + timeout


def action_type_of(job: OfferedJob) -> ActionType:
    if job.action_type is None:
        raise InvalidJobReference(
            f"Job {job.job_id} does not say its action type, so that its action's next job cannot be polled "
            'for. Give it to the claim with "action_type", as sensor and dispatch_jobs do.',
            job_id=job.job_id,
        )
    return job.action_type


def raise_refusal(event: Mapping[str, Any], claim: ClaimInRun, *, timeout: float) -> None:
    """
    Raise what ended the wait for the next job, if the poll for it was refused.

    Call it where a task's retries count: a retry polls anew, and whoever could mend the connection may have.
    That CodePipeline does not answer ends no wait before its time.

    :param event: The trigger's event.
    :param claim: The claim of the job before it.
    :param timeout: What :func:`defer_for_next_job` was given.
    :raises CodePipelineProviderError: The poll was refused, or nobody answered until the time was over.
    """
    if event["status"] != "error":
        return
    refusal = from_description(event["error"])
    if isinstance(refusal, ServiceUnavailable) and time.time() < wait_deadline(claim, timeout):
        log.warning("%s The next job is waited for all the same.", refusal)
        return
    raise refusal


def claim_offered(
    hook: CodePipelineHook, claim: ClaimInRun, event: Mapping[str, Any], *, timeout: float
) -> ClaimInRun:
    """
    Claim the action's next job, if it was offered, and return how that went.

    :param hook: What claims it.
    :param claim: The claim of the job before it.
    :param event: The trigger's event, of which :func:`raise_refusal` raised nothing.
    :param timeout: What :func:`defer_for_next_job` was given. Until it is over, an event without a job is no
        more than the time to look at the record: the claim is returned, and its next job still awaited.
    :raises NextJobNotOffered: It was not offered in time.
    :raises CodePipelineProviderError: The claim failed.
    """
    if awaited_token(claim.store, claim.record) is None:
        # Another task of this run waited for it, too, and has claimed it.
        return claim
    if event["status"] != "offered" and time.time() < wait_deadline(claim, timeout):
        return claim
    if event["status"] != "offered":
        raise NextJobNotOffered(
            f"The next job of the action, after job {claim.record.job.job_id}, was not offered in time. The "
            "customer may have stopped the pipeline. If it is offered later, whoever claims it ends it.",
            job_id=claim.record.job.job_id,
        )
    job = OfferedJob.from_value(event["jobs"][0])
    if job.job_id == claim.record.job.job_id and claim.record.state.is_unknown:
        return _claim_doubtful(hook, claim, job)
    return claim_next_job(hook, claim, job)


def _claim_doubtful(hook: CodePipelineHook, claim: ClaimInRun, job: OfferedJob) -> ClaimInRun:
    """
    Claim a job anew that had been in doubt, and is offered, so that nobody seems to have claimed it.

    The offer may be an old one. Only an acknowledgement that is answered proves it, and then the result that
    was taken for put was not.
    """
    record = claim.record

    def is_the_same(about_to_claim: ClaimedJob) -> bool:
        return about_to_claim.continuation_token == record.job.continuation_token

    answer = hook.try_claim(job, before_acknowledge=is_the_same)
    if answer.state is not ClaimState.CLAIMED:
        return claim
    log.warning("Nobody had claimed job %s, so that its result was not put. It is claimed now.", job.job_id)
    claim.store.withdraw_result(job.job_id)
    claimed = ClaimRecord(ClaimState.CLAIMED, answer.job, record.former_job_ids)
    claim.store.write_claim(claimed)
    return replace(claim, record=claimed)


def is_claimed_anew(claim: ClaimInRun, before: ClaimInRun) -> bool:
    """
    Tell whether a job that had been in doubt was offered again, and claimed: its progress is still to be put.

    :param claim: What :func:`claim_offered` returned.
    :param before: What it was given.
    """
    same = claim.record.job.job_id == before.record.job.job_id
    return same and before.record.state.is_unknown and claim.record.state is ClaimState.CLAIMED


def claim_next_job(hook: CodePipelineHook, claim: ClaimInRun, job: OfferedJob) -> ClaimInRun:
    """
    Claim the next job of an action, and return how that went.

    :param hook: What claims it.
    :param claim: The claim of the job before it or, where an earlier try left that in doubt, its own.
    :param job: The job.
    """
    store, record = claim.store, claim.record
    is_recorded = record.job.job_id == job.job_id
    former = record.former_job_ids if is_recorded else (*record.former_job_ids, record.job.job_id)
    in_doubt = is_recorded and record.state.is_unknown
    token = record.job.continuation_token if is_recorded else awaited_token(store, record)
    # A job's time may run from the first acknowledgement on.
    since = record.at if in_doubt else datetime.now(UTC)
    intended: ClaimedJob | None = None
    # No other run claims it; another task of this one may, at the same moment: a refusal leaves doubt. Not so
    # for a custom job, where it would stay one: most often the offer was stale, and the job is offered again.
    doubtful = in_doubt or not job.dialect.poll_gives_nonce

    def claimed_meanwhile() -> ClaimInRun | None:
        now = store.read_claim()
        is_taken = now is not None and now.is_certain and now.job.job_id == job.job_id
        return replace(claim, record=now) if now is not None and is_taken else None

    def write(state: ClaimState, claimed: ClaimedJob) -> ClaimRecord:
        written = ClaimRecord(state, claimed, former, since)
        store.write_claim(written)
        return written

    def intend(about_to_claim: ClaimedJob) -> bool:
        nonlocal intended
        if about_to_claim.continuation_token != token:
            # The trigger was told another job's token: none of ours.
            return False
        if claimed_meanwhile() is not None:
            return False
        now = store.read_claim()
        others = now is not None and now.job.job_id == job.job_id and now.state.is_unknown
        if others and not doubtful:
            # Another task of this run is about to: what became of that, the record tells in a moment.
            return False
        intended = about_to_claim
        write(ClaimState.INTENT, about_to_claim)
        return True

    try:
        answer: Claim = hook.try_claim(job, in_doubt=doubtful, before_acknowledge=intend)
    except CodePipelineProviderError as error:
        if intended is not None:
            unknown = in_doubt or error.in_doubt
            state = ClaimState.UNKNOWN if unknown else ClaimState.REFUSED
            write(state, replace(intended, certain=not unknown))
        raise
    if answer.state is ClaimState.LOST and (taken := claimed_meanwhile()) is not None:
        # By another task of this run, which waited for it, too.
        return taken
    return claim if intended is None else replace(claim, record=write(answer.state, answer.job))
