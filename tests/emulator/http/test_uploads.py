# SPDX-License-Identifier: Apache-2.0
"""Uploads are checked as S3 checks them."""

from __future__ import annotations

import base64
import functools
import hashlib
import logging
import zlib

import pytest
from botocore.exceptions import ClientError

ZEROS = base64.b64encode(b"\0" * 16).decode()
CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNKED = {"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": "7"}
PART = "<Part><PartNumber>{}</PartNumber><ETag>e</ETag></Part>"


def complete(*numbers):
    parts = "".join(PART.format(number) for number in numbers)
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


@pytest.mark.parametrize(
    ("method", "query", "body", "headers", "status", "code"),
    [
        ("PUT", "?partNumber=1&uploadId={gone}", b"x", {}, 404, "NoSuchUpload"),
        ("POST", "?uploadId={gone}", complete(1), {}, 404, "NoSuchUpload"),
        ("POST", "?uploadId={open}", complete(), {}, 400, "MalformedXML"),
        ("POST", "?uploadId={open}", b"", {}, 400, "MalformedXML"),
        ("POST", "?uploadId={open}", b"<a", {}, 400, "MalformedXML"),
        (
            "POST",
            "?uploadId={open}",
            b'<?xml version="1.0" encoding="x"?><a/>',
            {},
            400,
            "MalformedXML",
        ),
        ("POST", "?uploadId={open}", complete(1, "x"), {}, 400, "MalformedXML"),
        ("PUT", "?partNumber=abc&uploadId={open}", b"x", {}, 400, "InvalidArgument"),
        ("PUT", "?partNumber=0&uploadId={open}", b"x", {}, 400, "InvalidArgument"),
        ("PUT", "?partNumber=10001&uploadId={open}", b"x", {}, 400, "InvalidArgument"),
        ("GET", "?partNumber=abc", b"", {}, 400, "InvalidArgument"),
        ("GET", "", b"", {"If-Modified-Since": "garbage"}, 400, "InvalidRequest"),
        ("PUT", "", b"x", {"Content-MD5": ZEROS}, 400, "BadDigest"),
        ("PUT", "", b"x", {"x-amz-checksum-crc32": "AAAAAA=="}, 400, "BadDigest"),
        ("PUT", "?partNumber=1&uploadId={open}", b"x", {"x-amz-checksum-sha256": "AAAA"}, 400, "BadDigest"),
        ("PUT", "", b"7\r\nin", CHUNKED, 400, "IncompleteBody"),
        ("PUT", "", b"zzzz", CHUNKED, 400, "IncompleteBody"),
        ("PUT", "", b"3\r\nbit\r\n0\r\n\r\n", CHUNKED, 400, "IncompleteBody"),
        ("PUT", "", b"7\r\nin bits\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", CHUNKED, 400, "BadDigest"),
    ],
)
def test_a_mistake_in_s3_is_a_clear_error_and_in_the_ledger(
    artifacts, http, method, query, body, headers, status, code
):
    gone, still_open = (artifacts.s3.create_multipart_upload(**artifacts.built)["UploadId"] for _ in range(2))
    artifacts.s3.abort_multipart_upload(**artifacts.built, UploadId=gone)
    before = len(artifacts.w.emu.ledger)
    place = artifacts.source if method == "GET" else artifacts.built
    sign = CHUNKS if headers is CHUNKED else "body"
    query = query.format(gone=gone, open=still_open)
    got, answer, _ = artifacts.signed(http, method, place, body, sign, headers, query)
    assert (got, f"<Code>{code}</Code>".encode() in answer) == (status, True)
    [said] = artifacts.w.emu.ledger[before:]
    assert (said.kind, said.outcome, said.job_id) == ("artifact", code, artifacts.job_id)


def test_right_digests_are_taken(artifacts, http):
    headers = {
        "Content-MD5": base64.b64encode(hashlib.md5(b"x", usedforsecurity=False).digest()).decode(),
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"x").digest()).decode(),
    }
    assert artifacts.signed(http, "PUT", artifacts.built, b"x", headers=headers)[0] == 200


def test_what_moto_cannot_do_is_no_500(artifacts, client, caplog):
    caplog.set_level(logging.INFO)
    admin = client("s3", artifacts.w.emu)
    upload = admin.create_multipart_upload(**artifacts.built)["UploadId"]
    admin.abort_multipart_upload(**artifacts.built, UploadId=upload)
    kms = client("kms", artifacts.w.emu)
    for call, status in (
        (lambda: admin.upload_part(**artifacts.built, UploadId=upload, PartNumber=1, Body=b"x"), 400),
        (lambda: kms.connect_custom_key_store(CustomKeyStoreId="store"), 400),
        (lambda: client("iam", artifacts.w.emu).get_service_last_accessed_details(JobId="j" * 36), 501),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert "Exception while serving" not in caplog.text


@pytest.mark.parametrize("numbers", [(1, 2, 3), (1, 3)])
@pytest.mark.parametrize("is_right", [True, False])
def test_an_object_in_parts_is_taken_with_its_own_checksum_only(artifacts, client, numbers, is_right):
    bodies = {1: b"a" * 6_000_000, 2: bytes(range(256)) * 22_000, 3: b"end"}
    upload = artifacts.s3.create_multipart_upload(
        **artifacts.built, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )["UploadId"]
    named = {**artifacts.built, "UploadId": upload}
    said = {
        number: artifacts.s3.upload_part(**named, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        for number, body in bodies.items()
    }
    whole = b"".join(bodies[number] for number in numbers)
    checksum = zlib.crc32(whole if is_right else whole[::-1]).to_bytes(4, "big")
    complete_it = functools.partial(
        artifacts.s3.complete_multipart_upload,
        **named,
        ChecksumType="FULL_OBJECT",
        ChecksumCRC32=base64.b64encode(checksum).decode(),
        MultipartUpload={"Parts": [{"PartNumber": n, "ETag": said[n]["ETag"]} for n in numbers]},
    )
    if is_right:
        complete_it()
        admin = client("s3", artifacts.w.emu)
        assert admin.get_object(**artifacts.built)["Body"].read() == whole
    else:
        with pytest.raises(ClientError, match="BadDigest"):
            complete_it()
