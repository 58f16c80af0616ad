# SPDX-License-Identifier: Apache-2.0
"""What S3 checks before it accepts an upload: part numbers, lengths and checksums."""

from __future__ import annotations

import dataclasses
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs
from xml.etree import ElementTree

from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.http.checksums import CRCS, DIGESTS, encoded
from airflow_codepipeline_partner.emulator.http.requests import (
    Environ,
    is_chunked,
    read_body,
    request_headers,
)
from airflow_codepipeline_partner.emulator.service_model import is_number

MAX_PARTS = 10_000
_CHECKSUM = "x-amz-checksum-"
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})\r\n")


@dataclasses.dataclass(frozen=True)
class UploadedPart:
    """
    A part of an upload.

    :param digests: Its checksums, by the names of their headers.
    """

    length: int
    digests: Mapping[str, bytes]


@dataclasses.dataclass(frozen=True)
class _NamedPart:
    """
    A part as the request names it that completes the upload.

    :param checksums: Encoded, by the names of their headers.
    """

    number: int
    checksums: Mapping[str, str]


class Uploads:
    """
    Keep the checksums of uploaded parts, to check that of the whole object.

    :param parts: Where to keep them: upload id → part number → part.
    """

    def __init__(self, parts: dict[str, dict[int, UploadedPart]]) -> None:
        self._parts = parts

    def check(self, operation: str, environ: Environ) -> UploadedPart | None:
        """
        Check what moto does not.

        :param operation: AWS's name of the call.
        :return: The part that is uploaded, if it is one; :meth:`done` keeps it.
        :raises ApiError: S3 would refuse it.
        """
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        _check_part_numbers(query.get("partNumber", []))
        if operation == "CreateMultipartUpload":
            # moto would hold the whole object twice more to compute its checksum, and knows fewer algorithms.
            # No client compares the checksum of the parts' checksums with what it reads.
            environ["HTTP_X_AMZ_CHECKSUM_TYPE"] = "COMPOSITE"
        elif operation == "CompleteMultipartUpload":
            self._complete(query["uploadId"][0], environ)
        elif operation in ("PutObject", "UploadPart"):
            content, digests = _check_digests(environ, read_body(environ))
            if operation == "UploadPart":
                # A checksum that was just checked need not be computed again.
                digests.setdefault("x-amz-checksum-crc32", zlib.crc32(content).to_bytes(4, "big"))
                return UploadedPart(len(content), digests)
        return None

    def done(self, operation: str, environ: Environ, part: UploadedPart | None) -> None:
        """Note what moto has done."""
        query = parse_qs(environ.get("QUERY_STRING", ""))
        if operation == "AbortMultipartUpload":
            self._parts.pop(query["uploadId"][0], None)
        elif part is not None:
            self._parts.setdefault(query["uploadId"][0], {})[int(query["partNumber"][0])] = part

    def _complete(self, upload_id: str, environ: Environ) -> None:
        """Check each part's checksum, and the whole object's, if the parts were sent with the same kind."""
        named = _read_parts(read_body(environ))
        # They stay known afterwards: an upload whose completion was refused can be completed again.
        known = self._parts.get(upload_id, {})
        parts = [known[each.number] for each in named if each.number in known]
        expected = {
            name: value
            for name, value in request_headers(environ).items()
            if name in DIGESTS and name.startswith(_CHECKSUM)
        }
        for name in ("type", *(name.removeprefix(_CHECKSUM) for name in expected)):
            environ.pop(f"HTTP_X_AMZ_CHECKSUM_{name.upper()}", None)
        if len(parts) < len(named):
            # moto refuses them, or they were sent with other credentials than a job's.
            return
        for each, part in zip(named, parts, strict=True):
            _check_part(each, part)
        for name, value in expected.items():
            if all(name in part.digests for part in parts) and value not in _whole(name, parts):
                raise _bad_digest(name)


def _check_part(named: _NamedPart, part: UploadedPart) -> None:
    for name, value in named.checksums.items():
        if name in part.digests and value != encoded(part.digests[name]):
            message = f"The {name} of part {named.number} does not match the one that was uploaded."
            raise ApiError("InvalidPart", message)


def _whole(name: str, parts: Sequence[UploadedPart]) -> set[str]:
    """Return the right checksums of an object in parts: its own, and that of its parts' checksums."""
    of_parts = encoded(DIGESTS[name](b"".join(part.digests[name] for part in parts)))
    right = {of_parts, f"{of_parts}-{len(parts)}"}
    if name in CRCS:
        right.add(encoded(CRCS[name].joined((part.digests[name], part.length) for part in parts)))
    return right


def _check_part_numbers(numbers: list[str]) -> None:
    if not all(is_number(number) and 1 <= int(number) <= MAX_PARTS for number in numbers):
        message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise ApiError("InvalidArgument", message)


def _read_parts(body: bytes) -> list[_NamedPart]:
    """Return the parts that make up an object."""
    try:
        parts = ElementTree.fromstring(body).findall("{*}Part")  # noqa: S314 - expat itself limits entities
    except (ElementTree.ParseError, ValueError, LookupError):
        parts = []
    named = [part for part in parts if is_number(part.findtext("{*}PartNumber", "").strip())]
    if not parts or len(named) < len(parts) or not all(part.findtext("{*}ETag") for part in parts):
        message = "The XML you provided was not well-formed or did not validate against our published schema"
        raise ApiError("MalformedXML", message)
    return [_NamedPart(int(part.findtext("{*}PartNumber", "")), _checksums(part)) for part in parts]


def _checksums(part: ElementTree.Element) -> dict[str, str]:
    texts = {each.tag.rpartition("}")[2]: (each.text or "").strip() for each in part}
    return {name: texts[tag] for name in DIGESTS if (tag := _element(name)) in texts}


def _element(name: str) -> str:
    """Return the name of a checksum in XML."""
    return f"Checksum{name.removeprefix(_CHECKSUM).upper()}"


def _check_digests(environ: Environ, body: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Check a body's checksums, and return its content and them, by the names of their headers."""
    headers = request_headers(environ)
    if is_chunked(environ):
        body, trailer = _unchunked(body)
        if headers.get("x-amz-decoded-content-length", str(len(body))) != str(len(body)):
            raise _incomplete()
        missing = headers.get("x-amz-trailer", "").strip().lower()
        if missing and missing not in trailer:
            raise ApiError("MalformedTrailerError", f"The trailer of the body has no {missing}.")
        headers |= trailer
    digests = {name: digest(body) for name, digest in DIGESTS.items() if name in headers}
    for name, digest in digests.items():
        if headers[name].strip() != encoded(digest):
            raise _bad_digest(name)
    return body, digests


def _unchunked(body: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the content of an aws-chunked body, and its trailer by names in lower case."""
    stream, chunks = io.BytesIO(body), []
    while True:
        line = stream.readline()
        size = _CHUNK_SIZE.fullmatch(line)
        if b";" in line:
            raise ApiError("InvalidRequest", "The emulator does not read extensions of chunks.")
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
