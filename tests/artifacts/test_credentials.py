# SPDX-License-Identifier: Apache-2.0
"""Artifacts are read and written with the job's own credentials, and with no others."""

from __future__ import annotations

import threading

import pytest
from artifact_jobs import LARGE, refused
from boto3.s3.transfer import TransferConfig

from airflow_codepipeline_partner.artifacts import Workspace, credentials
from airflow_codepipeline_partner.exceptions import ServiceUnavailable


def test_the_workers_own_credentials_are_never_used(world, signed_with, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "AKIAPLANTED")
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=AKIAPLANTED\naws_secret_access_key=x\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "f").write_bytes(LARGE)
    with Workspace(world.claim(LARGE), world.hook) as workspace:
        workspace.download()
        workspace.upload("Built", tmp_path / "f")
    assert len(signed_with) > 6
    assert {key[:7] for key in signed_with} == {"ASIAEMU"}


def test_without_credentials_of_the_job_nothing_is_asked_of_s3(world, signed_with, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "AKIAPLANTED")
    job = world.claim()
    world.emulator.inject("omit", members=["data.artifactCredentials"], times=None)
    with Workspace(job, world.hook) as workspace:
        refused(f"no artifact credentials for job {job.job_id}", lambda: workspace.download())
    assert signed_with == []


def test_credentials_are_asked_for_again_by_their_age(world, signed_with):
    with Workspace(world.claim(), world.hook) as workspace:
        workspace._storage._credentials._clock = world.time.clock
        workspace.upload("Built", workspace.download())
        world.time.now += credentials.REFRESH_AFTER - 1
        workspace.upload("Built", workspace.download())
        assert len(set(signed_with)) == 1
        world.time.now += 1
        workspace.upload("Built", workspace.download())
    assert len(set(signed_with)) == 2
    assert {call.outcome for call in world.calls()} == {"ok"}


def test_old_credentials_serve_while_new_ones_cannot_be_had(world, caplog):
    world.hook.retry_deadline = world.hook._transport.retry_deadline = 0
    with Workspace(world.claim(), world.hook) as workspace:
        workspace._storage._credentials._clock = world.time.clock
        workspace.upload("Built", workspace.download())
        world.emulator.inject("throttle", "GetThirdPartyJobDetails", times=None)
        world.time.now += credentials.REFRESH_AFTER
        workspace.upload("Built", workspace.download())
        assert "stay in use" in caplog.text
        world.time.now += credentials.LIFETIME
        refused(
            "ThrottlingException", lambda: workspace.upload("Built", workspace.download()), ServiceUnavailable
        )


def test_old_credentials_serve_after_the_job_has_ended(world):
    """Another task of the run goes on with the action, and claims its next job."""
    job = world.claim()
    with Workspace(job, world.hook) as workspace:
        workspace._storage._credentials._clock = world.time.clock
        workspace.upload("Built", workspace.download())
        world.hook.succeed(job)
        for seconds in (credentials.REFRESH_AFTER, credentials.REFRESH_PAUSE - 1, 1):
            world.time.now += seconds
            workspace.upload("Built", workspace.download())
        world.time.now += credentials.LIFETIME
        refused("it has ended", lambda: workspace.upload("Built", workspace.download()))


@pytest.mark.parametrize(
    ("operation", "which"),
    [
        ("HeadObject", 1),
        ("GetObject", 2),
        ("CreateMultipartUpload", 1),
        ("UploadPart", 2),
        ("CompleteMultipartUpload", 1),
    ],
)
def test_credentials_that_expire_in_mid_transfer_are_renewed(world, tmp_path, monkeypatch, operation, which):
    # All at once would ask before the clock is moved.
    monkeypatch.setattr(TransferConfig, "__init__", one_at_a_time())
    (tmp_path / "f").write_bytes(LARGE)
    with Workspace(world.claim(LARGE), world.hook) as workspace:
        seen = []

        def expire(**event):
            seen.append(event)
            if len(seen) == which:
                world.emulator.advance(901)

        workspace._storage.client.meta.events.register_first(f"before-send.s3.{operation}", expire)
        assert workspace.download().read_bytes() == LARGE
        built = workspace.upload("Built", tmp_path / "f")
    assert world.read(built) == LARGE
    assert [call.operation for call in world.calls() if call.outcome == "ExpiredToken"] == [operation]


def one_at_a_time():
    init = TransferConfig.__init__

    def limited(self, *arguments, **options):
        init(self, *arguments, **{**options, "max_concurrency": 1})

    return limited


def test_a_job_that_ends_in_mid_transfer_is_named(world):
    job = world.claim()
    with Workspace(job, world.hook) as workspace:
        workspace.upload("Built", workspace.download())
        world.hook.fail(job, message="m")
        world.emulator.advance(901)
        ended = refused("it has ended", lambda: workspace.upload("Built", workspace.download()))
    assert ended.job_id == job.job_id
    assert [call.outcome for call in world.calls("PutObject")] == ["ok", "ExpiredToken"]


def test_no_secret_is_shown(world, capfd, caplog):
    with Workspace(world.claim(), world.hook) as workspace:
        workspace.upload("Built", workspace.download())
        credentials = workspace._storage._credentials
        frozen = credentials.get_frozen_credentials()
        shown = [repr(credentials), repr(workspace), str(vars(workspace))]
    text = "".join([*capfd.readouterr(), caplog.text, *shown])
    assert frozen.secret_key not in text
    assert frozen.token not in text


def test_many_requests_with_expired_credentials_ask_once(world):
    world.hook.claim(world.claim())
    job = world.claim()
    asked = len(world.emulator.ledger.where(operation="GetThirdPartyJobDetails"))
    job_credentials = credentials.JobCredentials(world.hook, job.job)
    together = threading.Barrier(10)

    def request():
        job_credentials.get_frozen_credentials()
        together.wait(30)
        job_credentials.discard()
        job_credentials.get_frozen_credentials()

    threads = [threading.Thread(target=request) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(world.emulator.ledger.where(operation="GetThirdPartyJobDetails")) - asked == 2


def test_credentials_that_expire_after_s3_was_busy_are_renewed(world):
    job = world.claim()
    with Workspace(job, world.hook) as workspace:
        workspace.upload("Built", workspace.download())
        world.emulator.inject("throttle", "PutObject", times=2)
        requests = []

        def expire(**event):
            requests.append(event)
            if len(requests) == 3:
                world.emulator.advance(901)

        workspace._storage.client.meta.events.register_first("before-send.s3.PutObject", expire)
        workspace.upload("Built", workspace.download())
    outcomes = [call.outcome for call in world.calls("PutObject")]
    assert outcomes == ["ok", "SlowDown", "SlowDown", "ExpiredToken", "ok"]
