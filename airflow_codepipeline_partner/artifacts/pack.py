# SPDX-License-Identifier: Apache-2.0
"""
Pack folders for a pipeline: the same content makes the same bytes, and no link leads out.

The archive contains nothing that differs between machines: the order of a folder's entries, times, owners,
the umask.
"""

from __future__ import annotations

import errno
import gzip
import os
import posixpath
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from airflow_codepipeline_partner.artifacts.entry_names import link_fault, path_fault, shown
from airflow_codepipeline_partner.artifacts.errors import disk_errors
from airflow_codepipeline_partner.artifacts.formats import CHUNK_BYTES, PACKED_FORMATS, ArchiveFormat
from airflow_codepipeline_partner.artifacts.link_walk import LinkLeadsOut, LinkWalk
from airflow_codepipeline_partner.exceptions import ArtifactError

#: The earliest time in a zip.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_IS_FOLDER_IN_DOS = 0x10
_LEVEL = 6
# Never through a link, and without waiting for the writer of a pipe.
#: Longest path of Linux, with the zero at its end.
_PATH_MAX = 4096
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_OPEN_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY


def pack(folder: Path, archive: Path, *, artifact: str, archive_format: ArchiveFormat = "zip") -> None:
    """
    Pack a folder's content; the same content makes the same bytes.

    Links are not followed: one that leads elsewhere in the folder is packed as a link, any other is refused.
    Files have the mode 644, or 755 if their owner may execute them. Times are 1980-01-01 in a zip and
    1970-01-01 in a tar. Owners are not recorded (0 in a
    tar).

    :param folder: The folder.
    :param archive: The archive's path. It appears once it is complete.
    :param artifact: The artifact's name, for errors.
    :param archive_format: ``zip``, ``tar`` or ``tar.gz``.
    :raises ArtifactError: The folder has no file, a link that leads out, a file that changes while it is
        read, or something other than files, folders and links; or the disk is full.
    """
    if archive_format not in PACKED_FORMATS:
        raise ArtifactError(
            f"archive_format {archive_format!r:.40} is not valid; use {', '.join(PACKED_FORMATS)}.",
            failure_type="ConfigurationError",
        )
    if not folder.is_dir():
        raise ArtifactError(
            f"There is no folder {folder.name}, which was to be packed as the artifact {artifact}. Check the "
            "path, and that the work made it."
        )
    if archive.parent.resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(
            f"The archive {archive.name} cannot lie in the folder that it packs.",
            failure_type="ConfigurationError",
        )
    with disk_errors(artifact, "packed"):
        number, half = tempfile.mkstemp(prefix=f".{archive.name[:100]}-", dir=archive.parent)
        try:
            with open(number, "wb") as file:
                _write(_Folder(folder, artifact), file, archive_format)
            os.replace(half, archive)
        except BaseException:
            Path(half).unlink(missing_ok=True)
            raise


@dataclass(frozen=True)
class _Entry:
    """
    An entry of a folder that is held open, so that the folder cannot be replaced.

    :param path: Its path from the root.
    :param name: Its name in the folder.
    :param folder: The folder's file descriptor.
    :param state: Its state when it was found.
    """

    path: str
    name: str
    folder: int
    state: os.stat_result


