# SPDX-License-Identifier: Apache-2.0
"""
What is said to CodePipeline and what its answers mean, without any IO.

The hook carries what this module composes and hands back what came; every decision is made here, so that
each can be tested without a socket. Where AWS documents nothing the most careful reading is taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Self
from urllib.parse import quote

from airflow_codepipeline_partner import exceptions
from airflow_codepipeline_partner.exceptions import CodePipelineError, InvalidInput
from airflow_codepipeline_partner.jobs import (
    THIRD_PARTY,
    ActionType,
    ClaimedJob,
    CurrentRevision,
    ExecutionDetails,
    FailureDetails,
    OfferedJob,
)
from airflow_codepipeline_partner.limits import TEXTS, check_number, check_text

#: What the parameter ``unknown_claim`` may be.
UNKNOWN_CLAIM_CHOICES = ("assume_ours", "leave")
UnknownClaim = Literal["assume_ours", "leave"]


@dataclass(frozen=True)
class Dialect:
    """
    The five operations by which a job of one owner is polled for, claimed and reported.

    :param poll: Offers jobs.
    :param details: Tells about one job.
    :param acknowledge: Claims it.
    :param success: Ends it with success, or with a continuation token.
    :param failure: Ends it with failure.
    """

    poll: str
    details: str
    acknowledge: str
    success: str
    failure: str


_DIALECTS = {
    THIRD_PARTY: Dialect(
        poll="PollForThirdPartyJobs",
        details="GetThirdPartyJobDetails",
        acknowledge="AcknowledgeThirdPartyJob",
        success="PutThirdPartyJobSuccessResult",
        failure="PutThirdPartyJobFailureResult",
    ),
}


def dialect_of(subject: ActionType | OfferedJob) -> Dialect:
    """
    Return the operations for an action type or a job, by its owner.

    :raises InvalidInput: Jobs of that owner are not served.
    """
    dialect = _DIALECTS.get(subject.owner)
    if dialect is None:
        action_type = subject if isinstance(subject, ActionType) else subject.action_type
        raise InvalidInput(
            f"Jobs of owner {subject.owner} are not served, only those of {', '.join(_DIALECTS)} "
            f"(asked for {action_type})."
        )
    return dialect


@dataclass(frozen=True)
class Call:
    """
    One call, as it is sent and as it is kept in a record; it holds neither client token nor nonce.

    :param operation: AWS's name of the operation.
    :param arguments: The other arguments, in AWS's spelling, as JSON values.
    :param job: The job that it is about, or None for a poll.
    """

    operation: str
    arguments: Mapping[str, Any]
    job: OfferedJob | None = None


def poll(action_type: ActionType, max_batch_size: object) -> Call:
    """
    Compose a poll.

    :param action_type: What to poll for.
    :param max_batch_size: Most jobs to be offered, at least 1.
    :raises LimitExceeded: The batch size is no number of 1 or more.

    Source: PollForThirdPartyJobs, CodePipeline API 2015-07-09.
    """
    size = check_number("maxBatchSize", max_batch_size)
    return Call(dialect_of(action_type).poll, {"actionTypeId": action_type.to_api(), "maxBatchSize": size})


def details(job: OfferedJob) -> Call:
    """
    Ask for a job's details.

    Source: GetThirdPartyJobDetails, CodePipeline API 2015-07-09.
    """
    return Call(dialect_of(job).details, {"jobId": job.job_id}, job)


def acknowledge(job: OfferedJob) -> Call:
    """
    Claim a job; the nonce is added as it is sent.

    Source: AcknowledgeThirdPartyJob, CodePipeline API 2015-07-09.
    """
    return Call(dialect_of(job).acknowledge, {"jobId": job.job_id}, job)


def success(
    job: OfferedJob,
    *,
    current_revision: object = None,
    continuation_token: str | None = None,
    execution_details: object = None,
) -> Call:
    """
    End a job with success, or with a continuation token, for which CodePipeline makes a new job.

    :param job: The job.
    :param current_revision: A :class:`CurrentRevision` or a mapping of that kind, or None.
    :param continuation_token: 1 to 2048 characters, or None where the action is complete.
    :param execution_details: An :class:`ExecutionDetails` or a mapping of that kind, or None.
    :raises InvalidInput: A value does not fit.

    Source: PutThirdPartyJobSuccessResult, CodePipeline API 2015-07-09.
    """
    arguments: dict[str, Any] = {"jobId": job.job_id}
    revision = CurrentRevision.from_value(current_revision)
    if revision is not None:
        arguments["currentRevision"] = revision.to_api()
        if revision.created is not None:
            # botocore reads an ISO string as a time; the record of the call is JSON.
            arguments["currentRevision"]["created"] = revision.created.isoformat()
    if continuation_token is not None:
        arguments["continuationToken"] = check_continuation_token(continuation_token, job_id=job.job_id)
    shown = ExecutionDetails.from_value(execution_details)
    if shown is not None and (members := shown.to_api()):
        arguments["executionDetails"] = members
    return Call(dialect_of(job).success, arguments, job)


def check_continuation_token(token: object, *, job_id: str | None = None) -> str:
    """
    Return a continuation token that CodePipeline takes.

    :raises LimitExceeded: It has none or more than 2048 characters, or is Jinja's ``None``.
    """
    if token == "None":  # noqa: S105 - the text that Jinja makes of a missing value
        raise exceptions.LimitExceeded(
            "continuationToken is the text None, which is what Jinja renders for a missing value. Hand it "
            "on as an XComArg, or set render_template_as_native_obj on the DAG.",
            field="continuationToken",
            job_id=job_id,
        )
    return check_text("continuationToken", token, job_id=job_id)


def failure(
    job: OfferedJob,
    *,
    message: str,
    failure_type: str = "JobFailed",
    external_execution_id: str | None = None,
) -> Call:
    """
    End a job with failure.

    :param job: The job.
    :param message: What the customer reads; cut to 5000 characters.
    :param failure_type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
        RevisionUnavailable, SystemUnavailable.
    :param external_execution_id: The id of the work in our own system, or None.
    :raises InvalidInput: A value does not fit.

    Source: PutThirdPartyJobFailureResult, CodePipeline API 2015-07-09.
    """
    why = FailureDetails(message, failure_type, external_execution_id)
    return Call(dialect_of(job).failure, {"jobId": job.job_id, "failureDetails": why.to_api()}, job)


def result_of(call: Call) -> Literal["success", "continue", "failure"]:
    """Name the result that a put would give the job."""
    if "failureDetails" in call.arguments:
        return "failure"
    return "continue" if "continuationToken" in call.arguments else "success"


def external_execution_id(dag_id: str, run_id: str) -> str | None:
    """
    Name a DAG run so that an execution link ending in ``/dags/{ExternalExecutionId}`` leads to it.

    :return: ``{dag_id}/runs/{run_id}``, each part URL-quoted, or None where that is too long.
    """
    name = f"{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    most = TEXTS["executionDetails.externalExecutionId"][1].max_chars
    return name if most is None or len(name) <= most else None


# What an answer means.


class Fate(StrEnum):
    """What became of an attempt that got no proper answer."""

    REFUSED = "refused"  #: The service said no, and will say so again.
    NOT_CARRIED_OUT = "not carried out"  #: Nothing happened; the same call may be sent again.
    IN_DOUBT = "in doubt"  #: It may have been carried out; the same call may be sent again.


#: Refused before the service could act: to send the same again is safe.
PASSING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "ConcurrentModificationException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransientError",
    }
)
#: Transport failures, by botocore's class name, before which no request can have reached the service.
UNSENT_FAILURES = frozenset(
    # Not SSLError: the encryption may break as well when the answer is on its way.
    {"ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError"}
)

_ERRORS: dict[str, type[CodePipelineError]] = {
    "ActionTypeNotFoundException": exceptions.ActionTypeNotFound,
    "InvalidClientTokenException": exceptions.InvalidClientToken,
    "InvalidJobException": exceptions.JobNotFound,
    "InvalidJobStateException": exceptions.JobNotInProgress,
    "InvalidNonceException": exceptions.InvalidNonce,
    "JobNotFoundException": exceptions.JobNotFound,
}
_ANSWER_MEMBERS = {
    member: name
    for dialect in _DIALECTS.values()
    for member, name in ((dialect.details, "jobDetails"), (dialect.acknowledge, "status"))
}
_ADVICE: dict[type[CodePipelineError], str] = {
    exceptions.ActionTypeNotFound: "Check category, owner, provider, version and region, and that this "
    "AWS account may poll for the action type.",
    exceptions.InvalidClientToken: "The client token in the Airflow connection of this client is not the "
    "one that CodePipeline knows; store the customer's current token there.",
    exceptions.JobNotInProgress: "It has ended, timed out, or was never acknowledged, so this result was "
    "not taken. To run the action again, retry it in CodePipeline.",
    exceptions.JobNotFound: "Check that job and AWS region belong together; CodePipeline forgets ended "
    "jobs after a while.",
}


def fate_of_answer(code: str, http_status: int) -> Fate:
    """
    Tell what became of an attempt that the service answered with an error.

    :param code: The error's code; botocore puts the status there where the answer names none, so that it is
        not the service's own.
    :param http_status: The HTTP status; from 500 on the service may have acted before it broke.
    """
    if code in PASSING_CODES or http_status == 429:
        return Fate.NOT_CARRIED_OUT
    is_named = bool(code) and not code.isdigit()
    return Fate.REFUSED if is_named and http_status < 500 else Fate.IN_DOUBT


def fate_of_silence(failure_name: str) -> Fate:
    """
    Tell what became of an attempt that got no answer.

    :param failure_name: The name of botocore's exception class.
    """
    return Fate.NOT_CARRIED_OUT if failure_name in UNSENT_FAILURES else Fate.IN_DOUBT


def error_for(
    call: Call, code: str, said: str, *, region_name: str | None, in_doubt: bool
) -> CodePipelineError:
    """
    Return the error for a call that CodePipeline refused for good.

    :param call: The call.
    :param code: The error's code.
    :param said: The service's own message, already without secrets.
    :param region_name: The region that was asked.
    :param in_doubt: Whether an earlier attempt may have been carried out.
    """
    kind = _ERRORS.get(code, exceptions.RequestRefused)
    about = f"job {call.job.job_id} (client {call.job.client_id})" if call.job else "the poll"
    if "actionTypeId" in call.arguments:
        asked = call.arguments["actionTypeId"]
        about = "the poll for " + ", ".join(f"{part} {asked[part]}" for part in asked)
        if code == "ValidationException":
            # CodePipeline's answer to an owner that the operation does not serve.
            kind = exceptions.ActionTypeNotFound
    advice = _ADVICE.get(kind, "")
    return kind(
        f"CodePipeline refused {call.operation} for {about}, region {region_name}: "
        f"{code}: {sentence(said)} {advice}".strip(),
        code=code,
        in_doubt=in_doubt,
        job_id=call.job.job_id if call.job else None,
    )


def sentence(text: str) -> str:
    """Return a text of somebody else's so that another sentence can follow it."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def is_answer(call: Call, answer: Mapping[str, Any], body: bytes) -> bool:
    """
    Tell whether an answer is CodePipeline's.

    botocore makes an empty answer of a page that some proxy put in its place. A poll may well be answered
    with no jobs, and a put always is with nothing; an acknowledgement without a status says nothing about
    the job.

    :param call: The call.
    :param answer: What botocore made of the answer.
    :param body: The answer's body, in JSON.
    """
    needed = _ANSWER_MEMBERS.get(call.operation)
    if needed is not None:
        return answer.get(needed) is not None
    try:
        members = json.loads(body or b"{}")
    except ValueError:
        return False
    is_put = "actionTypeId" not in call.arguments
    return isinstance(members, dict) and not (is_put and members)


