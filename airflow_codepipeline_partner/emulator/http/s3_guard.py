# SPDX-License-Identifier: Apache-2.0
"""The guard in front of S3: a job's credentials open its artifacts and nothing else."""

from __future__ import annotations

import datetime
import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, unquote_to_bytes

from airflow_codepipeline_partner.emulator.engine.moto_store import MotoStore
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.http.requests import (
    UNSIGNED_CHUNKS,
    Environ,
    adopt_parameters,
    is_chunked,
    raw_path,
    read_body,
    request_headers,
)
from airflow_codepipeline_partner.emulator.http.signature import (
    Signature,
    is_genuine,
    read_signature,
    unsigned_headers,
)
from airflow_codepipeline_partner.emulator.http.uploads import UploadedPart, Uploads
from airflow_codepipeline_partner.emulator.model.credentials import ACCESS_KEY_PREFIX, SessionCredentials

# An object's URL can have these parameters, and those of the signature.
_PLAIN_PARAMETERS = frozenset({"x-id", "versionId", "partNumber"})
_PATH_STYLE_HOST = re.compile(r"(localhost|127\.0\.0\.1)(:\d+)?", re.IGNORECASE)
# These need permissions that a job's credentials do not have.
_FOREIGN_HEADERS = (
    "x-amz-copy-source",
    "x-amz-acl",
    "x-amz-grant-",
    "x-amz-tagging",
    "x-amz-object-lock-",
    "x-amz-website-redirect-location",
    "x-amz-target",
)
_UNSIGNED = "UNSIGNED-PAYLOAD"
_DATE = "%Y%m%dT%H%M%SZ"
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
MAX_PRESIGNED_SECONDS = 604_800  # a week


class ArtifactCall:
    """
    An S3 call with a job's credentials.

    :param operation: AWS's name of the call.
    :param part: What an UploadPart uploads.
    """

    def __init__(
        self,
        operation: str,
        bucket: str,
        key: str,
        credentials: SessionCredentials,
        part: UploadedPart | None = None,
    ) -> None:
        self.operation = operation
        self.bucket = bucket
        self.key = key
        self.credentials = credentials
        self.part = part


