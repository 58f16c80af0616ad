# SPDX-License-Identifier: Apache-2.0
"""Artifacts are read and written with the job's own credentials, whole, and checked."""

from __future__ import annotations

import base64
import functools
import gc
import io
import os
import threading
import warnings
import zipfile
import zlib

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    FlexibleChecksumError,
    NoCredentialsError,
    ParamValidationError,
)
from support import ACTION_TYPE

from airflow_codepipeline_partner import artifacts
from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner.artifacts import (
    ArchiveLimits,
    Workspace,
    credentials,
    job_storage,
    transfer,
)
from airflow_codepipeline_partner.artifacts.errors import s3_errors
from airflow_codepipeline_partner.artifacts.transfer import MAX_RESUMPTIONS, ResumedStream
from airflow_codepipeline_partner.exceptions import (
    ArtifactError,
    InvalidJobReference,
    JobFailure,
    ServiceUnavailable,
)

KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
LARGE = os.urandom(20_000_000)


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


#: An artifact that no job's credentials open.
ELSEWHERE = {
    "name": "Source",
    "location": {"type": "S3", "s3Location": {"bucketName": "b", "objectKey": "k"}},
}
SOURCE = zipped(a="content of a")


def refused(match, call, kind=ArtifactError):
    """Check that a call fails with an error of ours whose text matches, and return that."""
    with pytest.raises(kind, match=match) as refusal:
        call()
    return refusal.value


class World:
    """A claimed job with artifacts, and the objects behind them."""

    def __init__(self, emulator, customer, hook, fake_time):
        self.emulator, self.customer, self.hook, self.time = emulator, customer, hook, fake_time

    def claim(self, source=SOURCE, *, inputs=("Source",), outputs=("Built",), key=KEY):
        name = f"pipe{len(self.emulator.jobs())}"
        self.emulator.add_pipeline(
            name,
            client_id=self.customer.client_id,
            action_type=ACTION_TYPE,
            input_artifacts=inputs,
            output_artifacts=outputs,
            encryption_key=key,
        )
        self.emulator.start_execution(name, dict.fromkeys(inputs, source))
        [job] = self.hook.poll(ACTION_TYPE)
        return self.hook.claim(job)

    def calls(self, *operations):
        entries = self.emulator.ledger.where(kind="artifact")
        return [entry for entry in entries if not operations or entry.operation in operations]

    def read(self, artifact):
        import boto3

        s3 = boto3.client(
            "s3",
            endpoint_url=self.emulator.url,
            region_name="us-east-1",
            aws_access_key_id="customer",
            aws_secret_access_key="customer",
        )
        return s3.get_object(Bucket=artifact.bucket, Key=artifact.key)["Body"].read()


@pytest.fixture
def world(emulator, customer, make_hook, fake_time):
    emulator.configure(upload_encryption="refuse")
    return World(emulator, customer, make_hook(), fake_time)


def test_a_workspace_lists_extracts_and_uploads_and_is_gone_afterwards(world):
    job = world.claim()
    with Workspace(job, world.hook) as workspace:
        assert [artifact.name for artifact in workspace.inputs] == ["Source"]
        folder = workspace.extract("Source")
        assert (folder / "a").read_text() == "content of a"
        (workspace.path / "out").mkdir()
        (workspace.path / "out" / "b").write_text("built")
        built = workspace.upload("Built", workspace.path / "out")
        assert built == workspace.outputs[0]
        path = workspace.path
    assert not path.parent.exists()
    with zipfile.ZipFile(io.BytesIO(world.read(built))) as archive:
        assert {info.filename: archive.read(info) for info in archive.infolist()} == {"b": b"built"}


def test_the_only_artifact_needs_no_name(world):
    with Workspace(world.claim(), world.hook) as workspace:
        assert workspace.download().read_bytes() == SOURCE
        assert workspace.upload(None, workspace.download()).name == "Built"


def test_a_mapping_names_the_job_as_well_as_the_claim_does(world):
    with Workspace(world.claim().to_xcom(), world.hook) as workspace:
        assert workspace.download().read_bytes() == SOURCE


def test_without_a_hook_the_default_connection_serves(world):
    with Workspace(world.claim()) as workspace:
        assert workspace.download().read_bytes() == SOURCE


