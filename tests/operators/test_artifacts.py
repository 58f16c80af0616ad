# SPDX-License-Identifier: Apache-2.0
"""The operators move artifacts to and from other tasks; the customer reads what goes wrong."""

from __future__ import annotations

import io
import os
import time
import zipfile

import pytest
from artifact_jobs import own_storage, zipped
from support import ACTION_TYPE, action_state, results_of

from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.operators import (
    CodePipelineDownloadArtifactsOperator,
    CodePipelineUploadArtifactsOperator,
)

CARRIED, EXTRACTED = "artifacts_carried_as_they_are", "artifacts_carried_extracted"
JOB = {"job_id": "j", "client_id": "c"}
LARGE = os.urandom(12_000_000)


@pytest.fixture
def offer_build(emulator, customer, make_hook):
    """Offer a job with artifacts."""
    emulator.configure(upload_encryption="refuse", require_output_artifacts=True)

    def offer(content, inputs=("Source",), outputs=("Built",)):
        emulator.add_pipeline(
            "build",
            client_id=customer.client_id,
            action_type=ACTION_TYPE,
            input_artifacts=inputs,
            output_artifacts=outputs,
        )
        emulator.start_execution("build", dict.fromkeys(inputs, content))
        [job] = make_hook().poll(ACTION_TYPE)
        return job.to_xcom()

    return offer


@pytest.fixture
def own_s3(emulator, monkeypatch):
    """S3 of the user's own, in another account than the artifacts."""
    yield from own_storage(emulator, monkeypatch)


def uploaded(emulator, own_s3, job, name="Built"):
    calls = emulator.ledger.where(kind="artifact", job_id=job["job_id"])
    entry = next(call for call in calls if call.details.get("artifact") == name)
    _, bucket, key = entry.details["path"].split("/", 2)
    return own_s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def test_artifacts_go_to_the_users_s3_and_come_back_from_it(emulator, offer_build, own_s3, run_dag):
    job = offer_build(LARGE)
    destination = "s3://own_s3@own/runs/1"
    run = run_dag(CARRIED, job=job, destination=destination, outputs={"Built": f"{destination}/Source"})
    assert run.state == "success"
    assert run.xcoms["download", "return_value"] == {"Source": f"{destination}/Source"}
    assert own_s3.get_object(Bucket="own", Key="runs/1/Source")["Body"].read() == LARGE
    assert uploaded(emulator, own_s3, job) == LARGE
    [built] = run.xcoms["upload", "return_value"]
    assert built["name"] == "Built"
    assert results_of(emulator, job) == ["success"]
    used = {call.details.get("serverSideEncryption") for call in emulator.ledger.where(kind="artifact")}
    assert "aws:kms" in used


@pytest.mark.parametrize("location", ["{path}", "file://{path}"])
def test_artifacts_go_to_a_path_and_come_back_from_it(
    emulator, offer_build, own_s3, run_dag, tmp_path, location
):
    job = offer_build(b"content")
    destination = location.format(path=tmp_path / "below" / "here")
    run = run_dag(CARRIED, job=job, destination=destination, outputs={"Built": f"{destination}/Source"})
    assert run.state == "success"
    assert (tmp_path / "below" / "here" / "Source").read_bytes() == b"content"
    assert uploaded(emulator, own_s3, job) == b"content"


@pytest.fixture
def memory(monkeypatch):
    """An object storage that Airflow knows by itself no more than those of other providers."""
    from airflow.sdk.io import fs
    from fsspec.implementations.memory import MemoryFileSystem

    known = fs._register_filesystems()
    monkeypatch.setitem(known, "memory", lambda conn_id, options: MemoryFileSystem())


def test_artifacts_go_to_any_object_storage_and_back(emulator, offer_build, own_s3, memory, run_dag):
    job = offer_build(LARGE)
    destination = "memory://bucket/runs"
    run = run_dag(CARRIED, job=job, destination=destination, outputs={"Built": f"{destination}/Source"})
    assert run.state == "success"
    assert uploaded(emulator, own_s3, job) == LARGE


def test_artifacts_are_extracted_and_folders_packed(emulator, offer_build, own_s3, run_dag, tmp_path):
    job = offer_build(zipped({"a/b": "content"}), inputs=("One", "Two"))
    (tmp_path / "One").mkdir()
    (tmp_path / "One" / "of an earlier try").write_text("x")
    outputs = {"Built": str(tmp_path / "One")}
    run = run_dag(EXTRACTED, job=job, destination=str(tmp_path), outputs=outputs)
    assert run.state == "success"
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == {
        "One/a/b",
        "Two/a/b",
    }
    with zipfile.ZipFile(io.BytesIO(uploaded(emulator, own_s3, job))) as archive:
        assert archive.read("a/b") == b"content"