class ArtifactGuard:
    """
    Check each request before moto sees it, and let through what a job's credentials allow.

    It ignores requests without a job's credentials.

    :param state: The state.
    :param store: S3, which knows the uploads in parts.
    :param wall: The clients' time in seconds since the epoch, by which presigned URLs expire.
    """

    def __init__(self, state: State, store: MotoStore, wall: Callable[[], float] = time.time) -> None:
        self._state = state
        self._store = store
        self._wall = wall

    def handles(self, environ: Environ) -> bool:
        """Return whether the request has a job's access key, anywhere a client could put it."""
        query = unquote(environ.get("QUERY_STRING", ""))
        if ACCESS_KEY_PREFIX in f"{environ.get('HTTP_AUTHORIZATION', '')} {query}":
            return True
        return _is_form(environ) and ACCESS_KEY_PREFIX.encode() in unquote_to_bytes(read_body(environ))

    def check(self, environ: Environ) -> ArtifactCall:
        """
        Check a request with a job's access key.

        :return: The call; the request's body can be read again.
        :raises ApiError: It is denied.
        """
        # With a virtual host's name moto would use another bucket than the path's.
        if not _PATH_STYLE_HOST.fullmatch(environ.get("HTTP_HOST", "")):
            raise ApiError("AccessDenied", "Access Denied", 403)
        signature = read_signature(environ)
        query = unquote(environ.get("QUERY_STRING", ""))
        if signature is None or not signature.access_key_id.startswith(ACCESS_KEY_PREFIX):
            if _is_form(environ):
                # A presigned POST. Its policy could name a key that the job must not write.
                raise ApiError("AccessDenied", "Access Denied", 403)
            raise ApiError("InvalidRequest", "Please use AWS4-HMAC-SHA256, once, with one access key.")
        if not signature.presigned and ACCESS_KEY_PREFIX in query:
            raise ApiError("InvalidArgument", "Only one auth mechanism allowed.")
        credentials = self._credentials(signature, environ)
        if signature.service != "s3":
            raise ApiError("AccessDenied", f"These credentials do not open {signature.service}.", 403)
        return self._allow(environ, credentials)

    def _credentials(self, signature: Signature, environ: Environ) -> SessionCredentials:
        with self._state.lock:
            credentials = self._state.credentials.find(signature.access_key_id)
            now = self._state.tick()
        if credentials is None:
            message = "The AWS Access Key Id you provided does not exist in our records."
            raise ApiError("InvalidAccessKeyId", message, 403)
        if signature.session_token != credentials.session_token:
            raise ApiError("InvalidToken", "The provided token is malformed or otherwise invalid.")
        unsigned = unsigned_headers(signature, environ)
        adopt_parameters(environ)
        body_sha256 = hashlib.sha256(read_body(environ)).hexdigest()
        if not is_genuine(signature, environ, body_sha256, credentials.secret_access_key):
            raise ApiError(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
                403,
            )
        if unsigned:
            message = "There were headers present in the request which were not signed"
            raise ApiError("AccessDenied", message, 403)
        if now >= credentials.expires_at:
            raise ApiError("ExpiredToken", "The provided token has expired.")
        if signature.presigned:
            self._check_presigned(signature)
        _check_body(environ, body_sha256)
        return credentials

    def _check_presigned(self, signature: Signature) -> None:
        try:
            made = datetime.datetime.strptime(signature.timestamp, _DATE).replace(tzinfo=datetime.UTC)
        except ValueError:
            raise ApiError("AuthorizationQueryParametersError", "X-Amz-Date is no date.") from None
        if not 1 <= (signature.expires or 0) <= MAX_PRESIGNED_SECONDS:
            message = f"X-Amz-Expires must be 1 to {MAX_PRESIGNED_SECONDS} seconds."
            raise ApiError("AuthorizationQueryParametersError", message)
        if self._wall() >= made.timestamp() + (signature.expires or 0):
            raise ApiError("AccessDenied", "Request has expired", 403)

    def _allow(self, environ: Environ, credentials: SessionCredentials) -> ArtifactCall:
        denied = ApiError("AccessDenied", "Access Denied", 403)
        bucket, key = _place(environ)
        operation = _operation(environ)
        if operation is None or any(name.startswith(_FOREIGN_HEADERS) for name in request_headers(environ)):
            raise denied
        allowed = credentials.reads if operation in ("GetObject", "HeadObject") else credentials.writes
        if (bucket, key) not in allowed:
            raise denied
        if operation in ("PutObject", "CreateMultipartUpload"):
            right = _encryption(environ) == ("aws:kms", credentials.encryption_key)
            if not right and self._state.settings.upload_encryption == "refuse":
                raise denied
        upload_id = parse_qs(environ.get("QUERY_STRING", "")).get("uploadId", [""])[0]
        # moto writes to the upload's own key, whatever the path says. If it has no such upload, it says so.
        if self._store.key_of_upload(bucket, upload_id) not in (None, key):
            message = "The specified upload does not exist. The upload ID may be invalid."
            raise ApiError("NoSuchUpload", message, 404)
        if _has_form(environ):
            # moto would take an upload's id from the body, and store nothing of it.
            environ["CONTENT_TYPE"] = "binary/octet-stream"
        part = Uploads(self._state.uploaded_parts).check(operation, environ)
        return ArtifactCall(operation, bucket, key, credentials, part)

    def record(
        self,
        environ: Environ,
        call: ArtifactCall | None,
        outcome: str,
        faults: tuple[str, ...],
        response: Sequence[Any] = (),
    ) -> None:
        """
        Record a request with a job's credentials, and its outcome, in the ledger.

        :param call: None if it was not allowed.
        :param outcome: ``ok``, or the error that was returned.
        :param response: The status line and the headers of moto's response, if moto was called.
        """
        signature = read_signature(environ)
        details: dict[str, Any] = {"method": environ["REQUEST_METHOD"], "path": raw_path(environ)}
        operation = _operation(environ) or ("PostObject" if _is_form(environ) else "Unknown")
        if response and int(response[0].split()[0]) >= 400:
            outcome = f"HTTP {response[0].split()[0]}"
        with self._state.lock:
            now = self._state.tick()
            known = self._state.credentials.find(signature.access_key_id) if signature else None
            if call is not None and outcome == "ok":
                Uploads(self._state.uploaded_parts).done(call.operation, environ, call.part)
            if call is not None:
                details |= _described(environ, call, response)
            job = known.job if known is not None else None
            self._state.record(
                "artifact", operation, now, job, outcome=outcome, faults=faults, details=details
            )


