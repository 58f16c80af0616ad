# SPDX-License-Identifier: Apache-2.0
"""
The operators: to claim a job, move its artifacts, go on in a new job, finish, and one for each result's call.

The results carry defaults that lead the customer back to the DAG run; see the README.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_codepipeline_partner import continuing, protocol, reporting
from airflow_codepipeline_partner._compat import AirflowFailException, AirflowSkipException
from airflow_codepipeline_partner.artifact_operators import (
    DownloadInputArtifactsOperator,
    UploadOutputArtifactsOperator,
)
from airflow_codepipeline_partner.claiming import claim_job
from airflow_codepipeline_partner.continuation import WaitingTask
from airflow_codepipeline_partner.exceptions import InvalidInput, JobNotInProgress
from airflow_codepipeline_partner.finishing import CodePipelineCompleteJobOperator, finish_job
from airflow_codepipeline_partner.jobs import FailureDetails, OfferedJob
from airflow_codepipeline_partner.limits import check_text
from airflow_codepipeline_partner.memory import result_keeper
from airflow_codepipeline_partner.parameters import (
    CodePipelineParameters,
    check_job,
    check_literal,
    check_positive,
    check_success_literals,
    is_known_later,
    no_retry_where_none_helps,
    renderable,
)
from airflow_codepipeline_partner.protocol import Call, UnknownClaim
from airflow_codepipeline_partner.records import ClaimInRun, find_claim

__all__ = [
    "CodePipelineClaimJobOperator",
    "CodePipelineCompleteJobOperator",
    "CodePipelineContinueJobOperator",
    "DownloadInputArtifactsOperator",
    "PutThirdPartyJobFailureResultOperator",
    "PutThirdPartyJobSuccessResultOperator",
    "UploadOutputArtifactsOperator",
    "finish_job",
]


class _PutResultOperator(CodePipelineParameters):
    """
    Give a job one result.

    :param job: What the sensor or the claim returned, or a mapping with ``job_id`` and ``client_id``.
        (templated)
    :param job_id: Instead of ``job``: the job's id. (templated)
    :param client_id: With ``job_id``: whose job it is; the client token is looked up by it. (templated)
    """

    template_fields = ("job", "job_id", "client_id", *CodePipelineParameters.template_fields)
    #: By these it is known which tasks keep records of results, and which end jobs.
    puts_result: ClassVar[bool] = True
    ends_job: ClassVar[bool] = True
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "job": "json",
        "current_revision": "json",
        "execution_details": "json",
    }

    def __init__(
        self,
        *,
        job: Any = None,
        job_id: str | None = None,
        client_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (job is None) == (job_id is None) or (job is not None and client_id is not None):
            raise InvalidInput(
                f"{type(self).__name__} {self.task_id} takes either job or job_id (with client_id); "
                f"{'neither' if job is None else 'both'} was given."
            )
        if job is None and client_id is None:
            raise InvalidInput(
                f"{type(self).__name__} {self.task_id} needs client_id beside job_id: "
                "the client token is looked up by it."
            )
        check_job({"job_id": job_id, "client_id": client_id} if job is None else job)
        check_literal(lambda value: check_text("jobId", value), job_id)
        self.job = renderable(job)
        self.job_id = job_id
        self.client_id = client_id

    def compose(self, job: OfferedJob, dag_id: str, run_id: str) -> Call:
        """Return the call that gives the result."""
        raise NotImplementedError(type(self).__name__)

    def execute(self, context: Any) -> None:
        """
        Put the result, unless the job's record says that it has it already.

        :raises AirflowSkipException: The run did not win the job.
        """
        ti = context["ti"]
        given = {"job_id": self.job_id, "client_id": self.client_id} if self.job is None else self.job
        with no_retry_where_none_helps():
            job = OfferedJob.from_value(given)
            call = self.compose(job, ti.dag_id, ti.run_id)
            claim = find_claim(context, job.job_id)
            if claim is not None and not claim.may_be_ours:
                raise AirflowSkipException(
                    f"Job {job.job_id} is not this run's, which has its claim as {claim.record.state}; "
                    "nothing is put."
                )
            if claim is not None and claim.record.job.job_id != job.job_id:
                raise JobNotInProgress(
                    f"Job {job.job_id} has gone on as job {claim.record.job.job_id}. Hand on what "
                    "CodePipelineContinueJobOperator returned.",
                    job_id=job.job_id,
                )
            asked = protocol.result_of(call)
            certain = claim is None or claim.record.is_certain
            result = reporting.put_once(self.hook, result_keeper(context, claim), call, certain=certain)
            if result != asked:
                raise JobNotInProgress(
                    f"Job {job.job_id} has the result {result} already, so that {asked} was not put. To run "
                    "the action again, retry it in CodePipeline.",
                    job_id=job.job_id,
                )
            if claim is not None:
                self.show_link(claim.record.job.pipeline_name)


class PutThirdPartyJobSuccessResultOperator(_PutResultOperator):
    """
    End a partner job with success, or with a continuation token, for which CodePipeline makes a new job.

    The client token is taken from the connection of the job's client, never from an argument: a literal
    would lie in clear in the serialized DAG.

    :param job: What the sensor or the claim returned, or a mapping with ``job_id`` and ``client_id``.
        (templated)
    :param job_id: Instead of ``job``: the job's id. (templated)
    :param client_id: With ``job_id``: whose job it is. (templated)
    :param current_revision: A :class:`~airflow_codepipeline_partner.jobs.CurrentRevision` or a mapping with
        AWS's or snake_case keys, or None. (templated)
    :param continuation_token: 1 to 2048 characters: the action goes on, in a new job that carries this
        token. None: the action is complete. (templated)
    :param execution_details: An :class:`~airflow_codepipeline_partner.jobs.ExecutionDetails` or a mapping
        with AWS's or snake_case keys. What is missing gets a default: a summary with the DAG's name, and an
        external execution id that leads to the DAG run; ``percentComplete`` stays unset. (templated)

    Source: PutThirdPartyJobSuccessResult, CodePipeline API 2015-07-09.
    """

    template_fields = (
        "current_revision",
        "continuation_token",
        "execution_details",
        *_PutResultOperator.template_fields,
    )

    def __init__(
        self,
        *,
        current_revision: Any = None,
        continuation_token: Any = None,
        execution_details: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_success_literals(current_revision, execution_details)
        check_literal(protocol.check_continuation_token, continuation_token)
        self.current_revision = renderable(current_revision)
        self.continuation_token = continuation_token
        self.execution_details = renderable(execution_details)

    def compose(self, job: OfferedJob, dag_id: str, run_id: str) -> Call:
        """Return the call that gives the result."""
        return protocol.success(
            job,
            current_revision=self.current_revision,
            continuation_token=self.continuation_token,
            execution_details=reporting.with_defaults(
                self.execution_details,
                dag_id=dag_id,
                run_id=run_id,
                continued=self.continuation_token is not None,
            ),
        )


class PutThirdPartyJobFailureResultOperator(_PutResultOperator):
    """
    End a partner job with failure.

    :param job: What the sensor or the claim returned, or a mapping with ``job_id`` and ``client_id``.
        (templated)
    :param job_id: Instead of ``job``: the job's id. (templated)
    :param client_id: With ``job_id``: whose job it is. (templated)
    :param message: What the customer reads; cut to 5000 characters. (templated)
    :param failure_type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
        RevisionUnavailable, SystemUnavailable. (templated)
    :param external_execution_id: The id of the work in our own system, 1 to 1500 characters; None leads to
        the DAG run. (templated)

    Source: PutThirdPartyJobFailureResult, CodePipeline API 2015-07-09.
    """

    template_fields = (
        "message",
        "failure_type",
        "external_execution_id",
        *_PutResultOperator.template_fields,
    )

    def __init__(
        self,
        *,
        message: Any,
        failure_type: Any = "JobFailed",
        external_execution_id: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not is_known_later(message):
            FailureDetails(message)
        check_literal(lambda kind: FailureDetails("x", kind), failure_type)
        check_literal(lambda name: FailureDetails("x", external_execution_id=name), external_execution_id)
        self.message = message
        self.failure_type = failure_type
        self.external_execution_id = external_execution_id

    def compose(self, job: OfferedJob, dag_id: str, run_id: str) -> Call:
        """Return the call that gives the result."""
        return protocol.failure(
            job,
            message=self.message,
            failure_type=self.failure_type,
            external_execution_id=(
                self.external_execution_id or protocol.external_execution_id(dag_id, run_id)
            ),
        )


class CodePipelineClaimJobOperator(CodePipelineParameters):
    """
    Claim an offered job, so that no other worker takes it; skip where another has it.

    Returns the claimed job: the offered job with its continuation token, the names of pipeline, stage and
    action, and its artifacts; neither credentials nor configuration values, for which the task that needs
    them asks the hook for the details. Every claimed job has to get a result: see :func:`finish_job`.

    :param job: A job that the sensor returned, or a mapping with ``job_id`` and ``client_id``. (templated)
    :param unknown_claim: What to do where the answer to our acknowledgement was lost and the job shows as
        acknowledged: ``assume_ours`` (right where one Airflow polls the action type) or ``leave`` (right
        where rivals poll it too; if it was ours after all, it ends by its timeout).

    Source: GetThirdPartyJobDetails, AcknowledgeThirdPartyJob, CodePipeline API 2015-07-09.
    """

    template_fields = ("job", *CodePipelineParameters.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"job": "json"}
    #: By this the finishing piece and the callbacks know which tasks keep claim records.
    claims_job: ClassVar[bool] = True

    def __init__(self, *, job: Any, unknown_claim: UnknownClaim = "assume_ours", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_job(job)
        protocol.check_unknown_claim(unknown_claim)
        self.job = renderable(job)
        self.unknown_claim = unknown_claim

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Claim the job and return it.

        :raises AirflowSkipException: Another worker has it.
        """
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
    AcknowledgeThirdPartyJob, CodePipeline API 2015-07-09.
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
        continuing.raise_refusal(event)
        with no_retry_where_none_helps():
            claim = continuing.claim_offered(self.hook, continuing.action_of(context, self.job), event)
            return self._hand_on(claim)

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
