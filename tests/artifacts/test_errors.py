# SPDX-License-Identifier: Apache-2.0
"""An error of S3 names the artifact and says what to do."""

from __future__ import annotations

import time

import pytest
from artifact_jobs import ELSEWHERE, refused
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    FlexibleChecksumError,
    NoCredentialsError,
    ParamValidationError,
)

from airflow_codepipeline_partner.artifacts import Workspace
from airflow_codepipeline_partner.artifacts.errors import s3_errors


def test_an_object_that_is_missing_is_named_and_nothing_is_left(world):
    job = world.claim()
    [artifact] = job.input_artifacts
    world.client().delete_object(Bucket=artifact.bucket, Key=artifact.key)
    with Workspace(job, world.hook) as workspace:
        missing = refused("Source of job .* nothing at s3://", lambda: workspace.extract())
        assert [path for path in workspace.path.parent.rglob("*") if path.is_file()] == []
    assert artifact.key in str(missing)
    assert missing.failure_type == "JobFailed"


def test_an_object_that_the_credentials_do_not_open_is_named(world, tmp_path):
    job = world.claim()
    world.emulator.inject(
        "replace",
        members={"data.inputArtifacts": [ELSEWHERE], "data.outputArtifacts": [ELSEWHERE]},
        times=None,
    )
    with Workspace(job, world.hook) as workspace:
        denied = refused("Source of job .* AccessDenied for s3://b/k.*policies", lambda: workspace.download())
        (tmp_path / "f").write_text("x")
        refused(
            r"Source of job .* AccessDenied for s3://b/k", lambda: workspace.upload("Source", tmp_path / "f")
        )
    assert denied.failure_type == "PermissionError"
    assert not denied.retryable


def test_a_key_that_the_bucket_does_not_take_is_named(world, tmp_path):
    job = world.claim()
    world.emulator.inject(
        "replace", members={"data.encryptionKey": {"id": "other", "type": "KMS"}}, times=None
    )
    (tmp_path / "f").write_text("x")
    with Workspace(job, world.hook) as workspace:
        denied = refused("KMS key", lambda: workspace.upload("Built", tmp_path / "f"))
    assert denied.failure_type == "PermissionError"


def test_an_s3_that_stays_broken_is_named(world, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    job = world.claim()
    world.emulator.inject("server_error", "HeadObject", times=None)
    with Workspace(job, world.hook) as workspace:
        broken = refused("Source of job .* S3 answered 500", lambda: workspace.download())
    assert broken.retryable
    assert broken.failure_type == "SystemUnavailable"


@pytest.mark.parametrize(
    ("error", "match", "kind", "retryable"),
    [
        (ConnectTimeoutError(endpoint_url="x"), "connection to S3 failed", "SystemUnavailable", True),
        (NoCredentialsError(), r"S3 could not be called \(NoCredentialsError\)", "ConfigurationError", True),
        (ParamValidationError(report="x"), "could not be called", "ConfigurationError", False),
        (
            ClientError({"Error": {"Code": "KMS.KeyUnavailableException"}}, "PutObject"),
            "KMS",
            "SystemUnavailable",
            True,
        ),
        (FlexibleChecksumError(error_msg="x"), "does not match S3's checksum", "SystemUnavailable", True),
        (
            ClientError({"Error": {"Code": "InvalidAccessKeyId"}}, "GetObject"),
            "InvalidAccessKeyId",
            "SystemUnavailable",
            True,
        ),
        (ClientError({"Error": {"Code": "Odd"}}, "GetObject"), "answered Odd for s3", "JobFailed", False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_of_s3_has_its_failure_type(error, match, kind, retryable):
    def fail():
        with s3_errors("It could not be", "s3://b/k", "Advice."):
            raise error

    found = refused(match, fail)
    assert (found.failure_type, found.retryable) == (kind, retryable)
