# SPDX-License-Identifier: Apache-2.0
"""The S3 that the emulator itself uses: moto's, called in the process."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from moto.backends import get_backend
from werkzeug.test import EnvironBuilder, run_wsgi_app

from airflow_codepipeline_partner.emulator.errors import ControlError

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

# moto finds the service by the scope of the signature, and ignores the rest.
_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=EMULATOR/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


@dataclasses.dataclass(frozen=True)
class S3Object:
    """
    An object of S3.

    :param version_id: None in a bucket that keeps no versions.
    """

    body: bytes = dataclasses.field(repr=False)
    etag: str
    version_id: str | None


_MOTOS_OWN = "moto-api"


class MotoStore:
    """
    Put objects into moto's S3, and get them.

    :param app: moto's WSGI application.
    """

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def ensure_bucket(self, bucket: str) -> None:
        """Create a bucket unless it exists."""
        if self._call("HEAD", f"/{bucket}")[0] == 404:
            self._succeed("PUT", f"/{bucket}")

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Put an object."""
        self._succeed("PUT", f"/{bucket}/{key}", body)

    def get(self, bucket: str, key: str, version_id: str | None = None) -> S3Object | None:
        """
        Return an object, or None if there is none.

        :param version_id: Which version of it. Defaults to the newest.
        """
        query = {} if version_id is None else {"versionId": version_id}
        if not key or bucket == _MOTOS_OWN:
            # The list of a bucket's objects, or a page of moto's; neither is an object.
            return None
        status, body, headers = self._call("GET", f"/{bucket}/{key}", query=query)
        if status != 200:
            return None
        return S3Object(body, headers.get("etag", "").strip('"'), headers.get("x-amz-version-id"))

    def exists(self, bucket: str, key: str) -> bool:
        """Return whether the object exists."""
        return self._call("HEAD", f"/{bucket}/{key}")[0] == 200

    def key_of_upload(self, bucket: str, upload_id: str) -> str | None:
        """Return the key that an upload in parts is for, or None if the bucket has no such upload."""
        uploads: Any = get_backend("s3")
        partition, account_id = uploads.bucket_accounts.get(bucket, (None, None))
        if partition is None:
            return None
        upload = uploads[account_id][partition].get_bucket(bucket).multiparts.get(upload_id)
        return None if upload is None else str(upload.key_name)

    def reset(self) -> None:
        """Make moto forget everything, in all its services."""
        self._succeed("POST", "/moto-api/reset")

    def _succeed(self, method: str, path: str, body: bytes = b"") -> None:
        status = self._call(method, path, body)[0]
        if status != 200:
            raise ControlError(f"moto answered {status} to {method} {path}")

    def _call(
        self, method: str, path: str, body: bytes = b"", query: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        builder = EnvironBuilder(
            query_string=query,
            method=method,
            data=body,
            headers=[("Authorization", _AUTHORIZATION), ("Host", "localhost")],
        )
        environ = builder.get_environ()
        # moto finds what to do by the first, and the key's name in the second, both as a server gives them.
        encoded = path.encode(errors="surrogatepass")
        environ |= {"PATH_INFO": encoded.decode("latin-1"), "RAW_URI": quote(encoded)}
        try:
            return call_app(self._app, environ)
        finally:
            builder.close()


def call_app(app: WsgiApp, environ: dict[str, Any]) -> tuple[int, bytes, Mapping[str, str]]:
    """Call a WSGI application, and return the status, the body, and the headers by names in lower case."""
    chunks, status, headers = run_wsgi_app(app, environ, buffered=True)
    return int(status.split()[0]), b"".join(chunks), {name.lower(): value for name, value in headers}


def small_zip() -> bytes:
    """Return the default source artifact: a zip with one file, always the same."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("README.md"), "# A source artifact\n")
    return buffer.getvalue()
