# SPDX-License-Identifier: Apache-2.0
"""The kit runs a DAG in each of the ways in which DAGs take jobs."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

CUSTOM, PARTNER = "Deploy/Custom/Example/1", "Deploy/ThirdParty/Example/1"


def test_a_function_takes_a_custom_job_from_its_conf(codepipeline, load):
    job = codepipeline.queue_job(CUSTOM)
    run = codepipeline.run(load("as_function"))
    job.assert_succeeded(summary="Deployed shop.", percent_complete=100, output_variables={"Release": "r7"})
    assert (run.state, run.states, run.errors) == (
        "success",
        {"deploy": "success", "finish_job": "success"},
        {},
    )


@pytest.mark.parametrize("wish", ["fail", ""])
def test_a_function_takes_a_partners_job(codepipeline, load, wish):
    job = codepipeline.queue_job(PARTNER, configuration={"Wish": wish} if wish else None)
    codepipeline.run(load("as_function"))
    if wish:
        job.assert_failed("ConfigurationError", message="The wish was to fail.")
    else:
        # It has output variables, which a partner's job must not have.
        job.assert_failed("JobFailed", message="output_variables are for custom actions")


def test_each_run_takes_the_oldest_job(codepipeline, load):
    jobs = [codepipeline.queue_job(CUSTOM) for _ in range(2)]
    codepipeline.run(load("as_function"))
    jobs[0].assert_succeeded()
    jobs[1].assert_not_taken()
    codepipeline.run(load("as_function"))
    jobs[1].assert_succeeded()


def test_a_retry_does_not_wait(codepipeline, load):
    job = codepipeline.queue_job(CUSTOM, configuration={"Wish": "retry"})
    dag = load("as_function")
    codepipeline.run(dag)
    job.assert_succeeded()
    assert dag.get_task("deploy").retry_delay.total_seconds() == 3600


def test_a_sensor_takes_all_jobs(codepipeline, load):
    jobs = [codepipeline.queue_job(CUSTOM, pipeline_name=f"shop-{number}") for number in range(2)]
    codepipeline.run(load("by_sensor"))
    for number, job in enumerate(jobs):
        job.assert_succeeded(summary=f"Worked on shop-{number}.")


def test_an_asset_has_an_event_with_all_jobs(codepipeline, load):
    jobs = [codepipeline.queue_job(CUSTOM) for _ in range(2)]
    run = codepipeline.run(load("by_asset"), started=[load("as_function")])
    for job in jobs:
        job.assert_succeeded(summary="Deployed shop.")
    assert [each.run_id for each in run.started] == [f"codepipeline__{job.job_id}" for job in jobs]


def test_each_job_that_a_sensor_finds_gets_a_run(codepipeline, load):
    jobs = [codepipeline.queue_job(CUSTOM) for _ in range(2)]
    run = codepipeline.run(load("dispatcher"), started=[load("as_function")])
    for job in jobs:
        job.assert_succeeded()
        assert job.external_execution_id == f"as_function/runs/codepipeline__{job.job_id}"
    assert [each.dag_id for each in codepipeline.runs] == ["dispatcher", "as_function", "as_function"]
    assert {each.state for each in run.all()} == {"success"}


@pytest.mark.parametrize("kind", [CUSTOM, PARTNER])
def test_an_action_continues_in_the_same_run(codepipeline, load, kind):
    job = codepipeline.queue_job(kind)
    first = job.job_id
    codepipeline.run(load("continuing"))
    job.assert_progressed(40, 80)
    job.assert_succeeded(summary="Deployed.", percent_complete=100)
    assert job.results == ["continue", "continue", "success"]
    assert job.job_id != first


def test_artifacts_come_from_the_test_and_go_to_it(codepipeline, load):
    job = codepipeline.queue_job(
        CUSTOM, artifacts={"Source": {"index.html": "hi", "a/b.txt": b"b"}}, output_artifacts=["Built"]
    )
    codepipeline.run(load("with_artifacts"))
    job.assert_succeeded()
    built = job.output_artifact("Built")
    assert built.read("index.html") == "HI"
    assert set(built.files) == {"index.html", "a/b.txt"}


def test_a_dag_runs_as_a_step_of_a_pipeline(codepipeline, load):
    job = codepipeline.queue_job(
        "Invoke/Custom/AirflowDag/1",
        configuration={"Dag": "model", "Conf": '{"day": "2026-02-28"}', "Outputs": "Accuracy=train"},
    )
    run = codepipeline.run(load("step"), started=[load("step_job"), load("model")])
    job.assert_succeeded(output_variables={"Accuracy": "0.93"})
    assert [each.dag_id for each in run.all()] == ["step", "step_job", "model"]


def test_a_step_fails_as_its_dag_does(codepipeline, load):
    configuration = {"Dag": "model", "Conf": '{"day": "never"}'}
    job = codepipeline.queue_job("Invoke/Custom/AirflowDag/1", configuration=configuration)
    codepipeline.run(load("step_job"), started=[load("model")])
    job.assert_failed(message="DAG model failed: train")


@pytest.mark.parametrize("fails", [False, True])
def test_a_dag_starts_a_pipeline(codepipeline, load, fails):
    shop = codepipeline.add_pipeline("shop", variables=["Version"])
    if fails:
        shop.fail("Deploy", code="NoHealthyHosts", message="No host is healthy.")
    run = codepipeline.run(load("releasing"))
    shop.assert_started(variables={"Version": "1.10"}, status="Failed" if fails else "Succeeded")
    assert run.state == ("failed" if fails else "success")
    if fails:
        assert "NoHealthyHosts" in str(run.errors["release"])


def test_signals_are_the_users_while_a_dag_runs_and_afterwards(codepipeline, load, monkeypatch):
    came = []
    ours = {number: lambda number, frame: came.append(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    former = {number: signal.signal(number, handler) for number, handler in ours.items()}
    signal.setitimer(signal.ITIMER_REAL, 600)
    try:
        job = codepipeline.queue_job(CUSTOM, configuration={"Wish": "terminate"})
        dag = load("as_function")
        monkeypatch.setattr(dag.get_task("deploy"), "execution_timeout", timedelta(minutes=5))
        codepipeline.run(dag)
        job.assert_succeeded()
        assert came == [signal.SIGTERM]
        assert {number: signal.getsignal(number) for number in ours} == ours
        assert 500 < signal.getitimer(signal.ITIMER_REAL)[0] < 600
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in former.items():
            signal.signal(number, handler)


def test_a_dag_runs_in_another_thread(codepipeline, load):
    job = codepipeline.queue_job(CUSTOM)
    with ThreadPoolExecutor() as pool:
        assert pool.submit(codepipeline.run, load("as_function")).result().state == "success"
    job.assert_succeeded()
