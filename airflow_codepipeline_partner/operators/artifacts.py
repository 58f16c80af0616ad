# SPDX-License-Identifier: Apache-2.0
"""Operators that move a job's artifacts to where other tasks find them, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    check_job,
    check_literal,
    to_templatable,
)
from airflow_codepipeline_partner._job_log import job_fields
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.parsing import read_list, read_mapping
from airflow_codepipeline_partner.artifacts.formats import FORMATS, PACKED_FORMATS
from airflow_codepipeline_partner.artifacts.places import check_place, path_of
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError, InvalidInput

if TYPE_CHECKING:
    from airflow_codepipeline_partner._protocol.job_details import Artifact
    from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
    from airflow_codepipeline_partner.artifacts.job_storage import JobStorage


class _ArtifactOperator(CodePipelineBaseOperator):
    """An operator that moves a job's artifacts."""

    @contextmanager
    def _storage(self, context: Any, job: Any) -> Iterator[JobStorage]:
        # botocore, for one, takes long to import, which must not happen while a DAG is parsed.
        from airflow_codepipeline_partner._worker.failures import (
            fail_without_retry_if_permanent,
            record_failure,
        )
        from airflow_codepipeline_partner.artifacts.job_storage import JobStorage

        with fail_without_retry_if_permanent():
            try:
                storage, has_failed = JobStorage(self.hook, job), True
                try:
                    with job_fields(_named_job(job, storage.job)):
                        yield storage
                    self.show_job(context, storage.claimed_job)
                    has_failed = False
                finally:
                    storage.close(has_failed=has_failed)
            except CodePipelineProviderError as error:
                record_failure(error)
                raise


