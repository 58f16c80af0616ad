# SPDX-License-Identifier: Apache-2.0
"""
How a run goes on with the next job of an action.

1. A task ends the job with a continuation token that names the task itself (:func:`put_progress`).
2. CodePipeline ends the job and offers a new one with that token. The task waits for it in the triggerer.
3. The run claims the new job (:func:`claim_offered`).

All of it is recorded in the XCom of the task that claimed the first job, with a copy in the XCom of the task
that goes on with the action. The newest job's record replaces the former one's there. So the task that
reports finds it, and a retry of the waiting task clears nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_codepipeline_partner import _spans
from airflow_codepipeline_partner._compat import AirflowSkipException, is_started_anew
from airflow_codepipeline_partner._job_log import job_fields
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState, drive
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.results import CurrentRevision, ExecutionDetails
from airflow_codepipeline_partner._worker import awaited_job, job_counts, report, result_defaults
from airflow_codepipeline_partner._worker.claim import log_claim
from airflow_codepipeline_partner._worker.claiming import (
    DoubtResults,
    NextSteps,
    ReadClaim,
    ReadResults,
    WithdrawResults,
    Write,
    claiming_anew,
    claiming_next,
)
from airflow_codepipeline_partner._worker.cut_off import end_cut_off, is_cut_off
from airflow_codepipeline_partner._worker.dag import ENDED, task_states
from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
from airflow_codepipeline_partner._worker.former_jobs import MAX_FORMER_JOBS, FormerJob
from airflow_codepipeline_partner._worker.record_search import ClaimInRun, find_claim
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner.exceptions import (
    InvalidJobReference,
    JobNotFound,
    JobNotInProgress,
    NextJobNotOffered,
    ServiceUnavailable,
    from_description,
)

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)


def action_of(context: Mapping[str, Any], offered: OfferedJob) -> ClaimInRun:
    """
    Return this run's claim of the newest job of an action.

    :param context: The running task's context.
    :param offered: Any job of the action that this run claimed.
    :raises InvalidJobReference: This run claimed no such job.
    :raises AirflowSkipException: This run did not win the job.
    """
    claim = find_claim(context, offered.job_id)
    if claim is None:
        raise InvalidJobReference(
            f"No task of this run claimed job {offered.job_id}. Hand on what CodePipelineClaimJobOperator "
            "returned.",
            job_id=offered.job_id,
        )
    if is_started_anew(context):
        keep_copies(claim)
    if not (
        claim.counts_as_ours or awaited_job.is_next_claim_unknown(claim) or awaited_job.awaited_token(claim)
    ):
        raise AirflowSkipException(
            f"Job {offered.job_id} is not this run's: its claim is {claim.record.state}."
        )
    return claim


def keep_copies(claim: ClaimInRun) -> None:
    """Write the running task's copies of an action's records anew: Airflow cleared them as it started."""
    if claim.record.former_job_ids:
        claim.store.keep_copy(claim.record)
    for result in claim.results.likely:
        claim.store.keep_copy_of_result(result)


def newest_job(hook: CodePipelineHook, context: Mapping[str, Any], offered: OfferedJob) -> ClaimInRun:
    """
    Return this run's claim of the newest job of an action. If that claim is unknown, claim the job once more.

    :param hook: The hook that claims it.
    :param context: The running task's context.
    :param offered: Any job of the action that this run claimed.
    :raises InvalidJobReference: This run claimed no such job.
    :raises AirflowSkipException: This run did not win the job.
    :raises AirflowFailException: Airflow has ended this task meanwhile, and the job is ended, too.
    """
    before = action_of(context, offered)
    claim = claim_if_unknown(hook, before)
    end_if_cut_off(hook, context["ti"], claim, before)
    return claim


def claim_if_unknown(hook: CodePipelineHook, claim: ClaimInRun) -> ClaimInRun:
    """
    Claim an action's next job once more, if its claim is unknown, and return the newest claim.

    The task that claimed it died meanwhile, or got no answer.

    :param hook: The hook that claims it.
    :param claim: The newest job's claim.
    """
    if not awaited_job.is_next_claim_unknown(claim):
        return claim
    return claim_next_job(hook, claim, claim.record.job.job)


def take_offer(
    hook: CodePipelineHook,
    context: Mapping[str, Any],
    offered: OfferedJob,
    event: Mapping[str, Any],
    *,
    timeout: float,
    at_least: float | None,
) -> tuple[ClaimInRun, ClaimInRun]:
    """
    Go on after the wait for a job of an action: claim the job, if it was offered.

    :param hook: The hook that claims it.
    :param context: The running task's context.
    :param offered: Any job of the action that this run claimed.
    :param event: The trigger's event.
    :param timeout: See :func:`claim_offered`.
    :param at_least: See :func:`claim_offered`.
    :return: The newest claim, and the one before.
    :raises AirflowFailException: The job was not offered in time, or Airflow has ended this task meanwhile.
    """
    with fail_without_retry_if_permanent():
        before = action_of(context, offered)
    deadline = awaited_job.wait_deadline(before, timeout, at_least)
    raise_refusal(event, deadline=deadline)
    with fail_without_retry_if_permanent():
        claim = claim_offered(hook, before, event, deadline=deadline)
        end_if_cut_off(hook, context["ti"], claim, before)
    return claim, before


def put_progress(
    hook: CodePipelineHook,
    claim: ClaimInRun,
    me: TaskInstanceRef,
    *,
    execution_details: ExecutionDetails | None = None,
    current_revision: CurrentRevision | None = None,
) -> ClaimInRun:
    """
    End the newest job with a continuation token that names the running task, which claims the next job.

    Return its claim, of which the next job is now awaited.

    :param hook: The hook that puts the result.
    :param claim: The newest job's claim.
    :param me: The running task.
    :param execution_details: The progress that the customer sees.
    :param current_revision: The revision that the work made or found, or None.
    :raises JobNotInProgress: The job has another result.
    """
    job = claim.record.job.job
    # Before anything is put: a task that cannot wait for the next job must not end this one.
    awaited_job.action_type_of(job)
    details = result_defaults.with_defaults(
        execution_details, dag_id=me.dag_id, run_id=me.run_id, continued=True
    )
    call = requests.success(
        job, current_revision=current_revision, continuation_token=me.token, execution_details=details
    )
    try:
        result = put_result(hook, claim, call)
    except (JobNotFound, JobNotInProgress):
        ended = claim.anew()
        if awaited_job.awaited_token(ended) is None:
            raise
        return ended
    ended = claim.anew()
    if awaited_job.awaited_token(ended) is None:
        raise JobNotInProgress(
            f"Job {job.job_id} already has the result {result}, so it cannot go on. To run the action "
            "again, retry it in CodePipeline.",
            job_id=job.job_id,
        )
    return ended


def put_result(hook: CodePipelineHook, claim: ClaimInRun, call: Call) -> str:
    """
    Put a result of the newest job, and return the one that it has; see :func:`report.put_once`.

    :param hook: The hook that puts it.
    :param claim: The newest job's claim.
    :param call: The wanted result.
    """
    with job_fields(claim.record.job):
        return report.put_once(
            hook,
            claim.store,
            call,
            certain=claim.record.is_certain,
            is_next=bool(claim.record.former_job_ids),
            claimed_at=claim.record.at,
        )


def has_gone_on(reported: ClaimInRun, newest: ClaimInRun | None) -> bool:
    """
    Return whether a task has claimed the action's next job since a result was put.

    :param reported: The claim of the job whose result was put.
    :param newest: The claim as it is now.
    """
    return newest is not None and newest.record.job.job_id != reported.record.job.job_id


def is_forsaken(ti: Any, token: str) -> bool:
    """
    Return whether the task that a continuation token names has ended, so that it waits for no job.

    :param ti: The running task instance.
    :param token: The awaited job's token.
    """
    waiting = TaskInstanceRef.from_token(token)
    if waiting is None:
        return False
    states = task_states(ti, [waiting.task_id], map_index=waiting.map_index)
    return bool(states) and all(state in ENDED for state in states.values())


def raise_refusal(event: Mapping[str, Any], *, deadline: float) -> None:
    """
    Raise the error that ended the wait for the next job, if the poll for it was refused.

    Call it where a task's retries count: a retry polls anew, and somebody may have repaired the connection.
    If CodePipeline only does not answer, the wait goes on until its deadline.

    :param event: The trigger's event.
    :param deadline: Until when to wait; see :func:`awaited_job.wait_deadline`.
    :raises CodePipelineProviderError: The poll was refused, or got no answer until the deadline.
    """
    if event["status"] != "error":
        return
    refusal = from_description(event["error"])
    if isinstance(refusal, ServiceUnavailable) and time.time() < deadline:
        log.warning("%s The wait for the next job goes on.", refusal)
        return
    raise refusal


def claim_offered(
    hook: CodePipelineHook, claim: ClaimInRun, event: Mapping[str, Any], *, deadline: float
) -> ClaimInRun:
    """
    Claim the action's next job, if it was offered, and return the newest claim.

    :param hook: The hook that claims it.
    :param claim: The claim of the job before it.
    :param event: The trigger's event, for which :func:`raise_refusal` raised nothing.
    :param deadline: Until when to wait; see :func:`awaited_job.wait_deadline`. Before that, an event
        without a job only means that it is time to look at the record: the claim is returned, and its next
        job is still awaited.
    :raises NextJobNotOffered: It was not offered in time.
    :raises CodePipelineProviderError: The claim failed.
    """
    if awaited_job.awaited_token(claim) is None:
        # Another task of this run waited for the job too, and has claimed it.
        return claim
    if event["status"] != "offered" and time.time() < deadline:
        return claim
    if event["status"] != "offered" and awaited_job.takes_no_result(claim):
        raise NextJobNotOffered(
            f"The claim of job {claim.record.job.job_id} is unknown, the job took no result, and it was not "
            "offered again. Most likely it has ended: its time was over, or the customer has stopped the "
            "pipeline.",
            job_id=claim.record.job.job_id,
        )
    if event["status"] != "offered":
        raise NextJobNotOffered(
            f"The next job of the action, after job {claim.record.job.job_id}, was not offered in time. The "
            "customer may have stopped the pipeline. If it is offered later, the run that claims it ends it.",
            job_id=claim.record.job.job_id,
        )
    job = OfferedJob.from_value(event["jobs"][0])
    if is_offered_again(event, claim):
        return _claim_anew(hook, claim, job)
    return claim_next_job(hook, claim, job)


def is_offered_again(event: Mapping[str, Any], claim: ClaimInRun) -> bool:
    """Return whether a trigger's event offers the very job of which the claim is unknown."""
    if event["status"] != "offered" or not claim.record.state.is_unknown:
        return False
    return OfferedJob.from_value(event["jobs"][0]).job_id == claim.record.job.job_id


