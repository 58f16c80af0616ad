# SPDX-License-Identifier: Apache-2.0
"""A job's credentials open its artifacts, and nothing else."""

from __future__ import annotations

import io

import boto3
import pytest
from declaring import code

BUCKET = "artifact-bucket"
PIPELINE = {"input_artifacts": ["In"], "output_artifacts": ["Out"], "bucket": BUCKET}


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
    assert code(s3.put_object, **source, Body=b"") == "AccessDenied"
    assert code(s3.get_object, **built) == "AccessDenied"
    assert code(s3.head_object, **built) == "403"
    assert code(s3.delete_object, **built) == "AccessDenied"
    assert code(s3.get_object, Bucket=BUCKET, Key="pipeline/other") == "AccessDenied"
    assert code(s3.put_object, Bucket=BUCKET, Key="pipeline/other", Body=b"") == "AccessDenied"
    assert code(s3.get_object, Bucket="other", Key=source["Key"]) == "AccessDenied"
    assert code(s3.list_objects_v2, Bucket=BUCKET) == "AccessDenied"
    assert code(s3.list_buckets) == "AccessDenied"
    assert code(s3.create_bucket, Bucket="mine") == "AccessDenied"
    assert code(s3.get_object_acl, **source) == "AccessDenied"
    assert code(s3.get_object_tagging, **source) == "AccessDenied"
    assert code(s3.put_object_tagging, **built, Tagging={"TagSet": []}) == "AccessDenied"
    assert code(s3.put_object, **built, Body=b"", ACL="public-read") == "AccessDenied"
    assert code(s3.copy_object, **built, CopySource=source) == "AccessDenied"
    outcomes = {entry.outcome for entry in artifacts.w.emu.ledger.where(kind="artifact")}
    assert outcomes == {"AccessDenied"}


def test_one_job_does_not_open_the_artifacts_of_another(world, artifacts_of):
    w = world(pipeline=PIPELINE)
    one, two = artifacts_of(w), artifacts_of(w)
    assert code(one.s3.get_object, **two.source) == "AccessDenied"
    assert code(one.s3.put_object, **two.built, Body=b"") == "AccessDenied"


def test_a_job_resets_nothing(artifacts, http):
    place = {"Bucket": "moto-api", "Key": "reset"}
    assert artifacts.signed(http, "POST", place)[0] == 403
    assert artifacts.w.status(artifacts.job_id) == "InProgress"


def test_other_services_deny_in_their_own_words(artifacts):
    assert code(artifacts.client("sts").get_caller_identity) == "AccessDenied"
    assert code(artifacts.client("iam").list_users) == "AccessDenied"
    assert code(artifacts.client("kms").list_keys) == "AccessDeniedException"
    secrets = artifacts.client("secretsmanager")
    assert code(secrets.get_secret_value, SecretId="s") == "AccessDeniedException"
    pipeline = artifacts.client("codepipeline")
    assert code(pipeline.get_pipeline_state, name="pipeline") == "AccessDeniedException"


@pytest.mark.parametrize("host", [f"{BUCKET}.localhost", "[bad"])
def test_another_host_is_denied(artifacts, http, host):
    headers = {"Host": host}
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


def test_a_missing_input_is_refused_as_moto_does(artifacts, client):
    client("s3", artifacts.w.emu).delete_object(**artifacts.source)
    assert code(artifacts.s3.get_object, **artifacts.source) == "NoSuchKey"
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
    assert code(artifacts.s3.put_object, **artifacts.built, Body=b"", **wrong) == "AccessDenied"
    assert code(artifacts.s3.put_object, **artifacts.built, Body=b"") == "AccessDenied"
    assert code(artifacts.s3.create_multipart_upload, **artifacts.built) == "AccessDenied"
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


def test_boto3_defaults_work_without_any_config(artifacts):
    s3 = boto3.Session(**artifacts.keys, region_name="us-east-1").client(
        "s3", endpoint_url=artifacts.w.emu.url
    )
    try:
        assert s3.get_object(**artifacts.source)["Body"].read() == b"source"
        s3.put_object(**artifacts.built, Body=io.BytesIO(b"stream"))
    finally:
        s3.close()


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=b", "application/x-www-form-urlencoded"]
)
def test_a_presigned_post_opens_nothing(artifacts, client, http, content_type):
    place = artifacts.source
    fields = artifacts.s3.generate_presigned_post(**place)["fields"] | {
        "x-amz-credential": f"{artifacts.keys['aws_access_key_id']}/20270101/us-east-1/s3/aws4_request",
        "file": "changed",
    }
    body = "&".join(f"{name}={value}" for name, value in fields.items())
    if content_type.startswith("multipart"):
        parts = (f'Content-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items())
        body = "".join(f"--b\r\n{part}" for part in parts) + "--b--\r\n"
    url = f"{artifacts.w.emu.url}/{place['Bucket']}"
    status, answer, _ = http(url, body.encode(), {"Content-Type": content_type})
    assert (status, b"AccessDenied" in answer) == (403, True)
    said = artifacts.w.emu.ledger[-1]
    assert (said.kind, said.operation, said.outcome) == ("artifact", "PostObject", "AccessDenied")
    assert client("s3", artifacts.w.emu).get_object(**place)["Body"].read() == b"source"


def test_a_form_of_other_credentials_reaches_moto(artifacts, http):
    place = {"Bucket": artifacts.built["Bucket"], "Key": "of-the-customer"}
    parts = (("key", "of-the-customer"), ("file", "x"))
    body = "".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts)
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert http(f"{artifacts.w.emu.url}/{place['Bucket']}", f"{body}--b--\r\n".encode(), headers)[0] < 300
