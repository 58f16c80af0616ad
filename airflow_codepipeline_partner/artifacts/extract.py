# SPDX-License-Identifier: Apache-2.0
"""
Unpack untrusted archives safely: zip, tar and tar.gz, or a file that is no archive.

An archive is unpacked whole or not at all: everything is written to a folder beside the target, which takes
the target's place at the end. Nothing is written through a link, and links are made last.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import re
import shutil
import stat
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from airflow_codepipeline_partner.artifacts.archive_guard import MAX_PATH_CHARS, ArchiveGuard, ArchiveLimits
from airflow_codepipeline_partner.artifacts.errors import disk_errors
from airflow_codepipeline_partner.artifacts.formats import CHUNK_BYTES, FORMATS, ArchiveFormat
from airflow_codepipeline_partner.exceptions import (
    ArtifactError,
    CodePipelineProviderError,
)

#: How much of a file shows its format.
_MAGIC_BYTES = tarfile.RECORDSIZE + 1
#: Longest headers of one tar member: names, and the fields of PAX headers.
MAX_TAR_HEADER_BYTES = 256 * 1024
#: No honest header has this many digits in a row. Older Pythons take quadratic time to parse them.
_MANY_DIGITS = re.compile(rb"\d{64}")
#: GNU tar's member types for a volume label and for a folder of an incremental backup.
_VOLUME_LABEL, _DUMPED_FOLDER = b"V", b"D"
#: Most global headers of a tar, which apply to all members that follow.
MAX_PAX_HEADERS = 100
_ENCRYPTED = 0x1
#: Signature of an entry in a zip's central directory.
_ZIP_MEMBER = b"PK\x01\x02"
#: zipfile reads only the central directory in a longer piece.
_LONG_READ_BYTES = 256 * 1024


def extract(
    archive: Path,
    target: Path,
    *,
    artifact: str,
    archive_format: ArchiveFormat | None = None,
    limits: ArchiveLimits | None = None,
    replace: bool = False,
) -> ArchiveFormat:
    """
    Unpack an archive, whole or not at all.

    These are refused, with the entry's name: paths that leave the target (``..``, absolute ones, drive
    letters, backslashes), control characters in names, links that lead out, devices, sparse files, encrypted
    entries, two entries of one name, and more than the limits allow. Folders get the mode 755, files 644, or
    755 if anybody may execute them, less the worker's umask. Owners and times are the worker's.

    :param archive: The archive.
    :param target: A folder that does not exist, or is empty.
    :param artifact: The artifact's name, for errors, and for the file if the format is ``raw``.
    :param archive_format: The format that the archive must have. If None, any format is accepted.
    :param limits: How much the archive may hold. If None, the default limits are used.
    :param replace: Whether to replace an existing target.
    :return: The archive's format.
    :raises UnsafeArchive: The archive is refused.
    :raises ArtifactError: The archive is broken, has another format, or does not fit on the disk.
    """
    detected = format_of(archive)
    if archive_format is not None and archive_format not in FORMATS:
        raise ArtifactError(
            f"archive_format {archive_format!r:.40} is not valid; use {', '.join(FORMATS)}.",
            failure_type="ConfigurationError",
        )
    if archive_format not in (None, detected) and archive_format != "raw":
        raise ArtifactError(
            f"The artifact {artifact} is not a {archive_format} archive: it is "
            f"{'no archive' if detected == 'raw' else detected}. Make it {archive_format}, or change "
            "archive_format."
        )
    how = archive_format or detected
    target = target.absolute()
    with disk_errors(artifact, "unpacked"):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not replace and target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ArtifactError(
                f"The artifact {artifact} cannot be unpacked to {target.name}, which is not empty. Choose "
                "another folder, or set replace.",
                failure_type="ConfigurationError",
            )
        unpacked = target.parent / f".{target.name[:100]}-{uuid.uuid4().hex}"
        unpacked.mkdir(0o755)
        try:
            guard = ArchiveGuard(unpacked, artifact, limits or ArchiveLimits(), archive.stat().st_size)
            if how == "raw":
                guard.count(archive.stat().st_size)
                shutil.copyfile(archive, unpacked / artifact)
            elif how == "zip":
                _extract_zip(archive, guard)
            else:
                _extract_tar(archive, guard, is_gzip=how == "tar.gz")
            guard.make_links()
            _put_in_place(unpacked, target, replace=replace)
        except BaseException:
            shutil.rmtree(unpacked, ignore_errors=True)
            raise
    return how


def format_of(path: Path) -> ArchiveFormat:
    """
    Detect an archive's format by its first bytes.

    :param path: The file.
    :return: Its format; ``raw`` if it is no archive.
    """
    with path.open("rb") as file:
        start = file.read(_MAGIC_BYTES)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return "zip"
    if start[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as unpacked:
                return "tar.gz" if _is_tar(unpacked.read(_MAGIC_BYTES)) else "raw"
        except (OSError, EOFError, zlib.error):
            # Unpacking it will say what is broken.
            return "tar.gz"
    return "tar" if _is_tar(start) else "raw"


def _is_tar(start: bytes) -> bool:
    if not start.strip(b"\0"):
        # An empty tar holds only zeros. A disk image may begin with more of them.
        return tarfile.BLOCKSIZE <= len(start) <= tarfile.RECORDSIZE
    try:
        tarfile.TarInfo.frombuf(start[: tarfile.BLOCKSIZE], tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _put_in_place(unpacked: Path, target: Path, *, replace: bool) -> None:
    if not replace or not os.path.lexists(target):
        # This replaces an empty folder, too.
        unpacked.rename(target)
        return
    former = unpacked.with_name(f"{unpacked.name}-former")
    target.rename(former)
    try:
        unpacked.rename(target)
    except BaseException:
        former.rename(target)
        raise
    if former.is_dir() and not former.is_symlink():
        shutil.rmtree(former, ignore_errors=True)
    else:
        former.unlink()


@contextmanager
def _reading(guard: ArchiveGuard, name: str | None = None) -> Iterator[None]:
    """Raise what a parser raises as the error for a broken archive."""
    try:
        yield
    except (CodePipelineProviderError, MemoryError):
        raise
    except OSError as error:
        # A seek to an invalid position is the archive's fault.
        if not isinstance(error, gzip.BadGzipFile) and error.errno != errno.EINVAL:
            raise
        raise guard.broken(error, name) from error
    except Exception as error:
        # Untrusted bytes may make a parser raise anything.
        raise guard.broken(str(error) or type(error).__name__, name) from error


class _ZipFile(io.FileIO):
    """
    A file for ``zipfile``, which checks the size of the central directory.

    ``zipfile`` reads all of it into memory before it returns the first member, and nothing else at once.
    """

    def __init__(self, path: Path, guard: ArchiveGuard) -> None:
        super().__init__(path)
        self._guard = guard

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _LONG_READ_BYTES:
            self._guard.check_list_size(size)
        data = super().read(size) or b""
        if len(data) > _LONG_READ_BYTES:
            self._guard.check_list(data.count(_ZIP_MEMBER))
        return data


def _extract_zip(archive: Path, guard: ArchiveGuard) -> None:
    with _ZipFile(archive, guard) as file, _reading(guard), zipfile.ZipFile(file) as opened:
        members = opened.infolist()
        guard.check_list(len(members))
        # Before anything is written to the disk.
        guard.check_size(sum(member.file_size for member in members))
        for member in members:
            _extract_from_zip(opened, member, guard)


def _extract_from_zip(opened: zipfile.ZipFile, member: zipfile.ZipInfo, guard: ArchiveGuard) -> None:
    # The name as written: filename ends at a zero byte.
    name = member.orig_filename
    mode = member.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if member.flag_bits & _ENCRYPTED:
        raise guard.refuse("is encrypted", name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Python unpacks other methods in one piece, however large.
        raise guard.refuse("is compressed by another method than deflate", name)
    if name.endswith("/") or kind == stat.S_IFDIR:
        guard.add_folder(name)
    elif kind == stat.S_IFLNK:
        with _reading(guard, name), opened.open(member) as packed:
            leads_to = os.fsdecode(packed.read(MAX_PATH_CHARS + 1))
        guard.add_link(name, leads_to)
    elif kind in (0, stat.S_IFREG):
        guard.count(member.file_size, name)
        with _reading(guard, name), opened.open(member) as packed, guard.add_file(name, mode) as file:
            shutil.copyfileobj(packed, file, CHUNK_BYTES)
            written = file.tell()
        if written != member.file_size:
            raise guard.broken("it is shorter than it says", name)
    else:
        raise guard.refuse("is neither a file nor a folder", name)


def _extract_tar(archive: Path, guard: ArchiveGuard, *, is_gzip: bool) -> None:
    with archive.open("rb") as file, _reading(guard):
        forward = _ForwardOnlyReader(
            cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if is_gzip else file, guard
        )
        with tarfile.open(fileobj=cast("IO[bytes]", forward), mode="r:") as opened:
            while (member := opened.next()) is not None:
                forward.begin_content()
                if len(opened.pax_headers) > MAX_PAX_HEADERS:
                    raise guard.refuse("has too many global headers")
                _extract_from_tar(opened, member, guard)
                # tarfile keeps all members that it has read.
                opened.members.clear()  # type: ignore[attr-defined]
                forward.begin_headers()
        # tarfile takes a damaged or missing header for the end, and gzip's checksum comes last.
        if not forward.ends_in_zeros():
            raise guard.broken("it does not end like a tar, or something follows its end")


def _extract_from_tar(opened: tarfile.TarFile, member: tarfile.TarInfo, guard: ArchiveGuard) -> None:
    name = member.name
    if member.type == _VOLUME_LABEL:
        return
    if member.isdir() or member.type == _DUMPED_FOLDER:
        guard.add_folder(name)
    elif member.issym():
        guard.add_link(name, member.linkname)
    elif member.islnk() and (leads_to := guard.link_at(member.linkname, name)) is not None:
        guard.add_link(name, leads_to)
    elif member.islnk():
        source = guard.file_at(member.linkname, name)
        guard.count(os.stat(source).st_size, name)
        with open(source, "rb") as first, guard.add_file(name, os.stat(source).st_mode) as file:
            shutil.copyfileobj(first, file, CHUNK_BYTES)
    elif member.isreg() and not member.issparse():
        guard.count(member.size, name)
        content = cast("IO[bytes]", opened.extractfile(member))
        with _reading(guard, name), content, guard.add_file(name, member.mode) as file:
            shutil.copyfileobj(content, file, CHUNK_BYTES)
    else:
        raise guard.refuse("is a device, a sparse file, or of another type that is not unpacked", name)


class _ForwardOnlyReader:
    """
    A file that ``tarfile`` can read only forwards, with a limit on headers.

    Reading gzip backwards would unpack it again from its beginning, and ``tarfile`` reads a header of any
    length into memory.
    """

    def __init__(self, file: IO[bytes], guard: ArchiveGuard) -> None:
        self._file = file
        self._guard = guard
        self._position = 0
        self._in_headers = True
        self._header_bytes = 0
        self._last_block = b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("it refers backwards")
        while self._position < position:
            step = min(position - self._position, CHUNK_BYTES)
            if len(self._read(step)) < step:
                raise tarfile.ReadError("it ends too early")

    def read(self, size: int) -> bytes:
        if not self._in_headers:
            return self._read(size)
        self._header_bytes += size
        if self._header_bytes > MAX_TAR_HEADER_BYTES:
            raise self._guard.refuse("has a header that is too long")
        data = self._read(size)
        if size == tarfile.BLOCKSIZE:
            self._last_block = data
        elif _MANY_DIGITS.search(data):
            raise self._guard.refuse("has an invalid header")
        return data

    def begin_headers(self) -> None:
        """Treat what is read next as one member's headers."""
        self._in_headers, self._header_bytes = True, 0

    def begin_content(self) -> None:
        """Treat what is read next as a file's content."""
        self._in_headers = False

    def ends_in_zeros(self) -> bool:
        """Return whether the tar ended with a block of zeros, followed only by zeros."""
        if len(self._last_block) < tarfile.BLOCKSIZE or self._last_block.strip(b"\0"):
            return False
        while chunk := self._read(CHUNK_BYTES):
            if chunk.strip(b"\0"):
                return False
        return True

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._position += len(data)
        self._guard.check_size(self._position)
        return data
