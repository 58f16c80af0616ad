# SPDX-License-Identifier: Apache-2.0
"""
Compose the calls to CodePipeline; no I/O.

The hook sends what this module composes, and ``responses`` says what the answers mean, so both can be tested
without a socket. If AWS documents nothing, the most careful reading is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_codepipeline_partner import exceptions
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ActionType, OfferedJob
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner._protocol.results import (
    CurrentRevision,
    ExecutionDetails,
    FailureDetails,
)
from airflow_codepipeline_partner.exceptions import InvalidInput


@dataclass(frozen=True)
class Call:
    """
    One call, as it is sent and recorded, without client token and nonce.

    :param operation: AWS's name of the operation.
    :param arguments: The other arguments, in AWS's spelling, as JSON values.
    :param job: The job, or None for a poll.
    """

    operation: str
    arguments: Mapping[str, Any]
    job: OfferedJob | None = None


def poll(action_type: ActionType, max_batch_size: int, query_param: Mapping[str, str] | None = None) -> Call:
    """
    Compose a poll.

    :param action_type: What to poll for.
    :param max_batch_size: Most jobs to be offered, at least 1.
    :param query_param: What :func:`~airflow_codepipeline_partner._protocol.jobs.check_query_param` returned.
    :raises InvalidInput: The owner is ``AWS``: AWS runs these actions itself, so no worker can poll for them.

    Source: PollForThirdPartyJobs, PollForJobs, CodePipeline API 2015-07-09.
    """
    arguments: dict[str, Any] = {"actionTypeId": action_type.to_api(), "maxBatchSize": max_batch_size}
    if query_param is not None:
        arguments["queryParam"] = dict(query_param)
    return Call(action_type.dialect.poll, arguments)


def details(job: OfferedJob) -> Call:
    """
    Ask for a job's details.

    Source: GetThirdPartyJobDetails, GetJobDetails, CodePipeline API 2015-07-09.
    """
    return Call(job.dialect.details, {"jobId": job.job_id}, job)


def acknowledge(job: OfferedJob) -> Call:
    """
    Claim a job; the nonce is added when the call is sent.

    Source: AcknowledgeThirdPartyJob, AcknowledgeJob, CodePipeline API 2015-07-09.
    """
    return Call(job.dialect.acknowledge, {"jobId": job.job_id}, job)


def success(
    job: OfferedJob,
    *,
    current_revision: CurrentRevision | None = None,
    continuation_token: str | None = None,
    execution_details: ExecutionDetails | None = None,
    output_variables: Mapping[str, str] | None = None,
) -> Call:
    """
    End a job with success. With a continuation token, CodePipeline then makes a new job.

    :param job: The job.
    :param current_revision: The revision that the work made or found, or None.
    :param continuation_token: 1 to 2048 characters, or None if the action is complete.
    :param execution_details: What the console shows, or None.
    :param output_variables: Values for later actions, or None. Only for a custom job without a continuation
        token.
    :raises InvalidInput: A value does not fit.

    Source: PutThirdPartyJobSuccessResult, PutJobSuccessResult, CodePipeline API 2015-07-09.
    """
    arguments: dict[str, Any] = {"jobId": job.job_id}
    if current_revision is not None:
        arguments["currentRevision"] = current_revision.to_api()
        if current_revision.created is not None:
            # botocore reads an ISO string as a time; the record of the call is JSON.
            arguments["currentRevision"]["created"] = current_revision.created.isoformat()
    if continuation_token is not None:
        arguments["continuationToken"] = check_continuation_token(continuation_token, job_id=job.job_id)
    if execution_details is not None and (members := execution_details.to_api()):
        arguments["executionDetails"] = members
    if output_variables:
        check_output_variables_fit(job, continued=continuation_token is not None)
        arguments["outputVariables"] = dict(output_variables)
    return Call(job.dialect.success, arguments, job)


def check_output_variables_fit(job: OfferedJob, *, continued: bool) -> None:
    """
    Check that the job's success may have output variables.

    :param job: The job.
    :param continued: Whether the action goes on, with a continuation token.
    :raises InvalidInput: It may not.
    """
    if not job.dialect.takes_output_variables:
        raise InvalidInput(
            f"output_variables are for custom actions; the result of the {job}, a partner's, has none.",
            job_id=job.job_id,
        )
    if continued:
        raise InvalidInput(
            "output_variables and a continuation token exclude each other: the action's variables are those "
            "of its last job.",
            job_id=job.job_id,
        )


def check_continuation_token(token: object, *, job_id: str | None = None) -> str:
    """
    Return the continuation token if CodePipeline accepts it.

    :raises LimitExceeded: It is empty, has more than 2048 characters, or is the ``None`` that Jinja renders.
    """
    if token == "None":  # noqa: S105 - the text that Jinja makes of a missing value
        raise exceptions.LimitExceeded(
            "continuationToken is the text None, which Python and Jinja make of a missing value. Give None "
            "itself, or a template that is one expression and nothing else.",
            field="continuationToken",
            job_id=job_id,
        )
    return check_text("continuationToken", token, job_id=job_id)


def check_users_token(token: object) -> str:
    """
    Return a continuation token that a user chose.

    :raises InvalidInput: It is one by which a task waits for the next job. Put again and again, it would keep
        the action from its end.
    """
    checked = check_continuation_token(token)
    if TaskInstanceRef.from_token(checked) is not None:
        raise InvalidInput(
            "This continuationToken was made by CodePipelineContinueJobOperator or a progress sensor, and "
            "only they put it. Choose a token of your own, or none to end the action."
        )
    return checked


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
    :param external_execution_id: The id of the work in the worker's own system, or None.
    :raises InvalidInput: A value does not fit.

    Source: PutThirdPartyJobFailureResult, PutJobFailureResult, CodePipeline API 2015-07-09.
    """
    why = FailureDetails(message, failure_type, external_execution_id)
    return Call(job.dialect.failure, {"jobId": job.job_id, "failureDetails": why.to_api()}, job)


def result_of(call: Call) -> Literal["success", "continue", "failure"]:
    """Return which result a put gives the job."""
    if "failureDetails" in call.arguments:
        return "failure"
    return "continue" if "continuationToken" in call.arguments else "success"
