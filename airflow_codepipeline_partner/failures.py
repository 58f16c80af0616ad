# SPDX-License-Identifier: Apache-2.0
"""
What an exception of the work tells the customer: a failure type, and a message without a secret.

=====================================================================  ===================
raised                                                                 failure type
=====================================================================  ===================
``JobFailure``                                                         its own
``InvalidInput``: what the function gave cannot be sent                JobFailed
any other error of this package                                        its ``failure_type``
``PermissionError``; botocore's ``ClientError`` with a code            PermissionError
``AccessDenied…`` or ``UnauthorizedOperation``
Airflow's ``AirflowNotFoundException`` (a missing connection),         ConfigurationError
``AirflowConfigException``, ``AirflowRuntimeError`` for a missing
connection or variable
``TimeoutError``, ``ConnectionError``; those of botocore, requests     SystemUnavailable
and httpx; botocore's ``ClientError`` that tells of throttling or
has a status from 500 on
anything else, with Airflow's ``AirflowTaskTimeout`` and a skip        JobFailed
=====================================================================  ===================

Of an ``AirflowFailException`` that was raised from another exception, that one counts. The message names
task, DAG and the exception's class. Its text is only told of errors that this package words itself: any other
may hold anything, and an answer of AWS, which a ``CodePipelineError`` repeats, names accounts and roles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_codepipeline_partner._compat import (
    AirflowConfigException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowTaskTimeout,
    ends_task_otherwise,
)
from airflow_codepipeline_partner.answers import PASSING_CODES
from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    CodePipelineError,
    CodePipelinePartnerError,
    InvalidInput,
    JobFailure,
)
from airflow_codepipeline_partner.jobs import FailureDetails

_FAILED = "The work of this action failed in Airflow"
_REFUSING_CODES = ("AccessDenied", "UnauthorizedOperation")
_MISSING = {"CONNECTION_NOT_FOUND", "VARIABLE_NOT_FOUND"}
#: By name, so that no library is imported for it that the work has not imported itself.
_CLIENT_ERROR = "botocore.exceptions.ClientError"
_RUNTIME_ERROR = "airflow.sdk.exceptions.AirflowRuntimeError"
_UNREACHABLE = {
    "botocore.exceptions.ConnectTimeoutError",
    "botocore.exceptions.ConnectionClosedError",
    "botocore.exceptions.EndpointConnectionError",
    "botocore.exceptions.ProxyConnectionError",
    "botocore.exceptions.ReadTimeoutError",
    "httpx.TransportError",
    "requests.exceptions.ConnectionError",
    "requests.exceptions.Timeout",
}


def failure_of(error: BaseException, *, dag_id: str, task_id: str) -> FailureDetails:
    """
    Return what an exception of the work tells the customer, by the table above.

    :param error: What the work raised.
    :param dag_id: The DAG that did the work.
    :param task_id: The task that did it.
    """
    error = cause_of(error)
    who = f"task {task_id} of DAG {dag_id}"
    name = type(error).__name__
    if cannot_be_sent(error):
        return FailureDetails(f"{_FAILED}: {who} gave a result that cannot be sent: {error}")
    if isinstance(error, CodePipelinePartnerError):
        return failure_of_ours(error, dag_id=dag_id, task_id=task_id)
    if isinstance(error, AirflowTaskTimeout):
        return FailureDetails(f"{_FAILED}: {who} ran into its time limit.")
    if ends_task_otherwise(error):
        how = "was skipped" if name == "AirflowSkipException" else f"was left unfinished ({name})"
        return FailureDetails(f"The work of this action {how} in Airflow: {who}.")
    kind = next((kind for fits, kind in _TABLE if fits(error)), "JobFailed")
    return FailureDetails(f"{_FAILED}: {who} raised {name}.", kind)


def failure_of_ours(error: CodePipelinePartnerError, *, dag_id: str, task_id: str) -> FailureDetails:
    """
    Return what an error of this package tells the customer.

    :param error: What a task raised.
    :param dag_id: The DAG that did the work.
    :param task_id: The task that did it.
    """
    if isinstance(error, JobFailure):
        return FailureDetails(error.message, error.failure_type)
    name = type(error).__name__
    told = f": {name}: {getattr(error, 'for_customer', error)}"
    if isinstance(error, CodePipelineError):
        told = f" raised {name}."
    return FailureDetails(f"{_FAILED}: task {task_id} of DAG {dag_id}{told}", error.failure_type)


def cause_of(error: BaseException) -> BaseException:
    """Return what is behind an ``AirflowFailException``, which only says that no retry helps."""
    while isinstance(error, AirflowFailException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def cannot_be_sent(error: BaseException) -> bool:
    """Tell whether the work gave something that CodePipeline does not take, and so would again."""
    # A connection may be mended between two tries.
    return isinstance(error, InvalidInput) and not isinstance(error, ClientConnectionError)


def _is_refused(error: BaseException) -> bool:
    return isinstance(error, PermissionError) or _code_of(error).startswith(_REFUSING_CODES)


def _is_misconfigured(error: BaseException) -> bool:
    if isinstance(error, AirflowNotFoundException | AirflowConfigException):
        return True
    if _RUNTIME_ERROR not in _names_of(error):
        return False
    told = getattr(getattr(error, "error", None), "error", None)
    return getattr(told, "value", None) in _MISSING


def _is_unavailable(error: BaseException) -> bool:
    if isinstance(error, TimeoutError | ConnectionError) or not _UNREACHABLE.isdisjoint(_names_of(error)):
        return True
    return _code_of(error) in PASSING_CODES or _status_of(error) >= 500


#: The lines of the table that tell by what an exception is, in their order.
_TABLE: tuple[tuple[Callable[[BaseException], bool], str], ...] = (
    (_is_refused, "PermissionError"),
    (_is_misconfigured, "ConfigurationError"),
    (_is_unavailable, "SystemUnavailable"),
)


def _code_of(error: BaseException) -> str:
    """Return the code of a botocore ``ClientError``, or an empty text for any other error."""
    return str(_answer_of(error).get("Error", {}).get("Code", ""))


def _status_of(error: BaseException) -> int:
    return int(_answer_of(error).get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def _answer_of(error: BaseException) -> Mapping[str, Any]:
    return getattr(error, "response", {}) if _CLIENT_ERROR in _names_of(error) else {}


def _names_of(error: BaseException) -> set[str]:
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__}
