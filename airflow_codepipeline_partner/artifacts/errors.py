# SPDX-License-Identifier: Apache-2.0
"""Errors of S3 and of the disk as errors that name the artifact and say what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_codepipeline_partner._aws_errors import ServiceError
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


@contextmanager
def s3_errors(
    about: str, where: str, advice: str, *, job_id: str | None = None, for_customer: str | None = None
) -> Iterator[None]:
    """
    Raise an :class:`ArtifactError` for what goes wrong in S3.

    :param about: The beginning of its message, such as ``The artifact Source could not be downloaded``.
    :param where: The object, as ``s3://bucket/key``.
    :param advice: What to do if S3 denies access.
    :param job_id: The job.
    :param for_customer: The message for the customer. If None, the error's own message is used.
    :raises ArtifactError: Something went wrong.
    """
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
    named: dict[str, Any] = {"job_id": job_id, "for_customer": for_customer}
    transient = {**named, "failure_type": "SystemUnavailable", "retryable": True}
    try:
        yield
    except ClientError as error:
        answer = ServiceError.of(error)
        assert answer is not None  # noqa: S101 - it is a ClientError
        code = answer.code
        if code in _MISSING_CODES:
            why = (
                f"there is nothing at {where}. Check that an earlier action made it, and that no lifecycle "
                "rule of the bucket removed it."
            )
        elif code in _CHANGED_CODES:
            why, named = f"{where} changed during the transfer.", transient
        elif code in _TRANSIENT_S3_CODES or answer.is_transient:
            why, named = f"S3 answered {code}.", transient
        elif answer.status == 403 or code.startswith("KMS."):
            why = f"S3 answered {code} for {where}, as it also does for a missing object. {advice}"
            named["failure_type"] = "PermissionError"
        else:
            why = f"S3 answered {code} for {where}."
        raise ArtifactError(f"{about}: {why}", **named) from error
    except (ConnectionError, HTTPClientError, IncompleteReadError, RetriesExceededError) as error:
        cause = getattr(error, "last_exception", None) or error
        raise ArtifactError(
            f"{about}: the connection to S3 failed ({type(cause).__name__}).", **transient
        ) from error
    except FlexibleChecksumError as error:
        raise ArtifactError(f"{about}: the content does not match S3's checksum.", **transient) from error
    except changed as error:
        raise ArtifactError(f"{about}: {where} changed during the transfer.", **transient) from error
    except (BotoCoreError, Boto3Error) as error:
        named["failure_type"] = "ConfigurationError"
        # The source of the worker's credentials may be unreachable for a moment.
        named["retryable"] = isinstance(
            error, CredentialRetrievalError | MetadataRetrievalError | NoCredentialsError
        )
        raise ArtifactError(f"{about}: S3 could not be called ({type(error).__name__}).", **named) from error


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
