# SPDX-License-Identifier: Apache-2.0
"""Responses, in the formats that the services' clients read."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from xml.sax.saxutils import escape

StartResponse = Callable[[str, list[tuple[str, str]]], Any]

AWS_JSON = "application/x-amz-json-1.1"
CBOR = "application/cbor"


def respond(
    start: StartResponse,
    status: int,
    body: bytes,
    content_type: str,
    headers: Iterable[tuple[str, str]] = (),
) -> list[bytes]:
    """Respond to an HTTP request."""
    request_id = str(uuid.uuid4())
    start(
        f"{status} {_PHRASES.get(status, 'Unknown')}",
        [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("x-amzn-RequestId", request_id),
            ("x-amz-request-id", request_id),
            *headers,
        ],
    )
    return [body]


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def json_answer(start: StartResponse, answer: dict[str, Any]) -> list[bytes]:
    """Respond in AWS JSON 1.1. An operation without output has an empty body."""
    return respond(start, 200, json.dumps(answer).encode() if answer else b"", AWS_JSON)


def json_error(start: StartResponse, code: str, message: str, status: int = 400) -> list[bytes]:
    """Respond with an error in AWS JSON 1.1."""
    return respond(start, status, json.dumps({"__type": code, "message": message}).encode(), AWS_JSON)


def cbor_error(start: StartResponse, code: str, message: str, status: int = 400) -> list[bytes]:
    """Respond with an error in Smithy's RPC v2 CBOR: a map of two texts."""
    body = b"\xa2" + b"".join(_cbor_text(text) for text in ("__type", code, "message", message))
    return respond(start, status, body, CBOR, [("smithy-protocol", "rpc-v2-cbor")])


def _cbor_text(text: str) -> bytes:
    # Major type 3 with a length of two bytes, which is enough for every message of the emulator.
    encoded = text.encode()[:0xFFFF]
    return b"\x79" + len(encoded).to_bytes(2, "big") + encoded


def s3_error(start: StartResponse, code: str, message: str, status: int) -> list[bytes]:
    """Respond with an error as S3 does."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    )
    return respond(start, status, body.encode(), "application/xml")


def query_error(start: StartResponse, code: str, message: str, status: int) -> list[bytes]:
    """Respond with an error as services with a query protocol do, such as STS and IAM."""
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(code)}</Code>"
        f"<Message>{escape(message)}</Message></Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return respond(start, status, body.encode(), "text/xml")
