# SPDX-License-Identifier: Apache-2.0
"""
From an exception of the work to a failure for the customer: a failure type, and a message without a secret.

:func:`failure_of` decides by this table, and the first row that fits counts.

=====================================================================  ===================
raised                                                                 failure type
=====================================================================  ===================
``JobFailure``                                                         its own
``InvalidInput``: what the function returned cannot be sent            JobFailed
any other error of this package                                        its ``failure_type``
``PermissionError``; botocore's ``ClientError`` with a code            PermissionError
``AccessDenied…`` or ``UnauthorizedOperation``
Airflow's ``AirflowNotFoundException`` (a missing connection),         ConfigurationError
``AirflowConfigException``, ``AirflowRuntimeError`` for a missing
connection or variable
``TimeoutError``, ``ConnectionError``; those of botocore, requests     SystemUnavailable
and httpx; botocore's ``ClientError`` for throttling or with an
HTTP status of 500 or more
anything else, also ``AirflowTaskTimeout`` and a skip of Airflow       JobFailed
=====================================================================  ===================

If an ``AirflowFailException`` was raised from another exception, the other one counts. The message names
task, DAG and the exception's class. It holds the exception's text only if this package wrote all of that
text: any other text may hold a secret, and a response of AWS, which a ``CodePipelineError`` repeats, names
accounts and roles.

A task that fails before it can report records such a failure in XCom with :func:`record_failure`;
``finish_job`` reads it with :func:`recorded_failure`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
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
from airflow_codepipeline_partner._worker.records import FAILURE_KEY, readable
from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    CodePipelineError,
    CodePipelineProviderError,
    InvalidInput,
    JobFailure,
)

log = logging.getLogger(__name__)

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
    Return the failure that the customer reads for an exception of the work, by the table above.

    :param error: The exception that the work raised.
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
    Return the failure that the customer reads for an error of this package.

    :param error: The error that a task raised.
    :param dag_id: The DAG that did the work.
    :param task_id: The task that did it.
    """
    if isinstance(error, JobFailure):
        return FailureDetails(error.message, error.failure_type)
    name = type(error).__name__
    what = f": {name}: {getattr(error, 'for_customer', error)}"
    if isinstance(error, CodePipelineError):
        what = f" raised {name}."
    return FailureDetails(f"{_FAILED}: task {task_id} of DAG {dag_id}{what}", error.failure_type)


def cause_of(error: BaseException) -> BaseException:
    """Return the cause of an ``AirflowFailException``, which itself only says that no retry helps."""
    seen: list[BaseException] = []
    # An author may chain errors in a circle.
    while isinstance(error, AirflowFailException) and error.__cause__ is not None and error not in seen:
        seen.append(error)
        error = error.__cause__
    return error


def cannot_be_sent(error: BaseException) -> bool:
    """Return whether the work returned something that CodePipeline does not take, now or in a retry."""
    # A connection may be repaired between two tries.
    return isinstance(error, InvalidInput) and not isinstance(error, ClientConnectionError)


def _is_refused(error: BaseException) -> bool:
    response = ServiceError.of(error)
    return isinstance(error, PermissionError) or (response is not None and response.is_access_denied)


def _is_misconfigured(error: BaseException) -> bool:
    if isinstance(error, AirflowNotFoundException | AirflowConfigException):
        return True
    if _RUNTIME_ERROR not in class_names(error):
        return False
    kind = getattr(getattr(error, "error", None), "error", None)
    return getattr(kind, "value", None) in _MISSING


def _is_unavailable(error: BaseException) -> bool:
    if isinstance(error, TimeoutError | ConnectionError) or not _UNREACHABLE.isdisjoint(class_names(error)):
        return True
    response = ServiceError.of(error)
    return response is not None and response.is_transient


#: The rows of the table that depend only on the exception's class or error code, in their order.
_TABLE: tuple[tuple[Callable[[BaseException], bool], str], ...] = (
    (_is_refused, "PermissionError"),
    (_is_misconfigured, "ConfigurationError"),
    (_is_unavailable, "SystemUnavailable"),
)


def record_failure(error: CodePipelineProviderError) -> None:
    """
    Record the error that is about to fail the running task; without a running task, do nothing.

    :param error: The error. If it is caught and the task succeeds, nobody reads the record. If the task then
        fails with something else, the customer reads this.
    """
    from airflow.sdk import get_current_context

    try:
        ti = get_current_context()["ti"]
    except RuntimeError:
        return
    why = failure_of_ours(error, dag_id=ti.dag_id, task_id=ti.task_id)
    if isinstance(error, InvalidInput):
        # The customer is not to read what the DAG's author wrote.
        message = f"{_FAILED}: task {ti.task_id} of DAG {ti.dag_id} is set up wrong."
        why = FailureDetails(message, error.failure_type)
    try:
        RecordStore.of(ti).write(FAILURE_KEY, {"message": why.message, "type": why.type})
    except Exception as trouble:
        # This must not hide why the task fails.
        log.warning("The failure of this task is not recorded for the customer: %s.", type(trouble).__name__)


def recorded_failure(
    context: Mapping[str, Any], states: Mapping[str, Collection[str | None]]
) -> FailureDetails | None:
    """
    Return the failure that the first of the failed tasks before the running one recorded, or None.

    :param context: The running task's context.
    :param states: Task id → the states of its task instances.
    """
    own = TaskInstanceRef.of(context["ti"])
    for task_id in sorted(task_id for task_id, found in states.items() if "failed" in found):
        task = context["dag"].get_task(task_id)
        found = matching_instance(context["task"], own, task)
        if own.map_index >= 0 and (found is None or found.map_index != own.map_index):
            # It may be about other customers' jobs.
            recorded = None
        elif found is not None:
            recorded = RecordStore(found).read(FAILURE_KEY)
        else:
            # Of a mapped task: what the first of its instances recorded.
            recorded = RecordStore(replace(own, task_id=task_id, map_index=-1)).read_first(FAILURE_KEY)
        why = None if recorded is None else readable(_failure_in, recorded, task_id)
        if why is not None:
            return why
    return None


def _failure_in(recorded: Mapping[str, Any]) -> FailureDetails:
    return FailureDetails(recorded["message"], recorded["type"])


@contextmanager
def fail_without_retry_if_permanent() -> Iterator[None]:
    """Have Airflow fail the task at once if a retry cannot help."""
    try:
        yield
    except CodePipelineProviderError as error:
        if error.retryable:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error
