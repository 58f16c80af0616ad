# SPDX-License-Identifier: Apache-2.0
"""A job's artifacts are transferred whole and checked, or not at all."""

from __future__ import annotations

import base64
import io
import time
import zlib

import pytest
from artifact_jobs import ELSEWHERE, KEY, LARGE, refused

from airflow_codepipeline_partner.artifacts import Workspace, job_storage
from airflow_codepipeline_partner.exceptions import ArtifactError


@pytest.mark.parametrize("size", [0, 1000, len(LARGE)])
@pytest.mark.parametrize("key", [KEY, None])
def test_uploads_are_encrypted_with_the_jobs_key(world, tmp_path, size, key):
    """Without a key id S3 takes the AWS managed key."""
    (tmp_path / "f").write_bytes(LARGE[:size])
    with Workspace(world.claim(key=key), world.hook) as workspace:
        built = workspace.upload("Built", tmp_path / "f")
    assert world.read(built) == LARGE[:size]
    [begun] = world.calls("PutObject", "CreateMultipartUpload")
    assert begun.details["serverSideEncryption"] == "aws:kms"
    assert begun.details["kmsKeyId"] == key
    assert (begun.operation == "CreateMultipartUpload") is (size == len(LARGE))


@pytest.mark.parametrize("size", [1000, len(LARGE)])
def test_s3_takes_an_upload_only_with_the_files_checksum(world, tmp_path, monkeypatch, size):
    (tmp_path / "f").write_bytes(LARGE[:size])
    crc32_of = job_storage._crc32_of

    def then_it_changes(path):
        checksum = crc32_of(path)
        with path.open("r+b") as file:
            file.write(b"changed")
        return checksum

    monkeypatch.setattr(job_storage, "_crc32_of", then_it_changes)
    with Workspace(world.claim(), world.hook) as workspace:
        refusal = refused("Built of job .* BadDigest", lambda: workspace.upload("Built", tmp_path / "f"))
    assert refusal.failure_type == "SystemUnavailable"
    assert refusal.retryable


def test_the_checksum_is_that_of_s3(tmp_path):
    (tmp_path / "f").write_bytes(LARGE)

    assert base64.b64decode(job_storage._crc32_of(tmp_path / "f")) == zlib.crc32(LARGE).to_bytes(4, "big")


@pytest.mark.parametrize("find", ["download", "extract"])
def test_an_unknown_artifact_is_named(world, find):
    """The error lists the artifacts that the job has."""
    with Workspace(world.claim(inputs=("One", "Two")), world.hook) as workspace:
        with pytest.raises(
            ArtifactError, match="no input artifact 'Three'; its input artifacts: One, Two"
        ) as it:
            getattr(workspace, find)("Three")
        refused("more than one input artifact; .*: One, Two", lambda: getattr(workspace, find)())
        refused(
            "no output artifact 'One'; its output artifacts: Built",
            lambda: workspace.upload("One", workspace.path),
        )
    assert it.value.failure_type == "ConfigurationError"


def test_an_artifact_that_is_there_twice_is_named(world):
    job = world.claim()
    world.emulator.inject("replace", members={"data.inputArtifacts": [ELSEWHERE, ELSEWHERE]})
    with Workspace(job, world.hook) as workspace:
        twice = refused("2 times the input artifact 'Source'", lambda: workspace.download("Source"))
    assert twice.failure_type == "ConfigurationError"
    assert world.calls() == []


def test_an_artifact_without_a_place_is_named(world):
    job = world.claim()
    world.emulator.inject("replace", members={"data.inputArtifacts": [{"name": "Source"}]})
    with Workspace(job, world.hook) as workspace:
        nowhere = refused("does not say where the input artifact Source", workspace.download)
    assert nowhere.job_id == job.job_id
    assert world.calls() == []


@pytest.mark.parametrize("call", ["HeadObject", "GetObject", "PutObject"])
def test_what_may_pass_is_tried_again(world, call):
    with Workspace(world.claim(), world.hook) as workspace:
        world.emulator.inject("throttle", call)
        workspace.upload("Built", workspace.download())
    assert [c.outcome for c in world.calls(call)][:2] == ["SlowDown", "ok"]


@pytest.mark.parametrize(("code", "status"), [("InvalidAccessKeyId", 403), ("RequestTimeTooSkewed", 403)])
def test_a_refused_head_is_understood_by_a_read(world, code, status):
    """The answer to a HEAD has no code, and what seems to be denied may pass."""
    job = world.claim()
    with Workspace(job, world.hook) as workspace:
        world.emulator.inject("error", "HeadObject", code=code, status=status)
        assert workspace.download().is_file()
    with Workspace(job, world.hook) as workspace:
        world.emulator.inject("error", "HeadObject", code=code, status=status)
        world.emulator.inject("error", "GetObject", code=code, status=status)
        passing = refused(f"S3 answered {code}", lambda: workspace.download())
    assert passing.retryable


def test_an_upload_that_s3_no_longer_knows_may_be_made_again(world, tmp_path):
    """Perhaps the answer to the call that ended it was lost."""
    (tmp_path / "f").write_bytes(LARGE)
    with Workspace(world.claim(), world.hook) as workspace:
        world.emulator.inject("error", "CompleteMultipartUpload", code="NoSuchUpload", status=404)
        lost = refused("NoSuchUpload", lambda: workspace.upload("Built", tmp_path / "f"))
    assert lost.retryable


@pytest.mark.usefixtures("leaving_sockets")
def test_a_download_that_is_cut_is_taken_up_again(world):
    job = world.claim(LARGE)
    world.emulator.inject("cut_body", after_bytes=100_000, times=3)
    with Workspace(job, world.hook) as workspace:
        assert workspace.download().read_bytes() == LARGE


@pytest.mark.usefixtures("leaving_sockets")
def test_a_download_that_is_always_cut_leaves_nothing(world, monkeypatch):
    """The error names the artifact."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    job = world.claim(LARGE)
    world.emulator.inject("cut_body", after_bytes=1000, times=None)
    with Workspace(job, world.hook) as workspace:
        cut = refused("Source of job .* the connection to S3 failed", lambda: workspace.download())
        assert [path for path in workspace.path.parent.rglob("*") if path.is_file()] == []
    assert cut.retryable


def test_a_full_disk_is_named_and_nothing_is_left(world, monkeypatch):
    import s3transfer.utils

    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(s3transfer.utils.OSUtils, "open", full)
    with Workspace(world.claim(), world.hook) as workspace:
        disk = refused("Source could not be stored on the worker: No space", lambda: workspace.download())
        assert [path for path in workspace.path.parent.rglob("*") if path.is_file()] == []
    assert disk.failure_type == "SystemUnavailable"


def test_a_source_that_shrinks_or_grows_is_not_uploaded(world):
    with Workspace(world.claim(), world.hook) as workspace:
        storage = workspace._storage
        built = storage.find_output()
        for size in (6, 8):
            with pytest.raises(ArtifactError, match=f"it had {size} bytes, and"):
                storage.upload_stream(built, io.BytesIO(b"content"), size)
        assert world.calls("PutObject") == []
        storage.upload_stream(built, io.BytesIO(b"content"))
    assert world.read(built) == b"content"
