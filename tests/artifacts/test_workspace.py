# SPDX-License-Identifier: Apache-2.0
"""A workspace holds a job's artifacts for the time of a ``with``."""

from __future__ import annotations

import functools
import io
import os
import zipfile
from pathlib import Path

import pytest
from artifact_jobs import SOURCE, refused, zipped

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner.artifacts import ArchiveLimits, Workspace, job_storage
from airflow_codepipeline_partner.artifacts import workspace as workspace_module
from airflow_codepipeline_partner.exceptions import (
    ArtifactError,
    InvalidInput,
    InvalidJobReference,
    JobFailure,
)


def test_a_workspace_extracts_uploads_and_is_gone_afterwards(world):
    """It lists, extracts and uploads artifacts, and leaves nothing."""
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


@pytest.mark.parametrize("behind", [False, True])
def test_a_job_failure_within_a_workspace_is_recorded(world, monkeypatch, behind):
    """A JobFailure of the user's is recorded, also behind Airflow's AirflowFailException."""
    said = []
    monkeypatch.setattr(workspace_module, "record_failure", said.append)
    failure = JobFailure("Name a Target.", "ConfigurationError")

    def work():
        with Workspace(world.claim(), world.hook):
            if behind:
                raise AirflowFailException("no retry") from failure
            raise failure

    with pytest.raises((AirflowFailException, JobFailure)):
        work()
    assert said == [failure]


@pytest.mark.parametrize("fails", [False, True])
def test_an_upload_that_is_not_recorded_hides_no_failure(world, monkeypatch, fails):
    """And the folder is removed in any case."""
    unrecorded = ArtifactError("What this task has uploaded is not recorded: OSError.", retryable=True)
    failure = JobFailure("Name a Target.", "ConfigurationError")
    paths, said = [], []

    def fail(*given):
        raise unrecorded

    def work():
        with Workspace(world.claim(), world.hook) as workspace:
            paths.append(workspace.path.parent)
            workspace.upload("Built", workspace.download())
            if fails:
                raise failure

    monkeypatch.setattr(job_storage, "record_uploads", fail)
    monkeypatch.setattr(workspace_module, "record_failure", said.append)
    with pytest.raises((JobFailure, ArtifactError)) as error:
        work()
    assert said == [error.value] == [failure if fails else unrecorded]
    assert not paths[0].exists()


@pytest.mark.parametrize("name", ["link", "folder/passwd", "folder"])
def test_a_link_out_of_the_workspace_is_not_followed(world, tmp_path, monkeypatch, name):
    """What it leads to is neither packed nor uploaded."""
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


def test_read_only_folders_are_opened_up(tmp_path):
    """Nothing outside the folder changes its mode."""
    outside, work = tmp_path / "outside", tmp_path / "work"
    outside.mkdir(mode=0o500)
    for name in ("read", "none", "none/below"):
        (work / name).mkdir(parents=True)
    (work / "link").symlink_to(outside)
    (work / "f").write_text("x")
    for name, mode in (("f", 0o400), ("read", 0o500), ("none", 0o000), (".", 0o500)):
        (work / name).chmod(mode)
    before = tmp_path.stat().st_mode
    workspace_module._open_up(work)
    modes = {name: (work / name).stat().st_mode & 0o777 for name in (".", "read", "none", "f")}
    assert modes == {".": 0o700, "read": 0o700, "none": 0o700, "f": 0o400}
    assert outside.stat().st_mode & 0o777 == 0o500
    assert tmp_path.stat().st_mode == before


def test_what_cannot_be_removed_is_opened_up_and_removed(world, monkeypatch):
    rmtree, opened = workspace_module.shutil.rmtree, []
    with Workspace(world.claim(), world.hook) as workspace:
        root = workspace.path.parent
        monkeypatch.setattr(workspace_module, "_open_up", opened.append)
        tried = []

        def first_in_vain(path, **options):
            tried.append(path)
            if len(tried) > 1:
                rmtree(path, **options)

        monkeypatch.setattr(workspace_module.shutil, "rmtree", first_in_vain)
    assert opened == [root]
    assert not root.exists()


def test_a_workspace_that_cannot_be_removed_is_logged(world, caplog, monkeypatch, tmp_path):
    with Workspace(world.claim(), world.hook, parent=tmp_path) as workspace:
        root = workspace.path.parent
        monkeypatch.setattr(workspace_module.shutil, "rmtree", lambda *arguments, **options: None)
    assert f"{root} could not be removed completely" in caplog.text


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: None, "There is no 'it'.*artifact Built"),
        (lambda path: path.mkdir(), "artifact Built has no file"),
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
    with Workspace(world.claim(zipped({"good": "x", "../evil": "x"})), world.hook) as workspace:
        refused(r"Source holds the entry '\.\./evil'", lambda: workspace.extract())
        assert [path.name for path in workspace.path.parent.rglob("*") if path.is_file()] == ["Source"]


def test_the_limits_are_the_workspaces(world):
    with Workspace(world.claim(), world.hook, limits=ArchiveLimits(max_bytes=3)) as workspace:
        refused("max_bytes", lambda: workspace.extract())
        assert [path.name for path in workspace.path.parent.rglob("*") if path.is_file()] == ["Source"]


def test_an_extracted_folder_is_replaced_on_request(world, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    with Workspace(world.claim(), world.hook) as workspace:
        refused("not empty", lambda: workspace.extract(into=target))
        workspace.extract(into=target, replace=True)
    assert [path.name for path in target.iterdir()] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("nowhere", ["", ".", "./", Path()])
def test_an_empty_path_is_not_the_workers_folder(world, tmp_path, monkeypatch, nowhere):
    """An unset variable is one. The folder would go to the customer, or be replaced."""
    (tmp_path / "airflow.cfg").write_text("the worker's own")
    monkeypatch.chdir(tmp_path)
    with Workspace(world.claim(), world.hook, parent=tmp_path.parent) as workspace:
        for send in (workspace.upload, lambda name, path: workspace.pack(path, name)):
            with pytest.raises(ArtifactError, match="is empty, or the worker's current directory"):
                send("Built", nowhere)
        with pytest.raises(InvalidInput):
            workspace.extract("Source", into=nowhere, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["airflow.cfg"]