def test_only_the_artifacts_that_are_named_are_carried(offer_build, run_dag, tmp_path):
    job = offer_build(b"content", inputs=("One", "Two"))
    run_dag(
        CARRIED, job=job, destination=str(tmp_path), inputs=["Two"], outputs={"Built": str(tmp_path / "Two")}
    )
    assert [path.name for path in tmp_path.iterdir()] == ["Two"]


SET_UP_WRONG = "is set up wrong."
OWN_STORAGE = "could not be copied to or from the worker's own storage."
#: What the conf says, what the customer reads, and of which type the failure is.
WRONG = {
    "no such input": ({"inputs": ["Nope"]}, "no input artifact 'Nope'", "ConfigurationError"),
    "twice": ({"inputs": ["Source", "Source"]}, SET_UP_WRONG, "ConfigurationError"),
    "no such output": ({"outputs": {"Nope": "/"}}, "no output artifact 'Nope'", "ConfigurationError"),
    "no path": ({"outputs": {"Built": "/nowhere"}}, "There is no 'nowhere'", "JobFailed"),
    "no object": ({"outputs": {"Built": "s3://own/none"}}, OWN_STORAGE, "JobFailed"),
    "no bucket": ({"destination": "s3://none/x"}, OWN_STORAGE, "JobFailed"),
    "nothing": ({"outputs": {"Built": "memory://b/none"}}, OWN_STORAGE, "JobFailed"),
    "no scheme": ({"outputs": {"Built": "no://b/none"}}, SET_UP_WRONG, "ConfigurationError"),
    "password": ({"destination": "ftp://a:planted@b/x"}, SET_UP_WRONG, "ConfigurationError"),
}
UNSAFE = {
    "unsafe": ({"../evil": "x"}, {}, "holds the entry '../evil'", "JobFailed"),
    "too much": ({str(n): "x" for n in range(11)}, {}, "than this action accepts", "JobFailed"),
    "elsewhere": ({"a": "x"}, {"destination": "s3://own/x"}, SET_UP_WRONG, "ConfigurationError"),
    "password": ({"a": "x"}, {"destination": "ftp://a:planted@b/x"}, SET_UP_WRONG, "ConfigurationError"),
}
TRIED = {
    **{name: (CARRIED, {"a": "x"}, *case) for name, case in WRONG.items()},
    **{name: (EXTRACTED, *case) for name, case in UNSAFE.items()},
}


@pytest.mark.parametrize(("dag_id", "files", "conf", "said", "kind"), TRIED.values(), ids=TRIED)
def test_what_goes_wrong_the_customer_reads_at_once(
    emulator, offer_build, own_s3, memory, run_dag, tmp_path, dag_id, files, conf, said, kind
):
    job = offer_build(zipped(files))
    run = run_dag(
        dag_id, **{"job": job, "destination": str(tmp_path), "outputs": {"Built": str(tmp_path)}, **conf}
    )
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]
    error = action_state(emulator, "build")["errorDetails"]
    assert said in error["message"]
    assert kind == error["code"]
    # Where the worker keeps things is no business of the customer's.
    assert all(inside not in error["message"] for inside in ("://", str(tmp_path), "planted"))
    # Nothing half-made is left, and no retry was made.
    assert [entry.outcome for entry in emulator.ledger.where(operation="PutObject")] == []
    downloads = [entry for entry in emulator.ledger.where(operation="GetObject")]
    assert len(downloads) <= 1


def test_names_may_be_a_text_and_a_partner_has_no_link(offer_build, run_dag, tmp_path, dags):
    """The names are a list that Jinja rendered. The pipeline is in the customer's account."""
    job = offer_build(b"content", inputs=("One", "Two"))
    outputs = {"Built": str(tmp_path / "Two")}
    run = run_dag(CARRIED, job=job, destination=str(tmp_path), inputs="['Two']", outputs=outputs)
    assert set(run.xcoms["download", "return_value"]) == {"Two"}
    links = {task: value for (task, key), value in run.xcoms.items() if key.startswith("_link_")}
    assert [links[task] for task in ("download", "upload")] == ["", ""]


