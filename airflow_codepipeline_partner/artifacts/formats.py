# SPDX-License-Identifier: Apache-2.0
"""The formats of archives, and how to detect a file's."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import Literal, get_args

ArchiveFormat = Literal["zip", "tar", "tar.gz", "raw"]
FORMATS: tuple[ArchiveFormat, ...] = get_args(ArchiveFormat)
#: The formats that a folder can be packed as.
PACKED_FORMATS: tuple[ArchiveFormat, ...] = ("zip", "tar", "tar.gz")

#: Bytes to read at once. More is slower, since it touches more memory.
CHUNK_BYTES = 64 * 1024

_MAGIC_BYTES = tarfile.RECORDSIZE + 1


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