def test_the_folder_is_removed_when_the_work_fails(world, tmp_path):
    def work():
        with Workspace(world.claim(), world.hook, parent=tmp_path) as workspace:
            workspace.extract()
            assert list(tmp_path.iterdir())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_has_a_folder_only_within_a_with(world):
    workspace = Workspace(world.claim(), world.hook)
    outside = refused("with Workspace", workspace.download)
    assert outside.failure_type == "ConfigurationError"
    assert world.calls() == []


@pytest.mark.parametrize("job", [None, {}, "planted"], ids=str)
def test_what_is_no_job_is_refused(job):
    with pytest.raises(InvalidJobReference):
        Workspace(job)


# How it is written.


@pytest.mark.parametrize("size", [0, 1000, len(LARGE)])
@pytest.mark.parametrize("key", [KEY, None])
def test_uploads_are_encrypted_with_the_jobs_key_or_without_an_id(world, tmp_path, size, key):
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


# Whose credentials.


@pytest.fixture
def signed_with(monkeypatch):
    """The access keys that requests to S3 are signed with."""
    import botocore.httpsession

    keys, send = [], botocore.httpsession.URLLib3Session.send

    def note(self, request):
        authorization = request.headers.get("Authorization", b"")
        text = authorization.decode() if isinstance(authorization, bytes) else authorization
        if "/s3/aws4_request" in text:
            keys.append(text.partition("Credential=")[2].partition("/")[0])
        return send(self, request)

    monkeypatch.setattr(botocore.httpsession.URLLib3Session, "send", note)
    return keys


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
        assert "serve on" in caplog.text
        world.time.now += credentials.LIFETIME
        refused(
            "ThrottlingException", lambda: workspace.upload("Built", workspace.download()), ServiceUnavailable
        )


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
    monkeypatch.setattr("boto3.s3.transfer.TransferConfig.__init__", one_at_a_time())
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
    from boto3.s3.transfer import TransferConfig

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


@pytest.mark.parametrize("behind", [False, True])
def test_what_a_task_of_its_own_words_says_is_told(world, monkeypatch, behind):
    told = []
    monkeypatch.setattr(artifacts, "record_failure", told.append)
    failure = JobFailure("Name a Target.", "ConfigurationError")

    def work():
        with Workspace(world.claim(), world.hook):
            if behind:
                raise AirflowFailException("no retry") from failure
            raise failure

    with pytest.raises((AirflowFailException, JobFailure)):
        work()
    assert told == [failure]


def test_no_secret_is_shown(world, capfd, caplog):
    with Workspace(world.claim(), world.hook) as workspace:
        workspace.upload("Built", workspace.download())
        credentials = workspace._storage._credentials
        frozen = credentials.get_frozen_credentials()
        shown = [repr(credentials), repr(workspace), str(vars(workspace))]
    text = "".join([*capfd.readouterr(), caplog.text, *shown])
    assert frozen.secret_key not in text
    assert frozen.token not in text


# What goes wrong.


@pytest.mark.parametrize("find", ["download", "extract"])
def test_an_artifact_that_the_job_does_not_have_is_named_with_those_it_has(world, find):
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


def test_an_object_that_is_missing_is_named_and_nothing_is_left(world):
    job = world.claim()
    [artifact] = job.input_artifacts
    delete(world, artifact)
    with Workspace(job, world.hook) as workspace:
        missing = refused("Source of job .* nothing at s3://", lambda: workspace.extract())
        assert [path for path in workspace.path.parent.rglob("*") if path.is_file()] == []
    assert artifact.key in str(missing)
    assert missing.failure_type == "JobFailed"


def delete(world, artifact):
    import boto3

    boto3.client(
        "s3",
        endpoint_url=world.emulator.url,
        region_name="us-east-1",
        aws_access_key_id="customer",
        aws_secret_access_key="customer",
    ).delete_object(Bucket=artifact.bucket, Key=artifact.key)


