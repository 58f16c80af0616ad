# SPDX-License-Identifier: Apache-2.0
"""The hook: poll, claim and report as methods, and pipelines, over an Airflow connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from botocore.config import Config

from airflow_codepipeline_partner import _metrics
from airflow_codepipeline_partner._connected_hook import ConnectedHook
from airflow_codepipeline_partner._job_log import job_fields
from airflow_codepipeline_partner._masking import mask_secret
from airflow_codepipeline_partner._protocol import claims, requests, responses
from airflow_codepipeline_partner._protocol.choices import UnknownClaim, check_unknown_claim
from airflow_codepipeline_partner._protocol.claims import ENDED_STATUSES, Claim, ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.job_details import JobDetails
from airflow_codepipeline_partner._protocol.jobs import ActionType, ClaimedJob, OfferedJob, check_query_param
from airflow_codepipeline_partner._protocol.parsing import check_number
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.results import (
    CurrentRevision,
    ExecutionDetails,
    read_output_variables,
)
from airflow_codepipeline_partner._secrets import Secret, in_closed_frames
from airflow_codepipeline_partner._stage_methods import StageMethods
from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner.client_tokens import DEFAULT_TEMPLATE, ClientTokenHook, KeptTokens
from airflow_codepipeline_partner.exceptions import (
    CodePipelineError,
    CodePipelineProviderError,
    InvalidClientToken,
    InvalidNonce,
    RequestRefused,
)

__all__ = ["CodePipelineHook"]


class CodePipelineHook(StageMethods, ConnectedHook):
    """
    Poll for jobs of an action type, claim them, and send their results; start pipelines, and watch them.

    Credentials, region, role and endpoint come from an Airflow connection of type ``aws``. If the connection
    has a role and an endpoint that is not AWS's own (an emulator), STS is called at that endpoint too, unless
    ``service_config.sts.endpoint_url`` names another one.

    :param aws_conn_id: The ``aws`` connection. If None, boto3's default credentials are used.
    :param region_name: The region of the jobs. If None, the connection's region is used.
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle. If None, boto3's default is
        used.
    :param config: A botocore config, or a mapping of its arguments. It is merged over the connection's
        ``config_kwargs``. Its retries do not apply to the job calls; see ``retry_deadline``.
    :param client_conn_id_template: The template of a client's connection id. ``{client_id}`` stands for the
        client id, with ``_`` instead of ``-``.
    :param retry_deadline: How long a call is repeated, in seconds, if CodePipeline cannot be reached,
        throttles, or fails. 0 means one attempt.
    :param clock: A function that returns seconds. It measures ``retry_deadline``. For tests.
    :param sleep: A function that waits the given seconds between two attempts. For tests.
    """

    def __init__(
        self,
        aws_conn_id: str | None = ConnectedHook.default_conn_name,
        region_name: str | None = None,
        verify: bool | str | None = None,
        config: Config | Mapping[str, Any] | None = None,
        client_conn_id_template: str = DEFAULT_TEMPLATE,
        retry_deadline: float = 300,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(aws_conn_id, region_name, verify, config)
        self.client_conn_id_template = client_conn_id_template
        self.retry_deadline = retry_deadline
        self._clock = clock
        self._sleep = sleep
        self._tokens = KeptTokens(client_conn_id_template)

    # Poll, claim, report.

    def poll(
        self,
        action_type: ActionType | Mapping[str, str] | str,
        max_batch_size: int = 10,
        query_param: Mapping[str, str] | None = None,
    ) -> list[OfferedJob]:
        """
        Poll for jobs. A poll is never a claim: a job that nobody claims is offered again.

        :param action_type: What to poll for: an ActionType, AWS's mapping, or
            ``category/owner/provider/version``.
        :param max_batch_size: The most jobs to return, at least 1. CodePipeline may return fewer.
        :param query_param: A filter for custom jobs: ``{property name: value}``. CodePipeline returns only
            jobs whose queryable property has this value, of at most 50 characters. Required if the action
            type has a queryable property, refused if it has none.
        :return: The offered jobs, or an empty list if no job waits.
        :raises InvalidInput: The query does not fit, or the owner is ``AWS``: AWS runs these actions itself,
            so no worker can poll for them. Nothing was called.
        :raises ActionTypeNotFound: CodePipeline does not know the action type in this account and region.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: PollForThirdPartyJobs, PollForJobs, CodePipeline API 2015-07-09.
        """
        kind = ActionType.from_value(action_type)
        query = check_query_param(kind, query_param)
        call = requests.poll(kind, check_number("maxBatchSize", max_batch_size), query)
        with _metrics.polling(kind):
            answer = self._send(call)
        jobs, faults = in_closed_frames(lambda: responses.offered_jobs(kind, answer.get("jobs"), query))
        for fault in faults:
            # It must not hold up the other jobs of the batch.
            self.log.warning("CodePipeline offered something that is not a job: %s", fault)
        _metrics.count_offers(kind, [job.job_id for job in jobs])
        return jobs

    def details(self, job: object) -> JobDetails:
        """
        Ask for all details of a job, with new artifact credentials.

        The details hold secrets, which are registered with Airflow's masker. Never log them, never return
        them from a task, and do not keep one in a variable of its own: Sentry and rich show the variables of
        a function that raises. They do not show what is inside the details.

        :param job: A job object, or a mapping with ``job_id`` and ``client_id``. For a custom job, the
            mapping has ``action_type`` instead of ``client_id``.
        :raises ClientConnectionError: No connection holds the client's token.
        :raises InvalidClientToken: The client token does not belong to this client.
        :raises JobNotFound: CodePipeline does not know the job.

        Source: GetThirdPartyJobDetails, GetJobDetails, CodePipeline API 2015-07-09.
        """
        details = self.ask_details(OfferedJob.from_value(job))
        in_closed_frames(lambda: list(map(mask_secret, [each.open() for each in details.secrets])))
        return details

    def ask_details(self, job: OfferedJob) -> JobDetails:
        """
        Ask for a job's details, whose secrets stay inside this package.

        They are not registered with Airflow's masker, which never forgets one and slows with each.
        """
        answer = self._send(requests.details(job))
        return in_closed_frames(
            lambda: JobDetails.from_api(answer.get("jobDetails") or {}, job_id=job.job_id)
        )

    def continuation_token(self, job: OfferedJob) -> str | None:
        """
        Ask which continuation token a job carries, if any.

        :param job: The job.
        :raises CodePipelineProviderError: The errors of :meth:`details`.
        """
        return self.ask_details(job).continuation_token

    def claim(self, job: object, unknown_claim: UnknownClaim = "assume_ours") -> ClaimedJob | None:
        """
        Claim an offered job, so that no other worker takes it.

        This makes two calls. The first gets the job's details, the second acknowledges the job with its
        nonce. The nonce of a partner job is in the details; the nonce of a custom job came with the offer. If
        the job was offered again meanwhile, the nonce is no longer valid and None is returned.

        :param job: A job from :meth:`poll`, or a mapping with ``job_id`` and ``client_id``. For a custom job,
            the mapping has ``action_type`` and ``nonce`` instead of ``client_id``.
        :param unknown_claim: What to do if the claim is unknown: ``assume_ours`` returns the job, ``leave``
            returns None; see :class:`~airflow_codepipeline_partner.operators.CodePipelineClaimJobOperator`.
            If this worker does own a job that it leaves, the job ends at its timeout.
        :return: The claimed job. None if another worker has the job, if the nonce is no longer valid, or if
            its continuation token names a task, of this or another Airflow, that waits for it.
        :raises InvalidClientToken: The client token does not belong to this client.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: GetThirdPartyJobDetails, AcknowledgeThirdPartyJob, GetJobDetails, AcknowledgeJob, CodePipeline
        API 2015-07-09.
        """
        check_unknown_claim(unknown_claim)
        offered = OfferedJob.from_value(job)
        offered.check_claimable()
        claim = self.try_claim(
            offered, before_acknowledge=lambda it: TaskInstanceRef.from_token(it.continuation_token) is None
        )
        return claim.job if claim.counts_as_ours(unknown_claim) else None

    def try_claim(
        self,
        job: OfferedJob,
        *,
        in_doubt: bool = False,
        before_acknowledge: Callable[[ClaimedJob], bool | None] = lambda claimed: None,
    ) -> Claim:
        """
        Claim an offered job and return the outcome.

        :param job: A job that can be claimed; see :meth:`OfferedJob.check_claimable`.
        :param in_doubt: Whether an earlier try of this worker may have acknowledged the job.
        :param before_acknowledge: A function that is called with the job just before the acknowledgement is
            sent, to record the intent. If it returns False, the job is left to others.
        :raises CodePipelineError: The errors of :meth:`claim`.
        """
        asked = self.carry_out(job, claims.AskDetails())
        if not isinstance(asked, claims.Asked):
            raise asked
        if before_acknowledge(asked.job) is False:
            self.log.info("The %s is left to others.", job)
            return Claim(ClaimState.LOST, asked.job)
        steps = claims.acknowledging(asked.job, asked.nonce, in_doubt=in_doubt)
        claim = claims.drive(steps, lambda step: self.carry_out(job, step))
        if claim.error is not None:
            raise claim.error
        self.log.debug("Claim of %s: %s", job, claim.state)
        return claim

    def carry_out(self, job: OfferedJob, call: claims.AskDetails | claims.Acknowledge) -> Any:
        """
        Send a call of a claim, and return its answer, or its error.

        :param job: A job that can be claimed.
        :param call: The call; see :func:`~airflow_codepipeline_partner._protocol.claims.acknowledging`.
        """
        try:
            if isinstance(call, claims.Acknowledge):
                answer = self._send(requests.acknowledge(job), nonce=call.nonce)
                return claims.Acknowledged(answer.get("status"), self._transport.was_in_doubt)
            details = self.ask_details(job)
        except CodePipelineProviderError as error:
            return error
        gives_nonce = job if job.dialect.poll_gives_nonce else details
        nonce = in_closed_frames(lambda: Secret(gives_nonce.nonce))
        if not nonce:
            return RequestRefused(
                f"The details of job {job.job_id} hold no nonce, so it cannot be acknowledged.",
                code="NoNonce",
                job_id=job.job_id,
            )
        return claims.Asked(ClaimedJob.from_details(job, details), nonce)

    def succeed(
        self,
        job: object,
        *,
        current_revision: object = None,
        continuation_token: str | None = None,
        execution_details: object = None,
        output_variables: object = None,
    ) -> None:
        """
        End a claimed job with success. With a continuation token, CodePipeline then makes a new job.

        :param job: A job object, or a mapping with ``job_id`` and ``client_id``. For a custom job, the
            mapping has ``action_type`` instead of ``client_id``.
        :param current_revision: A CurrentRevision, or a mapping with AWS's or snake_case keys.
        :param continuation_token: The token of the new job, 1 to 2048 characters. None if the action is
            complete.
        :param execution_details: An ExecutionDetails, or a mapping with AWS's or snake_case keys.
        :param output_variables: A mapping of names to texts, which later actions can use, at most 122,880
            bytes in all. It must hold no secrets. Only for a custom job without a continuation token.
        :raises InvalidInput: A value does not fit. Nothing was called.
        :raises JobNotInProgress: The job accepts no result.
        :raises InvalidClientToken: The client token does not belong to this client.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: PutThirdPartyJobSuccessResult, PutJobSuccessResult, CodePipeline API 2015-07-09.
        """
        self.put(
            requests.success(
                OfferedJob.from_value(job),
                current_revision=CurrentRevision.from_value(current_revision),
                continuation_token=continuation_token,
                execution_details=ExecutionDetails.from_value(execution_details),
                output_variables=read_output_variables(output_variables),
            )
        )

    def fail(
        self,
        job: object,
        *,
        message: str,
        failure_type: str = "JobFailed",
        external_execution_id: str | None = None,
    ) -> None:
        """
        End a claimed job with failure.

        :param job: A job object, or a mapping with ``job_id`` and ``client_id``. For a custom job, the
            mapping has ``action_type`` instead of ``client_id``.
        :param message: The message for the customer, cut to 5000 characters.
        :param failure_type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
            RevisionUnavailable, SystemUnavailable.
        :param external_execution_id: The id of the work in the worker's own system, 1 to 1500 characters, or
            None.
        :raises InvalidInput: A value does not fit. Nothing was called.
        :raises JobNotInProgress: The job accepts no result.
        :raises InvalidClientToken: The client token does not belong to this client.
        :raises ServiceUnavailable: CodePipeline did not answer until the deadline.

        Source: PutThirdPartyJobFailureResult, PutJobFailureResult, CodePipeline API 2015-07-09.
        """
        self.put(
            requests.failure(
                OfferedJob.from_value(job),
                message=message,
                failure_type=failure_type,
                external_execution_id=external_execution_id,
            )
        )

    def put(self, call: Call) -> None:
        """
        Send a job's result, which :func:`requests.success` or :func:`requests.failure` composed.

        If the answer of an attempt was lost and the job then accepts no result, the result counts as put.

        :param call: The call that reports the result.
        :raises CodePipelineError: The errors of :meth:`succeed`.
        """
        try:
            self.send_result(call)
        except CodePipelineError as error:
            if not responses.put_is_settled(error):
                raise
            self.log.warning(
                "Job %s takes no result any more and this one may have been put before; taken as put.",
                error.job_id,
            )
        else:
            self.log.debug("Job %s: result %s was put.", call.arguments["jobId"], requests.result_of(call))

    def send_result(self, call: Call) -> None:
        """
        Send the call that reports a result. The caller decides what a refusal means.

        :param call: The call that reports the result.
        :raises CodePipelineError: The errors of :meth:`succeed`.
        """
        self._send(call)

    def status_of_ended(self, job: OfferedJob) -> str | None:
        """
        Return the status of a job that accepts no result any more, if CodePipeline returns it.

        No call reads a job's status, but the answer to the acknowledgement of an ended job may contain it.
        If the job was offered again instead, under the same id, this claims it once more.

        :param job: A job that this worker certainly had.
        :return: Succeeded, Failed or TimedOut; InProgress if the job is this worker's once more. None if the
            answer contains none of them.
        """
        try:
            gives_nonce = job if job.dialect.poll_gives_nonce else self.ask_details(job)
            nonce = in_closed_frames(lambda: Secret(gives_nonce.nonce))
            status = self._send(requests.acknowledge(job), nonce=nonce).get("status") if nonce else None
        except CodePipelineProviderError as error:
            # The nonce of a job that goes on is spent.
            if not isinstance(error, InvalidNonce):
                self.log.info("The status of job %s is not known: %s", job.job_id, type(error).__name__)
            return None
        return status if status in (*ENDED_STATUSES, "InProgress") else None

    def client_token(self, client_id: str) -> str:
        """
        Return the client token of a client. The token is registered with Airflow's secret masker.

        :param client_id: The client id, as the poll returns it.
        :raises ClientConnectionError: No connection holds the token.
        """
        token = ClientTokenHook.for_client(client_id, self.client_conn_id_template).get_token(client_id)
        in_closed_frames(lambda: mask_secret(token.open()))
        return str(token.open())

    @property
    def location(self) -> tuple[str, str]:
        """AWS partition and region of the jobs, such as ``aws`` and ``eu-central-1``."""
        meta = in_closed_frames(lambda: self._transport.client.meta)
        return meta.partition, meta.region_name

    # How a call is sent.

    @cached_property
    def _transport(self) -> Transport:
        """Sends the job calls, with a client that does not retry by itself."""
        once = Config(retries={"total_max_attempts": 1, "mode": "standard"})

        def make_client() -> Any:
            return self.get_client_type(region_name=self.region_name, config=self.config.merge(once))

        return Transport(make_client, self.aws_conn_id, self.retry_deadline, self._clock, self._sleep)

    def _send(self, call: Call, *, nonce: Secret | None = None, repeat_in_doubt: bool = True) -> Secret:
        """Send a call with the client token of its job; if the token is refused, look it up once more."""
        with job_fields(call.job):
            return self._send_with_token(call, nonce=nonce, repeat_in_doubt=repeat_in_doubt)

    def _send_with_token(self, call: Call, *, nonce: Secret | None, repeat_in_doubt: bool) -> Secret:
        secrets = {} if nonce is None else {"nonce": nonce}
        client_id = call.job.client_id if call.job else None
        if client_id is None:
            return self._transport.send(call, secrets, repeat_in_doubt=repeat_in_doubt)
        token = secrets["clientToken"] = self._tokens.get(client_id)
        try:
            return self._transport.send(call, secrets)
        except InvalidClientToken as refusal:
            refused = refusal
        current = self._tokens.renew(client_id, token)
        if current is None:
            raise refused
        self.log.info(
            "The client token of client %s has changed; sending %s again.", client_id, call.operation
        )
        secrets["clientToken"] = current
        return self._transport.send(call, secrets, in_doubt=refused.in_doubt)