class CodePipelineDownloadArtifactsOperator(_ArtifactOperator):
    """
    Download a job's input artifacts to a place where later tasks find them.

    If the destination is S3 or another object storage, the artifacts are streamed to it, and workers on
    different machines can share them. Existing objects and files are replaced. The artifacts are read with
    the job's own credentials.

    :param job: The claim's return value, or a mapping with ``job_id`` and ``client_id``. (templated)
    :param destination: A folder: ``s3://bucket/prefix``, a path on the worker, or a URL that
        ``ObjectStoragePath`` accepts. Each artifact is stored in this folder under its name. (templated)
    :param artifacts: The names of the artifacts. If None, all artifacts are downloaded. (templated)
    :param storage_conn_id: The connection of the destination; for ``s3://`` an ``aws`` connection. If None,
        ``aws_default`` is used for ``s3://``. (templated)
    :param extract: Whether to unpack the artifacts, each into a folder of its name. The destination must then
        be a path on the worker. An archive that could do harm is refused as a whole.
    :param archive_format: The format that each artifact must have, with ``extract``: ``zip``, ``tar``,
        ``tar.gz``, ``tar.bz2``, ``tar.xz`` or ``raw``. If None, any of them is accepted.
    :param limits: How much an archive may hold, with ``extract``: an
        :class:`~airflow_codepipeline_partner.artifacts.ArchiveLimits`. If None, its defaults are used.

    Source: GetThirdPartyJobDetails, CodePipeline API 2015-07-09; GetObject, S3 API 2006-03-01.
    """

    template_fields = (
        "job",
        "destination",
        "artifacts",
        "storage_conn_id",
        *CodePipelineBaseOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"job": "json", "artifacts": "json"}

    def __init__(
        self,
        *,
        job: Any,
        destination: Any,
        artifacts: Any = None,
        storage_conn_id: str | None = None,
        extract: bool = False,
        archive_format: Literal["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "raw"] | None = None,
        limits: ArchiveLimits | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_job(job)
        check_literal(check_place, destination)
        check_literal(_check_names, artifacts)
        if archive_format is not None:
            _check_format(archive_format, FORMATS)
        self.job = to_templatable(job)
        self.destination = destination
        self.artifacts = artifacts
        self.storage_conn_id = storage_conn_id
        self.extract = extract
        self.archive_format = archive_format
        self.limits = limits

    def execute(self, context: Any) -> dict[str, str]:
        """
        Download the artifacts, and return the location of each by its name.

        :raises ArtifactError: An artifact could not be read; a retry may succeed.
        :raises AirflowFailException: An artifact is refused, or no retry can help.
        """
        with self._storage(context, self.job) as storage:
            names = _check_names(self.artifacts)
            wanted = [artifact.name for artifact in storage.inputs] if names is None else names
            destination = check_place(self.destination).rstrip("/")
            found = [storage.find_input(name) for name in wanted]
            return {artifact.name: self._download(storage, artifact, destination) for artifact in found}

    def _download(self, storage: JobStorage, artifact: Artifact, destination: str) -> str:
        from airflow_codepipeline_partner.artifacts.errors import disk_errors
        from airflow_codepipeline_partner.artifacts.external_storage import external_object
        from airflow_codepipeline_partner.artifacts.workspace import Workspace

        location = f"{destination}/{artifact.name}"
        path = path_of(location)
        if self.extract:
            if path is None:
                raise InvalidInput(
                    f"Artifacts are extracted only to a path on the worker; {destination!r:.200} is not one."
                )
            with disk_errors(artifact.name, "stored"):
                path.parent.mkdir(parents=True, exist_ok=True)
            # On the destination's disk, which needs the room anyway.
            with Workspace.over(storage, limits=self.limits, parent=path.parent) as workspace:
                workspace.extract(artifact.name, path, archive_format=self.archive_format, replace=True)
        elif path is not None:
            with disk_errors(artifact.name, "stored"):
                path.parent.mkdir(parents=True, exist_ok=True)
            storage.download(artifact, path)
        else:
            target = external_object(location, self.storage_conn_id, artifact.name)
            with storage.open(artifact) as content:
                target.write(content, content.size)
        self.log.info("Artifact %s is at %s.", artifact.name, location)
        return location


class CodePipelineUploadArtifactsOperator(_ArtifactOperator):
    """
    Upload files, folders or objects that earlier tasks made, as a job's output artifacts.

    If the source is in S3 or another object storage, the artifact is streamed. Artifacts are written with the
    job's own credentials. They are encrypted with the pipeline's KMS key, or with the AWS managed key if the
    pipeline has none. The task succeeds once S3 has confirmed each checksum, so report the job's success
    after this task.

    :param job: The claim's return value, or a mapping with ``job_id`` and ``client_id``. (templated)
    :param artifacts: A mapping from output artifacts' names to their sources: a file on the worker, a folder
        on the worker, which is packed, or an object at ``s3://bucket/key`` or another URL that
        ``ObjectStoragePath`` accepts. (templated)
    :param storage_conn_id: The connection of the sources; for ``s3://`` an ``aws`` connection. If None,
        ``aws_default`` is used for ``s3://``. (templated)
    :param archive_format: How to pack folders: ``zip`` (the default), ``tar`` or ``tar.gz``.

    Source: GetThirdPartyJobDetails, CodePipeline API 2015-07-09; PutObject, UploadPart, S3 API 2006-03-01.
    """

    #: Mark the tasks that record uploads.
    uploads_artifacts: ClassVar[bool] = True

    template_fields = ("job", "artifacts", "storage_conn_id", *CodePipelineBaseOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"job": "json", "artifacts": "json"}

    def __init__(
        self,
        *,
        job: Any,
        artifacts: Any,
        storage_conn_id: str | None = None,
        archive_format: Literal["zip", "tar", "tar.gz"] = "zip",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_job(job)
        check_literal(partial(_read_sources, is_rendered=False), artifacts)
        _check_format(archive_format, PACKED_FORMATS)
        self.job = to_templatable(job)
        self.artifacts = artifacts
        self.storage_conn_id = storage_conn_id
        self.archive_format = archive_format

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """
        Upload the artifacts, and return them.

        :raises ArtifactError: An artifact could not be uploaded; a retry may succeed.
        :raises AirflowFailException: No retry can help.
        """
        with self._storage(context, self.job) as storage:
            sources = _read_sources(self.artifacts)
            # All names first: if one is wrong, nothing is uploaded.
            found = [(storage.find_output(name), source) for name, source in sources.items()]
            for artifact, source in found:
                self._upload(storage, artifact, source)
            return [artifact.to_xcom() for artifact, _ in found]

    def _upload(self, storage: JobStorage, artifact: Artifact, source: str) -> None:
        from airflow_codepipeline_partner.artifacts.external_storage import external_object
        from airflow_codepipeline_partner.artifacts.workspace import Workspace

        path = path_of(source)
        if path is not None:
            with Workspace.over(storage) as workspace:
                workspace.upload(artifact.name, path, archive_format=self.archive_format)
            return
        with external_object(source, self.storage_conn_id, artifact.name).open() as (content, size):
            storage.upload_stream(artifact, content, size)


def _named_job(value: object, offered: OfferedJob) -> OfferedJob | ClaimedJob:
    """Return the job as lines of the log name it: as the claim returned it, if that can be read."""
    try:
        return ClaimedJob.from_value(value)
    except CodePipelineProviderError:
        # Nothing else is needed of it: the details are asked for.
        return offered


def _check_format(value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidInput(f"archive_format {value!r:.40} is not valid; use {', '.join(allowed)}.")


def _check_names(value: Any) -> list[str] | None:
    if value is None:
        return None
    # Jinja renders a list as a text.
    names = read_list(value) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names) or not names:
        raise InvalidInput(
            f"artifacts must be a list of artifact names, and not empty; it is a {type(value).__name__}."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInput(f"artifacts contains {', '.join(twice)} more than once.")
    return list(names)


def _read_sources(value: Any, *, is_rendered: bool = True) -> dict[str, str]:
    sources = read_mapping(value, "artifacts")
    if not sources:
        raise InvalidInput("artifacts is empty: map each output artifact's name to what to upload.")
    return {
        name: "" if source is None and not is_rendered else check_place(source)
        for name, source in sources.items()
    }
