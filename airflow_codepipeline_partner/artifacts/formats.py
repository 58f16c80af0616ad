# SPDX-License-Identifier: Apache-2.0
"""The formats of archives."""

from __future__ import annotations

from typing import Literal, get_args

ArchiveFormat = Literal["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "raw"]
FORMATS: tuple[ArchiveFormat, ...] = get_args(ArchiveFormat)
#: The formats that a folder can be packed as.
PACKED_FORMATS: tuple[ArchiveFormat, ...] = ("zip", "tar", "tar.gz")

#: Bytes to read at once. More is slower, since it touches more memory.
CHUNK_BYTES = 64 * 1024

#: How files begin that are archives, or compressed, and are not unpacked.
_NOT_UNPACKED = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "RAR",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x04\x22\x4d\x18": "LZ4",
    b"LZIP": "lzip",
    b"\x1f\x9d": "compress (.Z)",
    b"MSCF": "CAB",
    b"xar!": "xar",
    b"!<arch>\n": "ar",
    b"070701": "cpio",
    b"070702": "cpio",
    b"070707": "cpio",
    b"\xc7\x71": "cpio",
    b"]\0\0": "LZMA",
}


def not_unpacked(start: bytes) -> str | None:
    """Return the format of a file that is an archive which is not unpacked, by its first bytes."""
    return next((name for magic, name in _NOT_UNPACKED.items() if start.startswith(magic)), None)
