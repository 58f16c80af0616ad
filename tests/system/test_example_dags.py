# SPDX-License-Identifier: Apache-2.0
"""Each example DAG does what it says, from connections and params alone."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from support import ACTION_TYPE, CUSTOM_TYPE, REPO, action_state

CONTINUATION_DELAY = 40


@pytest.fixture
def example(codepipeline):
    """Return a function that returns an example, by its DAG's id, and which file it is in."""

    def load(dag_id, file=None):
        return codepipeline.load_dag(REPO / "example_dags" / f"{file or dag_id}.py", dag_id)

    return load


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


def test_example_claim_work_finish(codepipeline, example):
    job = codepipeline.queue_job(ACTION_TYPE)
    codepipeline.run(example("example_claim_work_finish"))
    job.assert_succeeded(summary="Deployed by Airflow.", percent_complete=100)
    assert job.current_revision["changeIdentifier"] == job.job_id


def test_example_one_run_per_job(codepipeline, example):
    files = {"shop.py": SHOP, "test_shop.py": SHOP_TEST}
    jobs = [
        codepipeline.queue_job(ACTION_TYPE, artifacts={"Source": files}, output_artifacts=["Built"])
        for _ in range(2)
    ]
    builds = example("example_build_from_artifacts")
    run = codepipeline.run(example("example_one_run_per_job"), started=[builds])
    assert [each.run_id for each in run.started] == [f"codepipeline__{job.job_id}" for job in jobs]
    for job, started in zip(jobs, run.started, strict=True):
        assert started.conf == {
            "job_id": job.job_id,
            "client_id": codepipeline.customer.client_id,
            "action_type": ACTION_TYPE,
            "aws_conn_id": "aws_default",
        }
        job.assert_succeeded(summary="Tested and built by Airflow.")


def test_example_one_run_per_job_starts_no_run_twice(emulator, customer, run_dag, serialized_dags):
    for _ in range(2):
        emulator.start_execution("pipe")
    first = run_dag("example_one_run_per_job")
    assert len(first.xcoms["start_run", "return_value"]) == 2
    # The same jobs once more: nobody claimed them, so they are offered again after their lease.
    emulator.advance(120)
    again = run_dag("example_one_run_per_job")
    assert again.xcoms["start_run", "return_value"] == []


def test_example_jobs_as_asset_events(codepipeline, example):
    jobs = [codepipeline.queue_job(ACTION_TYPE) for _ in range(2)]
    worker = example("example_claim_work_finish")
    run = codepipeline.run(example("example_jobs_as_asset_events"), started=[worker])
    assert [each.run_id for each in run.started] == [f"codepipeline__{job.job_id}" for job in jobs]
    for job in jobs:
        job.assert_succeeded(summary="Deployed by Airflow.")


@pytest.mark.parametrize("action_type", [ACTION_TYPE, CUSTOM_TYPE])
def test_example_many_jobs_in_one_run(codepipeline, example, action_type):
    jobs = [codepipeline.queue_job(action_type, pipeline_name="shop") for _ in range(2)]
    codepipeline.run(example("example_many_jobs_in_one_run"), conf={"action_type": action_type})
    for job in jobs:
        job.assert_succeeded(summary=f"Worked on {action_type['provider']} of shop.")


def test_example_one_run_per_continuation(codepipeline, example):
    job, dag = codepipeline.queue_job(ACTION_TYPE), example("example_one_run_per_continuation")
    first = codepipeline.run(dag)
    assert (first.state, first.states["resume"], first.states["finish_job"]) == (
        "success",
        "skipped",
        "success",
    )
    job.assert_progressed(10)
    second = codepipeline.run(dag)
    assert (second.state, second.states["begin"]) == ("success", "skipped")
    job.assert_succeeded(percent_complete=100)
    assert job.results == ["continue", "success"]
    token = second.xcoms["claim", "return_value"]["continuation_token"]
    assert second.xcoms["resume", "return_value"] == f"Finished {token}."


def test_example_continue_in_same_run(codepipeline, example):
    job = codepipeline.queue_job(ACTION_TYPE)
    codepipeline.run(example("example_continue_in_same_run"))
    job.assert_progressed(50)
    job.assert_succeeded(summary="Deployed build-of-", percent_complete=100)


def test_example_watch_external_work(codepipeline, example, monkeypatch):
    job, dag = codepipeline.queue_job(ACTION_TYPE), example("example_watch_external_work")
    # The other system is a little further each time it is asked, however slow the machine is.
    asked = itertools.count()
    how_far = dag.get_task("watch").progress
    monkeypatch.setitem(how_far.__globals__, "time", SimpleNamespace(time=lambda: next(asked)))
    codepipeline.run(dag, conf={"seconds": 2, "progress_interval": 0.1})
    job.assert_succeeded(summary="Deployed.")
    assert job.results == ["continue", "success"]


