# SPDX-License-Identifier: Apache-2.0
"""The credentials of a job."""

from __future__ import annotations

from declaring import code

BUCKET = "artifact-bucket"
PIPELINE = {"input_artifacts": ["In"], "output_artifacts": ["Out"], "bucket": BUCKET}


def test_credentials_expire_by_the_emulators_clock(artifacts):
    """Then the details give new ones."""
    artifacts.w.emu.advance(899)
    artifacts.s3.head_object(**artifacts.source)
    artifacts.w.emu.advance(1)
    assert code(artifacts.s3.get_object, **artifacts.source) == "ExpiredToken"
    assert code(artifacts.s3.put_object, **artifacts.built, Body=b"") == "ExpiredToken"
    assert code(artifacts.client("sts").get_caller_identity) == "ExpiredToken"
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
    assert code(artifacts.s3.get_object, **artifacts.source) == "ExpiredToken"


def test_secrets_of_credentials_are_not_in_their_repr(artifacts):
    credentials = artifacts.w.emu.state.credentials.find(artifacts.keys["aws_access_key_id"])
    assert credentials.secret_access_key not in repr(credentials)
    assert credentials.session_token not in repr(credentials)
