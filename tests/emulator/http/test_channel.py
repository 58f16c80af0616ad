# SPDX-License-Identifier: Apache-2.0
"""The server keeps keys and names of metadata as they were sent, as moto's own server does."""

from __future__ import annotations

import http.client
import socket

import pytest
from moto.server import ThreadedMotoServer

SCOPE = "AKIAADMIN/20270101/us-east-1/s3/aws4_request"
AUTHORIZATION = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0"
KEYS = [
    "rel?1.zip",
    "rel?2.zip",
    "a%20b",
    "a b",
    "a%2Fb",
    "a/b",
    "a//b",
    "/a",
    "//a",
    "..",
    "a/../b",
    "a#b",
    "a+b",
    "a;b",
    "a&b=c",
    "?",
    "%",
    "%%41",
    "ä",
    "a/",
]
METADATA = {"md": "1", "dash-ed": "2", "two_words": "3", "_": "4", "mixed-and_more": "5"}


def send(url, method, path, headers=(), body=b""):
    """Send a request with exactly this path and these headers, and return the response's first bytes."""
    host, _, port = url.removeprefix("http://").partition(":")
    sent = {"Authorization": AUTHORIZATION, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", *(f"{n}: {v}" for n, v in sent.items())]
    lines += [f"{name}: {value}" for name, value in headers]
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.getheaders(), response.read()


@pytest.fixture
def bucket(start_emulator, client):
    """Return an emulator with an empty bucket, and an S3 client of its account."""
    emulator = start_emulator()
    emulator.reset()
    s3 = client("s3", emulator)
    s3.create_bucket(Bucket="bytes")
    return emulator, s3


def kept(s3):
    """Put objects under odd keys, and return what is got and listed."""
    for key in KEYS:
        s3.put_object(Bucket="bytes", Key=key, Body=key.encode(), Metadata=METADATA)
    got = {key: s3.get_object(Bucket="bytes", Key=key) for key in KEYS}
    listed = sorted(each["Key"] for each in s3.list_objects_v2(Bucket="bytes")["Contents"])
    return {key: (each["Body"].read(), each["Metadata"]) for key, each in got.items()}, listed


def test_odd_keys_and_metadata_come_back_as_they_were_sent(bucket):
    got, listed = kept(bucket[1])
    assert got == {key: (key.encode(), METADATA) for key in KEYS}
    assert listed == sorted(KEYS)


def test_motos_own_server_keeps_the_same(bucket, client):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        server.url = "http://{}:{}".format(*server.get_host_and_port())
        assert kept(client("s3", server)) == kept(bucket[1])
    finally:
        server.stop()


def test_the_emulators_own_store_keeps_odd_keys(bucket):
    emulator, s3 = bucket
    for key in KEYS:
        emulator.store.put("bytes", key, key.encode())
    assert {key: emulator.store.get("bytes", key).body for key in KEYS} == {key: key.encode() for key in KEYS}
    assert all(emulator.store.exists("bytes", key) for key in KEYS)
    assert sorted(each["Key"] for each in s3.list_objects_v2(Bucket="bytes")["Contents"]) == sorted(KEYS)


def test_a_url_in_utf_8_need_not_be_encoded(bucket):
    emulator, s3 = bucket
    s3.put_object(Bucket="bytes", Key="ä", Body=b"x")
    for path in ("/bytes/ä", "//bytes/ä?x-id=ä", "http://localhost/bytes/ä"):
        assert send(emulator.url, "GET", path)[::2] == (200, b"x")


@pytest.mark.parametrize(
    ("path", "headers"), [("http://[bad/", []), ("/bytes/key", [("Content-Length", "9" * 5000)])]
)
def test_what_cannot_be_read_is_answered(bucket, path, headers):
    assert send(bucket[0].url, "PUT", path, headers)[0] == 400


def test_a_header_that_http_cannot_hold_is_refused(bucket):
    emulator, s3 = bucket
    s3.put_object(Bucket="bytes", Key="key", Body=b"x")
    for value, status in (("%E2%82%AC", 400), ("%C3%A4", 200)):
        path = f"/bytes/key?response-content-disposition={value}"
        assert send(emulator.url, "GET", path)[0] == status


def test_names_of_headers_are_not_capitalised(bucket):
    emulator, s3 = bucket
    s3.put_object(Bucket="bytes", Key="key", Body=b"x", Metadata=METADATA)
    names = [name for name, _ in send(emulator.url, "GET", "/bytes/key")[1]]
    assert {f"x-amz-meta-{name}" for name in METADATA} <= set(names)
    assert len({name.lower() for name in names}) == len(names)


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        ([("x-amz-meta-a_b", "under"), ("x-amz-meta-a-b", "dash")], {"a-b": "dash"}),
        ([("x-amz-meta-a-b", "dash"), ("X-AMZ-META-A_B", "under")], {"a-b": "dash"}),
        ([("x-amz-meta-a_b", "one"), ("x-amz-meta-a_b", "two")], {"a_b": "one,two"}),
        ([("X-Amz-Meta-A_B", " spaced ")], {"a_b": "spaced"}),
        ([("x_amz_meta_a", "1"), ("x-amz-meta_a", "2"), ("x_amz-meta-a_b", "3")], {}),
    ],
)
def test_an_underscore_never_stands_for_a_dash(bucket, headers, metadata):
    emulator, s3 = bucket
    assert send(emulator.url, "PUT", "/bytes/key", headers, b"x")[0] == 200
    assert s3.head_object(Bucket="bytes", Key="key")["Metadata"] == metadata


def test_other_headers_with_underscores_are_dropped(bucket):
    emulator, s3 = bucket
    headers = [("X_Amz_Storage_Class", "GLACIER"), ("Content_Length", "0"), ("Content_Type", "text/x")]
    assert send(emulator.url, "PUT", "/bytes/key", headers, b"x")[0] == 200
    said = s3.head_object(Bucket="bytes", Key="key")
    assert (said["ContentLength"], said.get("StorageClass"), said["ContentType"] == "text/x") == (
        1,
        None,
        False,
    )


def test_a_job_uploads_metadata_with_underscores(artifacts, client):
    artifacts.s3.put_object(**artifacts.built, Body=b"x", Metadata=METADATA)
    assert client("s3", artifacts.w.emu).head_object(**artifacts.built)["Metadata"] == METADATA
