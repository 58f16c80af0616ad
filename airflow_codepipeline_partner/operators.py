# SPDX-License-Identifier: Apache-2.0
"""The operators: to claim a job, move its artifacts, go on in a new job, finish, and one for each result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_codepipeline_partner import continuing, protocol
from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner.artifact_operators import (
    DownloadInputArtifactsOperator,
    UploadOutputArtifactsOperator,
)
from airflow_codepipeline_partner.claiming import claim_job
from airflow_codepipeline_partner.continuation import WaitingTask
from airflow_codepipeline_partner.dialects import dialect_of
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.finishing import CodePipelineCompleteJobOperator
from airflow_codepipeline_partner.hook_parameters import aws_parameters_of
from airflow_codepipeline_partner.jobs import ActionType
from airflow_codepipeline_partner.parameters import (
    CodePipelineParameters,
    check_job,
    check_job_to_claim,
    check_positive,
    check_success_literals,
    is_known_later,
    no_retry_where_none_helps,
    renderable,
)
from airflow_codepipeline_partner.protocol import UnknownClaim
from airflow_codepipeline_partner.records import ClaimInRun, Place, is_marked, mapped_group_of
from airflow_codepipeline_partner.reporting import DEFAULT_FAILURE_TYPE
from airflow_codepipeline_partner.result_operators import (
    PutJobFailureResultOperator,
    PutJobSuccessResultOperator,
    PutThirdPartyJobFailureResultOperator,
    PutThirdPartyJobSuccessResultOperator,
)

__all__ = [
    "CodePipelineClaimJobOperator",
    "CodePipelineCompleteJobOperator",
    "CodePipelineContinueJobOperator",
    "DownloadInputArtifactsOperator",
    "PutJobFailureResultOperator",
    "PutJobSuccessResultOperator",
    "PutThirdPartyJobFailureResultOperator",
    "PutThirdPartyJobSuccessResultOperator",
    "UploadOutputArtifactsOperator",
    "finish_job",
]


class CodePipelineClaimJobOperator(CodePipelineParameters):
    """
    Claim an offered job, so that no other worker takes it; skip where another has it.

    Returns the claimed job: the offered job with its continuation token, the names of pipeline, stage and
    action, and its artifacts; neither credentials nor configuration values, for which the task that needs
    them asks the hook for the details. Every claimed job has to get a result: see :func:`finish_job`.

    :param job: A job that the sensor returned, or a mapping with ``job_id`` and ``client_id`` or, of a custom
        job, with ``action_type`` and ``nonce``. (templated)
    :param unknown_claim: What to do where the answer to our acknowledgement was lost and the job shows as
        acknowledged: ``assume_ours`` (right where one Airflow polls the action type) or ``leave`` (right
        where rivals poll it too; if it was ours after all, it ends by its timeout).

    Source: GetThirdPartyJobDetails, AcknowledgeThirdPartyJob, GetJobDetails, AcknowledgeJob, CodePipeline
    API 2015-07-09.
    """

    template_fields = ("job", *CodePipelineParameters.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"job": "json"}
    #: By this the finishing piece and the callbacks know which tasks keep claim records.
    claims_job: ClassVar[bool] = True

    def __init__(self, *, job: Any, unknown_claim: UnknownClaim = "assume_ours", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_job_to_claim(job)
        protocol.check_unknown_claim(unknown_claim)
        self.job = renderable(job)
        self.unknown_claim = unknown_claim

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Claim the job and return it.

        :raises AirflowSkipException: Another worker has it.
        """
        Place.of(context["ti"]).expect_result()
        job = claim_job(self.hook, context, self.job, self.unknown_claim)
        self.show_link(job.pipeline_name)
        return job.to_xcom()


