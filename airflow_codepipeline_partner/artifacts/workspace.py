# SPDX-License-Identifier: Apache-2.0
"""
A folder to work in with a job's artifacts, removed afterwards.

::

    with Workspace(job) as workspace:
        source = workspace.extract("SourceOutput")
        build(source, into=workspace.path / "out")
        workspace.upload("BuildOutput", workspace.path / "out")

The artifacts are read and written with the job's own credentials from CodePipeline, never with the worker's.
What an archive may hold is limited; see :mod:`~airflow_codepipeline_partner.artifacts.extract`.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from airflow_codepipeline_partner._protocol.job_details import Artifact
from airflow_codepipeline_partner._worker.failures import cause_of, record_failure
from airflow_codepipeline_partner.artifacts.archive_limits import ArchiveLimits
from airflow_codepipeline_partner.artifacts.extract import extract
from airflow_codepipeline_partner.artifacts.formats import ArchiveFormat
from airflow_codepipeline_partner.artifacts.pack import pack
from airflow_codepipeline_partner.artifacts.places import check_path
from airflow_codepipeline_partner.exceptions import ArtifactError, CodePipelineProviderError

if TYPE_CHECKING:
    from airflow_codepipeline_partner.artifacts.job_storage import JobStorage
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)


class Workspace:
    """
    A folder on the worker for one job's artifacts, removed when the ``with`` ends.

    :param job: The claimed job, from XCom or from the claim: an object of this package, or a mapping with
        ``job_id`` and ``client_id``. In a run that is a step of a pipeline: ``codepipeline`` of its conf.
    :param hook: The hook that requests the job's details. If None, a hook with the connection ``aws_default``
        is used.
    :param limits: How much an archive may hold. If None, the defaults of
        :class:`~airflow_codepipeline_partner.artifacts.archive_limits.ArchiveLimits` are used.
    :param parent: Where to make the folder. If None, the system's folder for temporary files is used.
    :param failed_uploads: A set that collects the names of output artifacts whose upload began and did not
        succeed.
    :raises InvalidJobReference: ``job`` is not a job.

    Source: GetThirdPartyJobDetails, CodePipeline API 2015-07-09; GetObject, PutObject, UploadPart,
    S3 API 2006-03-01.
    """

    def __init__(
        self,
        job: object,
        hook: CodePipelineHook | None = None,
        *,
        limits: ArchiveLimits | None = None,
        parent: str | os.PathLike[str] | None = None,
        failed_uploads: set[str] | None = None,
    ) -> None:
        # botocore takes long to import, and DAGs import this class while they are parsed.
        from airflow_codepipeline_partner.artifacts.job_storage import JobStorage

        if hook is None:
            from airflow_codepipeline_partner.hooks import CodePipelineHook

            hook = CodePipelineHook()
        self._storage = JobStorage(hook, job)
        self._is_own_storage = True
        self._limits = limits
        self._parent = parent
        self._made: Path | None = None
        self._failed_uploads = set() if failed_uploads is None else failed_uploads

    @classmethod
    def over(
        cls,
        storage: JobStorage,
        *,
        limits: ArchiveLimits | None = None,
        parent: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Return a workspace over a storage that the caller uses too. The caller must close the storage."""
        workspace = cls(storage.job, storage.hook, limits=limits, parent=parent)
        workspace._storage, workspace._is_own_storage = storage, False
        return workspace

    def __enter__(self) -> Self:
        """Make the folder."""
        # Resolved, so that a path that leads out of it is recognized.
        self._made = Path(tempfile.mkdtemp(prefix="codepipeline-", dir=self._parent)).resolve()
        self.path.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """
        Remove the folder, and record an error of this package. ``finish_job`` shows it to the customer.

        Your :class:`~airflow_codepipeline_partner.exceptions.JobFailure` is such an error, also if it is the
        cause of Airflow's ``AirflowFailException``.

        :raises ArtifactError: What was uploaded could not be recorded, and a task of the DAG has
            ``missing_outputs="fail"``.
        """
        root, self._made = self._root, None
        try:
            if self._is_own_storage:
                self._storage.close(has_failed=error is not None)
        except ArtifactError as trouble:
            error = trouble
            raise
        finally:
            cause = None if error is None else cause_of(error)
            if isinstance(cause, CodePipelineProviderError):
                record_failure(cause)
            _remove(root)

    @property
    def _root(self) -> Path:
        if self._made is None:
            raise ArtifactError(
                "A Workspace has its folder only within a with statement: with Workspace(job) as …",
                failure_type="ConfigurationError",
            )
        return self._made

    @property
    def path(self) -> Path:
        """
        The folder for your work. Downloads lie beside it.

        :raises ArtifactError: The ``with`` has not begun, or has ended.
        """
        return self._root / "work"

    @property
    def inputs(self) -> tuple[Artifact, ...]:
        """
        The action's input artifacts.

        :raises CodePipelineProviderError: The job's details are not available.
        """
        return self._storage.inputs

    @property
    def outputs(self) -> tuple[Artifact, ...]:
        """
        The action's output artifacts.

        :raises CodePipelineProviderError: The job's details are not available.
        """
        return self._storage.outputs

    def download(self, name: str | None = None) -> Path:
        """
        Download an input artifact, and return the file.

        :param name: The artifact's name. If None, the only input artifact is used.
        :raises ArtifactError: The job has no such artifact, or it cannot be read.
        """
        artifact = self._storage.find_input(name)
        path = self._folder("downloads") / artifact.name
        if not path.exists():
            self._storage.download(artifact, path)
        return path

    def extract(
        self,
        name: str | None = None,
        into: str | os.PathLike[str] | None = None,
        *,
        archive_format: ArchiveFormat | None = None,
        replace: bool = False,
    ) -> Path:
        """
        Download and unpack an input artifact, whole or not at all, and return the folder.

        :param name: The artifact's name. If None, the only input artifact is used.
        :param into: The path, from the root, of a folder that does not exist or is empty. If None, a folder
            beside :attr:`path` is used, named after the artifact.
        :param archive_format: The format that the artifact must have: ``zip``, ``tar``, ``tar.gz``,
            ``tar.bz2``, ``tar.xz``, or ``raw``, a file that is not unpacked. If None, any is accepted.
        :param replace: Whether to replace a folder that is not empty.
        :raises InvalidInput: ``into`` is no path from the root.
        :raises UnsafeArchive: The archive is refused.
        :raises ArtifactError: The job has no such artifact, it cannot be read, or the folder is not empty.
        """
        artifact = self._storage.find_input(name)
        if into is None:
            folder = self._folder("inputs") / artifact.name
        else:
            check_path(os.fspath(into))
            folder = Path(into)
        extract(
            self.download(artifact.name),
            folder,
            artifact=artifact.name,
            archive_format=archive_format,
            limits=self._limits,
            replace=replace,
        )
        return folder

    def pack(
        self,
        folder: str | os.PathLike[str],
        name: str | None = None,
        *,
        archive_format: ArchiveFormat = "zip",
    ) -> Path:
        """
        Pack a folder, and return the archive. The same content always gives an identical archive.

        :param folder: The folder. Links in it are not followed.
        :param name: The output artifact's name. If None, the only output artifact is used.
        :param archive_format: The archive's format: ``zip``, ``tar`` or ``tar.gz``.
        :raises ArtifactError: The folder cannot be packed.
        """
        artifact = self._storage.find_output(name)
        self._refuse_link_out(folder, artifact)
        archive = self._folder("uploads") / f"{artifact.name}.{archive_format}"
        pack(Path(folder), archive, artifact=artifact.name, archive_format=archive_format)
        return archive

    def upload(
        self,
        name: str | None,
        source: str | os.PathLike[str],
        *,
        archive_format: ArchiveFormat = "zip",
    ) -> Artifact:
        """
        Upload an output artifact, and return it once S3 has confirmed its checksum.

        :param name: The output artifact's name. If None, the only output artifact is used.
        :param source: A folder, which is packed, or a file, which is uploaded as it is.
        :param archive_format: How a folder is packed: ``zip``, ``tar`` or ``tar.gz``.
        :raises ArtifactError: The job has no such artifact, the source does not exist, or the upload failed.
        """
        artifact = self._storage.find_output(name)
        self._failed_uploads.add(artifact.name)
        path = self._refuse_link_out(source, artifact)
        if not path.exists():
            raise ArtifactError(
                f"There is no {path.name[:100]!r}, which was to be uploaded as the artifact {artifact.name}. "
                "Check the path, and that the work made it.",
                job_id=self._storage.job.job_id,
            )
        if path.is_dir():
            path = self.pack(path, artifact.name, archive_format=archive_format)
        elif not path.is_file():
            raise ArtifactError(
                f"{path.name[:100]!r} is neither a file nor a folder, and cannot be uploaded.",
                failure_type="ConfigurationError",
            )
        self._storage.upload(artifact, path)
        self._failed_uploads.discard(artifact.name)
        return artifact

    def _refuse_link_out(self, source: str | os.PathLike[str], artifact: Artifact) -> Path:
        """
        Return a source's path, unless a link leads elsewhere, which untrusted work may have made.

        :raises ArtifactError: A link leads out of the workspace, or out of the folder that holds the source.
            Or the source is the worker's current directory, which is what an empty text would name.
        """
        if os.path.normpath(source) == os.curdir:
            raise ArtifactError(
                f"The source of the artifact {artifact.name} is empty, or the worker's current directory. "
                "Name the file or folder.",
                failure_type="ConfigurationError",
                job_id=self._storage.job.job_id,
            )
        path = Path(source).absolute()
        home = self._root if path.is_relative_to(self._root) else path.parent.resolve()
        if not _is_inside(os.fspath(home), os.fspath(path)):
            raise ArtifactError(
                f"{path.name[:100]!r}, which was to be uploaded as the artifact {artifact.name}, is a link "
                "that leads elsewhere. Name its target instead.",
                job_id=self._storage.job.job_id,
            )
        return path

    def _folder(self, name: str) -> Path:
        folder = self._root / name
        folder.mkdir(exist_ok=True)
        return folder


def _is_inside(root: str, path: str) -> bool:
    """Return whether a path leads to something within a folder, whose own path must be free of links."""
    try:
        return os.path.commonpath((root, os.path.realpath(path))) == root
    except RecursionError:
        # Links through too many links.
        return False


def _remove(folder: Path) -> None:
    """Remove a folder, whatever the work left in it."""
    # An error here must not hide how the work ended.
    with suppress(RecursionError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            _open_up(folder)
            shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        log.warning("The workspace %s could not be removed completely. Remove it by hand.", folder)


def _open_up(folder: Path) -> None:
    """Make all folders below one writable: read-only ones, such as module caches, cannot be emptied."""
    with suppress(OSError):
        folder.chmod(0o700)
    for _, names, _, number in os.fwalk(folder):
        for name in names:
            with suppress(OSError):
                if stat.S_ISDIR(os.stat(name, dir_fd=number, follow_symlinks=False).st_mode):
                    os.chmod(name, 0o700, dir_fd=number)
