# SPDX-License-Identifier: Apache-2.0
"""What an HTTP request holds: its path, its headers and its body, from WSGI."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

Environ = dict[str, Any]

#: moto's own key: the names of headers as they were sent, by those of WSGI, if they have underscores.
PRESERVED_NAMES = "moto.preserved_header_names"
#: What stands for the hash of a body that is sent in chunks.
UNSIGNED_CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def raw_path(environ: Mapping[str, Any]) -> str:
    """Return a request's path as it was sent, which is what moto reads: ``%2F`` and ``/`` are two things."""
    uri: str = environ["RAW_URI"]
    return uri.partition("?")[0]


def request_headers(environ: Mapping[str, Any]) -> dict[str, str]:
    """Return a request's headers by their names in lower case."""
    sent = environ.get(PRESERVED_NAMES, {})
    headers = {
        sent.get(name, name[5:].replace("_", "-")).lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    return headers


def is_chunked(environ: Mapping[str, Any]) -> bool:
    """Return whether moto reads a request's body as chunks. It does not look at Content-Encoding."""
    return environ.get("HTTP_X_AMZ_CONTENT_SHA256") == UNSIGNED_CHUNKS


def read_body(environ: Environ) -> bytes:
    """Return a request's body, and let it be read again."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body
