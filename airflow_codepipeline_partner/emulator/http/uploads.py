# SPDX-License-Identifier: Apache-2.0
"""What S3 checks before it accepts an upload: part numbers, lengths and checksums."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zlib
from collections.abc import Callable
from urllib.parse import parse_qs
from xml.etree import ElementTree

from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.http.requests import Environ, read_body, request_headers
from airflow_codepipeline_partner.emulator.service_model import is_number

MAX_PARTS = 10_000
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})(;.*)?\r\n")
_DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}


class Uploads:
    """Keep the checksums of uploaded parts, to check that of the whole object."""

    def __init__(self) -> None:
        #: Upload id → part number → CRC-32 and length.
        self._parts: dict[str, dict[int, tuple[int, int]]] = {}

    def check(self, operation: str, environ: Environ) -> None:
        """
        Check what moto does not.

        :param operation: AWS's name of the call.
        :raises ApiError: S3 would refuse it.
        """
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        _check_part_numbers(query.get("partNumber", []))
        expected = request_headers(environ).get("x-amz-checksum-crc32")
        if operation in ("CreateMultipartUpload", "CompleteMultipartUpload"):
            # moto would hold the whole object twice more to compute what is known here; so it computes the
            # checksum of the parts' checksums.
            environ.pop("HTTP_X_AMZ_CHECKSUM_TYPE", None)
        if operation == "AbortMultipartUpload":
            self._parts.pop(query["uploadId"][0], None)
        elif operation == "CompleteMultipartUpload":
            environ.pop("HTTP_X_AMZ_CHECKSUM_CRC32", None)
            named = _read_parts(read_body(environ))
            parts = self._parts.pop(query["uploadId"][0], {})
            if expected is not None and all(number in parts for number in named):
                whole = 0
                for number in named:
                    whole = _combined_crc32(whole, *parts[number])
                if expected != base64.b64encode(whole.to_bytes(4, "big")).decode():
                    raise _bad_digest("x-amz-checksum-crc32")
        elif operation in ("PutObject", "UploadPart"):
            content, checked = _check_digests(environ, read_body(environ))
            if operation == "UploadPart":
                # A checksum that was just checked need not be computed again.
                crc32 = int.from_bytes(base64.b64decode(checked)) if checked else zlib.crc32(content)
                part = (crc32, len(content))
                self._parts.setdefault(query["uploadId"][0], {})[int(query["partNumber"][0])] = part


def _check_part_numbers(numbers: list[str]) -> None:
    if not all(is_number(number) and 1 <= int(number) <= MAX_PARTS for number in numbers):
        message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise ApiError("InvalidArgument", message)


def _read_parts(body: bytes) -> list[int]:
    """Return the numbers of the parts that make up an object."""
    try:
        parts = ElementTree.fromstring(body).findall("{*}Part")  # noqa: S314 - expat itself limits entities
    except (ElementTree.ParseError, ValueError, LookupError):
        parts = []
    named = [part for part in parts if is_number(part.findtext("{*}PartNumber", "").strip())]
    if not parts or len(named) < len(parts) or not all(part.findtext("{*}ETag") for part in parts):
        message = "The XML you provided was not well-formed or did not validate against our published schema"
        raise ApiError("MalformedXML", message)
    return [int(part.findtext("{*}PartNumber", "")) for part in parts]


def _check_digests(environ: Environ, body: bytes) -> tuple[bytes, str | None]:
    """Check a body's checksums, and return its content, and its CRC-32 if the request has it."""
    headers = request_headers(environ)
    if "aws-chunked" in headers.get("content-encoding", ""):
        body, trailer = _unchunked(body)
        if headers.get("x-amz-decoded-content-length", str(len(body))) != str(len(body)):
            raise _incomplete()
        headers |= trailer
    for name, digest in _DIGESTS.items():
        if name in headers and headers[name].strip() != base64.b64encode(digest(body)).decode():
            raise _bad_digest(name)
    return body, headers.get("x-amz-checksum-crc32")


def _unchunked(body: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the content of an aws-chunked body, and its trailer by names in lower case."""
    stream, chunks = io.BytesIO(body), []
    while True:
        size = _CHUNK_SIZE.fullmatch(stream.readline())
        if size is None:
            raise _incomplete()
        length = int(size[1], 16)
        if length == 0:
            break
        chunks.append(stream.read(length))
        if len(chunks[-1]) < length or stream.read(2) != b"\r\n":
            raise _incomplete()
    lines = stream.read().decode("latin-1").split("\r\n")
    return b"".join(chunks), {
        name.strip().lower(): value for name, colon, value in (line.partition(":") for line in lines) if colon
    }


def _incomplete() -> ApiError:
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header"
    return ApiError("IncompleteBody", message)


def _bad_digest(name: str) -> ApiError:
    return ApiError("BadDigest", f"The {name} you specified did not match what we received.")


def _combined_crc32(first: int, second: int, second_length: int) -> int:
    """
    Return the CRC-32 of two bodies in sequence from the CRC-32 of each.

    The first is multiplied by x to the power of the number of bits that follow it, in CRC-32's field.
    """
    power, square = 1 << 31, 1 << 23  # x to the 0, and to the 8: one byte more
    while second_length:
        if second_length & 1:
            power = _product(power, square)
        square = _product(square, square)
        second_length >>= 1
    return _product(first, power) ^ second


def _product(left: int, right: int) -> int:
    """Multiply two polynomials over GF(2), modulo that of CRC-32; the highest bit is x to the 0."""
    product = 0
    for bit in range(31, -1, -1):
        if left >> bit & 1:
            product ^= right
        right = right >> 1 ^ (0xEDB88320 if right & 1 else 0)
    return product
