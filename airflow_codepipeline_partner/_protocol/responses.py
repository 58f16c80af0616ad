# SPDX-License-Identifier: Apache-2.0
"""
What CodePipeline's answers mean, and what a missing answer means; no I/O.

Answers are read leniently: AWS's own examples have ids and nonces that its service model does not allow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from airflow_codepipeline_partner import exceptions
from airflow_codepipeline_partner._aws_errors import ServiceError
from airflow_codepipeline_partner._protocol.dialects import DIALECTS
from airflow_codepipeline_partner._protocol.jobs import ActionType, OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._secrets import without_frames
from airflow_codepipeline_partner.exceptions import CodePipelineError, InvalidJobReference


class Outcome(StrEnum):
    """The outcome of an attempt that got no proper answer."""

    REFUSED = "refused"  #: The service refused, and will refuse again.
    NOT_CARRIED_OUT = "not carried out"  #: Nothing happened; the call may be sent again.
    UNKNOWN = "unknown"  #: It may have been carried out; the call may be sent again.


#: Transport errors, by botocore's class name, after which no request can have reached the service.
UNSENT_FAILURES = frozenset(
    # Not SSLError: TLS may also break while the answer is on its way.
    {"ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError"}
)

_ERRORS: dict[str, type[CodePipelineError]] = {
    "ActionTypeNotFoundException": exceptions.ActionTypeNotFound,
    "InvalidClientTokenException": exceptions.InvalidClientToken,
    "InvalidJobException": exceptions.JobNotFound,
    "InvalidJobStateException": exceptions.JobNotInProgress,
    "InvalidNonceException": exceptions.InvalidNonce,
    "JobNotFoundException": exceptions.JobNotFound,
    "PipelineExecutionNotFoundException": exceptions.PipelineNotFound,
    "PipelineNotFoundException": exceptions.PipelineNotFound,
}
_ANSWER_MEMBERS = {
    member: name
    for dialect in DIALECTS.values()
    for member, name in ((dialect.details, "jobDetails"), (dialect.acknowledge, "status"))
} | {
    "GetPipelineExecution": "pipelineExecution",
    "RollbackStage": "pipelineExecutionId",
    "StartPipelineExecution": "pipelineExecutionId",
}
#: They are answered with nothing.
_PUTS = {put for dialect in DIALECTS.values() for put in (dialect.success, dialect.failure)}
_ADVICE: dict[type[CodePipelineError], str] = {
    exceptions.ActionTypeNotFound: "Check category, owner, provider, version and region, and that this AWS "
    "account may poll for the action type.",
    exceptions.InvalidClientToken: "The client token in the Airflow connection of this client is not the "
    "one that CodePipeline knows; store the customer's current token there.",
    exceptions.JobNotInProgress: "The job has ended (its time was over, or the pipeline was stopped and its "
    "action abandoned, or changed), or was never acknowledged, so this result was not taken. To run the "
    "action again, retry it in CodePipeline.",
    exceptions.JobNotFound: "Check that job and AWS region belong together; CodePipeline forgets ended "
    "jobs after a while.",
    exceptions.PipelineNotFound: "Check the name, the region and the account. CodePipeline keeps executions "
    "for a year.",
}
_QUERY_ADVICE = (
    "Check query_param: a custom action type with a queryable property needs it, under the property's name; "
    "any other must not have it."
)


def outcome_of_error_response(error: ServiceError) -> Outcome:
    """
    Return the outcome of an attempt that the service answered with an error.

    From status 500 on the service may have acted before it broke. A code of digits is botocore's, which puts
    the status there if the answer has no code: then it is not the service that answered.
    """
    if error.was_not_carried_out:
        return Outcome.NOT_CARRIED_OUT
    is_named = bool(error.code) and not error.code.isdigit()
    return Outcome.REFUSED if is_named and error.status < 500 else Outcome.UNKNOWN


def outcome_of_transport_error(failure_name: str) -> Outcome:
    """
    Return the outcome of an attempt that got no answer.

    :param failure_name: The name of botocore's exception class.
    """
    return Outcome.NOT_CARRIED_OUT if failure_name in UNSENT_FAILURES else Outcome.UNKNOWN


def error_for(
    call: Call, code: str, said: str, *, region_name: str | None, in_doubt: bool
) -> CodePipelineError:
    """
    Return the error for a call that CodePipeline refused for good.

    :param call: The call.
    :param code: The error's code.
    :param said: The service's own message, already without secrets.
    :param region_name: The region that was asked.
    :param in_doubt: Whether an earlier attempt may have been carried out, without an answer.
    """
    kind = _ERRORS.get(code, exceptions.RequestRefused)
    about = str(call.job or _pipeline_of(call))
    advice = _ADVICE.get(kind, "")
    if "actionTypeId" in call.arguments:
        about = f"the poll for {ActionType.from_value(call.arguments['actionTypeId'])}"
        if code == "ValidationException" and "queryparam" in said.lower():
            advice = _QUERY_ADVICE
        elif code == "ValidationException":
            # CodePipeline's answer to an owner that the operation does not serve.
            kind = exceptions.ActionTypeNotFound
            advice = f"{_ADVICE[kind]} {_QUERY_ADVICE}"
    return kind(
        f"CodePipeline refused {call.operation} for {about}, region {region_name}: "
        f"{code}: {sentence(said)} {advice}".strip(),
        code=code,
        in_doubt=in_doubt,
        job_id=call.job.job_id if call.job else None,
    )


def _pipeline_of(call: Call) -> str:
    name = call.arguments.get("pipelineName") or call.arguments.get("name")
    return f"pipeline {name}" if name else "the poll"


def sentence(text: str) -> str:
    """Return a text from another system with a full stop, so that a sentence can follow."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def is_answer(call: Call, answer: Mapping[str, Any], body: bytes) -> bool:
    """
    Return whether an answer is CodePipeline's.

    If a proxy answers with a page of its own, botocore returns an empty answer. A poll may be answered
    without jobs, and a put is always answered with nothing. But an acknowledgement without a status says
    nothing about the job.

    :param call: The call.
    :param answer: The answer as botocore parsed it.
    :param body: The answer's body, in JSON.
    """
    needed = _ANSWER_MEMBERS.get(call.operation)
    if needed is not None:
        return answer.get(needed) is not None
    try:
        members = json.loads(body or b"{}")
    except ValueError:
        return False
    return isinstance(members, dict) and not (call.operation in _PUTS and members)


