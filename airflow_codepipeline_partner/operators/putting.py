# SPDX-License-Identifier: Apache-2.0
"""How a task puts a job's result, once it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_codepipeline_partner import triggers
from airflow_codepipeline_partner._compat import AirflowFailException, AirflowSkipException
from airflow_codepipeline_partner._protocol import choices, requests
from airflow_codepipeline_partner._worker import awaited_job, last_look, next_job, report
from airflow_codepipeline_partner._worker.dag import claims_before, states_before
from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
from airflow_codepipeline_partner._worker.record_search import ClaimInRun, find_claim
from airflow_codepipeline_partner._worker.result_checkpoint import result_store
from airflow_codepipeline_partner._worker.work_failure import hide_no_failure
from airflow_codepipeline_partner.exceptions import JobNotFound, JobNotInProgress

if TYPE_CHECKING:
    from airflow_codepipeline_partner.operators.put_result_base import _PutResultOperator


class Putting:
    """
    One try of a task that puts a result.

    :param task: The task.
    :param context: Its context.
    """

    def __init__(self, task: _PutResultOperator, context: Any) -> None:
        self.task = task
        self.context = context

    def put(self, at_least: float | None) -> None:
        """
        Put the result of the action's newest job.

        :param at_least: Until when this try waits in any case, in seconds since the epoch.
        """
        task, context, ti = self.task, self.context, self.context["ti"]
        with fail_without_retry_if_permanent():
            job = task.named_job()
            claim, claiming = find_claim(context, job.job_id), claims_before(context)
            if claiming and (claim is None or not claim.record.is_certain):
                last_look.say_last_look(ti)
                claim = find_claim(context, job.job_id)
            if claim is not None:
                # Other tasks may have renewed the job, or gone on with the action.
                job = claim.record.job.job
            call = task.compose(job, ti.dag_id, ti.run_id)
            if claim is None and claiming:
                raise AirflowFailException(
                    f"No task of this run claimed job {job.job_id}, so nothing is put: there is no record by "
                    f"{', '.join(claiming)}."
                )
            if claim is not None:
                if not claim.counts_as_ours:
                    self._wait_for_next_job(claim, at_least)
                    why = f"Job {job.job_id} is not this run's: its claim is {claim.record.state}."
                    hide_no_failure(why, states_before(context, task))
                    raise AirflowSkipException(f"{why} Nothing is put.")
                task.check_outputs(context, claim)
            wanted = requests.result_of(call)
            try:
                result = report.put_once(
                    task.hook,
                    result_store(context, claim),
                    call,
                    certain=claim is None or claim.record.is_certain,
                    was_claimed=claim is not None,
                    is_next=claim is not None and bool(claim.record.former_job_ids),
                    claimed_at=None if claim is None else claim.record.at,
                )
            except (JobNotFound, JobNotInProgress):
                if claim is not None and self._has_gone_on(claim, at_least):
                    return self.put(at_least)
                raise
            if result == "continue" and claim is not None and self._has_gone_on(claim, at_least):
                return self.put(at_least)
            if result != wanted:
                raise JobNotInProgress(
                    f"Job {job.job_id} already has the result {result}, so {wanted} was not put. To run "
                    "the action again, retry it in CodePipeline.",
                    job_id=job.job_id,
                )
            if claim is not None:
                task.show_job(context, claim.record.job)

    def _has_gone_on(self, reported: ClaimInRun, at_least: float | None) -> bool:
        """
        Return whether a task has claimed the action's next job meanwhile; wait for it if this run is to.

        :param reported: The claim of the job whose result was put.
        :param at_least: Until when this try waits in any case, in seconds since the epoch.
        """
        newest = find_claim(self.context, reported.record.job.job_id)
        if next_job.has_gone_on(reported, newest):
            return True
        if newest is not None:
            self._wait_for_next_job(newest, at_least)
        return False

    def _wait_for_next_job(self, claim: ClaimInRun, at_least: float | None) -> None:
        """Wait for the action's next job, if this run is to claim one and no task did."""
        if awaited_job.awaited_token(claim) is None:
            return
        self.task.log.warning(
            "Job %s: no task of this run claimed the action's next job for certain. Waiting for its offer.",
            claim.record.job.job_id,
        )
        triggers.defer_for_next_job(
            self.task,
            claim,
            timeout=choices.CONTINUATION_TIMEOUT,
            poll_interval=self.task.POLL_INTERVAL,
            method_name="execute_complete",
            at_least=at_least,
        )

    def execute_complete(self, event: Mapping[str, Any], at_least: float | None) -> None:
        """
        Claim the job, if it was offered, and put the result.

        :param event: The trigger's event.
        :param at_least: Until when this try waits in any case, in seconds since the epoch.
        :raises AirflowFailException: The job was not offered in time.
        """
        with fail_without_retry_if_permanent():
            job = self.task.named_job()
        timeout = choices.CONTINUATION_TIMEOUT
        next_job.take_offer(self.task.hook, self.context, job, event, timeout=timeout, at_least=at_least)
        self.put(at_least)
