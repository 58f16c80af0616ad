# SPDX-License-Identifier: Apache-2.0
"""A job's credentials open its artifacts, and nothing else."""

from __future__ import annotations

import hashlib
import io
import urllib.parse

import boto3
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

BUCKET = "artifact-bucket"
PIPELINE = {"input_artifacts": ["In"], "output_artifacts": ["Out"], "bucket": BUCKET}


def code(error):
    return error.value.response["Error"]["Code"]


def denied(call, *arguments, **options):
    with pytest.raises(ClientError) as error:
        call(*arguments, **options)
    return code(error)


def test_input_is_read_and_output_written(artifacts, client):
    assert artifacts.s3.get_object(**artifacts.source)["Body"].read() == b"source"
    assert artifacts.s3.head_object(**artifacts.source)["ContentLength"] == 6
    assert artifacts.s3.get_object(**artifacts.source, Range="bytes=1-2")["Body"].read() == b"ou"
    artifacts.s3.put_object(**artifacts.built, Body=b"result")
    admin = client("s3", artifacts.w.emu)
    assert admin.get_object(**artifacts.built)["Body"].read() == b"result"


def test_a_large_output_goes_up_in_parts(artifacts, client):
    body = bytes(range(256)) * 4096 * 9
    artifacts.s3.upload_fileobj(io.BytesIO(body), artifacts.built["Bucket"], artifacts.built["Key"])
    admin = client("s3", artifacts.w.emu)
    assert admin.get_object(**artifacts.built)["Body"].read() == body
    operations = [entry.operation for entry in artifacts.w.emu.ledger.where(kind="artifact")]
    assert operations[0] == "CreateMultipartUpload"
    assert operations[-1] == "CompleteMultipartUpload"
    assert operations.count("UploadPart") == 2


def test_an_upload_in_parts_can_be_aborted(artifacts):
    upload = artifacts.s3.create_multipart_upload(**artifacts.built)["UploadId"]
    artifacts.s3.abort_multipart_upload(**artifacts.built, UploadId=upload)
    assert artifacts.w.emu.ledger[-1].operation == "AbortMultipartUpload"


def test_nothing_else_in_s3_is_open(artifacts):
    s3, source, built = artifacts.s3, artifacts.source, artifacts.built
    assert denied(s3.put_object, **source, Body=b"") == "AccessDenied"
    assert denied(s3.get_object, **built) == "AccessDenied"
    assert denied(s3.head_object, **built) == "403"
    assert denied(s3.delete_object, **built) == "AccessDenied"
    assert denied(s3.get_object, Bucket=BUCKET, Key="pipeline/other") == "AccessDenied"
    assert denied(s3.put_object, Bucket=BUCKET, Key="pipeline/other", Body=b"") == "AccessDenied"
    assert denied(s3.get_object, Bucket="other", Key=source["Key"]) == "AccessDenied"
    assert denied(s3.list_objects_v2, Bucket=BUCKET) == "AccessDenied"
    assert denied(s3.list_buckets) == "AccessDenied"
    assert denied(s3.create_bucket, Bucket="mine") == "AccessDenied"
    assert denied(s3.get_object_acl, **source) == "AccessDenied"
    assert denied(s3.get_object_tagging, **source) == "AccessDenied"
    assert denied(s3.put_object_tagging, **built, Tagging={"TagSet": []}) == "AccessDenied"
    assert denied(s3.put_object, **built, Body=b"", ACL="public-read") == "AccessDenied"
    assert denied(s3.copy_object, **built, CopySource=source) == "AccessDenied"
    outcomes = {entry.outcome for entry in artifacts.w.emu.ledger.where(kind="artifact")}
    assert outcomes == {"AccessDenied"}


def test_one_job_does_not_open_the_artifacts_of_another(world, artifacts_of):
    w = world(pipeline=PIPELINE)
    one, two = artifacts_of(w), artifacts_of(w)
    assert denied(one.s3.get_object, **two.source) == "AccessDenied"
    assert denied(one.s3.put_object, **two.built, Body=b"") == "AccessDenied"


