# SPDX-License-Identifier: Apache-2.0
"""
A job's artifacts in S3: as files, by boto3's transfer manager, or as streams.

No artifact is held in memory as a whole, and no partial file is left.
"""

from __future__ import annotations

import base64
import logging
import os
import zlib
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_codepipeline_partner import _spans
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.job_details import Artifact, JobDetails
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.parsing import read_mapping
from airflow_codepipeline_partner._worker.output_artifacts import record_uploads
from airflow_codepipeline_partner.artifacts.credentials import JobCredentials, make_client
from airflow_codepipeline_partner.artifacts.errors import disk_errors, s3_errors
from airflow_codepipeline_partner.artifacts.formats import CHUNK_BYTES
from airflow_codepipeline_partner.artifacts.transfer import (
    CountedStream,
    ResumedStream,
    TransferLog,
    subscribers_of,
    transfer_manager,
)
from airflow_codepipeline_partner.exceptions import ArtifactError

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook


log = logging.getLogger(__name__)


class JobStorage:
    """
    The artifacts of one job.

    :param hook: The hook that requests the job's details.
    :param job: The job, as the hook's methods take it; or, in a run that was started as a step of a pipeline,
        ``codepipeline`` of its conf.

    Source: GetThirdPartyJobDetails, CodePipeline API 2015-07-09; GetObject, PutObject, UploadPart,
    S3 API 2006-03-01.
    """

    def __init__(self, hook: CodePipelineHook, job: object) -> None:
        self.hook = hook
        self.job = OfferedJob.from_value(job)
        self._credentials = JobCredentials(hook, self.job, claimed_by=_claimed_by(job))
        self._uploaded: set[str] = set()

    @cached_property
    def client(self) -> Any:
        """The S3 client, which signs with the job's credentials only."""
        return make_client(self.hook, self._credentials)

    def close(self, *, has_failed: bool = False) -> None:
        """
        Close the connections to S3, and record what the running task has uploaded.

        :param has_failed: Whether the task is about to fail anyway; then no other error hides that.
        :raises ArtifactError: It could not be recorded; see :func:`record_uploads`.
        """
        client = self.__dict__.pop("client", None)
        if client is not None:
            client.close()
        uploaded, self._uploaded = self._uploaded, set()
        if not uploaded:
            return
        try:
            record_uploads(self.job.job_id, uploaded)
        except ArtifactError as error:
            if not has_failed:
                raise
            log.warning("%s", error)

    @property
    def _details(self) -> JobDetails:
        return self._credentials.details

    @property
    def inputs(self) -> tuple[Artifact, ...]:
        """The action's input artifacts."""
        return self._details.input_artifacts

    @property
    def outputs(self) -> tuple[Artifact, ...]:
        """The action's output artifacts, which are yet to be uploaded."""
        return self._details.output_artifacts

    @property
    def claimed_job(self) -> ClaimedJob:
        """The job, with the names that its details have."""
        return ClaimedJob.from_details(self.job, self._details)

    def find_input(self, name: str | None = None) -> Artifact:
        """
        Return an input artifact.

        :param name: The artifact's name. If None, the only input artifact is used.
        :raises ArtifactError: The job does not have exactly one such artifact, or its location is missing.
        """
        return self._find(self.inputs, name, "input")

    def find_output(self, name: str | None = None) -> Artifact:
        """
        Return an output artifact.

        :param name: The artifact's name. If None, the only output artifact is used.
        :raises ArtifactError: The job does not have exactly one such artifact, or its location is missing.
        """
        return self._find(self.outputs, name, "output")

    def _find(self, artifacts: tuple[Artifact, ...], name: str | None, kind: str) -> Artifact:
        found = [artifact for artifact in artifacts if name in (None, artifact.name)]
        there_are = ", ".join(artifact.name for artifact in artifacts) or "none"
        if len(found) != 1:
            what = f"{kind} artifact" + ("" if name is None else f" {str(name)[:100]!r}")
            how = "no" if not found else "more than one" if name is None else f"{len(found)} times the"
            raise ArtifactError(
                f"Job {self.job.job_id} has {how} {what}; its {kind} artifacts: {there_are}. Check the "
                f"action's {kind} artifacts in the pipeline, and the name in the DAG.",
                failure_type="ConfigurationError",
                job_id=self.job.job_id,
            )
        [artifact] = found
        if not artifact.bucket or not artifact.key:
            raise ArtifactError(
                f"CodePipeline does not say where the {kind} artifact {artifact.name} of job "
                f"{self.job.job_id} is.",
                job_id=self.job.job_id,
            )
        return artifact

    def download(self, artifact: Artifact, path: Path) -> None:
        """
        Download an artifact to a file that appears once it is complete.

        :param artifact: The input artifact.
        :param path: The file.
        :raises ArtifactError: It could not be downloaded.
        """
        progress = self._log_of("Downloading", artifact)
        with (
            self._span("download", artifact),
            self._errors(artifact, "downloaded"),
            disk_errors(artifact.name, "stored"),
            transfer_manager(self.client) as manager,
        ):

            def download() -> None:
                manager.download(
                    artifact.bucket, artifact.key, os.fspath(path), subscribers=subscribers_of(progress)
                ).result()

            try:
                download()
            except ClientError as error:
                if error.operation_name != "HeadObject":
                    raise
                # The answer to a HEAD has no code. That to a read has one, if it fails, too.
                self.client.get_object(Bucket=artifact.bucket, Key=artifact.key)["Body"].close()
                download()
        progress.end()

    def open(self, artifact: Artifact) -> ResumedStream:
        """
        Return an artifact's content as a stream that resumes if the connection is cut.

        :param artifact: The input artifact.
        :raises ArtifactError: It could not be read; each read of the stream may raise this too.
        """

        def get(**how: str) -> Any:
            with self._errors(artifact, "read"):
                return self.client.get_object(Bucket=artifact.bucket, Key=artifact.key, **how)

        return ResumedStream(get, artifact.name, self._log_of("Reading", artifact))

    def upload(self, artifact: Artifact, path: Path) -> None:
        """
        Upload a file as an output artifact. S3 stores it only if its checksum matches the file's.

        :param artifact: The output artifact.
        :param path: The file, which must not change during the upload.
        :raises ArtifactError: It could not be uploaded.
        """
        with (
            self._span("upload", artifact),
            self._errors(artifact, "uploaded"),
            disk_errors(artifact.name, "read"),
        ):
            size = path.stat().st_size
            progress = self._log_of("Uploading", artifact, size)
            with transfer_manager(self.client) as manager:
                manager.upload(
                    os.fspath(path),
                    artifact.bucket,
                    artifact.key,
                    extra_args={**self._encryption, "ChecksumCRC32": _crc32_of(path)},
                    subscribers=subscribers_of(progress),
                ).result()
        self._uploaded.add(artifact.name)
        progress.end()

    def upload_stream(self, artifact: Artifact, stream: IO[bytes], size: int | None = None) -> None:
        """
        Upload a stream as an output artifact. S3 compares the checksum of each part.

        :param artifact: The output artifact.
        :param stream: The artifact's content.
        :param size: The bytes that the stream must have. None if the size is unknown.
        :raises ArtifactError: It could not be uploaded, or the stream has another size.
        """
        progress = self._log_of("Uploading", artifact, size)
        counted = CountedStream(stream, size, artifact.name)
        with (
            self._span("upload", artifact),
            self._errors(artifact, "uploaded"),
            transfer_manager(self.client) as manager,
        ):
            manager.upload(
                counted,
                artifact.bucket,
                artifact.key,
                extra_args={**self._encryption, "ChecksumAlgorithm": "CRC32"},
                subscribers=subscribers_of(progress, size),
            ).result()
        self._uploaded.add(artifact.name)
        progress.end()

    def _span(self, what: str, artifact: Artifact) -> AbstractContextManager[None]:
        return _spans.span(what, job_id=self.job.job_id, artifact=artifact.name)

    @property
    def _encryption(self) -> dict[str, str]:
        key = self._details.encryption_key or {}
        # Without a key id S3 uses the AWS managed key.
        named = {"SSEKMSKeyId": key["id"]} if key.get("id") else {}
        return {"ServerSideEncryption": "aws:kms", **named}

    def _log_of(self, action: str, artifact: Artifact, size: int | None = None) -> TransferLog:
        return TransferLog(f"{action} artifact {artifact.name} of job {self.job.job_id}", size)

    def _errors(self, artifact: Artifact, what: str) -> AbstractContextManager[None]:
        """
        Raise an error of S3 as one that names the artifact and says what to do.

        :param artifact: The artifact.
        :param what: What could not be done with it, such as ``downloaded``.
        """
        return s3_errors(
            f"The artifact {artifact.name} of job {self.job.job_id} could not be {what}",
            f"s3://{artifact.bucket}/{artifact.key}",
            "Check that the pipeline's role and the policies of the bucket and its KMS key allow it.",
            job_id=self.job.job_id,
        )


def _claimed_by(job: object) -> TaskInstanceRef | None:
    """Return the task that has claimed a job for this run, as a step's conf names it; else None."""
    if isinstance(job, OfferedJob | ClaimedJob):
        return None
    return TaskInstanceRef.from_value(read_mapping(job, "A job").get("claimed_by"))


def _crc32_of(path: Path) -> str:
    """Return a file's CRC-32 in S3's encoding."""
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            value = zlib.crc32(chunk, value)
    return base64.b64encode(value.to_bytes(4, "big")).decode()
