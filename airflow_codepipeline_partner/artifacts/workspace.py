# SPDX-License-Identifier: Apache-2.0
"""
A job's artifacts, for the tasks that work on it: a folder to work in, which is removed afterwards.

::

    with Workspace(job) as workspace:
        source = workspace.extract("SourceOutput")
        build(source, into=workspace.path / "out")
        workspace.upload("BuildOutput", workspace.path / "out")

The artifacts are read and written with the job's own credentials, as CodePipeline gives them, and never with
the worker's. What an archive may hold is limited; see
:mod:`~airflow_codepipeline_partner.artifacts.extract`.
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
from airflow_codepipeline_partner.artifacts.archive_guard import ArchiveLimits, is_inside
from airflow_codepipeline_partner.artifacts.extract import extract
from airflow_codepipeline_partner.artifacts.formats import ArchiveFormat
from airflow_codepipeline_partner.artifacts.job_storage import JobStorage
from airflow_codepipeline_partner.artifacts.pack import pack
from airflow_codepipeline_partner.exceptions import ArtifactError, CodePipelineProviderError

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)


class Workspace:
    """
    A folder on the worker for one job's artifacts, removed when the ``with`` ends.

    :param job: The claimed job, as XCom or the claim gives it: an object of ours, or a mapping with
        ``job_id`` and ``client_id``.
    :param hook: What asks for the job's details; None takes the connection ``aws_default``.
    :param limits: How much an archive may hold; None takes the defaults of
        :class:`~airflow_codepipeline_partner.artifacts.archive_guard.ArchiveLimits`.
    :param parent: Where the folder is made; None takes the system's folder for temporary files.
    :param failed_uploads: Takes the names of output artifacts whose upload was begun and did not succeed.
    :raises InvalidJobReference: The job is none.

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
        """Return a workspace over a storage that is used, and closed, by others too."""
        workspace = cls(storage.job, storage.hook, limits=limits, parent=parent)
        workspace._storage, workspace._is_own_storage = storage, False
        return workspace

    def __enter__(self) -> Self:
        """Make the folder."""
        # Without links in its path, so that it is seen what leads out of it.
        self._made = Path(tempfile.mkdtemp(prefix="codepipeline-", dir=self._parent)).resolve()
        self.path.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """
        Remove the folder, and have ``finish_job`` tell the customer what an error of ours says.

        That may be a :class:`~airflow_codepipeline_partner.exceptions.JobFailure` of yours, also behind
        Airflow's ``AirflowFailException``.
        """
        if self._is_own_storage:
            self._storage.close()
        root, self._made = self._root, None
        told = None if error is None else cause_of(error)
        if isinstance(told, CodePipelineProviderError):
            record_failure(told)
        _remove(root)

    @property
    def _root(self) -> Path:
        if self._made is None:
            raise ArtifactError(
                "A Workspace has its folder within a with statement: with Workspace(job) as …",
                failure_type="ConfigurationError",
            )
        return self._made

    @property
    def path(self) -> Path:
        """
        The folder that is yours; downloads lie beside it.

        :raises ArtifactError: It is asked for outside the ``with``.
        """
        return self._root / "work"

    @property
    def inputs(self) -> tuple[Artifact, ...]:
        """
        The action's input artifacts.

        :raises CodePipelineProviderError: CodePipeline does not tell.
        """
        return self._storage.inputs

    @property
    def outputs(self) -> tuple[Artifact, ...]:
        """
        The action's output artifacts.

        :raises CodePipelineProviderError: CodePipeline does not tell.
        """
        return self._storage.outputs

    def download(self, name: str | None = None) -> Path:
        """
        Download an input artifact, and return the file.

        :param name: The artifact's name; None where the job has only one input artifact.
        :raises ArtifactError: There is none of that name, or it cannot be read.
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
        Download an input artifact and unpack it, whole or not at all; return the folder.

        :param name: The artifact's name; None where the job has only one input artifact.
        :param into: A folder that does not exist or is empty; None makes one beside :attr:`path`, named like
            the artifact.
        :param archive_format: What the artifact must be: ``zip``, ``tar``, ``tar.gz``, or ``raw``, a file
            that is not unpacked; None takes what it is.
        :param replace: Whether a folder that is not empty is replaced.
        :raises UnsafeArchive: The archive holds what is refused.
        :raises ArtifactError: There is none of that name, it cannot be read, or the folder is not empty.
        """
        artifact = self._storage.find_input(name)
        folder = self._folder("inputs") / artifact.name if into is None else Path(into)
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
        Pack a folder, and return the archive; the same content makes the same bytes.

        :param folder: The folder; links in it are not followed.
        :param name: The output artifact's name; None where the job has only one.
        :param archive_format: ``zip``, ``tar`` or ``tar.gz``.
        :raises ArtifactError: It cannot be packed.
        """
        artifact = self._storage.find_output(name)
        self._refuse_a_way_out(folder, artifact)
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

        :param name: The output artifact's name; None where the job has only one.
        :param source: A folder, which is packed, or a file, which is taken as it is.
        :param archive_format: How a folder is packed: ``zip``, ``tar`` or ``tar.gz``.
        :raises ArtifactError: There is none of that name, or nothing to upload, or it cannot be.
        """
        artifact = self._storage.find_output(name)
        self._failed_uploads.add(artifact.name)
        path = self._refuse_a_way_out(source, artifact)
        if not path.exists():
            raise ArtifactError(
                f"There is no {path.name[:100]!r}, which was to be uploaded as the artifact {artifact.name}. "
                "Check the path, and that the work before it made it.",
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

    def _refuse_a_way_out(self, source: str | os.PathLike[str], artifact: Artifact) -> Path:
        """
        Return where a source is, unless a link leads elsewhere, which what worked there may have made.

        :raises ArtifactError: One does: out of the workspace, or out of the folder in which it lies.
        """
        path = Path(source).absolute()
        home = self._root if path.is_relative_to(self._root) else path.parent.resolve()
        if not is_inside(os.fspath(home), os.fspath(path)):
            raise ArtifactError(
                f"{path.name[:100]!r}, which was to be uploaded as the artifact {artifact.name}, is a link "
                "that leads elsewhere. Name what it leads to.",
                job_id=self._storage.job.job_id,
            )
        return path

    def _folder(self, name: str) -> Path:
        folder = self._root / name
        folder.mkdir(exist_ok=True)
        return folder


def _remove(folder: Path) -> None:
    """Remove a folder, whatever the work left in it."""
    # Whatever it is, it must not hide how the work ended.
    with suppress(RecursionError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            _open_up(folder)
            shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        log.warning("The workspace %s could not be removed whole; remove it by hand.", folder)


def _open_up(folder: Path) -> None:
    """Let all folders below one be written: those that may not be are not emptied; module caches are so."""
    with suppress(OSError):
        folder.chmod(0o700)
    for _, names, _, number in os.fwalk(folder):
        for name in names:
            with suppress(OSError):
                if stat.S_ISDIR(os.stat(name, dir_fd=number, follow_symlinks=False).st_mode):
                    os.chmod(name, 0o700, dir_fd=number)