def end_if_cut_off(hook: CodePipelineHook, ti: Any, claim: ClaimInRun, before: ClaimInRun) -> None:
    """
    End a job that was just claimed, if Airflow has ended the running task meanwhile.

    :param hook: The hook that ends it.
    :param ti: The running task instance.
    :param claim: The newest claim.
    :param before: The claim before that.
    :raises AirflowFailException: The job is ended.
    """
    if claim.record == before.record:
        return
    own = claim.store.read_own_claim()
    # Another task of this run may have claimed the job, and work on it.
    is_its = own is not None and own.is_of_same_job(claim.record) and own.counts_as_ours(claim.unknown_claim)
    if is_its and is_cut_off(ti):
        job = replace(claim.record.job, certain=claim.record.is_certain)
        end_cut_off(hook, ti, claim.store, job)


def is_claimed_anew(claim: ClaimInRun, before: ClaimInRun) -> bool:
    """
    Return whether a job whose claim was unknown was offered again and claimed. Its progress is not put yet.

    :param claim: The claim that :func:`claim_offered` returned.
    :param before: The claim that it was given.
    """
    same = claim.record.job.job_id == before.record.job.job_id
    return same and before.record.state.is_unknown and claim.record.state is ClaimState.CLAIMED


def claim_next_job(hook: CodePipelineHook, claim: ClaimInRun, job: OfferedJob) -> ClaimInRun:
    """
    Claim the next job of an action, and return its claim.

    No other run claims this job, but another task of this run may, at the same moment. Each of them keeps a
    record of its own, and the strongest one counts.

    :param hook: The hook that claims it.
    :param claim: The claim of the job before it; or its own, if an earlier try left that unknown.
    :param job: The job.
    """
    record = claim.record
    is_recorded = record.job.job_id == job.job_id
    task = _ClaimingTask(
        hook,
        claim,
        job,
        former=record.former_job_ids if is_recorded else (*record.former_job_ids, record.job.job_id),
        kept=record.former_jobs if is_recorded else _with_kept(claim),
        # A job's timeout may run from the first acknowledgement on.
        since=record.at if is_recorded and record.state.is_unknown else datetime.now(UTC),
    )
    tokens = (record.job.continuation_token,) if is_recorded else awaited_job.awaited_tokens(claim)
    task.carry_out(claiming_next(job, record, tokens))
    return task.newest()


