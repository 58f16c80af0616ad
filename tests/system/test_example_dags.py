# SPDX-License-Identifier: Apache-2.0
"""Each example DAG does what it says, from connections and params alone."""

from __future__ import annotations

import io
import itertools
import uuid
import zipfile
from types import SimpleNamespace

import pytest
from declaring import CODE_DEPLOY, S3, TRUST, action, stage
from support import ACTION_TYPE, CUSTOM_TYPE, action_state, admin_client, results_of

from airflow_codepipeline_partner.dags import step_tasks

CONTINUATION_DELAY = 40


@pytest.fixture
def own(emulator, aws_connection):
    """The pipeline ``own``, with a custom action."""
    emulator.add_pipeline("own", action_type=CUSTOM_TYPE, output_artifacts=["BuildOutput"])


def test_every_example_is_tested_and_named_like_its_file(dags):
    found = {dag_id for dag_id in dags.by_id if dag_id.startswith("example_")}
    files = {dags.by_id[dag_id].fileloc.rpartition("/")[2].removesuffix(".py") for dag_id in found}
    # What the action names, and what works on its job.
    assert found - files == {"example_train_model", "example_run_dag_step_job"}
    assert files == found & {
        "example_put_success_result",
        "example_build_from_artifacts",
        "example_claim_work_finish",
        "example_one_run_per_job",
        "example_many_jobs_in_one_run",
        "example_one_run_per_continuation",
        "example_jobs_as_asset_events",
        "example_work_as_function",
        "example_continue_in_same_run",
        "example_watch_external_work",
        "example_build_with_output_variables",
        "example_custom_jobs_by_query",
        "example_pipeline_events",
        "example_run_dag_step",
        "example_start_pipeline",
    }


def test_example_put_success_result(emulator, customer, run_dag):
    emulator.start_execution("pipe")
    assert run_dag("example_put_success_result").state == "success"
    assert action_state(emulator)["status"] == "InProgress"
    assert action_state(emulator)["percentComplete"] == 50
    emulator.advance(CONTINUATION_DELAY)
    assert run_dag("example_put_success_result").state == "success"
    assert action_state(emulator)["status"] == "Succeeded"
    assert action_state(emulator)["percentComplete"] == 100
    assert [job.status for job in emulator.jobs()] == ["Succeeded", "Succeeded"]


def test_example_claim_work_finish(emulator, offer, run_dag):
    job = offer()
    run = run_dag("example_claim_work_finish", **job)
    assert run.state == "success"
    assert results_of(emulator, job) == ["success"]
    assert action_state(emulator)["summary"] == "Deployed by Airflow."
    assert (
        run.xcoms["claim", "codepipeline_result"]["call"]["currentRevision"]["changeIdentifier"]
        == job["job_id"]
    )


def test_example_one_run_per_job(emulator, customer, run_dag, serialized_dags):
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    for _ in range(2):
        emulator.start_execution("pipe")
    assert run_dag("example_one_run_per_job").state == "success"
    # The same jobs once more: nobody claimed them, so they are offered again after their lease.
    emulator.advance(120)
    again = run_dag("example_one_run_per_job")
    assert again.xcoms["start_run", "return_value"] == []
    with create_session() as session:
        runs = {
            run.run_id: run.conf
            for run in session.scalars(select(DagRun).where(DagRun.dag_id == "example_build_from_artifacts"))
            if run.run_id.removeprefix("codepipeline__") in {job.job_id for job in emulator.jobs()}
        }
    assert runs == {
        f"codepipeline__{job.job_id}": {
            "job_id": job.job_id,
            "client_id": customer.client_id,
            "action_type": ACTION_TYPE,
            "aws_conn_id": "aws_default",
        }
        for job in emulator.jobs()
    }


