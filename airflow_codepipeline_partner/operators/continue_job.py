# SPDX-License-Identifier: Apache-2.0
"""The operator that continues an action in a new job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    check_job,
    check_positive,
    check_success_literals,
    details_to_templatable,
    to_templatable,
)
from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._protocol.choices import CONTINUATION_TIMEOUT
from airflow_codepipeline_partner._protocol.jobs import OfferedJob

if TYPE_CHECKING:
    from airflow_codepipeline_partner._worker.record_search import ClaimInRun


class CodePipelineContinueJobOperator(CodePipelineBaseOperator):
    """
    Show progress and continue the action in a new job, so that work may last longer than one job's timeout.

    This task ends the job with a continuation token that names the task. CodePipeline then offers a new job
    of the same action. The task waits for the new job in the triggerer, without a worker slot. Then it claims
    and returns the new job. Following tasks (more work, the finishing task) use that job. A retry continues
    where the earlier try stopped, and sends nothing twice.

    :param job: The job that the claim, or an earlier continuation, returned. It may be any job of the action
        that this run claimed; the newest one is continued. (templated)
    :param execution_details: The progress that the customer's console shows: an
        :class:`~airflow_codepipeline_partner.jobs.ExecutionDetails` or a mapping with AWS's or snake_case
        keys. Missing members get a default, except ``percentComplete``. (templated)
    :param current_revision: A CurrentRevision, a mapping with its members, or None. (templated)
    :param poll_interval: Seconds between two polls for the new job, varied by a tenth.
    :param timeout: How long to wait for the new job, in seconds. If the customer has stopped the pipeline,
        CodePipeline offers no new job.

    Source: PutThirdPartyJobSuccessResult, PollForThirdPartyJobs, GetThirdPartyJobDetails,
    AcknowledgeThirdPartyJob, and the same calls for custom jobs, CodePipeline API 2015-07-09.
    """

    template_fields = (
        "job",
        "execution_details",
        "current_revision",
        *CodePipelineBaseOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(template_fields[:3], "json")
    #: Marks the tasks that record results. This one ends no action.
    puts_result: ClassVar[bool] = True
    #: Marks the tasks that claim the action's next jobs.
    claims_next_job: ClassVar[bool] = True

    def __init__(
        self,
        *,
        job: Any,
        execution_details: Any = None,
        current_revision: Any = None,
        poll_interval: float = 30,
        timeout: float = CONTINUATION_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_job(job)
        check_success_literals(current_revision, execution_details)
        check_positive("poll_interval", poll_interval)
        check_positive("timeout", timeout)
        self.job = to_templatable(job)
        self.execution_details = details_to_templatable(execution_details)
        self.current_revision = details_to_templatable(current_revision)
        self.poll_interval = poll_interval
        self.timeout = timeout

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Send the progress, wait for the new job and claim it.

        :raises AirflowSkipException: The run did not win the job.
        :raises JobNotInProgress: The job has another result.
        """
        return self._go_on(context, None)

    def _go_on(self, context: Any, at_least: float | None) -> dict[str, Any]:
        # Not needed by a DAG file, which Airflow parses again and again: the jobs, their records, the calls.
        from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
        from airflow_codepipeline_partner._protocol.results import CurrentRevision, ExecutionDetails
        from airflow_codepipeline_partner._worker import next_job
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        me = TaskInstanceRef.of(context["ti"])
        with fail_without_retry_if_permanent():
            claim = next_job.newest_job(self.hook, context, OfferedJob.from_value(self.job))
            if claim.counts_as_ours and claim.record.job.continuation_token != me.token:
                claim = next_job.put_progress(
                    self.hook,
                    claim,
                    me,
                    execution_details=ExecutionDetails.from_value(self.execution_details),
                    current_revision=CurrentRevision.from_value(self.current_revision),
                )
            return self._hand_on(context, claim, at_least)

    def execute_complete(
        self, context: Any, event: Mapping[str, Any], at_least: float | None = None
    ) -> dict[str, Any]:
        """
        Claim the new job, if it was offered.

        :param context: The task's context.
        :param event: The trigger's event.
        :param at_least: Until when this try waits in any case, in seconds since the epoch.
        :raises AirflowFailException: The job was not offered in time.
        """
        from airflow_codepipeline_partner._worker import awaited_job, next_job
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        with fail_without_retry_if_permanent():
            job = OfferedJob.from_value(self.job)
        claim, before = next_job.take_offer(
            self.hook, context, job, event, timeout=self.timeout, at_least=at_least
        )
        is_unknown_again = next_job.is_offered_again(event, before) and claim.record.state.is_unknown
        if next_job.is_claimed_anew(claim, before) or is_unknown_again or awaited_job.takes_no_result(claim):
            # Its claim may be ours by now, although the answer was lost: only a result shows that.
            return self._go_on(context, at_least)
        with fail_without_retry_if_permanent():
            return self._hand_on(context, claim, at_least)

    def _hand_on(self, context: Any, claim: ClaimInRun, at_least: float | None) -> dict[str, Any]:
        """Return the newest job if it is ours; wait for the next one if it is still to come."""
        from airflow_codepipeline_partner import triggers
        from airflow_codepipeline_partner._worker import awaited_job

        if awaited_job.awaited_token(claim) is not None:
            triggers.defer_for_next_job(
                self,
                claim,
                timeout=self.timeout,
                poll_interval=self.poll_interval,
                method_name="execute_complete",
                at_least=at_least,
            )
        if not claim.counts_as_ours:
            raise AirflowFailException(
                f"The action went on with job {claim.record.job.job_id}, whose claim is "
                f"{claim.record.state}. Another worker may have the job, so this task leaves it."
            )
        self.show_job(context, claim.record.job)
        return claim.record.job.to_xcom()
