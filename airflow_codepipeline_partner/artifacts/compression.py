# SPDX-License-Identifier: Apache-2.0
"""Read compressed files forwards, in bounded memory, and count their streams."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zlib
from collections.abc import Callable
from typing import IO, Any, Literal

from airflow_codepipeline_partner.artifacts.formats import CHUNK_BYTES

Compression = Literal["gzip", "bzip2", "xz"]
#: The first bytes of a compressed file.
_MAGIC: dict[Compression, re.Pattern[bytes]] = {
    "gzip": re.compile(rb"\x1f\x8b"),
    # A text may begin with the first three letters. The end is that of an empty stream.
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
}
#: What xz may keep in memory. ``xz -9`` needs 65 MiB.
MAX_XZ_BYTES = 128 * 1024 * 1024
#: What is left of a piece is copied for each stream that begins in it.
_PACKED_BYTES = 16 * 1024
#: What cannot be unpacked makes one of these, and an OSError without a number.
ERRORS = (EOFError, zlib.error, lzma.LZMAError)


class TooMuchMemory(Exception):
    """A stream that only a large dictionary can decompress."""


_OPEN: dict[Compression, Callable[[], Any]] = {
    # With a header and a checksum. zlib skips a long header without a step of Python for each byte.
    "gzip": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_XZ_BYTES),
}


def compression_of(start: bytes) -> Compression | None:
    """Return how a file is compressed, by its first bytes; None if it is not."""
    return next((kind for kind, magic in _MAGIC.items() if magic.match(start)), None)


def decompressed(file: IO[bytes], kind: Compression, count_stream: Callable[[], None]) -> io.BufferedReader:
    """
    Open a compressed file. A file may hold many streams, one after the other.

    :param file: The file, at its beginning.
    :param kind: How it is compressed.
    :param count_stream: Called for each stream.
    :return: A reader. It raises an error of :data:`ERRORS` or an OSError for a broken file.
    """
    return io.BufferedReader(_Decompressor(file, kind, count_stream), CHUNK_BYTES)


class _Decompressor(io.RawIOBase):
    def __init__(self, file: IO[bytes], kind: Compression, count_stream: Callable[[], None]) -> None:
        self._file = file
        self._begin = _OPEN[kind]
        self._count_stream = count_stream
        self._stream: Any = None
        self._packed = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while self._stream is not None or self._begin_stream():
            if data := self._read_stream(len(buffer)):
                buffer[: len(data)] = data
                return len(data)
        return 0

    def _begin_stream(self) -> bool:
        """Begin the next stream, unless only zeros follow."""
        while not self._packed:
            piece = self._file.read(_PACKED_BYTES)
            if not piece:
                return False
            self._packed = piece.lstrip(b"\0")
        self._count_stream()
        self._stream = self._begin()
        return True

    def _read_stream(self, size: int) -> bytes:
        """Return the next bytes of a stream; none if it ends, or if more must be read first."""
        stream = self._stream
        if not self._packed and getattr(stream, "needs_input", True):
            self._packed = self._file.read(_PACKED_BYTES)
            is_at_end = not self._packed
        else:
            is_at_end = False
        try:
            data: bytes = stream.decompress(self._packed, size)
        except lzma.LZMAError as error:
            if str(error) != "Memory usage limit exceeded":
                raise
            raise TooMuchMemory(
                f"needs more than {MAX_XZ_BYTES >> 20} MiB of memory to be decompressed"
            ) from None
        if stream.eof:
            self._packed = stream.unused_data.lstrip(b"\0")
            self._stream = None
        elif is_at_end and not data:
            raise EOFError("Compressed file ended before the end-of-stream marker was reached")
        else:
            # bz2 and lzma keep what they have not used.
            self._packed = getattr(stream, "unconsumed_tail", b"")
        return data
