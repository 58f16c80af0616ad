# SPDX-License-Identifier: Apache-2.0
"""The emulator's S3 keeps what the AWS SDK for Ruby sends, down to the bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib

import boto3
import pytest
from clients.programs import HERE, found, run

from airflow_codepipeline_partner.emulator import Emulator

BUCKET = "ruby-objects"
ADMIN = ("AKIAADMIN", "any")
PARTNER = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
KEYS = [
    "rel?1.zip",
    "rel?2.zip",
    "a%20b",
    "a b",
    "a%2Fb",
    "a/b",
    "/a",
    "a//b",
    "a+b",
    "a&b=c",
    "a#b",
    "ä",
    "%41",
]
CHECKSUMS = {
    "CRC32": base64.b64encode(zlib.crc32(b"the artifact").to_bytes(4, "big")).decode(),
    "SHA1": base64.b64encode(hashlib.sha1(b"the artifact", usedforsecurity=False).digest()).decode(),
    "SHA256": base64.b64encode(hashlib.sha256(b"the artifact").digest()).decode(),
}
METADATA = {"two_words": "1", "dash-ed": "2", "plain": "3", "mixed-and_more": "4"}


def admin(service, emulator):
    keys = dict(zip(("aws_access_key_id", "aws_secret_access_key"), ADMIN, strict=True))
    return boto3.client(service, endpoint_url=emulator.url, region_name="us-east-1", **keys)


@pytest.fixture
def put_all():
    """Return a function that has Ruby put objects and get them, on an emulator with a bucket."""
    ruby = found("ruby", "ruby ruby-aws-sdk-s3")
    if run(ruby, "-e", 'require "aws-sdk-s3"', check=False).returncode != 0:
        found("aws-sdk-s3 for Ruby", "ruby ruby-aws-sdk-s3")
    with Emulator() as emulator:
        emulator.reset()
        admin("s3", emulator).create_bucket(Bucket=BUCKET)

        def call(puts, writer=ADMIN):
            keys = json.dumps({"writer": writer, "reader": ADMIN})
            done = run(ruby, str(HERE / "objects.rb"), emulator.url, keys, json.dumps(puts))
            return [json.loads(line) for line in done.stdout.splitlines()]

        call.emulator = emulator
        yield call


def test_odd_keys_and_metadata_are_kept(put_all):
    puts = [{"bucket": BUCKET, "key": key, "body": key, "metadata": METADATA} for key in KEYS]
    kept = [{"body": key, "metadata": METADATA, "listed": True, "checksums": {}} for key in KEYS]
    assert put_all(puts) == kept


def test_names_of_metadata_come_back_in_lower_case(put_all):
    [said] = put_all(
        [{"bucket": BUCKET, "key": "k", "body": "", "metadata": {"Two_Words": "1", "PLAIN": "2"}}]
    )
    assert said["metadata"] == {"two_words": "1", "plain": "2"}


@pytest.fixture
def job(put_all, monkeypatch):
    """Return a job's credentials, and the place of its output artifact."""
    # All but the last part have five MiB in S3.
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    emulator = put_all.emulator
    customer = emulator.add_customer()
    emulator.add_pipeline("shop", client_id=customer.client_id, output_artifacts=["Out"], bucket=BUCKET)
    emulator.start_execution("shop")
    worker = admin("codepipeline", emulator)
    [offered] = worker.poll_for_third_party_jobs(actionTypeId=PARTNER)["jobs"]
    details = worker.get_third_party_job_details(jobId=offered["jobId"], clientToken=customer.client_token)
    data = details["jobDetails"]["data"]
    keys = [data["artifactCredentials"][name] for name in ("accessKeyId", "secretAccessKey", "sessionToken")]
    place = data["outputArtifacts"][0]["location"]["s3Location"]
    return keys, {"bucket": place["bucketName"], "key": place["objectKey"]}


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_job_uploads_with_the_checksums_that_ruby_has(put_all, job, algorithm):
    keys, place = job
    put = place | {"body": "the artifact", "metadata": METADATA, "checksum_algorithm": algorithm}
    whole, parts = put_all([put, put | {"parts": 2}], keys)
    assert whole.pop("checksums") == {f"checksum_{algorithm.lower()}": CHECKSUMS[algorithm]}
    assert all(text.endswith("-2") for text in parts.pop("checksums").values())
    assert whole == parts == {"body": "the artifact", "metadata": METADATA, "listed": True}


def test_ruby_names_what_s3_refuses(put_all, job):
    keys, place = job
    assert put_all([place | {"key": "another", "body": ""}], keys) == [
        {"error": "Aws::S3::Errors::AccessDenied"}
    ]
    put_all.emulator.advance(3600)
    assert put_all([place | {"body": ""}], keys) == [{"error": "Aws::S3::Errors::ExpiredToken"}]
