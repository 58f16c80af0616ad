# SPDX-License-Identifier: Apache-2.0
"""Uploads are checked as S3 checks them."""

from __future__ import annotations

import base64
import functools
import logging

import pytest
from botocore.exceptions import ClientError
from declaring import code

from airflow_codepipeline_partner.emulator.http.checksums import CRCS, DIGESTS, encoded
from airflow_codepipeline_partner.emulator.http.s3_guard import ArtifactGuard

ZEROS = base64.b64encode(b"\0" * 16).decode()
CHUNKS = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNKED = {"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": "7"}
TRAILER_OF_SHA1 = CHUNKED | {"X-Amz-Trailer": "x-amz-checksum-sha1"}
PART = "<Part><PartNumber>{}</PartNumber><ETag>e</ETag></Part>"


def trailed(checksum):
    """Return the seven bytes "in bits" in one chunk, and a checksum after them."""
    return f"7\r\nin bits\r\n0\r\nx-amz-checksum-{checksum}\r\n\r\n".encode()


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
        ("PUT", "", b"x", {"x-amz-checksum-crc32c": "AAAAAA=="}, 400, "BadDigest"),
        ("PUT", "", b"x", {"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}, 400, "BadDigest"),
        ("PUT", "", b"x", {"x-amz-checksum-sha1": "AAAA"}, 400, "BadDigest"),
        ("PUT", "", b"x", {"x-amz-checksum-sha512": "AAAA"}, 400, "BadDigest"),
        ("PUT", "", b"x", {"x-amz-checksum-md5": ZEROS}, 400, "BadDigest"),
        ("PUT", "", b"7\r\nin", CHUNKED, 400, "IncompleteBody"),
        ("PUT", "", b"zzzz", CHUNKED, 400, "IncompleteBody"),
        ("PUT", "", b"f" * 16 + b"\r\nx\r\n0\r\n\r\n", CHUNKED, 400, "IncompleteBody"),
        ("GET", "?response-content-disposition=%E2%82%AC", b"", {}, 400, "InvalidArgument"),
        ("PUT", "", b"3\r\nbit\r\n0\r\n\r\n", CHUNKED, 400, "IncompleteBody"),
        ("PUT", "", trailed("crc32:AAAAAA=="), CHUNKED, 400, "BadDigest"),
        ("PUT", "", trailed("crc32c:AAAAAA=="), CHUNKED, 400, "BadDigest"),
        ("PUT", "", trailed("crc64nvme:AAAAAAAAAAA="), CHUNKED, 400, "BadDigest"),
        ("PUT", "", trailed("sha1:AAAA"), CHUNKED, 400, "BadDigest"),
        ("PUT", "", trailed("crc32:JAvENQ=="), TRAILER_OF_SHA1, 400, "MalformedTrailerError"),
        ("PUT", "", b"7;a=b\r\nin bits\r\n0\r\n\r\n", CHUNKED, 400, "InvalidRequest"),
    ],
)
def test_a_mistake_in_s3_is_a_clear_error_and_in_the_ledger(
    artifacts, http, method, query, body, headers, status, code
):
    gone, still_open = (artifacts.s3.create_multipart_upload(**artifacts.built)["UploadId"] for _ in range(2))
    artifacts.s3.abort_multipart_upload(**artifacts.built, UploadId=gone)
    before = len(artifacts.w.emu.ledger)
    place = artifacts.source if method == "GET" else artifacts.built
    sign = CHUNKS if headers in (CHUNKED, TRAILER_OF_SHA1) else "body"
    query = query.format(gone=gone, open=still_open)
    got, answer, _ = artifacts.signed(http, method, place, body, sign, headers, query)
    assert (got, f"<Code>{code}</Code>".encode() in answer) == (status, True)
    [said] = artifacts.w.emu.ledger[before:]
    assert (said.kind, said.outcome, said.job_id) == ("artifact", code, artifacts.job_id)


@pytest.mark.parametrize("encoding", [None, "aws-chunked", "AWS-Chunked", "gzip,aws-chunked"])
def test_trailers_are_read_whatever_the_encoding_says(artifacts, http, encoding):
    headers = {"X-Amz-Decoded-Content-Length": "7"} | ({"Content-Encoding": encoding} if encoding else {})
    for checksum, status in (("AAAAAA==", 400), ("JAvENQ==", 200)):
        body = trailed(f"crc32:{checksum}")
        assert artifacts.signed(http, "PUT", artifacts.built, body, CHUNKS, headers)[0] == status
    assert artifacts.w.emu.ledger[-1].details["bytes"] == 7


