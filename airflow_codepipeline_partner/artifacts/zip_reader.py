# SPDX-License-Identifier: Apache-2.0
"""Unpack a zip, at a cost that grows with what is read and no faster."""

from __future__ import annotations

import io
import logging
import stat
import struct
import zipfile
from collections import Counter
from pathlib import Path

from airflow_codepipeline_partner.artifacts.archive_errors import broken_archive_errors
from airflow_codepipeline_partner.artifacts.archive_guard import ArchiveGuard
from airflow_codepipeline_partner.artifacts.entry_names import MAX_PATH_CHARS, shown
from airflow_codepipeline_partner.artifacts.zip_names import (
    entry_name,
    has_drive,
    is_folder,
    is_guessed,
    keeps_backslash,
    link_text,
)

log = logging.getLogger(__name__)

_ENCRYPTED = 0x1
#: UTF-8 has up to four bytes for a character.
MAX_LINK_BYTES = 4 * MAX_PATH_CHARS
#: Signature of an entry in a zip's central directory.
_ZIP_MEMBER = b"PK\x01\x02"
#: An entry in the central directory, before its name; where the lengths of name, fields and comment are.
_MEMBER_BYTES, _MEMBER_LENGTHS = 46, struct.Struct("<28x3H")
#: The header before an entry's content; where the lengths of name and fields are.
_LOCAL_BYTES, _LOCAL_LENGTHS = 30, struct.Struct("<26x2H")
_FIELD = struct.Struct("<2H")
#: Most fields of an entry. zipfile copies all that follow each.
MAX_EXTRA_FIELDS = 64


def extract_zip(archive: Path, guard: ArchiveGuard) -> None:
    """
    Unpack a zip.

    :param archive: The archive.
    :param guard: What makes its entries.
    :raises UnsafeArchive: The archive is refused.
    :raises ArtifactError: It is broken.
    """
    with _ZipFile(archive, guard) as file, broken_archive_errors(guard), zipfile.ZipFile(file) as opened:
        members = opened.infolist()
        guard.check_list(len(members))
        # Before anything is written to the disk.
        guard.check_size(sum(member.file_size for member in members))
        file.remember_ends(members)
        guessed = next(filter(is_guessed, members), None)
        if guessed is not None:
            log.warning(
                "The artifact %s does not say how its names are encoded, such as %s; they were read as code "
                "page 437. If they are wrong, the customer can make the zip with names in UTF-8.",
                guard.artifact,
                shown(entry_name(guessed)),
            )
        kept = next(filter(keeps_backslash, members), None)
        if kept is not None:
            log.info(
                "The artifact %s has names with both / and a backslash, such as %s: the backslash stays.",
                guard.artifact,
                shown(entry_name(kept)),
            )
        for member in members:
            guard.count_entry()
            _extract_member(opened, member, file, guard)


def _extract_member(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, raw: _ZipFile, guard: ArchiveGuard
) -> None:
    name = entry_name(member)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.flag_bits & _ENCRYPTED:
        raise guard.refuse("is encrypted", name, "Create the artifact without encryption.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Python unpacks other methods in one piece, however large.
        raise guard.refuse(
            "is compressed by another method than deflate", name, "Create the artifact with it."
        )
    if has_drive(name, member):
        raise guard.refuse("has a path with a drive letter", name)
    if is_folder(name, member):
        if member.file_size:
            raise guard.refuse("is a folder that has content", name)
        guard.add_folder(name)
    elif kind == stat.S_IFLNK:
        raw.check_overlap(member, name)
        with broken_archive_errors(guard, name), opened.open(member) as packed:
            leads_to = link_text(member, packed.read(MAX_LINK_BYTES + 1))
        if has_drive(leads_to, member):
            raise guard.refuse("is a link to a path with a drive letter", name)
        guard.add_link(name, leads_to)
    elif kind in (0, stat.S_IFREG) or (kind == stat.S_IFIFO and member.file_size):
        # What zip reads from a pipe has the mode of a pipe.
        _extract_file(opened, member, name, raw, guard)
    else:
        raise guard.refuse("is neither a file nor a folder", name)


def _extract_file(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, raw: _ZipFile, guard: ArchiveGuard
) -> None:
    guard.count(member.file_size, name)
    raw.check_overlap(member, name)
    mode = member.external_attr >> 16
    with (
        broken_archive_errors(guard, name),
        opened.open(member) as packed,
        guard.add_file(name, mode) as file,
    ):
        guard.copy(packed, file)
        written = file.tell()
    if written != member.file_size:
        raise guard.broken("it is shorter than it says", name)


class _ZipFile(io.FileIO):
    """
    A file for ``zipfile``, which checks the central directory before ``zipfile`` parses it.

    ``zipfile`` reads all of it into memory in one piece before it returns the first member.
    """

    def __init__(self, path: Path, guard: ArchiveGuard) -> None:
        super().__init__(path)
        self._guard = guard
        #: Where each entry's place ends, by where it begins. None until the central directory is read.
        self._ends: dict[int, int] | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        self._guard.check_time()
        is_in_list = self._ends is None and size is not None and size >= _MEMBER_BYTES
        if is_in_list and size is not None:
            self._guard.check_list_size(size)
        data = super().read(size) or b""
        if is_in_list and data.startswith(_ZIP_MEMBER):
            self._check_directory(data)
        return data

    def _check_directory(self, data: bytes) -> None:
        position = members = 0
        while data.startswith(_ZIP_MEMBER, position) and position + _MEMBER_BYTES <= len(data):
            name, fields, comment = _MEMBER_LENGTHS.unpack_from(data, position)
            position += _MEMBER_BYTES + name
            if fields > MAX_EXTRA_FIELDS * _FIELD.size:
                self._check_fields(data, position, position + fields)
            position += fields + comment
            members += 1
        self._guard.check_list(members)

    def _check_fields(self, data: bytes, position: int, end: int) -> None:
        for _ in range(MAX_EXTRA_FIELDS):
            if position + _FIELD.size > min(end, len(data)):
                return
            position += _FIELD.size + _FIELD.unpack_from(data, position)[1]
        raise self._guard.refuse(f"has an entry with more than {MAX_EXTRA_FIELDS} fields")

    def remember_ends(self, members: list[zipfile.ZipInfo]) -> None:
        """Remember where the next entry begins, for each that has its place alone."""
        times = Counter(member.header_offset for member in members)
        starts = sorted(times)
        ends = zip(starts, [*starts[1:], self.seek(0, 2)], strict=False)
        self._ends = {start: end for start, end in ends if times[start] == 1}

    def check_overlap(self, member: zipfile.ZipInfo, name: str) -> None:
        """Refuse an entry that shares bytes with another: reading them again and again would have no end."""
        self.seek(member.header_offset)
        header = self.read(_LOCAL_BYTES)
        # zipfile will say that it is cut.
        if len(header) == _LOCAL_BYTES and self._ends is not None:
            size = _LOCAL_BYTES + sum(_LOCAL_LENGTHS.unpack(header)) + member.compress_size
            if member.header_offset + size > self._ends.get(member.header_offset, 0):
                raise self._guard.refuse("shares its bytes with another entry", name)