SHOP = "def total(prices):\n    return sum(prices)\n"
SHOP_TEST = """
import unittest, shop

class TotalTest(unittest.TestCase):
    def test_total(self):
        self.assertEqual(shop.total([1, 2]), 3)
"""


@pytest.mark.parametrize(
    ("files", "failure"),
    [
        ({"shop.py": SHOP, "test_shop.py": SHOP_TEST}, None),
        (
            {"shop.py": SHOP.replace("sum", "max"), "test_shop.py": SHOP_TEST},
            "The tests of the source artifact failed: FAILED (failures=1).",
        ),
        ({"shop.py": SHOP, "../evil": ""}, "holds the entry '../evil'"),
    ],
    ids=["good", "failing", "unsafe"],
)
def test_example_build_from_artifacts(codepipeline, example, files, failure):
    codepipeline.emulator.configure(require_output_artifacts=True, upload_encryption="refuse")
    job = codepipeline.queue_job(ACTION_TYPE, artifacts={"Source": files}, output_artifacts=["Built"])
    codepipeline.run(example("example_build_from_artifacts"))
    if failure is None:
        job.assert_succeeded(summary="Tested and built by Airflow.")
        assert job.output_artifact("Built").read("shop.py") == SHOP
    else:
        job.assert_failed(message=failure)
        assert codepipeline.emulator.ledger.where(operation="PutObject") == []


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


def test_example_work_as_function(codepipeline, example):
    dag = example("example_work_as_function")
    good, bad = (
        codepipeline.queue_job(ACTION_TYPE, configuration={"Target": target})
        for target in ("staging", "no such")
    )
    for _ in range(2):
        codepipeline.run(dag)
    good.assert_succeeded(summary="Deployed by a function in Airflow.")
    bad.assert_failed("ConfigurationError", message="Target must be the name of an environment.")
    assert (good.results, bad.results) == (["success"], ["failure"])


def test_example_custom_jobs_by_query(codepipeline, example):
    jobs = [codepipeline.queue_job(CUSTOM_TYPE, output_artifacts=["Built"]) for _ in range(2)]
    builds = example("example_build_with_output_variables")
    run = codepipeline.run(example("example_custom_jobs_by_query"), started=[builds])
    assert [each.run_id for each in run.started] == [f"codepipeline__{job.job_id}" for job in jobs]
    for job in jobs:
        job.assert_succeeded(summary="Built from 1 files by Airflow.", output_variables={"Files": "1"})
        assert job.output_variables["Digest"] == job.current_revision["revision"]
        assert list(job.output_artifact("Built").files) == ["README.md"]


def test_example_pipeline_events(run_dag):
    ended = [
        {"pipeline_name": "shop", "pipeline_execution_id": "7ce2", "status": "Succeeded"},
        {"pipeline_name": "shop", "pipeline_execution_id": "8df3", "status": "Failed"},
    ]
    run = run_dag("example_pipeline_events", executions=ended)
    assert run.state == "success"
    assert [each["pipeline_execution_id"] for each in run.xcoms["ended", "return_value"]] == ["7ce2", "8df3"]


def test_example_run_dag_step(codepipeline, example):
    outputs = "Accuracy=evaluate, Model=train:uri"
    configuration = {"Dag": "example_train_model", "Conf": '{"day": "2026-02-28"}', "Outputs": outputs}
    job = codepipeline.queue_job("Invoke/Custom/AirflowDag/1", configuration=configuration)
    polling, working, training = (
        example(dag_id, "example_run_dag_step")
        for dag_id in ("example_run_dag_step", "example_run_dag_step_job", "example_train_model")
    )
    run = codepipeline.run(polling, started=[working, training])
    [_, _, trained] = run.all()
    assert (trained.dag_id, trained.xcoms["load", "return_value"]) == (
        "example_train_model",
        "sales of 2026-02-28",
    )
    model = f"s3://models/{job.pipeline_execution_id}"
    job.assert_succeeded(output_variables={"Accuracy": "0.93", "Model": model})


@pytest.mark.parametrize("fails", [False, True])
def test_example_start_pipeline(codepipeline, example, fails):
    shop = codepipeline.add_pipeline("shop", variables=["Version"])
    if fails:
        shop.fail("Deploy", code="NoHealthyHosts", message="No host is healthy.")
    run = codepipeline.run(example("example_start_pipeline"), conf={"version": "1.10"})
    shop.assert_started(status="Failed" if fails else "Succeeded", variables={"Version": "1.10"})
    ended = run.xcoms["release", "pipeline_execution"]
    assert ended["pipeline_execution_id"] == shop.executions[0]["pipelineExecutionId"]
    if fails:
        assert ended["failed_actions"][0]["error_code"] == "NoHealthyHosts"
    else:
        assert run.xcoms["announce", "return_value"].startswith("Version 1.10 is out, by execution ")
