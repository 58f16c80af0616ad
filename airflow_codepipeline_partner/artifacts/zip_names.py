# SPDX-License-Identifier: Apache-2.0
"""
What the names in a zip mean, which depends on who made it.

Source: PKWARE's APPNOTE 6.3.10, sections 4.4.2 (version made by), 4.4.4 (flag bit 11), 4.6.9 (Unicode Path).
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib

_IS_UTF8 = 0x800
_UNICODE_PATH = 0x7075
_FIELD = struct.Struct("<2H")
#: In the Unicode Path field before the name: version, CRC of the stored name.
_UNICODE_HEAD = struct.Struct("<BI")
#: Unix, BeOS, macOS, AtheOS. Their names are bytes, which all of today's tools write as UTF-8.
_UNIX_SYSTEMS = {3, 16, 19, 30}
#: MS-DOS, OS/2, Windows NT (PKWARE's number and Info-ZIP's), VFAT: a backslash separates folders.
_BACKSLASH_SYSTEMS = {0, 6, 10, 11, 14}
_IS_FOLDER_IN_DOS = 0x10
_DRIVE = re.compile(r"[A-Za-z]:")


def entry_name(member: zipfile.ZipInfo) -> str:
    """
    Return an entry's name, with ``/`` between folders.

    Bytes that are not UTF-8 are kept, as in :func:`os.fsdecode`.
    """
    # As it was written: filename ends at a zero byte.
    name = member.orig_filename
    if not member.flag_bits & _IS_UTF8:
        # What zipfile has decoded by a table that has all bytes.
        stored = name.encode("cp437")
        name = _unicode_path(member.extra, stored) or _decode(stored, member)
    return _with_slashes(name, member)


def is_guessed(member: zipfile.ZipInfo) -> bool:
    """Return whether nothing says how a name is encoded, so that the format's old code page is used."""
    is_said = member.flag_bits & _IS_UTF8 or member.create_system in _UNIX_SYSTEMS
    name = member.orig_filename
    return not (is_said or name.isascii() or _unicode_path(member.extra, name.encode("cp437")))


def link_text(member: zipfile.ZipInfo, content: bytes) -> str:
    """Return where a link leads, from its content, by the same rules as its name."""
    return _with_slashes(_decode(content, member), member)


def has_drive(name: str, member: zipfile.ZipInfo) -> bool:
    """Return whether a name begins with a drive letter, which is one on some systems only."""
    return member.create_system in _BACKSLASH_SYSTEMS and _DRIVE.match(name) is not None


def is_folder(name: str, member: zipfile.ZipInfo) -> bool:
    """Return whether an entry is a folder."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.endswith("/") or kind == stat.S_IFDIR:
        return True
    return not kind and bool(member.external_attr & _IS_FOLDER_IN_DOS) and not member.file_size


def _decode(data: bytes, member: zipfile.ZipInfo) -> str:
    if member.flag_bits & _IS_UTF8 or member.create_system in _UNIX_SYSTEMS:
        return data.decode("utf-8", "surrogateescape")
    return data.decode("cp437")


def keeps_backslash(member: zipfile.ZipInfo) -> bool:
    """Return whether a name has a backslash that separates no folders, though it would where it was made."""
    return member.create_system in _BACKSLASH_SYSTEMS and "\\" in entry_name(member)


def _with_slashes(path: str, member: zipfile.ZipInfo) -> str:
    """
    Return a path with ``/`` between its folders.

    git and Go write MS-DOS as the system on Linux, too. But what separates folders by a backslash writes no
    ``/``, so that one of them shows what the other is.
    """
    is_separator = member.create_system in _BACKSLASH_SYSTEMS and "/" not in path
    return path.replace("\\", "/") if is_separator else path


def _unicode_path(extra: bytes, stored: bytes) -> str | None:
    """Return the name in the Unicode Path field, if it was made for the stored name."""
    position = 0
    while position + _FIELD.size <= len(extra):
        kind, size = _FIELD.unpack_from(extra, position)
        position += _FIELD.size
        field = extra[position : position + size]
        position += size
        if kind == _UNICODE_PATH and len(field) > _UNICODE_HEAD.size:
            version, crc = _UNICODE_HEAD.unpack_from(field)
            if version == 1 and crc == zlib.crc32(stored):
                try:
                    return field[_UNICODE_HEAD.size :].decode("utf-8")
                except UnicodeDecodeError:
                    return None
    return None
