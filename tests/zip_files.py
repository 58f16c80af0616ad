# SPDX-License-Identifier: Apache-2.0
"""Zips made byte by byte, as archivers of other makers make them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

UTF8, DOS, UNIX, OS2, NTFS, INFO_ZIP_NTFS, VFAT, MACOS = 0x800, 0, 3, 6, 10, 11, 14, 19
FOLDER_IN_DOS = 0x10


@dataclass
class Member:
    """An entry: its name in bytes, its content, and the fields that say what they mean."""

    name: bytes
    content: bytes = b"x"
    system: int = UNIX
    flags: int = 0
    mode: int = 0
    dos: int = 0
    extra: bytes = b""
    local_extra: bytes = b""
    comment: bytes = b""
    deflates: bool = False
    #: Behind the content, with zeros in the header before it.
    has_descriptor: bool = False
    #: With the sizes in a field of 64 bits.
    is_zip64: bool = False
    #: Where the header before it is said to be; None where it is.
    offset: int | None = None


def field(kind, content):
    return struct.pack("<2H", kind, len(content)) + content


def unicode_path(name, stored):
    return field(0x7075, struct.pack("<BI", 1, zlib.crc32(stored)) + name)


def zip_of(*members, comment=b"", before=b""):
    """Return a zip."""
    body, directory = before, b""
    for member in members:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        content = member.content
        packed = packer.compress(content) + packer.flush() if member.deflates else content
        flags = member.flags | (8 if member.has_descriptor else 0)
        method, crc = 8 if member.deflates else 0, zlib.crc32(content)
        sizes = (crc, len(packed), len(content))
        listed = (crc, 2**32 - 1, 2**32 - 1) if member.is_zip64 else sizes
        extra = field(1, struct.pack("<2Q", len(content), len(packed))) if member.is_zip64 else b""
        offset = len(body) if member.offset is None else member.offset
        head = (20, flags, method, 0, 33)
        body += struct.pack(
            "<4s5H3I2H",
            b"PK\3\4",
            *head,
            *((0, 0, 0) if member.has_descriptor else listed),
            len(member.name),
            len(extra + member.local_extra),
        )
        body += member.name + extra + member.local_extra + packed
        if member.has_descriptor:
            body += struct.pack("<4s3I", b"PK\7\x08", *sizes)
        extra += member.extra
        directory += struct.pack(
            "<4s2B5H3I5H2I",
            b"PK\1\2",
            20,
            member.system,
            *head,
            *listed,
            len(member.name),
            len(extra),
            len(member.comment),
            0,
            0,
            member.mode << 16 | member.dos,
            offset,
        )
        directory += member.name + extra + member.comment
    number = len(members)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, number, number, len(directory), len(body), len(comment))
    return body + directory + end + comment