def test_example_jobs_as_asset_events(offer, run_dag, serialized_dags):
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    jobs = [offer(), offer()]
    assert run_dag("example_jobs_as_asset_events", jobs=jobs).state == "success"
    with create_session() as session:
        runs = {
            run.run_id: run.conf
            for run in session.scalars(select(DagRun).where(DagRun.dag_id == "example_claim_work_finish"))
        }
    for job in jobs:
        assert runs[f"codepipeline__{job['job_id']}"] == job


@pytest.mark.parametrize(("action_type", "pipeline"), [(ACTION_TYPE, "pipe"), (CUSTOM_TYPE, "own")])
def test_example_many_jobs_in_one_run(emulator, customer, own, run_dag, action_type, pipeline):
    for _ in range(2):
        emulator.start_execution(pipeline)
    assert run_dag("example_many_jobs_in_one_run", action_type=action_type).state == "success"
    assert [job.status for job in emulator.jobs()] == ["Succeeded", "Succeeded"]
    assert action_state(emulator, pipeline)["summary"] == f"Worked on Partner of {pipeline}."


def test_example_one_run_per_continuation(emulator, customer, run_dag):
    emulator.start_execution("pipe")
    first = run_dag("example_one_run_per_continuation")
    assert (first.state, first.states["resume"], first.states["finish_job"]) == (
        "success",
        "skipped",
        "success",
    )
    assert action_state(emulator)["status"] == "InProgress"
    assert action_state(emulator)["percentComplete"] == 10
    emulator.advance(CONTINUATION_DELAY)
    second = run_dag("example_one_run_per_continuation")
    assert (second.state, second.states["begin"]) == ("success", "skipped")
    assert action_state(emulator)["status"] == "Succeeded"
    assert action_state(emulator)["percentComplete"] == 100
    first_job, second_job = emulator.jobs()
    assert results_of(emulator, {"job_id": first_job.job_id}) == ["continue"]
    assert results_of(emulator, {"job_id": second_job.job_id}) == ["success"]
    token = second.xcoms["claim", "return_value"]["continuation_token"]
    assert second.xcoms["resume", "return_value"] == f"Finished {token}."


def test_example_continue_in_same_run(emulator, offer, run_dag):
    emulator.configure(continuation_delay=0)
    run = run_dag("example_continue_in_same_run", **offer())
    assert run.state == "success"
    assert [job.status for job in emulator.jobs()] == ["Succeeded", "Succeeded"]
    state = action_state(emulator)
    assert (state["status"], state["percentComplete"]) == ("Succeeded", 100)
    assert state["summary"].startswith("Deployed build-of-")


def test_example_watch_external_work(emulator, offer, dags, run_dag, monkeypatch):
    emulator.configure(continuation_delay=0)
    # The other system is a little further each time it is asked, however slow the machine is.
    asked = itertools.count()
    how_far = dags.by_id["example_watch_external_work"].get_task("watch").progress
    monkeypatch.setitem(how_far.__globals__, "time", SimpleNamespace(time=lambda: next(asked)))
    run = run_dag("example_watch_external_work", **offer(), seconds=2, progress_interval=0.1)
    assert run.state == "success"
    assert [job.status for job in emulator.jobs()] == ["Succeeded", "Succeeded"]
    assert action_state(emulator)["summary"] == "Deployed."


SHOP = "def total(prices):\n    return sum(prices)\n"
SHOP_TEST = """
import unittest, shop

class TotalTest(unittest.TestCase):
    def test_total(self):
        self.assertEqual(shop.total([1, 2]), 3)
"""


