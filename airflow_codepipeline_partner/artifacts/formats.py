# SPDX-License-Identifier: Apache-2.0
"""The formats of archives."""

from __future__ import annotations

from typing import Literal, get_args

ArchiveFormat = Literal["zip", "tar", "tar.gz", "raw"]
FORMATS: tuple[ArchiveFormat, ...] = get_args(ArchiveFormat)
#: The formats that a folder can be packed as.
PACKED_FORMATS: tuple[ArchiveFormat, ...] = ("zip", "tar", "tar.gz")

#: Bytes to read at once. More is slower, since it touches more memory.
CHUNK_BYTES = 64 * 1024
