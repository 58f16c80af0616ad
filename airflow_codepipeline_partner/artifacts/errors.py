# SPDX-License-Identifier: Apache-2.0
"""What S3's refusals and silences mean, in words that name the artifact and say what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_codepipeline_partner._aws_errors import ServiceError
from airflow_codepipeline_partner.exceptions import ArtifactError

#: What S3 answers to credentials whose time is over.
EXPIRED_CODES = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")
# The answer to a HEAD has no code but its status.
_MISSING_CODES = ("404", "NoSuchKey", "NoSuchBucket")
_CHANGED_CODES = ("412", "PreconditionFailed")
_DIGEST_CODES = ("BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "InvalidDigest")
#: What may pass by itself, beside what may for any service.
_TRANSIENT_S3_CODES = {
    *_DIGEST_CODES,
    *EXPIRED_CODES,
    "KMS.DependencyTimeoutException",
    "KMS.KMSInternalException",
    "KMS.KeyUnavailableException",
    "InvalidAccessKeyId",  # S3 has not heard of the new credentials yet
    "OperationAborted",
    "RequestTimeTooSkewed",
}


@contextmanager
def s3_errors(
    about: str, where: str, advice: str, *, job_id: str | None = None, for_customer: str | None = None
) -> Iterator[None]:
    """
    Make an :class:`ArtifactError` of what goes wrong in S3.

    :param about: The beginning of its message: which artifact could not be what.
    :param where: The object, as ``s3://bucket/key``.
    :param advice: What to do where S3 does not allow it.
    :param job_id: The job.
    :param for_customer: What the customer reads; None takes the message.
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

    # The oldest s3transfer that is allowed does not have it.
    changed = getattr(transfer_errors, "S3DownloadFailedError", RetriesExceededError)
    named: dict[str, Any] = {"job_id": job_id, "for_customer": for_customer}
    passing = {**named, "failure_type": "SystemUnavailable", "retryable": True}
    try:
        yield
    except ClientError as error:
        answer = ServiceError.of(error)
        assert answer is not None  # noqa: S101 - it is a ClientError
        code = answer.code
        if code in _MISSING_CODES:
            why = (
                f"there is nothing at {where}. Check that what came before made it, and that no rule of the "
                "bucket removed it."
            )
        elif code in _CHANGED_CODES:
            why, named = f"{where} was changed meanwhile.", passing
        elif code in _TRANSIENT_S3_CODES or answer.is_transient:
            why, named = f"S3 answered {code}.", passing
        elif answer.status == 403 or code.startswith("KMS."):
            why = f"S3 answered {code} for {where}; so it does, too, where there is nothing. {advice}"
            named["failure_type"] = "PermissionError"
        else:
            why = f"S3 answered {code} for {where}."
        raise ArtifactError(f"{about}: {why}", **named) from error
    except (ConnectionError, HTTPClientError, IncompleteReadError, RetriesExceededError) as error:
        cause = getattr(error, "last_exception", None) or error
        raise ArtifactError(
            f"{about}: the connection to S3 failed ({type(cause).__name__}).", **passing
        ) from error
    except FlexibleChecksumError as error:
        raise ArtifactError(f"{about}: what arrived has not the checksum that S3 told.", **passing) from error
    except changed as error:
        raise ArtifactError(f"{about}: {where} was changed meanwhile.", **passing) from error
    except (BotoCoreError, Boto3Error) as error:
        named["failure_type"] = "ConfigurationError"
        # The worker's role may be out of reach for a moment.
        named["retryable"] = isinstance(
            error, CredentialRetrievalError | MetadataRetrievalError | NoCredentialsError
        )
        raise ArtifactError(f"{about}: S3 could not be asked ({type(error).__name__}).", **named) from error


@contextmanager
def disk_errors(artifact: str, what: str) -> Iterator[None]:
    """
    Have the disk's errors name the artifact, and what could not be done with it.

    :param artifact: The artifact's name.
    :param what: What was to be done with it: ``unpacked``.
    :raises ArtifactError: The disk did not let it; another worker's, or the same later, may.
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