@pytest.mark.parametrize(
    ("files", "status", "message"),
    [
        ({"shop.py": SHOP, "test_shop.py": SHOP_TEST}, "Succeeded", "Tested and built by Airflow."),
        (
            {"shop.py": SHOP.replace("sum", "max"), "test_shop.py": SHOP_TEST},
            "Failed",
            "The tests of the source artifact failed: FAILED (failures=1).",
        ),
        ({"shop.py": SHOP, "../evil": ""}, "Failed", "holds the entry '../evil'"),
    ],
    ids=["good", "failing", "unsafe"],
)
def test_example_build_from_artifacts(emulator, customer, make_hook, run_dag, files, status, message):
    emulator.configure(require_output_artifacts=True, upload_encryption="refuse")
    source = io.BytesIO()
    with zipfile.ZipFile(source, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    emulator.add_pipeline(
        "build", client_id=customer.client_id, action_type=ACTION_TYPE, output_artifacts=["Built"]
    )
    emulator.start_execution("build", {"SourceOutput": source.getvalue()})
    [job] = make_hook().poll(ACTION_TYPE)
    run = run_dag("example_build_from_artifacts", **job.to_xcom())
    state = action_state(emulator, "build")
    assert state["status"] == status
    assert message in (state.get("summary") or "") + state.get("errorDetails", {}).get("message", "")
    assert run.state == ("success" if status == "Succeeded" else "failed")
    uploads = [entry.outcome for entry in emulator.ledger.where(operation="PutObject")]
    assert uploads == (["ok"] if status == "Succeeded" else [])


@pytest.mark.parametrize(
    "dag_id",
    ["example_put_success_result", "example_many_jobs_in_one_run", "example_one_run_per_continuation"],
)
def test_another_action_type_is_only_a_param(emulator, customer, run_dag, dag_id):
    other = {"category": "Test", "owner": "ThirdParty", "provider": "Other", "version": "2"}
    emulator.add_pipeline("other", client_id=customer.client_id, action_type=other)
    emulator.start_execution("other")
    assert run_dag(dag_id, action_type=other).state == "success"
    assert action_state(emulator, "other")["status"] in ("Succeeded", "InProgress")


@pytest.mark.parametrize(
    ("configuration", "status", "message"),
    [
        ({"Target": "staging"}, "Succeeded", "Deployed by a function in Airflow."),
        ({"Target": "no such"}, "Failed", "Target must be the name of an environment."),
    ],
)
def test_example_work_as_function(
    emulator, customer, make_hook, dags, run_dag, configuration, status, message
):
    emulator.add_pipeline(
        "configured", client_id=customer.client_id, action_type=ACTION_TYPE, configuration=configuration
    )
    emulator.start_execution("configured")
    [job] = make_hook().poll(ACTION_TYPE)
    # A test does not wait for retries.
    dags.by_id["example_work_as_function"].get_task("deploy").retries = 0
    run_dag("example_work_as_function", **job.to_xcom())
    state = action_state(emulator, "configured")
    assert state["status"] == status
    assert message in (state.get("summary"), state.get("errorDetails", {}).get("message"))
    assert len(results_of(emulator, {"job_id": job.job_id})) == 1


def test_example_custom_jobs_by_query(emulator, own, run_dag, serialized_dags):
    from airflow.models.dagrun import DagRun

    for _ in range(2):
        emulator.start_execution("own")
    run = run_dag("example_custom_jobs_by_query", aws_conn_id="aws_default")
    assert run.state == "success"
    jobs = run.xcoms["wait_for_jobs", "return_value"]
    runs = {found.run_id: found.conf for found in DagRun.find(dag_id="example_build_with_output_variables")}
    for job in jobs:
        conf = runs[f"codepipeline__{job['job_id']}"]
        assert (conf["job_id"], conf["nonce"], conf["action_type"]) == (
            job["job_id"],
            job["nonce"],
            CUSTOM_TYPE,
        )
    assert {job["job_id"] for job in jobs} == {job.job_id for job in emulator.jobs()}


def test_example_build_with_output_variables(emulator, own, run_dag, make_hook):
    emulator.start_execution("own")
    [offered] = make_hook().poll(CUSTOM_TYPE)
    run = run_dag("example_build_with_output_variables", **offered.to_xcom())
    assert run.state == "success"
    [put] = emulator.ledger.terminal_results(offered.job_id)
    variables = put.details["outputVariables"]
    assert variables["Files"] == "1"
    assert variables["Digest"] == put.details["currentRevision"]["revision"]
    assert action_state(emulator, "own")["summary"] == "Built from 1 files by Airflow."
    [uploaded] = emulator.ledger.where(kind="artifact", operation="PutObject", outcome="ok")
    assert uploaded.details["artifact"] == "BuildOutput"


def test_example_pipeline_events(run_dag):
    ended = [
        {"pipeline_name": "shop", "pipeline_execution_id": "7ce2", "status": "Succeeded"},
        {"pipeline_name": "shop", "pipeline_execution_id": "8df3", "status": "Failed"},
    ]
    run = run_dag("example_pipeline_events", executions=ended)
    assert run.state == "success"
    assert [each["pipeline_execution_id"] for each in run.xcoms["ended", "return_value"]] == ["7ce2", "8df3"]


def test_example_run_dag_step(emulator, aws_connection, run_dag, make_hook, monkeypatch):
    kind = "Invoke/Custom/AirflowDag/1"
    outputs = "Accuracy=evaluate, Model=train:uri"
    configuration = {"Dag": "example_train_model", "Conf": '{"day": "2026-02-28"}', "Outputs": outputs}
    emulator.add_pipeline("steps", action_type=kind, configuration=configuration)
    emulator.start_execution("steps")
    [job] = make_hook().poll(kind)
    started = []

    def start_run(dag_id, run_id, conf, note):
        started.append((dag_id, run_dag(dag_id, **conf)))
        return True

    monkeypatch.setattr(step_tasks, "is_paused", lambda ti, dag_id: False)
    monkeypatch.setattr(step_tasks, "start_run", start_run)
    monkeypatch.setattr(step_tasks, "get_run_state", lambda *run: started[0][1].state if started else None)
    monkeypatch.setattr(
        step_tasks,
        "value_from_run",
        lambda ti, dag_id, run_id, task_id, key: started[0][1].xcoms.get((task_id, key)),
    )
    assert run_dag("example_run_dag_step_job", **job.to_xcom()).state == "success"
    [(dag_id, trained)] = started
    assert (dag_id, trained.xcoms["load", "return_value"]) == ("example_train_model", "sales of 2026-02-28")
    [put] = emulator.ledger.terminal_results(job.job_id)
    model = f"s3://models/{put.pipeline_execution_id}"
    assert put.details["outputVariables"] == {"Accuracy": "0.93", "Model": model}


@pytest.mark.parametrize(("fails", "state"), [(False, "success"), (True, "failed")])
def test_example_start_pipeline(emulator, aws_connection, dags, run_dag, monkeypatch, fails, state):
    name, codepipeline = f"released-{uuid.uuid4().hex}", admin_client(emulator, "codepipeline")
    role = admin_client(emulator, "iam").create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]
    fetch = action("Fetch", {**S3, "provider": "CodeCommit"}, outputs=["App"])
    codepipeline.create_pipeline(
        pipeline={
            "name": name,
            "roleArn": role["Arn"],
            "pipelineType": "V2",
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "variables": [{"name": "Version"}],
            "stages": [
                stage("Source", fetch),
                stage("Deploy", action("Deploy", CODE_DEPLOY, inputs=["App"])),
            ],
        }
    )
    if fails:
        emulator.fail_action(name, "Deploy", code="NoHealthyHosts", message="No host is healthy.")
    monkeypatch.setattr(dags.by_id["example_start_pipeline"].get_task("release"), "waiter_delay", 0.1)
    run = run_dag("example_start_pipeline", pipeline_name=name, version="1.10")
    assert run.state == state
    [execution] = codepipeline.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
    ended = run.xcoms["release", "pipeline_execution"]
    assert ended["pipeline_execution_id"] == execution["pipelineExecutionId"]
    if fails:
        assert ended["failed_actions"][0]["error_code"] == "NoHealthyHosts"
    else:
        assert run.xcoms["announce", "return_value"].startswith("Version 1.10 is out, by execution ")
    codepipeline.delete_pipeline(name=name)