def _place(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return the bucket and the key as moto reads them: the bucket as it was sent, the key decoded."""
    path = raw_path(environ)
    return path.removeprefix("/").partition("/")[0], "/".join(unquote(path).split("/")[2:])


def service_of(environ: Mapping[str, Any]) -> str:
    """Return the service that a request is signed for; S3 if that cannot be read."""
    signature = read_signature(environ)
    return signature.service if signature is not None else "s3"


def _is_form(environ: Mapping[str, Any]) -> bool:
    """Return whether S3 would read a request as a form that uploads an object."""
    return environ["REQUEST_METHOD"] == "POST" and _has_form(environ) and service_of(environ) == "s3"


def _has_form(environ: Mapping[str, Any]) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).strip().lower().startswith(_FORMS)


def _described(environ: Environ, call: ArtifactCall, response: Sequence[Any]) -> dict[str, Any]:
    action = call.credentials.job.action
    details: dict[str, Any] = {}
    for artifact in (*action.inputs, *action.outputs):
        if (artifact.bucket, artifact.key) == (call.bucket, call.key):
            details["artifact"] = artifact.name
    if call.operation == "GetObject":
        headers = {name.lower(): value for name, value in response[1]} if response else {}
        details["bytes"] = int(headers.get("content-length", 0))
    elif call.operation in ("PutObject", "UploadPart"):
        # The length of what was in the chunks was checked.
        decoded = environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH") if is_chunked(environ) else None
        details["bytes"] = int(decoded or environ.get("CONTENT_LENGTH") or 0)
    algorithm, key_id = _encryption(environ)
    if algorithm is not None:
        details |= {"serverSideEncryption": algorithm, "kmsKeyId": key_id}
    return details


def _operation(environ: Mapping[str, Any]) -> str | None:
    """Return the operation on an object, or None if no job's credentials allow it."""
    method = environ["REQUEST_METHOD"]
    names = {
        name
        for name, _ in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        if not name.lower().startswith("x-amz-")
    }
    if method in ("GET", "HEAD"):
        rest = {name for name in names - _PLAIN_PARAMETERS if not name.startswith("response-")}
        return None if rest else {"GET": "GetObject", "HEAD": "HeadObject"}[method]
    names -= {"x-id"}
    return {
        ("PUT", frozenset()): "PutObject",
        ("PUT", frozenset({"partNumber", "uploadId"})): "UploadPart",
        ("POST", frozenset({"uploads"})): "CreateMultipartUpload",
        ("POST", frozenset({"uploadId"})): "CompleteMultipartUpload",
        ("DELETE", frozenset({"uploadId"})): "AbortMultipartUpload",
    }.get((method, frozenset(names)))


def _encryption(environ: Mapping[str, Any]) -> tuple[str | None, str | None]:
    return (
        environ.get("HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION"),
        environ.get("HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID"),
    )


def _check_body(environ: Environ, body_sha256: str) -> None:
    signed = environ.get("HTTP_X_AMZ_CONTENT_SHA256", body_sha256)
    if signed in (_UNSIGNED, UNSIGNED_CHUNKS):
        return
    if signed.startswith("STREAMING-"):
        raise ApiError("NotImplemented", f"The emulator does not read {signed} bodies.", 501)
    if signed != body_sha256:
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise ApiError("XAmzContentSHA256Mismatch", message)
