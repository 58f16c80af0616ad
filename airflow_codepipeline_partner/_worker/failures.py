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

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_codepipeline_partner._aws_errors import ServiceError, class_names
from airflow_codepipeline_partner._compat import (
    AirflowConfigException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowTaskTimeout,
    ends_task_otherwise,
)
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.results import FailureDetails
from airflow_codepipeline_partner._worker.dag import matching_instance
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    CodePipelineError,
    CodePipelineProviderError,
    InvalidInput,
    JobFailure,
)

_FAILED = "The work of this action failed in Airflow"
_MISSING = {"CONNECTION_NOT_FOUND", "VARIABLE_NOT_FOUND"}
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
    if isinstance(error, CodePipelineProviderError):
        return failure_of_ours(error, dag_id=dag_id, task_id=task_id)
    if isinstance(error, AirflowTaskTimeout):
        return FailureDetails(f"{_FAILED}: {who} ran into its time limit.")
    if ends_task_otherwise(error):
        how = "was skipped" if name == "AirflowSkipException" else f"was left unfinished ({name})"
        return FailureDetails(f"The work of this action {how} in Airflow: {who}.")
    kind = next((kind for fits, kind in _TABLE if fits(error)), "JobFailed")
    return FailureDetails(f"{_FAILED}: {who} raised {name}.", kind)


def failure_of_ours(error: CodePipelineProviderError, *, dag_id: str, task_id: str) -> FailureDetails:
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
    answer = ServiceError.of(error)
    return isinstance(error, PermissionError) or (answer is not None and answer.is_access_denied)


def _is_misconfigured(error: BaseException) -> bool:
    if isinstance(error, AirflowNotFoundException | AirflowConfigException):
        return True
    if _RUNTIME_ERROR not in class_names(error):
        return False
    told = getattr(getattr(error, "error", None), "error", None)
    return getattr(told, "value", None) in _MISSING


def _is_unavailable(error: BaseException) -> bool:
    if isinstance(error, TimeoutError | ConnectionError) or not _UNREACHABLE.isdisjoint(class_names(error)):
        return True
    answer = ServiceError.of(error)
    return answer is not None and answer.is_transient


#: The lines of the table that tell by what an exception is, in their order.
_TABLE: tuple[tuple[Callable[[BaseException], bool], str], ...] = (
    (_is_refused, "PermissionError"),
    (_is_misconfigured, "ConfigurationError"),
    (_is_unavailable, "SystemUnavailable"),
)


log = logging.getLogger(__name__)


#: XCom key of what a failed task tells: ``message`` and ``type``, as in the failure result.
FAILURE_KEY = "codepipeline_failure"


def record_failure(error: CodePipelineProviderError) -> None:
    """
    Write down what is about to fail the running task; without a running task, do nothing.

    :param error: What is about to fail it. Where it is caught and the task succeeds, nobody reads it; where
        the task then fails of something else, the customer reads this.
    """
    from airflow.sdk import get_current_context

    try:
        ti = get_current_context()["ti"]
    except RuntimeError:
        return
    why = failure_of_ours(error, dag_id=ti.dag_id, task_id=ti.task_id)
    if isinstance(error, InvalidInput):
        # What the DAG's author wrote is no business of the customer's.
        who = f"task {ti.task_id} of DAG {ti.dag_id}"
        message = f"The work of this action failed in Airflow: {who} is set up wrong."
        why = FailureDetails(message, error.failure_type)
    try:
        RecordStore.of(ti).write(FAILURE_KEY, {"message": why.message, "type": why.type})
    except Exception as trouble:
        # It must not hide why the task fails.
        log.warning("What failed this task is not told to the customer: %s.", type(trouble).__name__)


def recorded_failure(
    context: Mapping[str, Any], states: Mapping[str, Collection[str | None]]
) -> FailureDetails | None:
    """
    Return what the first of the failed tasks before the running one told, or None.

    :param context: The running task's context.
    :param states: Task id → the states of its task instances.
    """
    own = TaskInstanceRef.of(context["ti"])
    for task_id in sorted(task_id for task_id, found in states.items() if "failed" in found):
        found = matching_instance(context["task"], own, context["dag"].get_task(task_id))
        told = RecordStore(found).read(FAILURE_KEY) if found else None
        if isinstance(told, Mapping):
            return FailureDetails(told["message"], told["type"])
    return None


@contextmanager
def fail_without_retry_if_permanent() -> Iterator[None]:
    """Have Airflow fail the task at once where trying the same again cannot help."""
    try:
        yield
    except CodePipelineProviderError as error:
        if error.retryable:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
