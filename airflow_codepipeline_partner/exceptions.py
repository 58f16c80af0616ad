# SPDX-License-Identifier: Apache-2.0
"""
The errors of this package.

::

    CodePipelineProviderError
    ├── JobFailure                raised by your work: it failed, and why
    ├── InvalidInput              this package refused a value; nothing was called
    │   ├── LimitExceeded         a field is over (or under) a limit of the API
    │   ├── InvalidJobReference   the value given as ``job`` does not name a job
    │   └── ClientConnectionError no usable Airflow connection for a client id
    ├── ArtifactError             an artifact could not be found, read, packed or uploaded
    │   └── UnsafeArchive         the archive, or an entry of it, is refused
    └── CodePipelineError         CodePipeline refused the call, or did not answer
        ├── ActionTypeNotFound    no such action type, or not for this account and region
        ├── JobNotFound           the job id is unknown
        ├── InvalidClientToken    the client token does not belong to the job's client
        ├── InvalidNonce          the nonce is spent or no longer valid; ``claim()`` handles this error
        ├── JobNotInProgress      the job accepts no result: it ended, timed out, or is not claimed
        ├── NextJobNotOffered     the next job of an action did not come
        ├── PipelineNotFound      no such pipeline, or no such execution of it, in this account and region
        ├── ExecutionNotSucceeded the execution of a pipeline has ended, and not with success
        ├── RequestRefused        any other refusal (permissions, validation)
        └── ServiceUnavailable    no answer within the deadline

Losing a job to another worker is an outcome, not an error, so it has no class here.
No message holds a client token, a nonce, a credential or a configuration value.
"""

from __future__ import annotations

from typing import Any

from airflow_codepipeline_partner._limit_checks import fit_text

__all__ = [
    "ActionTypeNotFound",
    "ArtifactError",
    "ClientConnectionError",
    "CodePipelineError",
    "CodePipelineProviderError",
    "ExecutionNotSucceeded",
    "InvalidClientToken",
    "InvalidInput",
    "InvalidJobReference",
    "InvalidNonce",
    "JobFailure",
    "JobNotFound",
    "JobNotInProgress",
    "LimitExceeded",
    "NextJobNotOffered",
    "PipelineNotFound",
    "RequestRefused",
    "ServiceUnavailable",
    "UnsafeArchive",
]

#: The request itself is wrong, as the service says, or botocore before it.
_INVALID_CODES = (
    "ActionNotFoundException",
    "ApprovalAlreadyCompletedException",
    "ConditionNotOverridableException",
    "DuplicatedStopRequestException",
    "InvalidApprovalTokenException",
    "NotLatestPipelineExecutionException",
    "OutputVariablesSizeExceededException",
    "ParamValidationError",
    "PipelineExecutionNotStoppableException",
    "PipelineExecutionOutdatedException",
    "StageNotFoundException",
    "StageNotRetryableException",
    "UnableToRollbackStageException",
    "ValidationException",
)