@pytest.mark.parametrize("odd", [{"input_artifacts": ["Source"]}, {"output_artifacts": [{"name": 7}]}])
def test_odd_members_of_the_job_do_no_harm(offer_build, make_hook, monkeypatch, tmp_path, odd):
    """The operator reads the artifacts of the job's details."""
    job = make_hook().claim(offer_build(b"content")).to_xcom() | odd
    operator = download(job=job, destination=str(tmp_path))
    monkeypatch.setattr(operator, "show_job", lambda context, job: None)
    assert set(operator.execute({})) == {"Source"}
    assert (tmp_path / "Source").read_bytes() == b"content"


def test_what_may_pass_is_retried(emulator, offer_build, run_dag, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    job = offer_build(b"content")
    emulator.inject("server_error", "HeadObject", times=5)
    run = run_dag(CARRIED, job=job, destination=str(tmp_path), outputs={"Built": str(tmp_path / "Source")})
    assert run.state == "success"
    assert results_of(emulator, job) == ["success"]


def test_a_failed_upload_is_never_a_success(emulator, offer_build, run_dag, tmp_path):
    job = offer_build(b"content")
    emulator.inject("error", "PutObject", code="AccessDenied", status=403, times=None)
    run = run_dag(CARRIED, job=job, destination=str(tmp_path), outputs={"Built": str(tmp_path / "Source")})
    assert run.state == "failed"
    assert results_of(emulator, job) == ["failure"]
    error = action_state(emulator, "build")["errorDetails"]
    assert error["code"] == "PermissionError"
    assert "Built" in error["message"]


def test_a_plain_task_reports_what_is_wrong_with_an_artifact(emulator, offer_build, run_dag):
    job = offer_build(zipped({"/etc/evil": "x"}))
    run_dag("artifacts_in_a_task", job=job)
    error = action_state(emulator, "build")["errorDetails"]
    assert "task work of DAG artifacts_in_a_task: UnsafeArchive" in error["message"]
    assert "'/etc/evil'" in error["message"]


@pytest.mark.parametrize(
    ("how", "result"),
    [("at once", "success"), ("after all", "success"), ("never", "failure"), ("let through", "failure")],
)
def test_a_function_that_hides_a_failed_upload_is_no_success(emulator, offer_build, run_dag, how, result):
    job = offer_build(b"content")
    run_dag("artifacts_in_a_function", job=job, how=how)
    assert results_of(emulator, job) == [result]
    if result == "failure":
        assert "Built" in action_state(emulator, "build")["errorDetails"]["message"]


def download(**parameters):
    return CodePipelineDownloadArtifactsOperator(
        task_id="d", **{"job": JOB, "destination": "/x", **parameters}
    )


def upload(**parameters):
    return CodePipelineUploadArtifactsOperator(
        task_id="u", **{"job": JOB, "artifacts": {"a": "/x"}, **parameters}
    )


@pytest.mark.parametrize(
    ("make", "parameters", "match"),
    [
        (download, {"destination": ""}, "a path from the root"),
        (download, {"destination": 5}, "of type int"),
        (download, {"destination": "ftp://a:planted@b/x"}, "must not contain a password"),
        (download, {"destination": "s3://[b/x"}, "is not a valid URL"),
        (upload, {"artifacts": {"a": "ftp://a:planted@b/x"}}, "must not contain a password"),
        (download, {"artifacts": ["a", "a"]}, "a more than once"),
        (download, {"artifacts": []}, "list of artifact names"),
        (download, {"job": {}}, "job_id"),
        (upload, {"artifacts": {}}, "artifacts is empty"),
        (upload, {"artifacts": ["a"]}, "must be a mapping"),
        (upload, {"artifacts": {"a": 5}}, "of type int"),
        (upload, {"archive_format": "rar"}, "'rar' is not valid; use zip, tar, tar.gz"),
    ],
)
def test_wrong_literals_are_refused_when_the_dag_is_parsed(make, parameters, match):
    with pytest.raises(InvalidInput, match=match) as refusal:
        make(**parameters)
    assert "planted" not in str(refusal.value)


def test_templates_are_left_for_later():
    assert upload(job="{{ x }}", artifacts={"a": "{{ y }}"}).artifacts == {"a": "{{ y }}"}
    assert download(job="{{ x }}", destination="{{ y }}", artifacts="{{ z }}").destination == "{{ y }}"
