# SPDX-License-Identifier: Apache-2.0
"""The formats of archives, and how a file tells its own."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import Literal, get_args

ArchiveFormat = Literal["zip", "tar", "tar.gz", "raw"]


FORMATS: tuple[ArchiveFormat, ...] = get_args(ArchiveFormat)


#: Most that is read at once; more is slower, for all the memory that is touched anew.
CHUNK_BYTES = 64 * 1024


_MAGIC_BYTES = tarfile.RECORDSIZE + 1


def format_of(path: Path) -> ArchiveFormat:
    """
    Tell an archive's format by its first bytes.

    :param path: The file.
    :return: ``raw`` for what is no archive.
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
            # A broken archive is one for whoever unpacks it to name.
            return "tar.gz"
    return "tar" if _is_tar(start) else "raw"


def _is_tar(start: bytes) -> bool:
    if not start.strip(b"\0"):
        # An empty tar is nothing but zeros, as the beginning of a disk's image may be.
        return tarfile.BLOCKSIZE <= len(start) <= tarfile.RECORDSIZE
    try:
        tarfile.TarInfo.frombuf(start[: tarfile.BLOCKSIZE], tarfile.ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
