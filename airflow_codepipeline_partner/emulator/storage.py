# SPDX-License-Identifier: Apache-2.0
"""S3 as the emulator itself uses it: moto's, called in the process."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.test import EnvironBuilder, run_wsgi_app

from airflow_codepipeline_partner.emulator.errors import ControlError

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

# moto finds the service by the scope of the signature, and looks at no more of it.
_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=EMULATOR/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


class MotoStore:
    """
    Put objects in moto's S3.

    :param app: moto's WSGI application.
    """

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def ensure_bucket(self, bucket: str) -> None:
        """Make a bucket unless it is there."""
        if self._call("HEAD", f"/{bucket}") == 404:
            self._succeed("PUT", f"/{bucket}")

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Put an object."""
        self._succeed("PUT", f"/{bucket}/{key}", body)

    def exists(self, bucket: str, key: str) -> bool:
        """Return whether there is such an object."""
        return self._call("HEAD", f"/{bucket}/{key}") == 200

    def reset(self) -> None:
        """Make moto forget everything, in all its services."""
        self._succeed("POST", "/moto-api/reset")

    def _succeed(self, method: str, path: str, body: bytes = b"") -> None:
        status = self._call(method, path, body)
        if status != 200:
            raise ControlError(f"moto answered {status} to {method} {path}")

    def _call(self, method: str, path: str, body: bytes = b"") -> int:
        builder = EnvironBuilder(
            path=path,
            method=method,
            data=body,
            headers=[("Authorization", _AUTHORIZATION), ("Host", "localhost")],
        )
        try:
            return call_app(self._app, builder.get_environ())[0]
        finally:
            builder.close()


def call_app(app: WsgiApp, environ: dict[str, Any]) -> tuple[int, bytes]:
    """Call a WSGI application, and return the status and the body."""
    chunks, status, _ = run_wsgi_app(app, environ, buffered=True)
    return int(status.split()[0]), b"".join(chunks)


def small_zip() -> bytes:
    """Return the source artifact of those who do not care: a zip with one file, always the same."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("README.md"), "# A source artifact\n")
    return buffer.getvalue()
