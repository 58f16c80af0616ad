# SPDX-License-Identifier: Apache-2.0
"""
How a task claims a job.

The claim is recorded before it is made. A job that another task waits for is never claimed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_codepipeline_partner._compat import AirflowFailException, AirflowSkipException
from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._worker import report, result_defaults
from airflow_codepipeline_partner._worker.checkpoints import ClaimCheckpoint
from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
from airflow_codepipeline_partner._worker.record_store import LIVING, RecordStore, has_continued
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
        attempt = _Attempt(hook, context, job)
        claim = attempt.checkpoint.claim_of_earlier_try(job.job_id) or attempt.claim()
        if not claim.counts_as_ours(unknown_claim):
            if claim.has_ended and (attempt.acknowledged_before or context["dag_run"].clear_number):
                # Most likely it was this run's job. Skipping its work now would make the run green.
                raise AirflowFailException(
                    f"Job {job.job_id} has ended ({claim.status}). This run may have claimed it before. "
                    "To run the action again, retry it in CodePipeline, which makes a new job."
                )
            if attempt.left_to is None and attempt.forgets:
                raise AirflowFailException(
                    f"{_lost(claim)} An earlier try of this task may have claimed it, but before Airflow 3.3 "
                    "a task with no task beside it knows nothing of its earlier tries. So nothing is put, "
                    "and the run is red."
                )
            raise AirflowSkipException(attempt.left_to or _lost(claim))
        attempt.end_if_abandoned(claim.job)
        if ends_with_claim:
            attempt.checkpoint.note_end(claim)
        return claim.job


def _lost(claim: Claim) -> str:
    if claim.status is None and claim.job.job.dialect.poll_gives_nonce:
        return (
            f"The claim of job {claim.job.job_id} is {claim.state}: another worker has the job, or "
            "this offer of it was stale. Then it is offered again, and another run claims it."
        )
    return (
        f"The claim of job {claim.job.job_id} is {claim.state}: another worker may have the job, or it "
        "has ended. To run the action again, retry it in CodePipeline."
    )


class _Attempt:
    """
    One try of a task to claim one job.

    :param hook: The hook that claims it.
    :param context: The running task's context.
    :param job: The job.
    """

    def __init__(self, hook: CodePipelineHook, context: Mapping[str, Any], job: OfferedJob) -> None:
        self._hook = hook
        self._ti = context["ti"]
        self._job = job
        self.checkpoint = ClaimCheckpoint(context)
        #: Why the job was left alone, if another task waits for it.
        self.left_to: str | None = None
        #: Whether an earlier try may have acknowledged it.
        self.acknowledged_before = False
        #: Whether there were earlier tries of which nothing is known.
        self.forgets = context["ti"].try_number > 1 and not self.checkpoint.outlives_a_retry

    def claim(self) -> Claim:
        """Claim the job, and record the outcome, whatever happens in between."""
        checkpoint = self.checkpoint
        before = self.acknowledged_before = checkpoint.acknowledged_before(self._job.job_id)
        # Nothing is claimed until the acknowledgement is about to be sent, however this task ends.
        state = ClaimState.UNKNOWN if before else ClaimState.REFUSED
        claimed = ClaimedJob(self._job, certain=not before)
        checkpoint.write(state, claimed)

        def intend(about_to_claim: ClaimedJob) -> bool:
            nonlocal state, claimed
            # Even if an earlier try may have acknowledged it: that run is the one to end it.
            if self._is_awaited(about_to_claim):
                return False
            state, claimed = ClaimState.INTENT, about_to_claim
            checkpoint.write(state, claimed)
            return True

        try:
            claim = self._hook.try_claim(self._job, in_doubt=before, before_acknowledge=intend)
        except CodePipelineProviderError as error:
            unknown = before or (state is ClaimState.INTENT and error.in_doubt)
            state = ClaimState.UNKNOWN if unknown else ClaimState.REFUSED
            checkpoint.write(state, replace(claimed, certain=not unknown))
            if unknown and not checkpoint.outlives_a_retry:
                # A retry could not know that the job may be acknowledged, and would leave it.
                raise AirflowFailException(
                    f"{type(error).__name__}: {error} Not retried: before Airflow 3.3, a claiming task with "
                    "no task beside it knows nothing of its earlier tries."
                ) from error
            raise
        checkpoint.write(claim.state, claim.job)
        return claim

    def end_if_abandoned(self, job: ClaimedJob) -> None:
        """
        End a job with failure if it continues the work of a run that has ended without it.

        :raises AirflowFailException: It was such a job, and is ended.
        """
        waiting = TaskInstanceRef.from_token(job.continuation_token)
        if waiting is None or waiting.is_of_run(self._ti.dag_id, self._ti.run_id):
            return
        message = (
            f"The work of this action was begun by {waiting} in Airflow. That run has ended. "
            "Retry the action."
        )
        run = {"dag_id": waiting.dag_id, "run_id": waiting.run_id}
        failure = result_defaults.failure(job.job, message, "JobFailed", **run)
        result = report.put_once(self._hook, RecordStore.of(self._ti), failure, certain=job.certain)
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