class CodePipelineContinueJobOperator(CodePipelineParameters):
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
        *CodePipelineParameters.template_fields,
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
        timeout: float = continuing.CONTINUATION_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_job(job)
        check_success_literals(current_revision, execution_details)
        check_positive("poll_interval", poll_interval)
        check_positive("timeout", timeout)
        self.job = renderable(job)
        self.execution_details = renderable(execution_details)
        self.current_revision = renderable(current_revision)
        self.poll_interval = poll_interval
        self.timeout = timeout

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Put the progress, wait for the new job and claim it.

        :raises AirflowSkipException: The run did not win the job.
        :raises JobNotInProgress: The job has another result.
        """
        me = WaitingTask.of(context["ti"])
        with no_retry_where_none_helps():
            claim = continuing.action_of(context, self.job)
            if continuing.is_in_doubt(claim):
                claim = continuing.claim_next_job(self.hook, claim, claim.record.job.job)
            if claim.may_be_ours and claim.record.job.continuation_token != me.token:
                continuing.put_progress(
                    self.hook,
                    claim,
                    me,
                    execution_details=self.execution_details,
                    current_revision=self.current_revision,
                )
            return self._hand_on(claim)

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> dict[str, Any]:
        """
        Claim the new job, if the trigger was offered it.

        :param context: The task's context.
        :param event: The trigger's event.
        :raises AirflowFailException: It was not offered in time.
        """
        with no_retry_where_none_helps():
            before = continuing.action_of(context, self.job)
        continuing.raise_refusal(event, before, timeout=self.timeout)
        with no_retry_where_none_helps():
            claim = continuing.claim_offered(self.hook, before, event, timeout=self.timeout)
            if not continuing.is_claimed_anew(claim, before):
                return self._hand_on(claim)
        return self.execute(context)

    def _hand_on(self, claim: ClaimInRun) -> dict[str, Any]:
        """Return the newest job if it is ours, and else wait for the next."""
        if continuing.awaited_token(claim.place, claim.record) is not None:
            continuing.defer_for_next_job(
                self,
                claim,
                timeout=self.timeout,
                poll_interval=self.poll_interval,
                method_name="execute_complete",
            )
        if not claim.may_be_ours:
            raise AirflowFailException(
                f"The claim of job {claim.record.job.job_id}, with which the action was to go on, is "
                f"{claim.record.state}: it may be another's, and is left."
            )
        self.show_link(claim.record.job.pipeline_name)
        return claim.record.job.to_xcom()


def finish_job(
    claim: Any,
    *,
    task_id: str = "finish_job",
    current_revision: Any = None,
    execution_details: Any = None,
    output_variables: Any = None,
    failure_message: Any = None,
    failure_type: Any = DEFAULT_FAILURE_TYPE,
    **parameters: Any,
) -> CodePipelineCompleteJobOperator:
    """
    Have a claimed job finished, whatever becomes of the work: call it when the work is wired.

    It makes a :class:`CodePipelineCompleteJobOperator` in the current DAG or task group and puts it behind
    all that follows the claim so far. In a mapped task group, each job is finished on its own.

    :param claim: The claiming task, or its output.
    :param task_id: The id of the new task.
    :param current_revision: Told with success: a CurrentRevision, or a mapping with ``revision`` and
        ``changeIdentifier`` (both needed), ``created``, ``revisionSummary``. (templated)
    :param execution_details: Told with success: an ExecutionDetails, or a mapping with ``summary``,
        ``externalExecutionId``, ``percentComplete``; what is missing gets a default. (templated)
    :param output_variables: Told with the success of a custom job, for later actions of the pipeline: a
        mapping of names (of ``0-9 A-Z a-z @ _ -``) to texts, at most 122,880 bytes in all. No secrets. For a
        partner's job it must come to None. (templated)
    :param failure_message: What the customer reads on failure, cut to 5000 characters; None takes what a
        failed task told of an artifact, and else names the tasks that failed. (templated)
    :param failure_type: ConfigurationError, PermissionError, RevisionOutOfSync, RevisionUnavailable,
        SystemUnavailable; or JobFailed, which gives way to the type that a failed task told. (templated)
    :param parameters: Any other parameter of :class:`CodePipelineCompleteJobOperator`; the AWS parameters are
        the claiming task's where they are not given.
    :raises InvalidInput: ``claim`` claims no job, is mapped by itself instead of in a task group, lies in
        another mapped task group, or has a finishing task already; or there are output variables for what
        can only be a partner's job.
    """
    claim = getattr(claim, "operator", claim)
    if not getattr(claim, "claims_job", False):
        raise InvalidInput(
            "finish_job takes a CodePipelineClaimJobOperator or a @task.codepipeline_job (or its output), "
            f"not a {type(claim).__name__}. Where the claim is to be mapped, expand a task group that holds "
            "claim, work and finish_job."
        )
    followers = claim.get_flat_relatives(upstream=False)
    for follower in followers:
        if isinstance(follower, CodePipelineCompleteJobOperator) and follower.claim_task_id == claim.task_id:
            raise InvalidInput(f"{claim.task_id} is finished by {follower.task_id} already; one is enough.")
    if isinstance(output_variables, Mapping) and output_variables:
        _check_offers_take_variables(claim)
    inherited = {**aws_parameters_of(claim), "job": claim.job, "unknown_claim": claim.unknown_claim}
    finish = CodePipelineCompleteJobOperator(
        task_id=task_id,
        claim_task_id=claim.task_id,
        current_revision=current_revision,
        execution_details=execution_details,
        output_variables=output_variables,
        failure_message=failure_message,
        failure_type=failure_type,
        **{**inherited, **parameters},
    )
    if mapped_group_of(finish) is not mapped_group_of(claim):
        raise InvalidInput(
            f"{finish.task_id} and {claim.task_id} must lie in the same mapped task group: call finish_job "
            "inside the group that holds the claim."
        )
    leaves = [task for task in followers if not task.downstream_task_ids]
    finish.set_upstream(leaves or [claim])
    return finish


def _check_offers_take_variables(claim: Any) -> None:
    """
    Check that a claim's job does not come from sensors that wait for partners' jobs only.

    :raises InvalidInput: It does.
    """
    refer = getattr(claim.job, "iter_references", None)
    waits = [operator for operator, _ in refer()] if refer else []
    if not all(is_marked(wait, "offers_jobs") and not wait.is_mapped for wait in waits):
        return
    if any(is_known_later(wait.action_type) for wait in waits):
        return
    kinds = [ActionType.from_value(wait.action_type) for wait in waits]
    if kinds and not any(dialect_of(kind).takes_output_variables for kind in kinds):
        names = ", ".join(sorted({wait.task_id for wait in waits}))
        raise InvalidInput(
            f"output_variables are for custom actions; {names} waits for a partner's jobs ({kinds[0]}), "
            "whose result has none."
        )
