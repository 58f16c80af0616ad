# SPDX-License-Identifier: Apache-2.0
"""The checksums of S3's objects: how each is computed, and that of several parts from those of each."""

from __future__ import annotations

import base64
import functools
import hashlib
import zlib
from collections.abc import Callable, Iterable


class Crc:
    """
    A cyclic redundancy check, as S3 uses them: its lowest bit is the highest power of x.

    :param polynomial: Its polynomial in that order of bits, without the highest power.
    :param size: Its length in bytes.
    """

    def __init__(self, polynomial: int, size: int) -> None:
        self._polynomial = polynomial
        self._size = size
        self._ones = (1 << 8 * size) - 1

    def digest(self, body: bytes) -> bytes:
        """Return the CRC of a body. In Python, it takes some 0.15 s for a megabyte."""
        table, crc = self._table, self._ones
        for byte in body:
            crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
        return (crc ^ self._ones).to_bytes(self._size, "big")

    def joined(self, parts: Iterable[tuple[bytes, int]]) -> bytes:
        """Return the CRC of bodies in sequence, from the CRC and the length in bytes of each."""
        whole = 0
        for digest, length in parts:
            whole = self._product(whole, self._shift(length)) ^ int.from_bytes(digest)
        return whole.to_bytes(self._size, "big")

    @functools.cached_property
    def _table(self) -> list[int]:
        one = 1 << 8 * self._size - 1
        return [self._product(byte, one >> 8) for byte in range(256)]

    def _shift(self, length: int) -> int:
        """Return what a CRC is multiplied by if bytes follow: x to the power of their bits."""
        one = 1 << 8 * self._size - 1
        power, square = one, one >> 8
        while length:
            if length & 1:
                power = self._product(power, square)
            square = self._product(square, square)
            length >>= 1
        return power

    def _product(self, left: int, right: int) -> int:
        """Multiply two polynomials over GF(2), modulo the CRC's."""
        product = 0
        for bit in range(8 * self._size - 1, -1, -1):
            if left >> bit & 1:
                product ^= right
            right = right >> 1 ^ (self._polynomial if right & 1 else 0)
        return product


class _Crc32(Crc):
    """The CRC that Python has."""

    def digest(self, body: bytes) -> bytes:
        """Return the CRC of a body."""
        return zlib.crc32(body).to_bytes(4, "big")


#: Those of which S3 knows the checksum of a whole object from its parts', by the names of their headers.
CRCS = {
    "x-amz-checksum-crc32": _Crc32(0xEDB88320, 4),
    "x-amz-checksum-crc32c": Crc(0x82F63B78, 4),
    "x-amz-checksum-crc64nvme": Crc(0x9A6C9329AC4BC9B5, 8),
}
#: All, by the names of their headers.
DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
    "x-amz-checksum-sha512": lambda body: hashlib.sha512(body).digest(),
    "x-amz-checksum-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    **{name: crc.digest for name, crc in CRCS.items()},
}


def encoded(digest: bytes) -> str:
    """Return a digest as headers have it."""
    return base64.b64encode(digest).decode()