class ClaimState(StrEnum):
    """Where a claim stands; the ``state`` of the claim's record."""

    INTENT = "intent"  #: The acknowledgement may be under way.
    CLAIMED = "claimed"  #: The job is ours.
    UNKNOWN = "unknown"  #: Our answer was lost, so the job may be ours or another worker's.
    LOST = "lost"  #: Another worker has it, or the nonce was stale.
    REFUSED = "refused"  #: CodePipeline or a missing token refused; nothing was acknowledged.


@dataclass(frozen=True)
class Claim:
    """
    The outcome of an attempt to claim a job.

    :param state: ``claimed``, ``unknown`` or ``lost``.
    :param job: The job with what its details told; whose it is, the state says.
    :param status: The job's status, as its acknowledgement answered; None where there was no such answer.
    """

    state: ClaimState
    job: ClaimedJob
    status: str | None = None

    @classmethod
    def from_status(cls, job: ClaimedJob, status: str | None) -> Self:
        """Judge the answer of an acknowledgement: only ``InProgress`` makes the job ours."""
        return cls(ClaimState.CLAIMED if status == "InProgress" else ClaimState.LOST, job, status)

    @property
    def has_ended(self) -> bool:
        """Whether the acknowledgement told that the job has its result, or ran out of its time."""
        return self.status in ("Succeeded", "Failed", "TimedOut")

    def is_ours(self, unknown_claim: str) -> bool:
        """
        Tell whether to work the job.

        :param unknown_claim: ``assume_ours`` or ``leave``: what a claim in doubt counts as.
        """
        if self.state is ClaimState.UNKNOWN:
            return check_unknown_claim(unknown_claim) == "assume_ours"
        return self.state is ClaimState.CLAIMED


def check_unknown_claim(value: str) -> str:
    """
    Return the choice, if it is one.

    :raises InvalidInput: It is none.
    """
    if value not in UNKNOWN_CLAIM_CHOICES:
        raise InvalidInput(
            f"unknown_claim must be one of {', '.join(UNKNOWN_CLAIM_CHOICES)}; "
            f"a {type(value).__name__} of {len(str(value))} characters was given that is none of them."
        )
    return value


def put_is_settled(error: CodePipelineError, *, intended_before: bool, certain: bool = True) -> bool:
    """
    Tell whether a refused put means that the result is already there.

    Only an ``InvalidJobStateException`` can mean that, and only where we may have put the same result
    before: the answer of an attempt was lost, or the result was already intended when this try began. Of a
    job that is not certainly ours it can as well mean that nobody has acknowledged it.
    """
    return certain and isinstance(error, exceptions.JobNotInProgress) and (error.in_doubt or intended_before)
