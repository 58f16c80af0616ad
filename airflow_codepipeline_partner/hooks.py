# SPDX-License-Identifier: Apache-2.0
"""The hook: the way of a job as methods, over an Airflow connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config

from airflow_codepipeline_partner._endpoints import is_of_aws
from airflow_codepipeline_partner._masking import mask_secret
from airflow_codepipeline_partner._protocol import claims, requests, responses
from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState, UnknownClaim
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.job_details import JobDetails
from airflow_codepipeline_partner._protocol.jobs import ActionType, ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.parsing import check_number
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.results import (
    CurrentRevision,
    ExecutionDetails,
    read_output_variables,
)
from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner.client_tokens import DEFAULT_TEMPLATE, ClientTokenHook
from airflow_codepipeline_partner.exceptions import (
    CodePipelineError,
    CodePipelineProviderError,
    InvalidClientToken,
    InvalidInput,
    InvalidNonce,
    RequestRefused,
)

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper


class CodePipelineHook(AwsBaseHook):
    """
    Poll for jobs of an action type, claim them, and give them their results.

    Credentials, region, role and endpoint come from a plain Airflow connection of type ``aws``. Where that
    has a role and an endpoint that is not AWS's own (an emulator), the endpoint serves STS as well, unless
    ``service_config.sts.endpoint_url`` names another.

    :param aws_conn_id: The ``aws`` connection, or None for boto3's default credentials.
    :param region_name: The region of the jobs; None takes the connection's.
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle; None is boto3's default.
    :param config: A botocore config, or a mapping of its arguments; merged over the ``config_kwargs`` of the
        connection. For the job calls its retries do not count; see ``retry_deadline``.
    :param client_conn_id_template: How the connection id of a client is made from its client id
        (in which ``-`` is written ``_``).
    :param retry_deadline: For how many seconds a call is tried again when CodePipeline cannot be reached,
        throttles, or fails; 0 tries once.
    :param clock: Seconds, which measure ``retry_deadline``; for tests.
    :param sleep: Waits that many seconds between two tries; for tests.
    """

    def __init__(
        self,
        aws_conn_id: str | None = AwsBaseHook.default_conn_name,
        region_name: str | None = None,
        verify: bool | str | None = None,
        config: Config | dict[str, Any] | None = None,
        client_conn_id_template: str = DEFAULT_TEMPLATE,
        retry_deadline: float = 300,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(
            aws_conn_id=aws_conn_id,
            region_name=region_name,
            verify=verify,
            client_type="codepipeline",
        )
        # Not handed to the base class, which would then pass over the connection's own config_kwargs.
        self._given_config = Config(**config) if isinstance(config, Mapping) else config
        self.client_conn_id_template = client_conn_id_template
        self.retry_deadline = retry_deadline
        self._clock = clock
        self._sleep = sleep

    # The way of a job.

    def poll(
        self,
        action_type: ActionType | Mapping[str, str],
        max_batch_size: int = 10,
        query_param: Mapping[str, str] | None = None,
    ) -> list[OfferedJob]:
        """
        Ask for jobs that wait. A poll is never a claim: what is not claimed is offered again.

        :param action_type: What to poll for, one of ours or AWS's mapping.
        :param max_batch_size: Most jobs to be offered, at least 1; CodePipeline may give fewer.
        :param query_param: Only jobs whose configuration has this value in the queryable property of a custom
            action type: a mapping of its name to the value, which has at most 50 characters. Where there is
            such a property it is needed, else there can be none.
        :return: The offered jobs; an empty list where none waits.
        :raises InvalidInput: The action type is AWS's own, or the query does not fit; nothing was called.
        :raises ActionTypeNotFound: CodePipeline does not know the action type here.
        :raises ServiceUnavailable: There was no answer until the deadline.

        Source: PollForThirdPartyJobs, PollForJobs, CodePipeline API 2015-07-09.
        """
        kind = ActionType.from_value(action_type)
        query = requests.check_query_param(kind, query_param)
        call = requests.poll(kind, check_number("maxBatchSize", max_batch_size), query)
        answer = self._send(call)
        jobs: dict[str, OfferedJob] = {}
        for offered in answer.get("jobs") or ():
            try:
                job = responses.offered_job(kind, offered, query)
            except InvalidInput as error:
                # It must not hold up the others of its batch.
                self.log.warning("CodePipeline offered what is no job: %s", error)
            else:
                jobs[job.job_id] = job
        return list(jobs.values())

    def details(self, job: object) -> JobDetails:
        """
        Ask for all that CodePipeline tells about a job, with fresh artifact credentials.

        The answer holds secrets: never log it, never return it from a task.

        :param job: An object of ours, or a mapping with ``job_id`` and ``client_id`` or, of a custom job,
            ``action_type``.
        :raises ClientConnectionError: No connection holds the client's token.
        :raises InvalidClientToken: The token is not this client's.
        :raises JobNotFound: CodePipeline does not know the job.

        Source: GetThirdPartyJobDetails, GetJobDetails, CodePipeline API 2015-07-09.
        """
        return self._details(OfferedJob.from_value(job))

    def _details(self, job: OfferedJob) -> JobDetails:
        details = self._unmasked_details(job)
        credentials = details.artifact_credentials or {}
        for secret in (credentials.get("secretAccessKey"), credentials.get("sessionToken"), details.nonce):
            mask_secret(secret)
        return details

    def _unmasked_details(self, job: OfferedJob) -> JobDetails:
        answer = self._send(requests.details(job))
        return JobDetails.from_api(answer.get("jobDetails") or {}, job_id=job.job_id)

    def continuation_token(self, job: OfferedJob) -> str | None:
        """
        Ask which continuation token a job carries, if any.

        Nothing else of its details is kept, so that the masker need not learn their secrets.

        :param job: The job.
        :raises CodePipelineProviderError: As :meth:`details`.

        Source: GetThirdPartyJobDetails, GetJobDetails, CodePipeline API 2015-07-09.
        """
        return self._unmasked_details(job).continuation_token

    def claim(self, job: object, unknown_claim: UnknownClaim = "assume_ours") -> ClaimedJob | None:
        """
        Claim an offered job, so that no other worker takes it.

        Two calls: the details, and the acknowledgement, which spends the nonce. A partner's nonce is in the
        details, that of a custom job came with its offer. Where it has gone stale, since the job was offered
        again meanwhile, only that offer is lost.

        :param job: A job from :meth:`poll`, or a mapping with ``job_id`` and ``client_id`` or, of a custom
            job, ``action_type`` and ``nonce``.
        :param unknown_claim: What to do where the answer to our acknowledgement was lost and the nonce
            is spent: ``assume_ours`` (right where one Airflow polls an action type) or ``leave`` (right
            where rivals poll it too; if it was ours after all, it ends by its timeout).
        :return: The claimed job, or None if another worker has it, if the offer is stale, or if its
            continuation token says that a task of ours waits for it.
        :raises InvalidClientToken: The token is not this client's.
        :raises ServiceUnavailable: There was no answer until the deadline.

        Source: GetThirdPartyJobDetails, AcknowledgeThirdPartyJob, GetJobDetails, AcknowledgeJob, CodePipeline
        API 2015-07-09.
        """
        claims.check_unknown_claim(unknown_claim)
        offered = OfferedJob.from_value(job)
        offered.check_claimable()
        claim = self.try_claim(offered, before_acknowledge=_is_awaited_by_nobody)
        return claim.job if claim.counts_as_ours(unknown_claim) else None

    def try_claim(
        self,
        job: OfferedJob,
        *,
        in_doubt: bool = False,
        before_acknowledge: Callable[[ClaimedJob], bool | None] = lambda claimed: None,
    ) -> Claim:
        """
        Claim an offered job and tell how that went.

        :param job: A job that can be claimed; see :meth:`OfferedJob.check_claimable`.
        :param in_doubt: Whether an earlier try of ours may have acknowledged the job already.
        :param before_acknowledge: Called with the job's data when the acknowledgement is about to be
            sent, so that the intent can be recorded; where it returns False, the job is left to others.
        :raises CodePipelineError: As :meth:`claim`.
        """
        details = self._details(job)
        claimed = ClaimedJob.from_details(job, details)
        nonce = job.nonce if job.dialect.poll_gives_nonce else details.nonce
        if not nonce:
            raise RequestRefused(
                f"The details of job {job.job_id} hold no nonce, so it cannot be acknowledged.",
                code="NoNonce",
                job_id=job.job_id,
            )
        if before_acknowledge(claimed) is False:
            self.log.info("The %s is left to others.", job)
            return Claim(ClaimState.LOST, claimed)
        try:
            answer = self._send(requests.acknowledge(job), nonce=nonce)
        except InvalidNonce as refusal:
            if in_doubt or refusal.in_doubt:
                claim = self._claim_in_doubt(claimed, nonce)
            else:
                claim = Claim(ClaimState.LOST, claimed)
        else:
            claim = Claim.from_status(claimed, answer.get("status"))
        self.log.info("Claim of %s: %s", job, claim.state)
        return claim

    def _claim_in_doubt(self, claimed: ClaimedJob, spent: str) -> Claim:
        """
        Find out whether the answer that was lost can have been the acknowledgement.

        The nonce of a claimed job stays as it is. Where it is another one now, and stays that, the job was
        handed out once more after ours: so nobody had claimed it, and the lost answer was a refusal. Of a
        custom job only a poll tells the nonce.
        """
        unknown = Claim(ClaimState.UNKNOWN, replace(claimed, certain=False))
        if claimed.job.dialect.poll_gives_nonce:
            return unknown
        try:
            fresh = self._details(claimed.job).nonce
            # Whether details change the nonce by themselves, nobody knows; then it tells nothing.
            if not fresh or fresh == spent or fresh != self._details(claimed.job).nonce:
                return unknown
        except CodePipelineProviderError as error:
            self.log.info("Job %s stays in doubt: %s", claimed.job_id, type(error).__name__)
            return unknown
        return Claim(ClaimState.LOST, claimed)

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
        End a claimed job with success, or with a continuation token for which CodePipeline makes a new job.

        :param job: An object of ours, or a mapping with ``job_id`` and ``client_id`` or, of a custom job,
            ``action_type``.
        :param current_revision: A CurrentRevision, or a mapping with AWS's or snake_case keys.
        :param continuation_token: 1 to 2048 characters; None where the action is complete.
        :param execution_details: An ExecutionDetails, or a mapping with AWS's or snake_case keys.
        :param output_variables: Of a custom job, and without a continuation token: a mapping of names to
            texts, which later actions can use; at most 122,880 bytes in all. No secrets.
        :raises InvalidInput: A value does not fit; nothing was called.
        :raises JobNotInProgress: The job takes no result.
        :raises InvalidClientToken: The token is not this client's.
        :raises ServiceUnavailable: There was no answer until the deadline.

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

        :param job: An object of ours, or a mapping with ``job_id`` and ``client_id`` or, of a custom job,
            ``action_type``.
        :param message: What the customer reads; cut to 5000 characters.
        :param failure_type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
            RevisionUnavailable, SystemUnavailable.
        :param external_execution_id: The id of the work in our own system, 1 to 1500 characters, or None.
        :raises InvalidInput: A value does not fit; nothing was called.
        :raises JobNotInProgress: The job takes no result.
        :raises InvalidClientToken: The token is not this client's.
        :raises ServiceUnavailable: There was no answer until the deadline.

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

    def put(self, call: Call, *, intended_before: bool = False, certain: bool = True) -> None:
        """
        Give a job its result, as :func:`requests.success` or :func:`requests.failure` composed it.

        :param call: The result's call.
        :param intended_before: Whether the same call may have been sent before this process.
        :param certain: Whether the job is certainly ours; where it may be another's, or nobody's, a job that
            takes no result tells nothing about ours.
        :raises CodePipelineError: As :meth:`succeed`.
        """
        try:
            self._send(call)
        except CodePipelineError as error:
            if not claims.put_is_settled(error, intended_before=intended_before, certain=certain):
                raise
            self.log.warning(
                "Job %s takes no result any more and this one may have been put before; taken as put.",
                error.job_id,
            )
        else:
            self.log.info("Job %s: result %s was put.", call.arguments["jobId"], requests.result_of(call))

    def client_token(self, client_id: str) -> str:
        """
        Return the client token of a client, known to Airflow's masker.

        :param client_id: The client id, as the poll gives it.
        :raises ClientConnectionError: No connection holds it.
        """
        return self._tokens(client_id).get_token(client_id)

    @property
    def location(self) -> tuple[str, str]:
        """AWS partition and region of the jobs, such as ``aws`` and ``eu-central-1``."""
        meta = self._transport.client.meta
        return meta.partition, meta.region_name

    # How a call is carried.

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """
        The connection, with two additions.

        The hook's ``config`` is merged over the connection's ``config_kwargs``, and STS is at the same place
        as a CodePipeline that is not AWS's own.
        """
        wrapper = super().conn_config
        if self._given_config is not None:
            wrapper.botocore_config = (wrapper.botocore_config or Config()).merge(self._given_config)
        if wrapper.role_arn and wrapper.endpoint_url and not is_of_aws(wrapper.endpoint_url):
            sts = {"endpoint_url": wrapper.endpoint_url, **(wrapper.service_config.get("sts") or {})}
            wrapper.service_config = {**wrapper.service_config, "sts": sts}
        return wrapper

    def _get_caller(self, target_function_name: str = "execute") -> str:
        """
        Return the caller's name for the user agent.

        The amazon provider looks for it by reading the source of every function on the stack, which is a
        third of what a short task takes.
        """
        return type(self).__name__

    @cached_property
    def _transport(self) -> Transport:
        """What carries the job calls, over a client without retries of its own."""
        once = Config(retries={"total_max_attempts": 1, "mode": "standard"})

        def make_client() -> Any:
            return self.get_client_type(region_name=self.region_name, config=self.config.merge(once))

        return Transport(make_client, self.aws_conn_id, self.retry_deadline, self._clock, self._sleep)

    def _tokens(self, client_id: str) -> ClientTokenHook:
        return ClientTokenHook.for_client(client_id, self.client_conn_id_template)

    def _send(self, call: Call, *, nonce: str | None = None) -> Mapping[str, Any]:
        """Send a call, with the client token of its job's client; a rotated token is looked up once more."""
        secrets = {} if nonce is None else {"nonce": nonce}
        client_id = call.job.client_id if call.job else None
        if client_id is None:
            return self._transport.send(call, secrets)
        tokens = self._tokens(client_id)
        secrets["clientToken"] = tokens.get_token(client_id)
        try:
            return self._transport.send(call, secrets)
        except InvalidClientToken as refusal:
            refused = refusal
        try:
            current = tokens.get_token(client_id, uncached=True)
        except InvalidInput:
            # Of the two troubles the first tells more, and knows whether an answer was lost.
            current = secrets["clientToken"]
        if current == secrets["clientToken"]:
            raise refused
        self.log.info(
            "The client token of client %s has changed; sending %s again.", client_id, call.operation
        )
        secrets["clientToken"] = current
        return self._transport.send(call, secrets, in_doubt=refused.in_doubt)


def _is_awaited_by_nobody(job: ClaimedJob) -> bool:
    return TaskInstanceRef.from_token(job.continuation_token) is None