def test_a_long_length_without_chunks_is_no_matter(artifacts, http):
    headers = {"X-Amz-Decoded-Content-Length": "9" * 5000}
    assert artifacts.signed(http, "PUT", artifacts.built, b"x", headers=headers)[0] == 200
    assert artifacts.w.emu.ledger[-1].details["bytes"] == 1


@pytest.mark.parametrize("broken", ["check", "record"])
def test_a_fault_of_the_guard_is_a_clean_error(artifacts, http, monkeypatch, broken):
    monkeypatch.setattr(ArtifactGuard, broken, lambda *arguments: 1 / 0)
    status, answer, _ = artifacts.signed(http, "GET", artifacts.source)
    assert (status, b"<Code>InvalidRequest</Code>" in answer) == (400, True)


def test_an_upload_id_opens_no_other_key(artifacts, client):
    admin, other = client("s3", artifacts.w.emu), artifacts.built | {"Key": "of-the-customer"}
    upload = admin.create_multipart_upload(**other)["UploadId"]
    named = artifacts.built | {"UploadId": upload}
    etag = admin.upload_part(**other, UploadId=upload, PartNumber=1, Body=b"theirs")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    for call, more in (
        (artifacts.s3.upload_part, {"PartNumber": 1, "Body": b"ours"}),
        (artifacts.s3.complete_multipart_upload, {"MultipartUpload": parts}),
        (artifacts.s3.abort_multipart_upload, {}),
    ):
        assert code(call, **named, **more) == "NoSuchUpload"
    admin.complete_multipart_upload(**other, UploadId=upload, MultipartUpload=parts)
    assert admin.get_object(**other)["Body"].read() == b"theirs"


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", " Multipart/form-data; boundary=b"]
)
def test_a_body_is_stored_and_no_form_to_moto(artifacts, client, http, content_type):
    admin, headers = client("s3", artifacts.w.emu), {"Content-Type": content_type}
    assert artifacts.signed(http, "PUT", artifacts.built, b"a=b", headers=headers)[0] == 200
    assert admin.get_object(**artifacts.built)["Body"].read() == b"a=b"
    theirs = admin.create_multipart_upload(Bucket=artifacts.built["Bucket"], Key="of-the-customer")
    named = {"Bucket": theirs["Bucket"], "Key": theirs["Key"], "UploadId": theirs["UploadId"]}
    ours = artifacts.s3.create_multipart_upload(**artifacts.built)["UploadId"]
    body = f"uploadId={named['UploadId']}&partNumber=1&key=x".encode()
    if content_type.startswith(" "):
        parts = (("uploadId", named["UploadId"]), ("partNumber", "1"), ("key", "x"))
        lines = (f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts)
        body = f"{''.join(lines)}--b--\r\n".encode()
    query = f"?partNumber=1&uploadId={ours}"
    assert artifacts.signed(http, "PUT", artifacts.built, body, headers=headers, query=query)[0] == 200
    assert "Parts" not in admin.list_parts(**named)