def test_an_object_that_the_credentials_do_not_open_is_named(world, tmp_path):
    job = world.claim()
    world.emulator.inject(
        "replace",
        members={"data.inputArtifacts": [ELSEWHERE], "data.outputArtifacts": [ELSEWHERE]},
        times=None,
    )
    with Workspace(job, world.hook) as workspace:
        denied = refused("Source of job .* 403 for s3://b/k.*policies", lambda: workspace.download())
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


@pytest.mark.parametrize("call", ["HeadObject", "GetObject", "PutObject"])
def test_what_may_pass_is_tried_again(world, call):
    with Workspace(world.claim(), world.hook) as workspace:
        world.emulator.inject("throttle", call)
        workspace.upload("Built", workspace.download())
    assert [c.outcome for c in world.calls(call)][:2] == ["SlowDown", "ok"]


def test_an_s3_that_stays_broken_is_named(world, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    job = world.claim()
    world.emulator.inject("server_error", "HeadObject", times=None)
    with Workspace(job, world.hook) as workspace:
        broken = refused("Source of job .* S3 answered 500", lambda: workspace.download())
    assert broken.retryable
    assert broken.failure_type == "SystemUnavailable"


@pytest.fixture
def leaving_sockets():
    """The transfer manager leaves the bodies that were cut, with their sockets, to the garbage collection."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.usefixtures("leaving_sockets")
def test_a_download_that_is_cut_is_taken_up_again(world):
    job = world.claim(LARGE)
    world.emulator.inject("cut_body", after_bytes=100_000, times=3)
    with Workspace(job, world.hook) as workspace:
        assert workspace.download().read_bytes() == LARGE


@pytest.mark.usefixtures("leaving_sockets")
def test_a_download_that_is_always_cut_is_named_and_nothing_is_left(world, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    job = world.claim(LARGE)
    world.emulator.inject("cut_body", after_bytes=1000, times=None)
    with Workspace(job, world.hook) as workspace:
        cut = refused("Source of job .* the connection to S3 failed", lambda: workspace.download())
        assert [path for path in workspace.path.parent.rglob("*") if path.is_file()] == []
    assert cut.retryable


@pytest.mark.usefixtures("leaving_sockets")
def test_a_stream_goes_on_where_it_was_cut(world):
    job = world.claim(LARGE)
    with Workspace(job, world.hook) as workspace:
        storage = workspace._storage
        world.emulator.inject("cut_body", after_bytes=3_000_001, times=2)
        with storage.open(storage.find_input()) as stream:
            assert stream.size == len(LARGE)
            assert stream.read() == LARGE
    assert [call.details["bytes"] for call in world.calls("GetObject")] == [
        len(LARGE),
        len(LARGE) - 3_000_001,
        len(LARGE) - 6_000_002,
    ]


@pytest.mark.usefixtures("leaving_sockets")
def test_a_stream_that_is_always_cut_is_named(world):
    job = world.claim(LARGE)
    with Workspace(job, world.hook) as workspace:
        storage = workspace._storage
        world.emulator.inject("cut_body", after_bytes=10, times=None)
        with storage.open(storage.find_input()) as stream:
            refused(r"Source .* cut 6", stream.read)
    assert len(world.calls("GetObject")) == MAX_RESUMPTIONS + 1


def test_a_stream_with_another_content_than_its_checksum_is_refused(world):
    class Body(io.BytesIO):
        """Tells at its end that the checksum is wrong, as botocore's does."""

        def read(self, size=-1):
            data = super().read(size)
            if not data:
                raise FlexibleChecksumError(error_msg="wrong")
            return data

    answer = {"ContentLength": 7, "ETag": "e", "Body": Body(b"content")}
    stream = ResumedStream(lambda **how: answer, "Source", transfer.TransferLog("Reading"))
    assert refused("Source could not be read: what arrived has not the checksum", stream.read).retryable


def test_many_requests_that_find_their_credentials_expired_ask_once(world):
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


@pytest.mark.parametrize(
    ("error", "match", "kind", "retryable"),
    [
        (ConnectTimeoutError(endpoint_url="x"), "connection to S3 failed", "SystemUnavailable", True),
        (NoCredentialsError(), r"S3 could not be asked \(NoCredentialsError\)", "ConfigurationError", True),
        (ParamValidationError(report="x"), "could not be asked", "ConfigurationError", False),
        (
            ClientError({"Error": {"Code": "KMS.KeyUnavailableException"}}, "PutObject"),
            "KMS",
            "SystemUnavailable",
            True,
        ),
        (FlexibleChecksumError(error_msg="x"), "has not the checksum", "SystemUnavailable", True),
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
def test_what_went_wrong_in_s3_is_told_apart(error, match, kind, retryable):
    def fail():
        with s3_errors("It could not be", "s3://b/k", "Advice."):
            raise error

    found = refused(match, fail)
    assert (found.failure_type, found.retryable) == (kind, retryable)


@pytest.mark.parametrize("name", ["link", "folder/passwd", "folder"])
def test_a_link_out_of_the_workspace_is_neither_packed_nor_uploaded(world, tmp_path, monkeypatch, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("secret")
    # Seen from where the workspace itself lies behind a link.
    (tmp_path / "parent").mkdir()
    (tmp_path / "by link").symlink_to(tmp_path / "parent")
    with Workspace(world.claim(), world.hook, parent=tmp_path / "by link") as workspace:
        (workspace.path / "link").symlink_to(outside / "passwd")
        (workspace.path / "folder").symlink_to(outside)
        monkeypatch.chdir(workspace.path)
        for path in (workspace.path / name, name):
            refused("leads elsewhere", functools.partial(workspace.upload, "Built", path))
        if name == "folder":
            refused("leads elsewhere", lambda: workspace.pack(workspace.path / name))
        (workspace.path / "f").write_text("x")
        (workspace.path / "inside").symlink_to("f")
        assert world.read(workspace.upload("Built", workspace.path / "inside")) == b"x"
    assert [call.details["bytes"] for call in world.calls("PutObject")] == [1]


@pytest.mark.parametrize(("leads_to", "is_taken"), [("beside", True), ("../elsewhere", False)])
def test_a_link_elsewhere_is_followed_within_its_folder_only(world, tmp_path, leads_to, is_taken):
    (tmp_path / "out").mkdir()
    for name in ("elsewhere", "out/beside"):
        (tmp_path / name).write_text("x")
    (tmp_path / "out" / "link").symlink_to(leads_to)
    with Workspace(world.claim(), world.hook) as workspace:
        upload = functools.partial(workspace.upload, "Built", tmp_path / "out" / "link")
        if is_taken:
            assert world.read(upload()) == b"x"
        else:
            refused("leads elsewhere", upload)


def test_folders_that_may_not_be_written_are_opened_up_and_nothing_outside(tmp_path):
    outside, work = tmp_path / "outside", tmp_path / "work"
    outside.mkdir(mode=0o500)
    for name in ("read", "none", "none/below"):
        (work / name).mkdir(parents=True)
    (work / "link").symlink_to(outside)
    (work / "f").write_text("x")
    for name, mode in (("f", 0o400), ("read", 0o500), ("none", 0o000), (".", 0o500)):
        (work / name).chmod(mode)
    before = tmp_path.stat().st_mode
    artifacts._open_up(work)
    modes = {name: (work / name).stat().st_mode & 0o777 for name in (".", "read", "none", "f")}
    assert modes == {".": 0o700, "read": 0o700, "none": 0o700, "f": 0o400}
    assert outside.stat().st_mode & 0o777 == 0o500
    assert tmp_path.stat().st_mode == before


def test_what_cannot_be_removed_at_once_is_opened_up_and_removed(world, monkeypatch):
    rmtree, opened = artifacts.shutil.rmtree, []
    with Workspace(world.claim(), world.hook) as workspace:
        root = workspace.path.parent
        monkeypatch.setattr(artifacts, "_open_up", opened.append)
        tried = []

        def first_in_vain(path, **options):
            tried.append(path)
            if len(tried) > 1:
                rmtree(path, **options)

        monkeypatch.setattr(artifacts.shutil, "rmtree", first_in_vain)
    assert opened == [root]
    assert not root.exists()


def test_a_workspace_that_cannot_be_removed_is_told_of(world, caplog, monkeypatch, tmp_path):
    with Workspace(world.claim(), world.hook, parent=tmp_path) as workspace:
        root = workspace.path.parent
        monkeypatch.setattr(artifacts.shutil, "rmtree", lambda *arguments, **options: None)
    assert f"{root} could not be removed whole" in caplog.text


def test_a_full_disk_is_named_and_nothing_is_left(world, monkeypatch):
    import s3transfer.utils

    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(s3transfer.utils.OSUtils, "open", full)
    with Workspace(world.claim(), world.hook) as workspace:
        disk = refused("Source could not be stored on the worker: No space", lambda: workspace.download())
        assert [path for path in workspace.path.parent.rglob("*") if path.is_file()] == []
    assert disk.failure_type == "SystemUnavailable"


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: None, "There is no 'it'.*artifact Built"),
        (lambda path: path.mkdir(), "artifact Built holds no file"),
        (lambda path: (path.mkdir(), (path / "l").symlink_to("/etc")), "'l' is a link that leads out"),
    ],
    ids=["nothing", "empty", "link"],
)
def test_what_cannot_be_uploaded_is_named_and_nothing_is(world, tmp_path, make, match):
    make(tmp_path / "it")
    with Workspace(world.claim(), world.hook) as workspace, pytest.raises(ArtifactError, match=match):
        workspace.upload("Built", tmp_path / "it")
    assert world.calls() == []


def test_what_is_neither_a_file_nor_a_folder_is_not_uploaded(world, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with Workspace(world.claim(), world.hook) as workspace:
        refused("neither a file nor a folder", lambda: workspace.upload("Built", tmp_path / "fifo"))
    assert world.calls() == []


def test_an_unsafe_archive_leaves_nothing_behind(world):
    with Workspace(world.claim(zipped(**{"good": "x", "../evil": "x"})), world.hook) as workspace:
        refused(r"Source holds the entry '\.\./evil'", lambda: workspace.extract())
        assert [path.name for path in workspace.path.parent.rglob("*") if path.is_file()] == ["Source"]


def test_the_limits_are_the_workspaces(world):
    with Workspace(world.claim(), world.hook, limits=ArchiveLimits(max_bytes=3)) as workspace:
        refused("max_bytes", lambda: workspace.extract())
        assert [path.name for path in workspace.path.parent.rglob("*") if path.is_file()] == ["Source"]


def test_an_extracted_folder_is_replaced_where_that_is_asked_for(world, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    with Workspace(world.claim(), world.hook) as workspace:
        refused("not empty", lambda: workspace.extract(into=target))
        workspace.extract(into=target, replace=True)
    assert [path.name for path in target.iterdir()] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


# What is told.


def test_a_long_transfer_is_told_of_now_and_again(fake_time, caplog):
    caplog.set_level("INFO", logger=transfer.__name__)
    told = transfer.TransferLog("Uploading", 10 * 1024**2, fake_time.clock)
    for _ in range(20):
        fake_time.now += 1
        told(1024**2 // 2)
    told.end()
    assert [record.getMessage() for record in caplog.records] == [
        "Uploading: 2.5 MiB of 10.0 MiB (25 %) in 5.0 s, 0.5 MiB/s",
        "Uploading: 5.0 MiB of 10.0 MiB (50 %) in 10.0 s, 0.5 MiB/s",
        "Uploading: 7.5 MiB of 10.0 MiB (75 %) in 15.0 s, 0.5 MiB/s",
        "Uploading: 10.0 MiB of 10.0 MiB (100 %) in 20.0 s, 0.5 MiB/s",
        "Uploading: done, 10.0 MiB of 10.0 MiB (100 %) in 20.0 s, 0.5 MiB/s",
    ]


def test_a_transfer_of_unknown_size_and_one_of_nothing_are_told_of(fake_time, caplog):
    caplog.set_level("INFO", logger=transfer.__name__)
    unknown = transfer.TransferLog("Reading", None, fake_time.clock)
    fake_time.now += 1
    unknown(100)
    unknown.end()
    transfer.TransferLog("Uploading", 0, fake_time.clock).end()
    assert [record.getMessage() for record in caplog.records] == [
        "Reading: done, 100 bytes in 1.0 s, 100 bytes/s",
        "Uploading: done, 0 bytes of 0 bytes in 0.0 s, 0 bytes/s",
    ]
