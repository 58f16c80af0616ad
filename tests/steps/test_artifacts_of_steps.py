# SPDX-License-Identifier: Apache-2.0
"""A run that is a step of a pipeline reads the action's input artifacts, and makes its output artifacts."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from airflow.models.dagrun import DagRun
from artifact_jobs import SOURCE, refused
from support import CUSTOM_TYPE, action_state, admin_client

from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner.artifacts import Workspace, credentials
from airflow_codepipeline_partner.dags import step_tasks


@pytest.fixture
def run_step(emulator, aws_connection, make_hook, run_dag, serialized_dags, monkeypatch):
    """Return a function that has an action run a DAG as its step: the worker's run, the step's, its conf."""
    step = SimpleNamespace(start=None, run=None, at_job=1)

    def start_run(*given, note):
        step.start = given
        return True

    def get_run_state(dag_id, run_id):
        if step.start is None:
            return None
        if len(emulator.jobs()) < step.at_job:
            return "running"
        # In the place of the scheduler, and of another worker.
        with monkeypatch.context() as patch:
            patch.setattr(DagRun, "generate_run_id", lambda **about: run_id)
            step.run = run_dag(dag_id, **step.start[2])
        return step.run.state

    monkeypatch.setattr(step_tasks, "start_run", start_run)
    monkeypatch.setattr(step_tasks, "get_run_state", get_run_state)
    emulator.configure(
        upload_encryption="refuse", require_output_artifacts=True, continuation_delay=0, lease_seconds=0.2
    )

    def run(dag_id, worker="build_step_job", at_job=1, **conf):
        step.at_job = at_job
        configuration = {"Dag": dag_id, "Conf": json.dumps(conf)}
        emulator.add_pipeline(
            "own", action_type=CUSTOM_TYPE, configuration=configuration, output_artifacts=["Report"]
        )
        emulator.start_execution("own", {"SourceOutput": SOURCE})
        [job] = make_hook().poll(CUSTOM_TYPE)
        return run_dag(worker, **job.to_xcom()), step.run, step.start[2]["codepipeline"]

    return run


@pytest.fixture
def report(emulator):
    """Return a function that reads the output artifact as the account's administrator."""
    client = admin_client(emulator, "s3")

    def read(about):
        [artifact] = about["output_artifacts"]
        return client.get_object(Bucket=artifact["bucket"], Key=artifact["key"])["Body"].read()

    yield read
    client.close()


def in_zip(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read("report.txt")


def test_python_tasks(run_step, report):
    worker, stepped, about = run_step("build_in_python")
    assert (worker.state, stepped.state) == ("success", "success")
    assert in_zip(report(about)) == b"CONTENT OF A"


def test_operators(run_step, report, tmp_path):
    worker, stepped, about = run_step("build_with_operators", folder=str(tmp_path))
    assert (worker.state, stepped.state) == ("success", "success")
    assert report(about) == b"content of a"


def test_neither_conf_nor_xcom_has_credentials_or_a_nonce(run_step, emulator):
    worker, stepped, about = run_step("build_in_python")
    issued = emulator.state.credentials._by_key.values()
    secrets = {secret for keys in issued for secret in (keys.secret_access_key, keys.session_token)}
    assert len(secrets) > 2
    found = [secret for secret in secrets if secret in str((about, worker.xcoms, stepped.xcoms))]
    assert (found, "nonce" in about) == ([], False)


@pytest.mark.parametrize("dag_id", ["build_in_python", "build_with_operators"])
def test_a_long_run_has_the_newest_jobs_credentials(run_step, report, emulator, tmp_path, dag_id):
    worker, stepped, about = run_step(dag_id, "long_build_step_job", at_job=2, folder=str(tmp_path))
    assert (worker.state, stepped.state) == ("success", "success")
    assert len(emulator.jobs()) > 1
    assert report(about)


def test_an_output_that_the_run_has_not_made_is_missed(run_step, emulator):
    worker, stepped, _ = run_step("build_nothing")
    assert (worker.state, stepped.state) == ("failed", "success")
    said = action_state(emulator, "own")["errorDetails"]["message"]
    assert "has not uploaded the output artifacts: Report" in said


class ClaimOf(SimpleNamespace):
    """What the worker's records say of a job that it has claimed."""

    def __init__(self, job, best=None):
        results = SimpleNamespace(best=best, likely=())
        super().__init__(record=ClaimRecord(ClaimState.CLAIMED, job), results=results, counts_as_ours=True)
        self.store = SimpleNamespace(ref=TaskInstanceRef("step_job", "r", "claim"))


@pytest.mark.parametrize("reported", [None, "a result"])
def test_a_worker_that_died_as_it_went_on_is_waited_for(
    emulator, aws_connection, make_hook, monkeypatch, reported
):
    """CodePipeline has ended the job. Until the worker's task is retried, its records do not say so."""
    emulator.add_pipeline("own", action_type=CUSTOM_TYPE)
    emulator.start_execution("own", {"SourceOutput": SOURCE})
    hook = make_hook()
    job = hook.claim(hook.poll(CUSTOM_TYPE)[0])
    hook.succeed(job)
    monkeypatch.setattr(credentials, "find_claim_by", lambda ref, job_id: ClaimOf(job, reported))
    about = step_tasks._about(job) | {"claimed_by": asdict(ClaimOf(job).store.ref)}
    with Workspace(about, hook) as workspace:
        said = "may go on in a next job" if reported is None else "it has ended"
        error = refused(said, workspace.download)
    assert error.retryable is (reported is None)


@pytest.mark.parametrize("claimed_by", [None, "rubbish", {"dag_id": 1}])
def test_a_run_that_outlives_its_action_reads_nothing(emulator, aws_connection, make_hook, claimed_by):
    """The action was stopped, or somebody has cleared the worker's records."""
    emulator.add_pipeline("own", action_type=CUSTOM_TYPE)
    emulator.start_execution("own", {"SourceOutput": SOURCE})
    hook = make_hook()
    job = hook.claim(hook.poll(CUSTOM_TYPE)[0])
    hook.fail(job, message="Stopped.")
    about = step_tasks._about(job) | ({} if claimed_by is None else {"claimed_by": claimed_by})
    with Workspace(about, hook) as workspace:
        refused("it has ended", workspace.download)