def test_other_services_deny_in_their_own_words(artifacts):
    assert denied(artifacts.client("sts").get_caller_identity) == "AccessDenied"
    assert denied(artifacts.client("iam").list_users) == "AccessDenied"
    assert denied(artifacts.client("kms").list_keys) == "AccessDeniedException"
    secrets = artifacts.client("secretsmanager")
    assert denied(secrets.get_secret_value, SecretId="s") == "AccessDeniedException"
    pipeline = artifacts.client("codepipeline")
    assert denied(pipeline.get_pipeline_state, name="pipeline") == "AccessDeniedException"


def test_credentials_expire_by_the_emulators_clock_and_details_give_new_ones(artifacts):
    artifacts.w.emu.advance(899)
    artifacts.s3.head_object(**artifacts.source)
    artifacts.w.emu.advance(1)
    assert denied(artifacts.s3.get_object, **artifacts.source) == "ExpiredToken"
    assert denied(artifacts.s3.put_object, **artifacts.built, Body=b"") == "ExpiredToken"
    assert denied(artifacts.client("sts").get_caller_identity) == "ExpiredToken"
    fresh = artifacts.w.worker.details(artifacts.job_id)["data"]["artifactCredentials"]
    assert fresh["accessKeyId"] != artifacts.keys["aws_access_key_id"]
    again = artifacts.client(
        "s3",
        aws_access_key_id=fresh["accessKeyId"],
        aws_secret_access_key=fresh["secretAccessKey"],
        aws_session_token=fresh["sessionToken"],
    )
    again.head_object(**artifacts.source)


def test_the_lifetime_of_credentials_can_be_set(world, artifacts_of):
    artifacts = artifacts_of(world(pipeline=PIPELINE, credentials_lifetime=10))
    artifacts.w.emu.advance(10)
    assert denied(artifacts.s3.get_object, **artifacts.source) == "ExpiredToken"


def test_the_signature_is_checked(artifacts):
    for options, expected in (
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"aws_session_token": "wrong"}, "InvalidToken"),
        ({"aws_session_token": None}, "InvalidToken"),
        ({"aws_access_key_id": "ASIAEMUAAAAAAAAAAAAA"}, "InvalidAccessKeyId"),
    ):
        s3 = artifacts.client("s3", **options)
        assert denied(s3.get_object, **artifacts.source) == expected
        assert denied(s3.put_object, **artifacts.built, Body=b"x") == expected


def test_only_signature_version_4_is_known(artifacts):
    old = Config(signature_version="s3", retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    assert denied(artifacts.client("s3", config=old).get_object, **artifacts.source) == "InvalidRequest"


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
    # A hash that was not signed helps nobody either.
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


def test_presigned_urls_work_until_they_or_the_credentials_expire(artifacts, presign, http):
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


def test_two_signatures_on_one_request_are_refused(artifacts, presign, http):
    get = presign("get_object", artifacts.source)
    query = "?" + get.partition("?")[2]
    status, body, _ = artifacts.signed(http, "GET", artifacts.source, query=query)
    assert (status, b"InvalidArgument" in body) == (400, True)


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


def test_a_bucket_in_the_host_name_is_denied(artifacts, http):
    headers = {"Host": f"{BUCKET}.localhost"}
    status, body, _ = artifacts.signed(http, "GET", artifacts.source, headers=headers)
    assert (status, b"AccessDenied" in body) == (403, True)


def test_other_credentials_reach_moto(artifacts, client):
    admin = client("s3", artifacts.w.emu)
    assert BUCKET in [bucket["Name"] for bucket in admin.list_buckets()["Buckets"]]
    assert client("sts", artifacts.w.emu).get_caller_identity()["Account"] == "123456789012"
    secrets = client("secretsmanager", artifacts.w.emu)
    secrets.create_secret(Name="a-secret", SecretString="x")
    assert secrets.get_secret_value(SecretId="a-secret")["SecretString"] == "x"
    assert client("kms", artifacts.w.emu).create_key()["KeyMetadata"]["KeyId"]


def test_each_transfer_is_in_the_ledger_with_its_artifact(artifacts):
    artifacts.s3.get_object(**artifacts.source)["Body"].read()
    artifacts.s3.put_object(**artifacts.built, Body=b"12345")
    get, put = artifacts.w.emu.ledger.where(kind="artifact", job_id=artifacts.job_id)
    assert (get.operation, get.details["artifact"], get.details["bytes"]) == ("GetObject", "In", 6)
    assert (put.operation, put.details["artifact"], put.details["bytes"]) == ("PutObject", "Out", 5)


def test_a_missing_input_is_told_as_moto_tells_it(artifacts, client):
    client("s3", artifacts.w.emu).delete_object(**artifacts.source)
    assert denied(artifacts.s3.get_object, **artifacts.source) == "NoSuchKey"
    assert artifacts.w.emu.ledger[-1].outcome == "HTTP 404"


def test_the_encryption_of_uploads_is_noted(artifacts):
    artifacts.s3.put_object(**artifacts.built, Body=b"", ServerSideEncryption="aws:kms", SSEKMSKeyId="key-7")
    details = artifacts.w.emu.ledger[-1].details
    assert (details["serverSideEncryption"], details["kmsKeyId"]) == ("aws:kms", "key-7")


@pytest.mark.parametrize("key", [None, "key-7"])
def test_an_upload_with_another_key_can_be_denied(world, artifacts_of, key):
    artifacts = artifacts_of(world(pipeline=PIPELINE | {"encryption_key": key}, upload_encryption="refuse"))
    right = {"ServerSideEncryption": "aws:kms"} | ({"SSEKMSKeyId": key} if key else {})
    wrong = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "other"}
    assert denied(artifacts.s3.put_object, **artifacts.built, Body=b"", **wrong) == "AccessDenied"
    assert denied(artifacts.s3.put_object, **artifacts.built, Body=b"") == "AccessDenied"
    assert denied(artifacts.s3.create_multipart_upload, **artifacts.built) == "AccessDenied"
    artifacts.s3.put_object(**artifacts.built, Body=b"", **right)


