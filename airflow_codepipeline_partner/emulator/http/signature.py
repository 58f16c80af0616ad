# SPDX-License-Identifier: Apache-2.0
"""AWS signatures, version 4: reading them, and checking whether they are genuine."""

from __future__ import annotations

import dataclasses
import hmac
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from airflow_codepipeline_partner.emulator.http.requests import raw_path, request_headers
from airflow_codepipeline_partner.emulator.service_model import is_number

_ALGORITHM = "AWS4-HMAC-SHA256"
_PART = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")
# An unsigned query string of the signature's own parameters.
_PRESIGNED = "X-Amz-Credential"


@dataclasses.dataclass(frozen=True)
class Signature:
    """
    The signature of a request.

    :param presigned: Whether it is in the URL.
    :param expires: Seconds for which a presigned URL is valid, 0 if that is no number;
        None for other requests.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    session_token: str | None
    presigned: bool
    expires: int | None


def read_signature(environ: Mapping[str, Any]) -> Signature | None:
    """
    Read the signature of a request.

    :return: None if it has no signature of version 4, or one that cannot be read.
    """
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    pairs = [] if authorization else parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    query = dict(pairs)
    if authorization:
        found = _read_parts(authorization)
        timestamp = environ.get("HTTP_X_AMZ_DATE", "")
        token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
        expires = None
    elif [name for name, _ in pairs].count(_PRESIGNED) == 1:
        names = {
            "Credential": _PRESIGNED,
            "SignedHeaders": "X-Amz-SignedHeaders",
            "Signature": "X-Amz-Signature",
        }
        found = {name: query.get(parameter, "") for name, parameter in names.items()}
        timestamp = query.get("X-Amz-Date", "")
        token = query.get("X-Amz-Security-Token")
        seconds = query.get("X-Amz-Expires", "")
        expires = int(seconds) if is_number(seconds) else 0
    else:
        return None
    scope = found.get("Credential", "").split("/")
    if len(scope) != 5 or not found.get("Signature") or not found.get("SignedHeaders"):
        return None
    return Signature(
        access_key_id=scope[0],
        date=scope[1],
        region=scope[2],
        service=scope[3],
        signed_headers=tuple(found["SignedHeaders"].split(";")),
        signature=found["Signature"],
        timestamp=timestamp,
        session_token=token,
        presigned=not authorization,
        expires=expires,
    )


def _read_parts(authorization: str) -> dict[str, str]:
    """Return the parts of a header: each once, and first the credential, where moto takes it from."""
    algorithm, _, rest = authorization.partition(" ")
    parts = [_PART.fullmatch(part.strip()) for part in rest.split(",")]
    found = {part[1]: part[2] for part in parts if part is not None}
    right = algorithm == _ALGORITHM and next(iter(found), "") == "Credential"
    return found if right and len(found) == len(parts) else {}


def unsigned_headers(signature: Signature, environ: Mapping[str, Any]) -> list[str]:
    """Return the names of the headers of AWS's that the request has and its signature leaves out."""
    names = request_headers(environ)
    return sorted(
        name for name in names if name.startswith("x-amz-") and name not in signature.signed_headers
    )


class _Recomputed(S3SigV4Auth):
    """botocore's signer, for exactly the headers that the client signed."""

    def __init__(self, signature: Signature, secret_access_key: str) -> None:
        credentials = Credentials(signature.access_key_id, secret_access_key)
        super().__init__(credentials, signature.service, signature.region)
        self._names = signature.signed_headers

    def headers_to_sign(self, request: Any) -> Any:
        """Return the headers that the client says it signed."""
        headers = HTTPHeaders()
        for name in self._names:
            headers[name] = _as_signed(request.headers.get(name, ""))
        return headers


def _as_signed(value: str) -> str:
    """Return a header's value as its sender signed it: most send UTF-8, which WSGI gives as Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _canonical_query(query: str) -> str:
    """Return a query as S3 signs it, however it was encoded."""
    pairs = [pair.replace("+", " ").partition("=") for pair in query.split("&") if pair]
    encoded = [
        [quote(unquote_to_bytes(part), safe="~") for part in (name, value)] for name, _, value in pairs
    ]
    return "&".join(f"{name}={value}" for name, value in encoded if name != "X-Amz-Signature")


def is_genuine(
    signature: Signature, environ: Mapping[str, Any], body_sha256: str, secret_access_key: str
) -> bool:
    """
    Return whether the request was signed with the secret.

    If a header names the hash of the body, the caller must check that it is the body's.

    :param signature: The request's signature.
    :param body_sha256: The hash of the body, in hexadecimal, for requests that name none.
    """
    if "host" not in signature.signed_headers or not signature.timestamp.startswith(signature.date):
        return False
    # However a client spells the path, S3 signs it encoded once, and not normalised.
    path = quote(unquote_to_bytes(raw_path(environ)), safe="/~")
    query = _canonical_query(environ.get("QUERY_STRING", ""))
    request = AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://{environ.get('HTTP_HOST', '')}{path}?{query}",
        headers=request_headers(environ),
    )
    request.context["timestamp"] = signature.timestamp
    if "X-Amz-Content-SHA256" not in request.headers:
        request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD" if signature.presigned else body_sha256
    signer = _Recomputed(signature, secret_access_key)
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return hmac.compare_digest(expected.encode(), signature.signature.encode())
