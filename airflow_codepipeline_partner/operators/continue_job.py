# SPDX-License-Identifier: Apache-2.0
"""Go on with the action in a new job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_codepipeline_partner import triggers
from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    check_job,
    check_positive,
    check_success_literals,
    to_templatable,
)
from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._protocol.results import CurrentRevision, ExecutionDetails
from airflow_codepipeline_partner._worker import next_job
from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
from airflow_codepipeline_partner._worker.record_store import ClaimInRun


class CodePipelineContinueJobOperator(CodePipelineBaseOperator):
    """
    Show progress and go on with the action in a new job, so that work may last longer than one job's timeout.

    The job is ended with a continuation token of ours, which names this task. CodePipeline then offers a new
    job of the same action; this task waits for it in the triggerer, without a worker slot, claims it, and
    returns it. What follows (more work, the finishing piece) belongs to the new job. A retry goes on where
    the try before it stopped, and puts nothing twice.

    :param job: What the claim, or a continuation before this one, returned: any job of the action that this
        run claimed will do, the newest is continued. (templated)
    :param execution_details: What the customer's console shows: an
        :class:`~airflow_codepipeline_partner.jobs.ExecutionDetails` or a mapping with AWS's or snake_case
        keys; what is missing gets a default, but ``percentComplete`` stays unset. (templated)
    :param current_revision: A CurrentRevision or a mapping of that kind, or None. (templated)
    :param poll_interval: Seconds between two polls for the new job, varied by a tenth.
    :param timeout: For how many seconds the new job is waited for. It never comes if the customer has stopped
        the pipeline.

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
    #: By this it is known which tasks keep records of results; this one ends no action.
    puts_result: ClassVar[bool] = True

    def __init__(
        self,
        *,
        job: Any,
        execution_details: Any = None,
        current_revision: Any = None,
        poll_interval: float = 30,
        timeout: float = next_job.CONTINUATION_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_job(job)
        check_success_literals(current_revision, execution_details)
        check_positive("poll_interval", poll_interval)
        check_positive("timeout", timeout)
        self.job = to_templatable(job)
        self.execution_details = to_templatable(execution_details)
        self.current_revision = to_templatable(current_revision)
        self.poll_interval = poll_interval
        self.timeout = timeout

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Put the progress, wait for the new job and claim it.

        :raises AirflowSkipException: The run did not win the job.
        :raises JobNotInProgress: The job has another result.
        """
        me = TaskInstanceRef.of(context["ti"])
        with fail_without_retry_if_permanent():
            claim = next_job.action_of(context, OfferedJob.from_value(self.job))
            if next_job.is_next_claim_unknown(claim):
                claim = next_job.claim_next_job(self.hook, claim, claim.record.job.job)
            if claim.counts_as_ours and claim.record.job.continuation_token != me.token:
                next_job.put_progress(
                    self.hook,
                    claim,
                    me,
                    execution_details=ExecutionDetails.from_value(self.execution_details),
                    current_revision=CurrentRevision.from_value(self.current_revision),
                )
            return self._hand_on(claim)

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> dict[str, Any]:
        """
        Claim the new job, if the trigger was offered it.

        :param context: The task's context.
        :param event: The trigger's event.
        :raises AirflowFailException: It was not offered in time.
        """
        with fail_without_retry_if_permanent():
            before = next_job.action_of(context, OfferedJob.from_value(self.job))
        next_job.raise_refusal(event, before, timeout=self.timeout)
        with fail_without_retry_if_permanent():
            claim = next_job.claim_offered(self.hook, before, event, timeout=self.timeout)
            if not next_job.is_claimed_anew(claim, before):
                return self._hand_on(claim)
        return self.execute(context)

    def _hand_on(self, claim: ClaimInRun) -> dict[str, Any]:
        """Return the newest job if it is ours, and else wait for the next."""
        if next_job.awaited_token(claim.store, claim.record) is not None:
            triggers.defer_for_next_job(
                self,
                claim,
                timeout=self.timeout,
                poll_interval=self.poll_interval,
                method_name="execute_complete",
            )
        if not claim.counts_as_ours:
            raise AirflowFailException(
                f"The claim of job {claim.record.job.job_id}, with which the action was to go on, is "
                f"{claim.record.state}: it may be another's, and is left."
            )
        self.show_link(claim.record.job.pipeline_name)
        return claim.record.job.to_xcom()
