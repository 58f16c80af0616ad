# SPDX-License-Identifier: Apache-2.0
"""Unpack a tar, at a cost that grows with what is read and no faster."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path
from typing import IO, cast

from airflow_codepipeline_partner.artifacts.archive_errors import broken_archive_errors
from airflow_codepipeline_partner.artifacts.archive_guard import ArchiveGuard
from airflow_codepipeline_partner.artifacts.compression import Compression, decompressed
from airflow_codepipeline_partner.artifacts.entry_names import shown
from airflow_codepipeline_partner.artifacts.formats import CHUNK_BYTES

#: Longest headers of one tar member: names, the fields of PAX headers, and the map of a sparse file.
MAX_TAR_HEADER_BYTES = 2 * 1024 * 1024
#: No honest number has this many digits. Older Pythons take quadratic time to parse them.
_MANY_DIGITS = re.compile(rb"[\d_]{64}")
#: What tarfile parses as numbers, and how long they may be.
_NUMBERS = frozenset({b"atime", b"ctime", b"mtime", b"uid", b"gid", b"size"})
_MAX_NUMBER_BYTES = 40
_SPARSE_FIELD = "GNU.sparse."
#: Longest value in a global header. tarfile reads each again for each member.
_MAX_GLOBAL_CHARS = 4096
#: The beginning of a record in a PAX header: its length, all of it included.
_RECORD_LENGTH = re.compile(rb"(\d{1,10}) ")
#: GNU tar's member types for a volume label and for a folder of an incremental backup.
_VOLUME_LABEL, _DUMPED_FOLDER = b"V", b"D"
_PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_NAME_TYPES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
#: Where a header has its type.
_SIZE_AT, _TYPE_AT = slice(124, 136), slice(156, 157)
#: Most global headers of a tar, which apply to all members that follow.
MAX_PAX_HEADERS = 100


def extract_tar(archive: Path, guard: ArchiveGuard, compression: Compression | None) -> None:
    """
    Unpack a tar.

    :param archive: The archive.
    :param guard: What makes its entries.
    :param compression: How the archive is compressed, or None.
    :raises UnsafeArchive: The archive is refused.
    :raises ArtifactError: It is broken.
    """
    with archive.open("rb") as file, broken_archive_errors(guard):
        source = (
            cast("IO[bytes]", decompressed(file, compression, guard.count_fields)) if compression else file
        )
        reader = _ForwardOnlyReader(source, guard)
        # The fallback for names that are not UTF-8; the default would be the worker's locale.
        with tarfile.open(
            fileobj=cast("IO[bytes]", reader), mode="r:", encoding="utf-8", errors="surrogateescape"
        ) as opened:
            while (member := opened.next()) is not None:
                reader.begin_content()
                guard.count_entry()
                _check_global_headers(opened, guard)
                _extract_member(opened, member, reader, guard)
                # tarfile keeps all members that it has read.
                opened.members.clear()  # type: ignore[attr-defined]
                reader.begin_headers()
        # tarfile takes a damaged or missing header for the end, and gzip's checksum comes last.
        if not reader.ends_in_zeros():
            raise guard.broken("it does not end like a tar, or something follows its end")


def _check_global_headers(opened: tarfile.TarFile, guard: ArchiveGuard) -> None:
    """Refuse global headers that cost much for each member that follows."""
    if len(opened.pax_headers) > MAX_PAX_HEADERS:
        raise guard.refuse("has too many global headers")
    if any(len(value) > _MAX_GLOBAL_CHARS for value in opened.pax_headers.values()):
        raise guard.refuse("has a global header that is too long")
    if any(name.startswith(_SPARSE_FIELD) for name in opened.pax_headers):
        raise guard.refuse("has a global header that makes all of its files sparse")


def _extract_member(
    opened: tarfile.TarFile, member: tarfile.TarInfo, reader: _ForwardOnlyReader, guard: ArchiveGuard
) -> None:
    name = member.name
    if member.type == _VOLUME_LABEL:
        return
    if member.isdir() or member.type == _DUMPED_FOLDER:
        guard.add_folder(name)
    elif member.issym():
        guard.add_link(name, member.linkname)
    elif member.islnk():
        _add_hard_link(member, guard)
    elif member.issparse():
        _add_sparse_file(member, reader, guard)
    elif member.isreg():
        guard.count(member.size, name)
        content = cast("IO[bytes]", opened.extractfile(member))
        with broken_archive_errors(guard, name), content, guard.add_file(name, member.mode) as file:
            guard.copy(content, file)
    else:
        raise guard.refuse("is a device, or of another type that is not unpacked", name)


def _add_hard_link(member: tarfile.TarInfo, guard: ArchiveGuard) -> None:
    """Make a copy of an earlier file, or of an earlier link."""
    name = member.name
    if (leads_to := guard.link_at(member.linkname, name)) is not None:
        guard.add_link(name, leads_to)
        return
    with open(guard.file_at(member.linkname, name), "rb") as first:
        size = first.seek(0, 2)
        first.seek(0)
        guard.count(size, name)
        with guard.add_file(name, member.mode) as file:
            guard.copy(first, file)


def _add_sparse_file(member: tarfile.TarInfo, reader: _ForwardOnlyReader, guard: ArchiveGuard) -> None:
    """Make a file with holes. It counts with its full size, and lies on the disk without its holes."""
    name = member.name
    listed = cast("list[tuple[int, int]]", member.sparse or [])
    guard.count(member.size, name)
    guard.count_fields(len(listed))
    # GNU tar fills its first table up with empty pieces at 0.
    pieces = [(offset, size) for offset, size in listed if size]
    end = 0
    for offset, size in pieces:
        if size < 0 or offset < end or offset + size > member.size:
            raise guard.broken("its map of holes is wrong", name)
        end = offset + size
    reader.seek(member.offset_data)
    with broken_archive_errors(guard, name), guard.add_file(name, member.mode) as file:
        for offset, size in pieces:
            file.seek(offset)
            reader.copy(size, file)
        file.truncate(member.size)


def _content_bytes(block: bytes) -> int:
    """Return how many bytes follow a header block."""
    try:
        return tarfile.nti(block[_SIZE_AT])  # type: ignore[attr-defined,no-any-return]
    except tarfile.HeaderError:
        return 0


class _ForwardOnlyReader:
    """
    A file that ``tarfile`` can read only forwards, with limits on headers.

    Reading a compressed file backwards would unpack it again from its beginning, and ``tarfile`` reads a
    header of any length into memory.
    """

    def __init__(self, file: IO[bytes], guard: ArchiveGuard) -> None:
        self._file = file
        self._guard = guard
        self._position = 0
        self._last_block = self._extension = b""
        self.begin_headers()

    def begin_headers(self) -> None:
        """Treat what is read next as one member's headers."""
        self._in_headers, self._header_bytes = True, 0
        #: The type of the header block that was read last; None before the first.
        self._type: bytes | None = None

    def begin_content(self) -> None:
        """Treat what is read next as a file's content."""
        self._in_headers = False

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("it refers backwards")
        while self._position < position:
            step = min(position - self._position, CHUNK_BYTES)
            if len(self._read(step)) < step:
                raise tarfile.ReadError("it ends too early")

    def copy(self, size: int, file: IO[bytes]) -> None:
        """Copy the next bytes to a file."""
        while size:
            data = self._read(min(size, CHUNK_BYTES))
            if not data:
                raise tarfile.ReadError("it ends too early")
            self._guard.write(data, file)
            size -= len(data)

    def read(self, size: int) -> bytes:
        if not self._in_headers:
            return self._read(size)
        self._header_bytes += size
        if self._header_bytes > MAX_TAR_HEADER_BYTES:
            raise self._guard.refuse(
                f"has a header of more than {MAX_TAR_HEADER_BYTES >> 20} MiB (a name, attributes, or the map "
                "of a sparse file)",
                advice="Create the artifact without --sparse and --xattrs.",
            )
        data = self._read(size)
        if self._type is None and size == tarfile.BLOCKSIZE:
            self._guard.count_fields()
            self._last_block, self._type = data, data[_TYPE_AT]
            self._extension = b""
        elif self._type in _PAX_TYPES or self._type in _NAME_TYPES:
            # Newer Pythons read it in pieces.
            self._extension += data
            if len(self._extension) >= _content_bytes(self._last_block) or len(data) < size:
                if self._type in _PAX_TYPES:
                    self._check_records(self._extension)
                # Another header block follows.
                self._type = None
        elif _MANY_DIGITS.search(data):
            # In the map of a sparse file.
            raise self._guard.refuse("has an invalid header")
        return data

    def _check_records(self, data: bytes) -> None:
        """
        Refuse records that overlap.

        ``tarfile`` looks for a record's name up to the next equals sign, wherever the record ends, so that
        short lengths make it copy the whole header for each of them.
        """
        position = records = 0
        while match := _RECORD_LENGTH.match(data, position):
            end = position + int(match[1])
            equals = data.find(b"=", match.end(), end)
            if equals < 0 or data[end - 1 : end] != b"\n":
                raise self._guard.refuse("has an invalid header")
            self._check_number(data[match.end() : equals], data[equals + 1 : end - 1])
            position = end
            records += 1
        if data[position:].strip(b"\0"):
            raise self._guard.refuse("has an invalid header")
        self._guard.count_fields(records)

    def _check_number(self, field: bytes, value: bytes) -> None:
        is_too_long = field in _NUMBERS and len(value) > _MAX_NUMBER_BYTES
        if is_too_long or (field.startswith(_SPARSE_FIELD.encode()) and _MANY_DIGITS.search(value)):
            raise self._guard.refuse(
                f"has a header in which {shown(field.decode('latin-1'))} is not a number"
            )

    def ends_in_zeros(self) -> bool:
        """Return whether the tar ended with a block of zeros, followed only by zeros."""
        if len(self._last_block) < tarfile.BLOCKSIZE or self._last_block.strip(b"\0"):
            return False
        while chunk := self._read(CHUNK_BYTES):
            if chunk.strip(b"\0"):
                return False
        return True

    def _read(self, size: int) -> bytes:
        self._guard.check_time()
        data = self._file.read(size)
        self._position += len(data)
        self._guard.check_size(self._position)
        return data
