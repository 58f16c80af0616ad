# SPDX-License-Identifier: Apache-2.0
"""What an HTTP request holds: its path, its headers and its body, from WSGI."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from airflow_codepipeline_partner.emulator.errors import ApiError

Environ = dict[str, Any]

#: moto's own key: the names of headers as they were sent, by those of WSGI, if they have underscores.
PRESERVED_NAMES = "moto.preserved_header_names"
#: Of a presigned URL, in lower case.
SIGNATURE_PARAMETERS = frozenset(
    f"x-amz-{name}"
    for name in (
        "algorithm",
        "credential",
        "date",
        "expires",
        "security-token",
        "signature",
        "signedheaders",
    )
)
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


def adopt_parameters(environ: Environ) -> None:
    """
    Let the ``x-amz-*`` parameters of a query be headers, as they are for S3. moto reads only some of them.

    :raises ApiError: There are two values.
    """
    names = dict(environ.get(PRESERVED_NAMES, {}))
    for name, text in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True):
        lower = name.lower()
        if not lower.startswith("x-amz-") or lower in SIGNATURE_PARAMETERS:
            continue
        if "_" in lower and not lower.startswith("x-amz-meta-"):
            # It is not one of the headers with dashes.
            continue
        key, value = f"HTTP_{name.upper().replace('-', '_')}", text.encode().decode("latin-1")
        if environ.setdefault(key, value) != value:
            raise ApiError("InvalidArgument", f"There are two values of {name}.")
        if "_" in lower:
            names.setdefault(key, lower)
    environ[PRESERVED_NAMES] = names


def is_chunked(environ: Mapping[str, Any]) -> bool:
    """Return whether moto reads a request's body as chunks. It does not look at Content-Encoding."""
    return environ.get("HTTP_X_AMZ_CONTENT_SHA256") == UNSIGNED_CHUNKS


def read_body(environ: Environ) -> bytes:
    """Return a request's body, and let it be read again."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body