def offered_jobs(
    action_type: ActionType,
    offered: Iterable[Mapping[str, Any]] | None,
    query_param: Mapping[str, str] | None,
) -> tuple[list[OfferedJob], list[exceptions.InvalidInput]]:
    """
    Return the jobs of a poll's answer, each once, and what is wrong with what is no job.

    :param action_type: The action type that was polled for.
    :param offered: The answer's ``jobs``.
    :param query_param: The query of the poll.
    """
    jobs: dict[str, OfferedJob] = {}
    faults: list[exceptions.InvalidInput] = []
    for each in offered or ():
        try:
            job = offered_job(action_type, each, query_param)
        except exceptions.InvalidInput as error:
            # Its frames hold the secrets of the job.
            faults.append(without_frames(error))
        else:
            jobs[job.job_id] = job
    return list(jobs.values()), faults


def offered_job(
    action_type: ActionType, offered: Mapping[str, Any] | None, query_param: Mapping[str, str] | None = None
) -> OfferedJob:
    """
    Return a job from a poll's answer.

    A poll for custom jobs returns everything, secrets included. Only id, nonce and continuation token are
    kept.

    :param action_type: The action type that was polled for.
    :param offered: One member of the answer's ``jobs``.
    :param query_param: The query of the poll.
    :raises InvalidJobReference: It is not a job, or nobody could claim it.
    """
    dialect, members = action_type.dialect, offered or {}
    job = OfferedJob.from_value(
        {
            "job_id": members.get(dialect.offered_job_id),
            "client_id": members.get("clientId"),
            "action_type": action_type,
            "nonce": members.get("nonce"),
            "query_param": query_param,
        }
    )
    if dialect.poll_gives_nonce and job.nonce is None:
        raise InvalidJobReference(f"The {job} was offered without a nonce.", job_id=job.job_id)
    if dialect.poll_gives_nonce and isinstance(members.get("data"), Mapping):
        return replace(job, _is_token_known=True, continuation_token=members["data"].get("continuationToken"))
    return job


def put_is_settled(error: CodePipelineError) -> bool:
    """
    Return whether a refused put means that the job already has this result.

    The job has ended, and the answer of an earlier attempt at the same call was lost. CodePipeline soon
    forgets a job that has ended, so it may say that it does not know the job.
    """
    return error.in_doubt and isinstance(error, exceptions.JobNotInProgress | exceptions.JobNotFound)
