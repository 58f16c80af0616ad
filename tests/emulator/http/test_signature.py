# SPDX-License-Identifier: Apache-2.0
"""Signatures are checked as S3 checks them: a changed, expired or foreign one is refused."""

from __future__ import annotations

import hashlib
import urllib.parse

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from declaring import code, message

BUCKET = "artifact-bucket"
SSE = "x-amz-server-side-encryption=aws%3Akms"
PIPELINE = {"input_artifacts": ["In"], "output_artifacts": ["Out"], "bucket": BUCKET}


def test_the_signature_is_checked(artifacts):
    for options, expected in (
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"aws_session_token": "wrong"}, "InvalidToken"),
        ({"aws_session_token": None}, "InvalidToken"),
        ({"aws_access_key_id": "ASIAEMUAAAAAAAAAAAAA"}, "InvalidAccessKeyId"),
    ):
        s3 = artifacts.client("s3", **options)
        assert code(s3.get_object, **artifacts.source) == expected
        assert code(s3.put_object, **artifacts.built, Body=b"x") == expected


def test_only_signature_version_4_is_known(artifacts):
    old = Config(signature_version="s3", retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    assert code(artifacts.client("s3", config=old).get_object, **artifacts.source) == "InvalidRequest"


def test_an_old_query_signature_is_refused_too(artifacts, http):
    query = urllib.parse.urlencode({"AWSAccessKeyId": artifacts.keys["aws_access_key_id"], "Signature": "x"})
    url = f"{artifacts.w.emu.url}/{BUCKET}/{artifacts.source['Key']}?{query}"
    status, body, _ = http(url)
    assert status == 400
    assert b"InvalidRequest" in body


def test_a_request_that_was_changed_on_its_way_is_refused(artifacts, http):
    assert artifacts.signed(http, "GET", artifacts.source)[0] == 200
    request = AWSRequest("PUT", f"{artifacts.w.emu.url}/{BUCKET}/{artifacts.built['Key']}", data=b"good")
    signer = S3SigV4Auth(
        Credentials(
            *(
                artifacts.keys[f"aws_{name}"]
                for name in ("access_key_id", "secret_access_key", "session_token")
            )
        ),
        "s3",
        "us-east-1",
    )
    signer.add_auth(request)
    headers = dict(request.headers.items())
    status, body, _ = http(request.url, b"evil", headers, "PUT")
    assert (status, b"XAmzContentSHA256Mismatch" in body) == (400, True)
    status, body, _ = http(request.url + "x", b"good", headers, "PUT")
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)
    # A hash that was not signed does not help either.
    headers["X-Amz-Content-SHA256"] = hashlib.sha256(b"evil").hexdigest()
    status, body, _ = http(request.url, b"evil", headers, "PUT")
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)


def test_keys_with_odd_characters_are_signed_as_s3_does(world):
    pipeline = PIPELINE | {"input_artifacts": ["In-_1"], "output_artifacts": ["Out"]}
    w = world(pipeline=pipeline)
    w.emu.add_pipeline(
        "a@b.c",
        client_id=w.customer.client_id,
        input_artifacts=["I_n-"],
        output_artifacts=["Out"],
        bucket=BUCKET,
    )
    w.emu.start_execution("a@b.c")
    job_id = w.worker.claim()
    data = w.worker.details(job_id)["data"]
    keys = data["artifactCredentials"]
    s3 = w.make_client(
        "s3",
        w.emu,
        aws_access_key_id=keys["accessKeyId"],
        aws_secret_access_key=keys["secretAccessKey"],
        aws_session_token=keys["sessionToken"],
    )
    place = data["inputArtifacts"][0]["location"]["s3Location"]
    assert place["objectKey"].startswith("a@b.c/I_n-/")
    assert s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])["ContentLength"] > 0


def test_unsigned_and_chunked_bodies_are_taken(artifacts, http, client):
    admin = client("s3", artifacts.w.emu)
    assert artifacts.signed(http, "PUT", artifacts.built, b"free", "UNSIGNED-PAYLOAD")[0] == 200
    assert admin.get_object(**artifacts.built)["Body"].read() == b"free"
    chunked = b"7\r\nin bits\r\n0\r\nx-amz-checksum-crc32:JAvENQ==\r\n\r\n"
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Decoded-Content-Length": "7",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
    }
    signed_payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert artifacts.signed(http, "PUT", artifacts.built, chunked, signed_payload, headers)[0] == 200
    assert admin.get_object(**artifacts.built)["Body"].read() == b"in bits"
    assert artifacts.w.emu.ledger[-1].details["bytes"] == 7


def test_signed_chunks_are_refused_clearly(artifacts, http):
    status, body, _ = artifacts.signed(
        http, "PUT", artifacts.built, b"x", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    )
    assert status == 501
    assert b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD" in body


