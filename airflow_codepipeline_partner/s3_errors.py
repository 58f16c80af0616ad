# SPDX-License-Identifier: Apache-2.0
"""What S3's refusals and silences mean, in words that name the artifact and say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_codepipeline_partner.exceptions import ArtifactError
from airflow_codepipeline_partner.protocol import PASSING_CODES

#: What S3 answers to credentials whose time is over.
EXPIRED_CODES = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")
# The answer to a HEAD has no code but its status.
_MISSING_CODES = ("404", "NoSuchKey", "NoSuchBucket")
_CHANGED_CODES = ("412", "PreconditionFailed")
_DIGEST_CODES = ("BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "InvalidDigest")
_PASSING_CODES = PASSING_CODES | {*_DIGEST_CODES, *EXPIRED_CODES}


@contextmanager
def s3_errors(about: str, where: str, advice: str, *, job_id: str | None = None) -> Iterator[None]:
    """
    Make an :class:`ArtifactError` of what goes wrong in S3.

    :param about: The beginning of its message: which artifact could not be what.
    :param where: The object, as ``s3://bucket/key``.
    :param advice: What to do where S3 does not allow it.
    :param job_id: The job.
    :raises ArtifactError: Something went wrong.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError

    try:
        yield
    except ClientError as error:
        raise _refusal(error, about, where, advice, job_id) from error
    except (BotoCoreError, Boto3Error, HTTPClientError, RetriesExceededError, S3DownloadFailedError) as error:
        cause = getattr(error, "last_exception", None) or error
        raise ArtifactError(
            f"{about}: the connection to S3 failed ({type(cause).__name__}).",
            failure_type="SystemUnavailable",
            retryable=True,
            job_id=job_id,
        ) from error


def _refusal(error: Any, about: str, where: str, advice: str, job_id: str | None) -> ArtifactError:
    code = str(error.response.get("Error", {}).get("Code") or "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    if code in _MISSING_CODES:
        return ArtifactError(
            f"{about}: there is nothing at {where}. Check that what came before made it, and that no rule of "
            "the bucket removed it.",
            job_id=job_id,
        )
    if code in _CHANGED_CODES:
        return ArtifactError(f"{about}: {where} was changed meanwhile.", retryable=True, job_id=job_id)
    if code in _PASSING_CODES or status >= 500:
        return ArtifactError(
            f"{about}: S3 answered {code}.", failure_type="SystemUnavailable", retryable=True, job_id=job_id
        )
    if status == 403 or code.startswith("KMS."):
        return ArtifactError(
            f"{about}: S3 answered {code} for {where}. {advice}",
            failure_type="PermissionError",
            job_id=job_id,
        )
    return ArtifactError(f"{about}: S3 answered {code} for {where}.", job_id=job_id)