def test_success_without_output_can_be_refused(world, artifacts_of):
    artifacts = artifacts_of(world(pipeline=PIPELINE, require_output_artifacts=True))
    worker = artifacts.w.worker
    with pytest.raises(worker.error.ValidationException, match="Out has no object"):
        worker.succeed(artifacts.job_id)
    assert artifacts.w.status(artifacts.job_id) == "InProgress"
    artifacts.s3.put_object(**artifacts.built, Body=b"")
    worker.succeed(artifacts.job_id)


def test_a_continuation_needs_no_output_yet_and_keeps_its_place(world, artifacts_of):
    artifacts = artifacts_of(world(pipeline=PIPELINE, require_output_artifacts=True, continuation_delay=0))
    worker = artifacts.w.worker
    worker.succeed(artifacts.job_id, continuationToken="t")
    data = worker.details(worker.claim())["data"]
    assert data["outputArtifacts"][0]["location"]["s3Location"]["objectKey"] == artifacts.built["Key"]
    assert data["inputArtifacts"][0]["location"]["s3Location"]["objectKey"] == artifacts.source["Key"]


def test_keys_are_cut_as_codepipeline_cuts_them(world):
    name = "a-pipeline-with-a-long-name"
    w = world()
    w.emu.add_pipeline(
        name, client_id=w.customer.client_id, input_artifacts=["SourceArtifact"], output_artifacts=[]
    )
    w.emu.start_execution(name)
    data = w.worker.details(w.worker.poll_ids()[0])["data"]
    pipeline, artifact, suffix = data["inputArtifacts"][0]["location"]["s3Location"]["objectKey"].split("/")
    assert (pipeline, artifact, len(suffix)) == (name[:20], "SourceArti", 7)


def test_secrets_of_credentials_are_not_in_their_repr(artifacts):
    credentials = artifacts.w.emu.state.credentials.find(artifacts.keys["aws_access_key_id"])
    assert credentials.secret_access_key not in repr(credentials)
    assert credentials.session_token not in repr(credentials)


def test_boto3_defaults_work_without_any_config(artifacts):
    s3 = boto3.Session(**artifacts.keys, region_name="us-east-1").client(
        "s3", endpoint_url=artifacts.w.emu.url
    )
    try:
        assert s3.get_object(**artifacts.source)["Body"].read() == b"source"
        s3.put_object(**artifacts.built, Body=io.BytesIO(b"stream"))
    finally:
        s3.close()