class _Folder:
    """
    A folder to pack, in an order that is always the same.

    :param root: The folder.
    :param artifact: The artifact's name, for errors.
    """

    def __init__(self, root: Path, artifact: str) -> None:
        self._root = os.path.realpath(root)
        self._artifact = artifact
        self._links = LinkWalk(self._look)

    def entries(self) -> Generator[_Entry, None, None]:
        """
        Yield all entries, each folder before its own.

        :raises ArtifactError: There is no file, or an entry cannot be packed.
        """
        holds_file = False
        for entry in self._entries("", os.open(self._root, _OPEN_FOLDER)):
            holds_file |= not stat.S_ISDIR(entry.state.st_mode)
            yield entry
        if not holds_file:
            raise ArtifactError(
                f"The folder that was to be packed as the artifact {self._artifact} has no file. Check the "
                "path, and that the work wrote there."
            )

    def _entries(self, path: str, folder: int) -> Generator[_Entry, None, None]:
        try:
            with os.scandir(folder) as found:
                names = sorted((entry.name for entry in found), key=os.fsencode)
            for name in names:
                entry = self._entry(posixpath.join(path, name), name, folder)
                yield entry
                if stat.S_ISDIR(entry.state.st_mode):
                    with self._refusing_unreadable(entry.path):
                        below = os.open(name, _OPEN_FOLDER, dir_fd=folder)
                    yield from self._entries(entry.path, below)
        finally:
            os.close(folder)

    def _entry(self, path: str, name: str, folder: int) -> _Entry:
        if fault := path_fault(path):
            raise self.refusal(path, fault)
        with self._refusing_unreadable(path):
            return _Entry(path, name, folder, os.stat(name, dir_fd=folder, follow_symlinks=False))

    @contextmanager
    def _refusing_unreadable(self, path: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise self.refusal(path, "vanished while it was packed") from None
        except OSError as error:
            raise self.refusal(path, f"could not be read ({os.strerror(error.errno or 0)})") from error

    def link_at(self, entry: _Entry) -> str:
        """
        Return where a link leads.

        :raises ArtifactError: It leads out of the folder.
        """
        with self._refusing_unreadable(entry.path):
            leads_to = os.readlink(entry.name, dir_fd=entry.folder)
        if fault := link_fault(entry.path, leads_to):
            raise self.refusal(entry.path, fault)
        try:
            self._links.follow(entry.path, leads_to)
        except LinkLeadsOut:
            raise self.refusal(
                entry.path, "is a link that leads out of the folder, or through too many others"
            ) from None
        return leads_to

    def _look(self, path: str) -> str | bool:
        """Return the link at a path, or whether there is a folder."""
        full = os.path.join(self._root, path)
        try:
            mode = os.lstat(full).st_mode
            return os.readlink(full) if stat.S_ISLNK(mode) else stat.S_ISDIR(mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG and len(os.fsencode(full)) < _PATH_MAX:
                # Its last part is longer than a name may be, so that nothing is there.
                return False
            # A path that is too long to look at may lead anywhere.
            raise self.refusal(
                path, f"is where a link leads to, and could not be read ({os.strerror(error.errno or 0)})"
            ) from error

    @contextmanager
    def open_file(self, entry: _Entry) -> Iterator[IO[bytes]]:
        """
        Yield a file, to be read completely.

        :raises ArtifactError: It was replaced, or changes while it is read.
        """
        with self._refusing_unreadable(entry.path):
            number = os.open(entry.name, _OPEN_FILE, dir_fd=entry.folder)
        with open(number, "rb", buffering=0) as file:
            trouble: Exception | None = None
            try:
                yield file
            except Exception as error:
                # zipfile and tarfile fail if the size is not the one announced.
                trouble = error
            read, after = file.tell(), os.fstat(number)
        is_same = _version(after) == _version(entry.state)
        if not is_same or (trouble is None and read != entry.state.st_size):
            raise self.refusal(entry.path, "changed while it was packed") from trouble
        if trouble is not None:
            raise trouble

    def refusal(self, path: str, why: str) -> ArtifactError:
        """Return the error for an entry."""
        return ArtifactError(f"The artifact {self._artifact} was not packed: its entry {shown(path)} {why}.")


def _version(state: os.stat_result) -> tuple[int, ...]:
    return (state.st_dev, state.st_ino, state.st_mode, state.st_size, state.st_mtime_ns)


class _Archive(Protocol):
    """An archive that is being written."""

    #: How the format writes names down, and what it cannot.
    name_errors: str

    def add_folder(self, path: str) -> None: ...

    def add_link(self, path: str, leads_to: str) -> None: ...

    def add_file(self, path: str, size: int, file: IO[bytes], *, is_executable: bool) -> None: ...


def _write(folder: _Folder, file: IO[bytes], archive_format: ArchiveFormat) -> None:
    with _OPEN[archive_format](file) as archive, closing(folder.entries()) as entries:
        for entry in entries:
            mode = entry.state.st_mode
            try:
                entry.path.encode("utf-8", archive.name_errors)
            except UnicodeEncodeError:
                raise folder.refusal(
                    entry.path,
                    "has a name that is not UTF-8, which a zip cannot hold. Rename it, or pack a tar",
                ) from None
            if stat.S_ISDIR(mode):
                archive.add_folder(entry.path)
            elif stat.S_ISLNK(mode):
                archive.add_link(entry.path, folder.link_at(entry))
            elif stat.S_ISREG(mode):
                with folder.open_file(entry) as content:
                    is_executable = bool(mode & stat.S_IXUSR)
                    archive.add_file(entry.path, entry.state.st_size, content, is_executable=is_executable)
            else:
                raise folder.refusal(entry.path, "is neither a file, a folder nor a link")


class _Zip:
    name_errors = "strict"

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def add_folder(self, path: str) -> None:
        self._archive.writestr(_zip_entry(f"{path}/", stat.S_IFDIR | 0o755, _IS_FOLDER_IN_DOS), b"")

    def add_link(self, path: str, leads_to: str) -> None:
        self._archive.writestr(_zip_entry(path, stat.S_IFLNK | 0o777), os.fsencode(leads_to))

    def add_file(self, path: str, size: int, file: IO[bytes], *, is_executable: bool) -> None:
        entry = _zip_entry(path, stat.S_IFREG | (0o755 if is_executable else 0o644))
        entry.compress_type = zipfile.ZIP_DEFLATED
        # From it zipfile knows whether the entry needs ZIP64.
        entry.file_size = size
        with self._archive.open(entry, "w") as packed:
            shutil.copyfileobj(file, packed, CHUNK_BYTES)


def _zip_entry(name: str, mode: int, dos: int = 0) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _ZIP_TIME)
    # The default depends on the system.
    entry.create_system = _UNIX
    entry.external_attr = mode << 16 | dos
    return entry


class _Tar:
    # A PAX header says so if it holds bytes that are not UTF-8.
    name_errors = "surrogateescape"

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def add_folder(self, path: str) -> None:
        self._add(path, tarfile.DIRTYPE, 0o755)

    def add_link(self, path: str, leads_to: str) -> None:
        self._add(path, tarfile.SYMTYPE, 0o777, linkname=leads_to)

    def add_file(self, path: str, size: int, file: IO[bytes], *, is_executable: bool) -> None:
        self._add(path, tarfile.REGTYPE, 0o755 if is_executable else 0o644, file, size=size)

    def _add(
        self, path: str, kind: bytes, mode: int, file: IO[bytes] | None = None, **fields: str | int
    ) -> None:
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode = kind, mode
        for name, value in fields.items():
            setattr(entry, name, value)
        self._archive.addfile(entry, file)
        # tarfile keeps all members that it has written.
        self._archive.members.clear()  # type: ignore[attr-defined]


@contextmanager
def _zip(file: IO[bytes]) -> Iterator[_Archive]:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        yield _Zip(archive)


@contextmanager
def _tar(file: IO[bytes]) -> Iterator[_Archive]:
    with tarfile.open(
        fileobj=file, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        yield _Tar(archive)


@contextmanager
def _tar_gz(file: IO[bytes]) -> Iterator[_Archive]:
    # Neither a name nor a time in its header.
    with gzip.GzipFile("", "wb", _LEVEL, file, 0) as packed, _tar(cast("IO[bytes]", packed)) as archive:
        yield archive


_OPEN = {"zip": _zip, "tar": _tar, "tar.gz": _tar_gz}
