# SPDX-License-Identifier: Apache-2.0
"""Reads botocore's errors: code, status, message, and whether they may pass by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

#: The service refused before it acted, so that the same call may be sent again.
TRANSIENT_ERROR_CODES = frozenset(
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
#: The service broke, and may have acted before; some services send these with a status below 500.
_SERVER_FAULT_CODES = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    }
)
#: How the codes begin that say what the credentials may not do.
_ACCESS_DENIED_CODES = ("AccessDenied", "NotAuthorized", "UnauthorizedOperation")
#: By name: nothing is imported that the work has not imported itself.
_CLIENT_ERROR = "botocore.exceptions.ClientError"


@dataclass(frozen=True)
class ServiceError:
    """
    An error that an AWS service answered with.

    :param code: Its code, such as ``ThrottlingException``. If the answer has none, botocore puts the HTTP
        status there.
    :param status: The HTTP status, or 0.
    :param message: What the service says. It may quote the request, secrets included.
    :param operation: The operation that was called.
    """

    code: str
    status: int
    message: str
    operation: str

    @classmethod
    def of(cls, error: BaseException) -> Self | None:
        """Return what a botocore ``ClientError`` holds; None for any other error."""
        if _CLIENT_ERROR not in class_names(error):
            return None
        response: Mapping[str, Any] = getattr(error, "response", None) or {}
        answer = response.get("Error") or {}
        return cls(
            code=str(answer.get("Code") or ""),
            status=int((response.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0),
            message=str(answer.get("Message") or ""),
            operation=str(getattr(error, "operation_name", "")),
        )

    @property
    def was_not_carried_out(self) -> bool:
        """Whether the service refused before it acted, because of load for instance."""
        return self.code in TRANSIENT_ERROR_CODES or self.status == 429

    @property
    def is_transient(self) -> bool:
        """Whether it may pass by itself, whether the service acted or not."""
        return self.was_not_carried_out or self.code in _SERVER_FAULT_CODES or self.status >= 500

    @property
    def is_access_denied(self) -> bool:
        """Whether the credentials are known and may not do this."""
        return is_access_denied(self.code)


def is_access_denied(code: str) -> bool:
    """Return whether an error's code says that the credentials may not do this."""
    return code.startswith(_ACCESS_DENIED_CODES)


def class_names(error: BaseException) -> set[str]:
    """Return the qualified names of an error's classes."""
    return {f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__}
