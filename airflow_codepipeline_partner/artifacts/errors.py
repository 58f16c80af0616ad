# SPDX-License-Identifier: Apache-2.0
"""Errors of S3 and of the disk as errors that name the artifact and say what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any

from airflow_codepipeline_partner._aws_errors import ServiceError
from airflow_codepipeline_partner._secrets import without_frames
from airflow_codepipeline_partner.exceptions import ArtifactError

#: S3's codes for expired credentials.
EXPIRED_CODES = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")
# The answer to a HEAD has no code except its status.
_MISSING_CODES = ("404", "NoSuchKey", "NoSuchBucket")
_CHANGED_CODES = ("412", "PreconditionFailed")
_DIGEST_CODES = ("BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "InvalidDigest")
#: S3's own transient errors, besides those of any service.
_TRANSIENT_S3_CODES = {
    *_DIGEST_CODES,
    *EXPIRED_CODES,
    "KMS.DependencyTimeoutException",
    "KMS.KMSInternalException",
    "KMS.KeyUnavailableException",
    "InvalidAccessKeyId",  # new credentials have not reached S3 yet
    "NoSuchUpload",  # also after a lost answer to the call that ends an upload in parts
    "OperationAborted",
    "RequestTimeTooSkewed",
}


class s3_errors(AbstractContextManager[None]):
    """
    Raise an :class:`ArtifactError` for what goes wrong in S3.

    No frame of boto3 leaves with an error, since it holds the credentials of the call. A generator could not
    see to that: contextlib gives an error its frames back.

    :param about: The beginning of its message, such as ``The artifact Source could not be downloaded``.
    :param where: The object, as ``s3://bucket/key``.
    :param advice: What to do if S3 denies access.
    :param job_id: The job.
    :param for_customer: The message for the customer. If None, the error's own message is used.
    :raises ArtifactError: Something went wrong.
    """

    def __init__(
        self,
        about: str,
        where: str,
        advice: str,
        *,
        job_id: str | None = None,
        for_customer: str | None = None,
    ) -> None:
        self._about = about
        self._where = where
        self._advice = advice
        self._named: dict[str, Any] = {"job_id": job_id, "for_customer": for_customer}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        without_frames(error)
        failure = self._failure_for(error)
        if failure is not None:
            raise failure from error

    def _failure_for(self, error: BaseException) -> ArtifactError | None:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectionError,
            CredentialRetrievalError,
            FlexibleChecksumError,
            HTTPClientError,
            IncompleteReadError,
            MetadataRetrievalError,
            NoCredentialsError,
        )
        from s3transfer import exceptions as transfer_errors
        from s3transfer.exceptions import RetriesExceededError

        # The oldest s3transfer that we allow does not have it.
        changed = getattr(transfer_errors, "S3DownloadFailedError", RetriesExceededError)
        if isinstance(error, ClientError):
            return self._failure_for_answer(error)
        if isinstance(error, ConnectionError | HTTPClientError | IncompleteReadError | RetriesExceededError):
            cause = getattr(error, "last_exception", None) or error
            return self._passing(f"the connection to S3 failed ({type(cause).__name__}).")
        if isinstance(error, FlexibleChecksumError):
            return self._passing("the content does not match S3's checksum.")
        if isinstance(error, changed):
            return self._passing(f"{self._where} changed during the transfer.")
        if not isinstance(error, BotoCoreError | Boto3Error):
            return None
        # The source of the worker's credentials may be unreachable for a moment.
        passing = CredentialRetrievalError | MetadataRetrievalError | NoCredentialsError
        return ArtifactError(
            f"{self._about}: S3 could not be called ({type(error).__name__}).",
            **self._named,
            failure_type="ConfigurationError",
            retryable=isinstance(error, passing),
        )

    def _failure_for_answer(self, error: Exception) -> ArtifactError:
        answer = ServiceError.of(error)
        assert answer is not None  # noqa: S101 - it is a ClientError
        code = answer.code
        if code in _MISSING_CODES:
            return self._lasting(
                f"there is nothing at {self._where}. Check that an earlier action made it, and that no "
                "lifecycle rule of the bucket removed it."
            )
        if code in _CHANGED_CODES:
            return self._passing(f"{self._where} changed during the transfer.")
        if code in _TRANSIENT_S3_CODES or answer.is_transient:
            return self._passing(f"S3 answered {code}.")
        if answer.status == 403 or code.startswith("KMS."):
            why = (
                f"S3 answered {code} for {self._where}, as it also does for a missing object. {self._advice}"
            )
            return self._lasting(why, failure_type="PermissionError")
        return self._lasting(f"S3 answered {code} for {self._where}.")

    def _lasting(self, why: str, **more: Any) -> ArtifactError:
        return ArtifactError(f"{self._about}: {why}", **self._named, **more)

    def _passing(self, why: str) -> ArtifactError:
        return self._lasting(why, failure_type="SystemUnavailable", retryable=True)


@contextmanager
def disk_errors(artifact: str, what: str) -> Iterator[None]:
    """
    Raise an :class:`ArtifactError` for an error of the disk.

    :param artifact: The artifact's name.
    :param what: What could not be done with it, such as ``unpacked``.
    :raises ArtifactError: The disk failed. A retry, perhaps on another worker, may succeed.
    """
    try:
        yield
    except OSError as error:
        why = type(error).__name__ if error.errno is None else os.strerror(error.errno)
        raise ArtifactError(
            f"The artifact {artifact} could not be {what} on the worker: {why}.",
            failure_type="SystemUnavailable",
            retryable=True,
        ) from error