def test_only_parts_that_were_stored_are_known(artifacts):
    state = artifacts.w.emu.state
    upload = artifacts.s3.create_multipart_upload(**artifacts.built, ChecksumAlgorithm="SHA256")["UploadId"]
    part = artifacts.built | {"PartNumber": 1, "ChecksumAlgorithm": "SHA256"}
    made = artifacts.s3.upload_part(**part, UploadId=upload, Body=b"stored")
    assert code(artifacts.s3.upload_part, **part, UploadId="none", Body=b"x") == "NoSuchUpload"
    artifacts.w.emu.inject("throttle", "UploadPart")
    assert code(artifacts.s3.upload_part, **part, UploadId=upload, Body=b"other") == "SlowDown"
    assert list(state.uploaded_parts) == [upload]
    parts = [{"PartNumber": 1, "ETag": made["ETag"], "ChecksumSHA256": made["ChecksumSHA256"]}]
    artifacts.s3.complete_multipart_upload(
        **artifacts.built, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    state.reset()
    assert state.uploaded_parts == {}


def test_an_upload_can_be_completed_twice(artifacts):
    """A client that lost the answer asks again."""
    named = artifacts.built | {
        "UploadId": artifacts.s3.create_multipart_upload(**artifacts.built)["UploadId"]
    }
    etag = artifacts.s3.upload_part(**named, PartNumber=1, Body=b"x")["ETag"]
    for _ in range(2):
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        assert artifacts.s3.complete_multipart_upload(**named, MultipartUpload=parts)["ETag"]


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_right_digests_are_taken(artifacts, http, client, name):
    right = encoded(DIGESTS[name](b"in bits"))
    assert artifacts.signed(http, "PUT", artifacts.built, b"in bits", headers={name: right})[0] == 200
    trailer = {**CHUNKED, "X-Amz-Trailer": name}
    body = f"7\r\nin bits\r\n0\r\n{name}:{right}\r\n\r\n".encode()
    assert artifacts.signed(http, "PUT", artifacts.built, body, CHUNKS, trailer)[0] == 200
    got = client("s3", artifacts.w.emu).get_object(**artifacts.built)
    assert got["Body"].read() == b"in bits"


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


TWO = {1: bytes(range(256)) * 5, 2: b"end"}


@pytest.fixture
def in_parts(artifacts, http, monkeypatch):
    """Upload an object in parts, each with a checksum, and complete it twice; return both answers."""
    # All but the last part have five MiB in S3.
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)

    def upload(name, bodies, numbers, whole=None, of_part=None):
        """:param of_part: What the completion says of the last part's checksum."""
        shape = name.removeprefix("x-amz-checksum-").upper()
        made = artifacts.s3.create_multipart_upload(**artifacts.built, ChecksumAlgorithm=shape)
        query = f"uploadId={made['UploadId']}"
        etags, digests = {}, {number: encoded(DIGESTS[name](body)) for number, body in bodies.items()}
        for number, body in bodies.items():
            part = {name: digests[number]}
            said = artifacts.signed(
                http, "PUT", artifacts.built, body, headers=part, query=f"?partNumber={number}&{query}"
            )
            etags[number] = said[2]["ETag"]
        if of_part is not None:
            digests[numbers[-1]] = of_part
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etags[number]}</ETag>"
            f"<Checksum{shape}>{digests[number]}</Checksum{shape}></Part>"
            for number in numbers
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        headers = {} if whole is None else {name: whole}
        finish = functools.partial(artifacts.signed, http, "POST", artifacts.built, body, query=f"?{query}")
        return finish(headers=headers)[:2], finish(headers=headers)[:2]

    return upload


@pytest.mark.parametrize("name", sorted(CRCS))
@pytest.mark.parametrize(("bodies", "numbers"), [(TWO, (1, 2)), (TWO | {3: b"x"}, (1, 3))])
def test_an_object_in_parts_is_taken_with_its_own_checksum(
    in_parts, artifacts, client, name, bodies, numbers
):
    whole = b"".join(bodies[number] for number in numbers)
    assert in_parts(name, bodies, numbers, encoded(DIGESTS[name](whole)))[0][0] == 200
    got = client("s3", artifacts.w.emu).get_object(**artifacts.built, ChecksumMode="ENABLED")
    assert got["Body"].read() == whole
    # moto does not know all of them, but no client compares that of the parts' checksums.
    assert got[f"Checksum{name.rpartition('-')[2].upper()}"].endswith("-2")


@pytest.mark.parametrize("name", sorted(set(DIGESTS) - {"content-md5"}))
def test_an_object_in_parts_is_taken_with_that_of_its_parts(in_parts, name):
    of_parts = encoded(DIGESTS[name](b"".join(DIGESTS[name](body) for body in TWO.values())))
    for right in (of_parts, f"{of_parts}-2"):
        assert in_parts(name, TWO, (1, 2), right)[0][0] == 200


@pytest.mark.parametrize("name", sorted(set(DIGESTS) - {"content-md5"}))
def test_another_checksum_of_an_object_in_parts_is_refused(in_parts, name):
    wrong = encoded(DIGESTS[name](b"other"))
    for status, answer in in_parts(name, TWO, (1, 2), wrong):
        assert (status, b"<Code>BadDigest</Code>" in answer) == (400, True)
    for status, answer in in_parts(name, TWO, (1, 2), of_part=wrong):
        assert (status, b"<Code>InvalidPart</Code>" in answer) == (400, True)