class CodePipelineProviderError(Exception):
    """
    The root of all errors of this package.

    :param message: What happened, to which job, and what to do. It holds no secret.
    :param job_id: The job that the error is about, or None.
    """

    #: The CodePipeline failure type of a job that ends because of this error.
    failure_type: str = "JobFailed"
    #: Whether the same call may succeed later, so that a retry of the task makes sense.
    retryable: bool = False
    #: Whether the call may have been carried out although no answer came.
    in_doubt: bool = False

    def __init__(self, message: str, *, job_id: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.job_id = job_id
        self._facts = facts

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the arguments of the constructor, keywords included."""
        return _rebuild, (type(self), self.message, {"job_id": self.job_id, **self._facts})


def _rebuild(
    cls: type[CodePipelineProviderError], message: str, facts: dict[str, Any]
) -> CodePipelineProviderError:
    return cls(message, **facts)


def described(error: CodePipelineProviderError) -> str:
    """Return an error as the text in a trigger's event."""
    return f"{type(error).__name__}: {error}"


def from_description(text: str) -> CodePipelineProviderError:
    """Return the error from the text that :func:`described` made; a plain one if its type is not known."""
    name, _, message = text.partition(": ")
    kind = globals().get(name)
    if isinstance(kind, type) and issubclass(kind, CodePipelineProviderError):
        return kind(message)
    return CodePipelineError(text)


class JobFailure(CodePipelineProviderError):
    """
    Raise this to choose the failure message for the customer.

    It works in a ``@task.codepipeline_job`` function and inside a ``with Workspace(…)``. In any other task,
    only its class and text appear in Airflow's log. Airflow retries the task as for any exception. If no
    retry can help, raise Airflow's ``AirflowFailException`` from it.

    :param message: What went wrong and what to do, for the customer. It is cut to 5000 characters. It must
        hold no secret.
    :param failure_type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
        RevisionUnavailable, SystemUnavailable.
    :raises LimitExceeded: The message is not a string, or the failure type is not in this list.
    """

    def __init__(
        self, message: str, failure_type: str = "JobFailed", *, job_id: str | None = None, **facts: Any
    ) -> None:
        failure_type = _fitting("failureDetails.type", failure_type, job_id)
        message = _fitting("failureDetails.message", message, job_id)
        super().__init__(message, job_id=job_id, failure_type=failure_type, **facts)
        self.failure_type = failure_type


def _fitting(field: str, value: object, job_id: str | None) -> str:
    text, fault = fit_text(field, value)
    if text is None:
        raise LimitExceeded(f"{field} {fault}", field=field, job_id=job_id)
    return text


class InvalidInput(CodePipelineProviderError, ValueError):
    """A value cannot be sent. Nothing was called."""

    failure_type = "ConfigurationError"

    def name_task(self, task: str) -> None:
        """Name the task whose parameter is wrong at the start of the message, once."""
        if task not in self.message:
            self.message = f"{task}: {self.message}"
            self.args = (self.message,)


class LimitExceeded(InvalidInput):
    """
    A field breaks a limit of the CodePipeline API.

    :param field: The name of the field in AWS's spelling, with the structure that it belongs to.
    """

    def __init__(self, message: str, *, field: str = "", job_id: str | None = None, **facts: Any) -> None:
        super().__init__(message, job_id=job_id, field=field, **facts)
        self.field = field


class InvalidJobReference(InvalidInput):
    """The value given as a job does not name a job."""


class ClientConnectionError(InvalidInput):
    """
    No usable Airflow connection holds the client token of a client id.

    :param conn_id: The connection id that was looked up.
    """

    def __init__(self, message: str, *, conn_id: str = "", job_id: str | None = None, **facts: Any) -> None:
        super().__init__(message, job_id=job_id, conn_id=conn_id, **facts)
        self.conn_id = conn_id


class ArtifactError(CodePipelineProviderError):
    """
    An artifact of a job could not be found, read, packed or uploaded. Nothing half-done is left.

    :param failure_type: The failure type of a job that ends because of this error.
    :param retryable: Whether the same call may succeed later.
    :param for_customer: The message for the customer. If None, ``message`` is used.
    """

    def __init__(
        self,
        message: str,
        *,
        failure_type: str = "JobFailed",
        retryable: bool = False,
        for_customer: str | None = None,
        job_id: str | None = None,
        **facts: Any,
    ) -> None:
        given = {"failure_type": failure_type, "retryable": retryable, "for_customer": for_customer}
        super().__init__(message, job_id=job_id, **given, **facts)
        self.failure_type = failure_type
        self.retryable = retryable
        self.for_customer = for_customer or message


class UnsafeArchive(ArtifactError):
    """An archive could do harm, or exceeds the limits. Nothing of it was unpacked."""


class CodePipelineError(CodePipelineProviderError):
    """
    CodePipeline refused a call, or did not answer it.

    :param code: The error code of the service, or the kind of transport error.
    :param in_doubt: Whether an attempt of the same call may have been carried out although no answer came.
    """

    failure_type = "SystemUnavailable"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        in_doubt: bool = False,
        job_id: str | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, job_id=job_id, code=code, in_doubt=in_doubt, **facts)
        self.code = code
        self.in_doubt = in_doubt


class ActionTypeNotFound(CodePipelineError):
    """CodePipeline does not know the action type in this account and region."""

    failure_type = "ConfigurationError"


class JobNotFound(CodePipelineError):
    """CodePipeline does not know the job, or has forgotten it."""


class InvalidClientToken(CodePipelineError):
    """The client token does not belong to the job's client, even after a second look-up."""

    failure_type = "PermissionError"
    # The customer's new token may be stored only a moment after it was rotated.
    retryable = True


class JobNotInProgress(CodePipelineError):
    """The job accepts no result: it has ended, timed out, or is not acknowledged."""


class InvalidNonce(CodePipelineError):
    """
    The nonce is spent or no longer valid.

    ``claim()`` handles this error: the claim is then lost, or unknown if an answer was lost before.
    """


class NextJobNotOffered(CodePipelineError):
    """The next job of an action was not offered in time."""


class PipelineNotFound(CodePipelineError):
    """CodePipeline does not know the pipeline, or this execution of it, in this account and region."""

    failure_type = "ConfigurationError"


class ExecutionNotSucceeded(CodePipelineError):
    """
    The execution of a pipeline has ended, and not with success.

    :param status: ``Failed``, ``Stopped``, ``Superseded`` or ``Cancelled``.
    :param code: The error code of the action that failed, such as ``JobFailed``, or an empty string.
    """

    failure_type = "JobFailed"

    def __init__(self, message: str, *, status: str = "", code: str = "", **facts: Any) -> None:
        super().__init__(message, code=code, status=status, **facts)
        self.status = status
        # Somebody may retry its stage, and it may go on after a task has lost patience.
        self.retryable = status in ("Failed", "InProgress")


class RequestRefused(CodePipelineError):
    """
    CodePipeline refused the request for a reason that has no class of its own.

    It is ``retryable``, because somebody may fix the credentials or permissions meanwhile. An invalid request
    is not retryable.
    """

    retryable = True

    def __init__(self, message: str, *, code: str = "", **facts: Any) -> None:
        super().__init__(message, code=code, **facts)
        self.retryable = code not in _INVALID_CODES


class ServiceUnavailable(CodePipelineError):
    """Until the deadline, every attempt was throttled, failed or got no answer."""

    retryable = True