@pytest.fixture
def presign(artifacts):
    """Make presigned URLs of version 4; boto3's own default is still version 2."""
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    s3 = artifacts.client("s3", config=config)
    return lambda call, place: s3.generate_presigned_url(call, Params=place, ExpiresIn=60)


def test_presigned_urls_work_until_they_expire(artifacts, presign, http):
    """Or until the credentials expire."""
    get = presign("get_object", artifacts.source)
    assert http(get)[1] == b"source"
    put = presign("put_object", artifacts.built)
    assert http(put, b"result", method="PUT")[0] == 200
    other = presign("get_object", artifacts.built)
    assert http(other)[0] == 403
    status, body, _ = http(get.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"))
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)
    artifacts.w.emu.advance(900)
    assert b"ExpiredToken" in http(get)[1]


def test_the_body_of_a_presigned_url_is_the_signed_one(artifacts, http):
    headers = {"X-Amz-Content-SHA256": hashlib.sha256(b"agreed").hexdigest()}
    request = AWSRequest("PUT", f"{artifacts.w.emu.url}/{BUCKET}/{artifacts.built['Key']}", headers=headers)
    S3SigV4QueryAuth(Credentials(*artifacts.keys.values()), "s3", "us-east-1", expires=60).add_auth(request)
    status, body, _ = http(request.url, b"another", headers, "PUT")
    assert (status, b"XAmzContentSHA256Mismatch" in body) == (400, True)
    assert http(request.url, b"agreed", headers, "PUT")[0] == 200


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        (f"{SSE}&x-amz-website-redirect-location=https%3A%2F%2Felsewhere.example", b"x", "AccessDenied"),
        (f"{SSE}&X-Amz-Acl=public-read", b"x", "AccessDenied"),
        (f"{SSE}&x-amz-copy-source=bucket%2Fkey", b"", "AccessDenied"),
        ("x-amz-server-side-encryption=AES256", b"x", "AccessDenied"),
        (f"{SSE}&x-amz-checksum-crc32=AAAAAA%3D%3D", b"x", "BadDigest"),
        (f"{SSE}&x-amz-meta-a_b=1&x-amz-meta-c=2&x-amz-server-side_encryption=x", b"x", None),
        (f"{SSE}&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", b"x", None),
    ],
)
def test_parameters_of_awss_count_as_headers(world, artifacts_of, http, query, body, code):
    artifacts = artifacts_of(world(pipeline=PIPELINE, upload_encryption="refuse"))
    url = f"{artifacts.w.emu.url}/{BUCKET}/{artifacts.built['Key']}?{query}"
    request = AWSRequest("PUT", url)
    S3SigV4QueryAuth(Credentials(*artifacts.keys.values()), "s3", "us-east-1", expires=60).add_auth(request)
    status, answer, _ = http(request.url, body, method="PUT")
    assert (status < 400, (code or "").encode() in answer) == (code is None, True)


@pytest.mark.parametrize("name", ["x-amz-acl", "x-amz-website-redirect-location", "x-amz-copy-source"])
def test_what_no_header_may_do_no_parameter_may(artifacts, http, name):
    status, body, _ = artifacts.signed(http, "PUT", artifacts.built, b"x", query=f"?{name}=public-read")
    assert (status, b"AccessDenied" in body) == (403, True)


def test_a_parameter_and_a_header_with_two_values_are_refused(artifacts, http):
    headers = {"x-amz-server-side-encryption": "aws:kms"}
    for value, status in (("AES256", 400), ("aws%3Akms", 200)):
        query = f"?x-amz-server-side-encryption={value}"
        assert artifacts.signed(http, "PUT", artifacts.built, b"x", headers=headers, query=query)[0] == status


def test_a_presigned_url_of_yesterday_has_expired(artifacts, http):
    credentials = Credentials(
        *(artifacts.keys[f"aws_{name}"] for name in ("access_key_id", "secret_access_key", "session_token"))
    )
    url = f"{artifacts.w.emu.url}/{BUCKET}/{artifacts.source['Key']}"

    def presigned(timestamp):
        request = AWSRequest("GET", url)
        signer = S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=60)
        request.context["timestamp"] = timestamp
        signer._modify_request_before_signing(request)
        canonical = signer.canonical_request(request)
        signature = signer.signature(signer.string_to_sign(request, canonical), request)
        return f"{request.url}&X-Amz-Signature={signature}"

    status, body, _ = http(presigned("20200101T000000Z"))
    assert (status, b"Request has expired" in body) == (403, True)
    status, body, _ = http(presigned("20200101"))
    assert (status, b"AuthorizationQueryParametersError" in body) == (400, True)


