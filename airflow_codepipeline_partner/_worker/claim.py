# SPDX-License-Identifier: Apache-2.0
"""
How a task claims a job.

This module carries out the steps of :mod:`~airflow_codepipeline_partner._worker.claiming`. The claim is
recorded before it is made. A job that another task waits for is never claimed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_codepipeline_partner import _spans
from airflow_codepipeline_partner._compat import AirflowFailException, AirflowSkipException
from airflow_codepipeline_partner._job_log import job_fields, name_of
from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState, drive
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._worker import job_counts
from airflow_codepipeline_partner._worker.claim_checkpoint import ClaimCheckpoint
from airflow_codepipeline_partner._worker.claiming import (
    IsAwaited,
    IsCutOff,
    NoteEnd,
    Reason,
    Recall,
    Restore,
    RestoreResult,
    Write,
    claiming,
)
from airflow_codepipeline_partner._worker.cut_off import end_cut_off, is_cut_off, put_failure
from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
from airflow_codepipeline_partner._worker.record_search import LIVING, has_continued, is_claimed_in_run
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)


def claim_job(
    hook: CodePipelineHook,
    context: Mapping[str, Any],
    job: OfferedJob,
    unknown_claim: str,
    *,
    ends_with_claim: bool = True,
) -> ClaimedJob:
    """
    Claim a job for the running task, or go on with the claim of an earlier try.

    :param hook: The hook that claims it.
    :param context: The running task's context.
    :param job: The job; see :meth:`OfferedJob.check_claimable`.
    :param unknown_claim: What an unknown claim counts as.
    :param ends_with_claim: Whether the task does nothing more after the claim. If it does more, its
        retries go on with the claim.
    :raises AirflowSkipException: Another worker or another run has the job.
    :raises AirflowFailException: A retry cannot help, for instance since the job has ended.
    """
    with fail_without_retry_if_permanent():
        task = _ClaimingTask(hook, context, job)
        task.end_left_job()
        with _spans.span("claim", job_id=job.job_id):
            reason, claim = task.claim(unknown_claim, ends_with_claim=ends_with_claim)
        error = claim.error
        if reason is Reason.OURS:
            return claim.job
        if error is not None and reason is Reason.NO_ANSWER:
            raise error
        if reason is Reason.ABANDONED:
            task.end_abandoned(claim.job)
        if reason is Reason.CUT_OFF:
            end_cut_off(hook, context["ti"], RecordStore.of(context["ti"]), claim.job)
        if (
            claim.state is ClaimState.LOST
            and reason is Reason.NOT_WON
            and is_claimed_in_run(context, job.job_id)
        ):
            # A skip would tell the customer that all the work was done.
            raise AirflowFailException(
                f"{_lost(claim)} Another task of this run, or another instance of it, has claimed it: "
                "give each job to one task."
            )
        if reason in (Reason.AWAITED, Reason.NOT_WON):
            raise AirflowSkipException(task.left_to or _lost(claim))
        raise AirflowFailException(_why_not_retried(reason, claim)) from error


def log_claim(claim: Claim, claimed: str) -> None:
    """
    Log how a claim ended.

    :param claim: The claim.
    :param claimed: What to say if it is won.
    """
    with job_fields(claim.job):
        name = name_of(claim.job)
        if claim.state is ClaimState.CLAIMED:
            log.info("%s %s.", claimed, name)
        elif claim.state.is_unknown:
            log.warning("%s %s, perhaps: the answer was lost.", claimed, name)
        else:
            log.info("Not claimed (%s): %s.", claim.state, name)


def _why_not_retried(reason: Reason, claim: Claim) -> str:
    if reason is Reason.HAS_ENDED and claim.status is None:
        return (
            "The run had ended when it was cleared, so no work is done again for the job that it had "
            f"claimed: {name_of(claim.job)}. To run the action again, retry it in CodePipeline, which makes "
            "a new job."
        )
    if reason is Reason.HAS_ENDED:
        return (
            f"The job has ended ({claim.status}), and this run may have claimed it before: "
            f"{name_of(claim.job)}. To run the action again, retry it in CodePipeline, which makes a new job."
        )
    if reason is Reason.FORGOTTEN:
        return (
            f"{_lost(claim)} An earlier try of this task may have claimed it, but before Airflow 3.3 "
            "what it recorded may be gone: a user has cleared the task, or no task is beside it. So nothing "
            "is put, and the run is red."
        )
    return (
        f"{type(claim.error).__name__}: {claim.error} Not retried: before Airflow 3.3, a claiming task with "
        "no task beside it knows nothing of its earlier tries."
    )


def _lost(claim: Claim) -> str:
    name = name_of(claim.job)
    if claim.status is None and claim.job.job.dialect.poll_gives_nonce:
        return (
            f"Another worker has the job, or this offer of it was stale: its claim is {claim.state}, "
            f"{name}. After a stale offer comes a new one, and another run claims that."
        )
    return (
        f"Another worker may have the job, or it has ended: its claim is {claim.state}, "
        f"{name}. To run the action again, retry it in CodePipeline."
    )


class _ClaimingTask:
    """
    Carries out the steps of one try of a task to claim one job.

    :param hook: The hook that claims it.
    :param context: The running task's context.
    :param job: The job.
    """

    def __init__(self, hook: CodePipelineHook, context: Mapping[str, Any], job: OfferedJob) -> None:
        self._hook = hook
        self._context = context
        self._ti = context["ti"]
        self._job = job
        self._checkpoint = ClaimCheckpoint(context)
        self._reports_itself = False
        #: Why the job was left alone, if another task waits for it.
        self.left_to: str | None = None

    def claim(self, unknown_claim: str, *, ends_with_claim: bool) -> tuple[Reason, Claim]:
        """Claim the job, and record the outcome, whatever happens in between."""
        self._reports_itself = not ends_with_claim
        steps = claiming(
            self._job,
            TaskInstanceRef.of(self._ti),
            unknown_claim,
            outlives_a_retry=self._checkpoint.outlives_a_retry,
            ends_with_claim=ends_with_claim,
        )
        reason, claim = drive(steps, self._carry_out)
        if claim.error is None and reason is not Reason.AWAITED:
            log_claim(claim, "Claimed")
        return reason, claim

    def _carry_out(self, step: Any) -> Any:
        if isinstance(step, Recall):
            return self._checkpoint.recall(self._job.job_id)
        if isinstance(step, Restore):
            return self._checkpoint.put_back(step.record)
        if isinstance(step, RestoreResult):
            return self._checkpoint.put_back_result(step.record)
        if isinstance(step, Write):
            self._checkpoint.write(step.state, step.job)
            return job_counts.count_claim(step, self._context)
        if isinstance(step, IsAwaited):
            return self._is_awaited(step.job)
        if isinstance(step, IsCutOff):
            return is_cut_off(self._ti, reports_itself=self._reports_itself)
        if isinstance(step, NoteEnd):
            return self._checkpoint.note_end(step.claim)
        return self._hook.carry_out(self._job, step)

    def end_left_job(self) -> None:
        """End the job that an earlier try won, if this one is given another, so that nobody works on it."""
        left = self._checkpoint.left_job(self._job.job_id)
        if left is None:
            return
        message = "The work of this action was begun anew in Airflow, with another job. Retry the action."
        of = TaskInstanceRef.of(self._ti)
        try:
            result = put_failure(self._hook, RecordStore.of(self._ti), left, of, message)
        except CodePipelineProviderError as error:
            if error.retryable or error.in_doubt:
                # A retry knows of it, too.
                raise
            # It has ended, or its customer's token is missing: the other job is claimed all the same.
            log.warning("Not ended, of an earlier try: %s (%s).", name_of(left), type(error).__name__)
        else:
            log.warning("Left, of an earlier try: %s. Its result is %s.", name_of(left), result)

    def end_abandoned(self, job: ClaimedJob) -> NoReturn:
        """
        End a job with failure that continues the work of a run that has ended without it.

        :raises AirflowFailException: It is ended.
        """
        waiting = TaskInstanceRef.from_token(job.continuation_token)
        assert waiting is not None  # noqa: S101 - so the job was found to be abandoned
        message = (
            f"The work of this action was begun by {waiting} in Airflow. That run has ended. "
            "Retry the action."
        )
        result = put_failure(self._hook, RecordStore.of(self._ti), job, waiting, message)
        raise AirflowFailException(
            f"Job {job.job_id} continues the work of {waiting}, which has ended. Its result is {result}."
        )

    def _is_awaited(self, job: ClaimedJob) -> bool:
        """Return whether another task, of any run, waits for a job and is the one to claim it."""
        waiting = TaskInstanceRef.from_token(job.continuation_token)
        if waiting is None:
            return False
        run = {"dag_id": waiting.dag_id, "run_ids": [waiting.run_id]}
        if self._ti.get_dr_count(**run, states=list(LIVING)):
            self.left_to = f"Job {job.job_id} is left to {waiting}, which waits for it."
        elif not self._ti.get_dr_count(**run) or not has_continued(self._ti, waiting):
            self.left_to = f"Job {job.job_id} is left to {waiting}: a task of another Airflow, or deleted."
            log.warning(
                "%s If no other Airflow claims it, CodePipeline ends it at its timeout.", self.left_to
            )
        return self.left_to is not None