def _claim_anew(hook: CodePipelineHook, claim: ClaimInRun, job: OfferedJob) -> ClaimInRun:
    """Claim a job again whose claim was unknown; see :func:`claiming_anew`."""
    record = claim.record
    task = _ClaimingTask(hook, claim, job, record.former_job_ids, record.former_jobs, datetime.now(UTC))
    answer = task.carry_out(claiming_anew(job, claim.record))
    if answer is None or answer.state is not ClaimState.CLAIMED:
        return claim
    log.warning("Nobody had claimed job %s before, so its result was not put.", job.job_id)
    return task.newest()


def _with_kept(claim: ClaimInRun) -> tuple[Mapping[str, Any], ...]:
    """Return what a next job's record keeps of the jobs before it."""
    newest = FormerJob.of(claim.record, claim.results.best).to_xcom()
    return (*claim.record.former_jobs, newest)[-MAX_FORMER_JOBS:]


@dataclass(frozen=True)
class _ClaimingTask:
    """
    Carries out the steps of a task that claims a next job.

    :param hook: The hook that claims it.
    :param claim: The claim that the task goes on from.
    :param job: The job.
    :param former: The action's earlier jobs.
    :param kept: What is kept of these.
    :param since: The time of its records.
    """

    hook: CodePipelineHook
    claim: ClaimInRun
    job: OfferedJob
    former: tuple[str, ...]
    kept: tuple[Mapping[str, Any], ...]
    since: datetime

    def newest(self) -> ClaimInRun:
        """Return the newest claim of the action."""
        return replace(self.claim, record=self.claim.store.read_claim() or self.claim.record)

    def carry_out(self, steps: NextSteps) -> Claim | None:
        """
        Carry out the steps, and return their claim.

        :raises CodePipelineProviderError: CodePipeline refused, or did not answer.
        """
        with _spans.span("claim", job_id=self.job.job_id):
            claim = drive(steps, self._carry_out)
        if claim is not None and claim.error is not None:
            raise claim.error
        if claim is None:
            log.info("Left to another task: %s.", self.job)
        else:
            log_claim(claim, "Claimed the next job of")
        return claim

    def _carry_out(self, step: Any) -> Any:
        store = self.claim.store
        if isinstance(step, ReadClaim):
            return self.newest().record
        if isinstance(step, Write):
            policy = self.claim.unknown_claim
            record = ClaimRecord(step.state, step.job, self.former, self.since, policy, self.kept)
            store.write_claim(record)
            return job_counts.count_claim(step)
        if isinstance(step, ReadResults):
            return store.read_each_result(self.job.job_id)
        if isinstance(step, DoubtResults):
            return store.doubt_results(step.known)
        if isinstance(step, WithdrawResults):
            return store.withdraw_results(step.known)
        return self.hook.carry_out(self.job, step)