def test_a_signature_that_is_no_ascii_is_only_wrong(artifacts, presign, http):
    status, body, _ = http(presign("get_object", artifacts.source)[:-3] + "%C3%A9")
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)
    scope = f"{artifacts.keys['aws_access_key_id']}/20270101/us-east-1/s3/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=\xe9",
        "X-Amz-Security-Token": artifacts.keys["aws_session_token"],
        "X-Amz-Date": "20270101T000000Z",
    }
    url = f"{artifacts.w.emu.url}/{BUCKET}/{artifacts.source['Key']}"
    status, body, _ = http(url, headers=headers)
    assert (status, b"SignatureDoesNotMatch" in body) == (403, True)


def test_a_header_of_awss_that_was_not_signed_is_denied(artifacts, presign, http):
    def add(request, **_):
        request.headers["x-amz-meta-late"] = "1"

    artifacts.s3.meta.events.register("before-send.s3", add)
    assert "were not signed" in message(artifacts.s3.put_object, **artifacts.built, Body=b"x")
    put = presign("put_object", artifacts.built)
    status, body, _ = http(put, b"x", {"X-Amz-Meta-Late": "1"}, "PUT")
    assert (status, b"were not signed" in body) == (403, True)
    signed = presign("put_object", artifacts.built | {"Metadata": {"late": "1"}})
    assert http(signed, b"x", {"X-Amz-Meta-Late": "1"}, "PUT")[0] == 200


def test_a_presigned_query_can_be_encoded_otherwise(artifacts, presign, http):
    get = presign("get_object", artifacts.source | {"ResponseContentType": "a/b c"})
    path, _, query = get.partition("?")
    assert (
        http(f"{path}?{query.replace('%2F', '/').replace('%20', '+').replace('X-Amz-', '%58-Amz-')}")[0]
        == 200
    )
    assert http(get.replace("a%2Fb", "a%252Fb"))[0] == 403


def test_metadata_is_signed_as_utf_8_and_sent_in_any_way(artifacts, http):
    headers = {"x-amz-meta-name": "Müller"}
    assert artifacts.signed(http, "PUT", artifacts.built, b"x", headers=headers)[0] == 200

    def sign(request, **_):
        request.headers["x-amz-meta-name"] = "Müller"

    def send(request, **_):
        request.headers["x-amz-meta-name"] = "Müller".encode()

    artifacts.s3.meta.events.register("before-sign.s3", sign)
    artifacts.s3.meta.events.register("before-send.s3", send)
    artifacts.s3.put_object(**artifacts.built, Body=b"x")


def test_two_signatures_on_one_request_are_refused(artifacts, presign, http):
    get = presign("get_object", artifacts.source)
    query = "?" + get.partition("?")[2]
    status, body, _ = artifacts.signed(http, "GET", artifacts.source, query=query)
    assert (status, b"InvalidArgument" in body) == (400, True)


@pytest.mark.parametrize("before", ["Credential=a/b/c/glacier/d, ", "X=a/b/c/glacier/d, ", "Signature=0, "])
def test_moto_reads_the_credential_that_was_judged(artifacts, before):
    """It takes the first part of the header for the credential."""

    def change(request, **_):
        signed = request.headers["Authorization"].decode()
        request.headers["Authorization"] = signed.replace("Credential=", f"{before}Credential=")

    artifacts.s3.meta.events.register("before-send.s3", change)
    assert code(artifacts.s3.get_object, **artifacts.source) == "InvalidRequest"


def test_an_access_key_cannot_be_hidden_by_encoding_it(artifacts, presign, http):
    get = presign("get_object", artifacts.built)
    assert http(get.replace("X-Amz-Credential=ASIA", "X-Amz-Credential=%41SIA"))[0] == 403


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 Credential={key}",
        "AWS4-HMAC-SHA256 Credential={key}/a/b/s3/c, SignedHeaders=x, Signature=0",
    ],
)
def test_a_torn_authorization_is_refused(artifacts, http, authorization):
    key = artifacts.keys["aws_access_key_id"]
    url = f"{artifacts.w.emu.url}/{BUCKET}/{artifacts.source['Key']}"
    headers = {
        "Authorization": authorization.format(key=key),
        "X-Amz-Security-Token": artifacts.keys["aws_session_token"],
    }
    assert http(url, headers=headers)[0] in (400, 403)


@pytest.mark.parametrize("seconds", ["604801", "9" * 5000])
def test_a_presigned_url_lasts_a_week_at_most(artifacts, http, seconds):
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    s3 = artifacts.client("s3", config=config)

    def presigned(expires):
        return s3.generate_presigned_url("get_object", Params=artifacts.source, ExpiresIn=expires)

    assert http(presigned("604800"))[0] == 200
    status, answer, _ = http(presigned(seconds))
    assert (status, b"AuthorizationQueryParametersError" in answer) == (400, True)
