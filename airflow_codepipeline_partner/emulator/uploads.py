# SPDX-License-Identifier: Apache-2.0
"""What S3 checks of a transfer before it does it: part numbers, lengths and checksums."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs
from xml.etree import ElementTree

from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.signature import request_headers
from airflow_codepipeline_partner.emulator.validation import is_number

MAX_PARTS = 10_000
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,16})(;.*)?\r\n")
_DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "content-md5": lambda body: hashlib.md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}


def read_body(environ: dict[str, Any]) -> bytes:
    """Return a request's body, which can be read again."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def check_transfer(operation: str, environ: dict[str, Any]) -> None:
    """
    Check what moto does not.

    :param operation: AWS's name of the call.
    :raises ApiError: S3 would refuse it.
    """
    numbers = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).get("partNumber", [])
    if not all(is_number(number) and 1 <= int(number) <= MAX_PARTS for number in numbers):
        message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise ApiError("InvalidArgument", message)
    if operation == "CompleteMultipartUpload":
        _check_parts(read_body(environ))
    elif operation in ("PutObject", "UploadPart"):
        _check_digests(environ, read_body(environ))


def _check_parts(body: bytes) -> None:
    try:
        parts = ElementTree.fromstring(body).findall("{*}Part")  # noqa: S314 - expat itself limits entities
    except (ElementTree.ParseError, ValueError, LookupError):
        parts = []
    named = [part for part in parts if is_number(part.findtext("{*}PartNumber", "").strip())]
    if not parts or len(named) < len(parts) or not all(part.findtext("{*}ETag") for part in parts):
        message = "The XML you provided was not well-formed or did not validate against our published schema"
        raise ApiError("MalformedXML", message)


def _check_digests(environ: dict[str, Any], body: bytes) -> None:
    told = request_headers(environ)
    if "aws-chunked" in told.get("content-encoding", ""):
        body, trailer = _unchunked(body)
        if told.get("x-amz-decoded-content-length", str(len(body))) != str(len(body)):
            raise _incomplete()
        told |= trailer
    for name, digest in _DIGESTS.items():
        if name in told and told[name].strip() != base64.b64encode(digest(body)).decode():
            raise ApiError("BadDigest", f"The {name} you specified did not match what we received.")


def _unchunked(body: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the content of an aws-chunked body, and what its trailer says by names in lower case."""
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
