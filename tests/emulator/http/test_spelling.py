# SPDX-License-Identifier: Apache-2.0
"""No spelling of a path leads a job's credentials to another object than the guard judged."""

from __future__ import annotations

import http.client
import itertools
import urllib.parse

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SECRET = "of-the-customer?x%2Fy"
#: Of a path to one object, on the way from another one.
SPELLINGS = [
    "/{bucket}/{secret}",
    "/{bucket}/{own}/../{secret}",
    "/{bucket}/{own}/%2e%2e/{secret}",
    "/{bucket}/{own}?/{secret}",
    "/{bucket}/{own}%3F/{secret}",
    "/{bucket}/{own}#/{secret}",
    "/{bucket}/{own};/{secret}",
    "/{bucket}/{own}%00/{secret}",
    "//{bucket}/{secret}",
    "///{bucket}//{secret}",
    "/{bucket}//{secret}",
    "/{bucket}%2F{secret}",
    "/%2F{bucket}/{secret}",
    "/./{bucket}/{secret}",
    "/x/../{bucket}/{secret}",
    "/{own}/{bucket}/{secret}",
    "/{bucket}#/{own}",
    "/{bucket}?{own}",
    "/{bucket}/?{own}",
    "/{bucket}%3F/{secret}",
    "/{bucket}%00/{secret}",
    "/{bucket}\t/{secret}",
    "/%61rtifact-bucket/{secret}",
    "http://{host}/{bucket}/{secret}",
    "http://{bucket}.localhost/{secret}",
    "http://{host}//{bucket}/{own}?/{secret}",
    "{bucket}/{secret}",
    "?/{bucket}/{secret}",
    "*",
]


def spelled(path, artifacts, own):
    secret = urllib.parse.quote(SECRET, safe="")
    host = artifacts.w.emu.url.removeprefix("http://")
    return path.format(bucket=own["Bucket"], own=own["Key"], secret=secret, host=host)


class _Signer(S3SigV4Auth):
    def payload(self, request):
        return "UNSIGNED-PAYLOAD"


def send(artifacts, method, path, signed_path, host=None):
    """Send a path as it is, with the signature of another spelling."""
    at = artifacts.w.emu.url.removeprefix("http://")
    query = path.partition("?")[2].partition("#")[0]
    request = AWSRequest(
        method,
        f"http://{at}",
        headers={"Host": host or at, "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"},
        data=b"changed" if method == "PUT" else b"",
    )
    request.url = f"http://{host or at}{signed_path}?{query}"
    _Signer(Credentials(*artifacts.keys.values()), "s3", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(at, timeout=30)
    # http.client refuses a tab in a path, which a client of an attacker's does not.
    connection._validate_path = lambda url: None
    try:
        connection.request(method, path, request.data or None, dict(request.headers.items()))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ways_to_sign(path):
    """Return the paths that a server could compute the signature of."""
    sent = path.partition("?")[0]
    ways = {sent, urllib.parse.urlsplit(sent).path, f"/{sent.lstrip('/')}"}
    return sorted(
        ways | {urllib.parse.quote(urllib.parse.unquote_to_bytes(each), safe="/~") for each in ways}
    )


def objects(s3, bucket):
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    return {each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in listed}


def test_no_spelling_opens_another_object(artifacts, client):
    admin, bucket = client("s3", artifacts.w.emu), artifacts.built["Bucket"]
    admin.put_object(Bucket=bucket, Key=SECRET, Body=b"secret")
    before = objects(admin, bucket)
    places = (artifacts.source, artifacts.built)
    for spelling, method, own in itertools.product(SPELLINGS, ("GET", "PUT"), places):
        path = spelled(spelling, artifacts, own)
        for signed_path in ways_to_sign(path):
            status, body = send(artifacts, method, path, signed_path)
            assert (status >= 400, b"secret" in body) == (True, False), (method, path, signed_path)
    assert objects(admin, bucket) == before


def test_the_same_object_is_open_in_every_spelling(artifacts):
    bucket, key = artifacts.source.values()
    encoded = "".join(f"%{ord(character):02x}" for character in key)
    for path in (f"/{bucket}/{key}", f"/{bucket}/{encoded}", f"//{bucket}/{key}", f"/{bucket}/{key}?#x"):
        assert send(artifacts, "GET", path, f"/{bucket}/{key}") == (200, b"source")
    said = {entry.details["path"] for entry in artifacts.w.emu.ledger.where(kind="artifact")}
    assert said == {f"/{bucket}/{key}", f"/{bucket}/{encoded}"}


@pytest.mark.parametrize(
    "host",
    [
        "{bucket}.localhost",
        "{bucket}.s3.amazonaws.com",
        "s3.amazonaws.com",
        "www.localhost",
        "x@localhost",
        "",
    ],
)
def test_no_other_host_opens_a_bucket(artifacts, host):
    bucket, key = artifacts.source.values()
    named = host.format(bucket=bucket) or "localhost."
    for path in (f"/{key}", f"/{bucket}/{key}"):
        status, body = send(artifacts, "GET", path, path, named)
        assert (status >= 400, b"source" in body) == (True, False)
