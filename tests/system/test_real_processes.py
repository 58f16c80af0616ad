# SPDX-License-Identifier: Apache-2.0
"""
A real Airflow: scheduler, DAG processor and tasks in processes of their own, some of which are killed.

Started once for all tests here; each test asks what became of a run that was started with the others.
"""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
from support import ACTION_TYPE, REPO, airflow_connections, results_of

from airflow_codepipeline_partner.emulator import Emulator
from demo.local_airflow import LocalAirflow

#: What is killed → DAG, conf.
RUNS = {
    "the run, by its timeout": ("runs_out_of_time", {}),
    "nothing": ("deaths_0_retries", {}),
    "the work": ("deaths_0_retries", {"die_after": "work"}),
    "the claim, which is not retried": ("deaths_0_retries", {"die_after": "AcknowledgeThirdPartyJob"}),
    "the claim, which is retried": ("deaths_1_retries", {"die_after": "AcknowledgeThirdPartyJob"}),
    "the claim before it asked": ("deaths_1_retries", {"die_after": "GetThirdPartyJobDetails"}),
    "the finishing task": ("deaths_0_retries", {"die_after": "PutThirdPartyJobSuccessResult"}),
    "a function": ("deaths_of_a_function_0_retries", {"die_after": "work"}),
    "a function, which is retried": ("deaths_of_a_function_1_retries", {"die_after": "work"}),
    "a function's claim": ("deaths_of_a_function_1_retries", {"die_after": "AcknowledgeThirdPartyJob"}),
    "a function after its result": (
        "deaths_of_a_function_1_retries",
        {"die_after": "PutThirdPartyJobSuccessResult"},
    ),
}
SECONDS = 240
WATCHED = {"category": "Test", "owner": "ThirdParty", "provider": "Watched", "version": "1"}
WATCHED_JOBS = 4


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory):
    """Start all runs at once, and return what became of each when all have ended."""
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    dags.mkdir()
    for name in ("deaths.py", "events.py"):
        (dags / name).write_text((REPO / "tests" / "dags" / name).read_text())
    with Emulator() as emulator:
        customer = emulator.add_customer()
        emulator.add_pipeline("pipe", client_id=customer.client_id, action_type=ACTION_TYPE)
        emulator.add_pipeline("watched", client_id=customer.client_id, action_type=WATCHED)
        environment = {
            **airflow_connections(emulator, customer),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        }
        with LocalAirflow(home, dags, environment=environment) as airflow:
            yield SimpleNamespace(emulator=emulator, runs=run_all(airflow, emulator), airflow=airflow)


def run_all(airflow, emulator):
    known = {"watches", "watched_job", *(dag_id for dag_id, _ in RUNS.values())}

    def parsed():
        return known <= {dag["dag_id"] for dag in airflow.api.call("GET", "/dags")["dags"]}

    airflow.wait_for(parsed, "the DAGs", SECONDS)
    # All before the first poll, and so in one event.
    for _ in range(WATCHED_JOBS):
        emulator.start_execution("watched")
    started = {}
    for number, (killed, (dag_id, conf)) in enumerate(RUNS.items()):
        emulator.start_execution("pipe")
        job = next(job for job in reversed(emulator.jobs()) if job.pipeline_name == "pipe")
        offered = {"job_id": job.job_id, "client_id": job.client_id}
        # A job is acknowledged only after it was handed out.
        hand_out(emulator)
        body = {"dag_run_id": f"run-{number}", "logical_date": None, "conf": {"job": offered, **conf}}
        airflow.api.call("POST", f"/dags/{dag_id}/dagRuns", body)
        started[killed] = SimpleNamespace(dag_id=dag_id, run_id=f"run-{number}", job=offered)
        if number == 0:
            # A run that is out of time before it has claimed anything has nothing to end.
            wait_for_claim(airflow, emulator, job)
    for run in started.values():
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}"

        def ended(path=path, run=run):
            run.state = airflow.api.call("GET", path)["state"]
            return run.state in ("success", "failed")

        airflow.wait_for(ended, f"the end of {run.run_id}", SECONDS)
        instances = airflow.api.call("GET", f"{path}/taskInstances")["task_instances"]
        run.states = {ti["task_id"]: ti["state"] for ti in instances}
        run.tries = {ti["task_id"]: ti["try_number"] for ti in instances}
    airflow.wait_for(lambda: watched_statuses(emulator) == {"Succeeded"}, "the watched jobs", SECONDS)
    deadline = time.monotonic() + SECONDS
    last = started["the run, by its timeout"]
    # The callback runs in the DAG processor, after the run has ended.
    airflow.wait_for(lambda: results_of(emulator, last.job), "the callback", deadline - time.monotonic())
    return started


def wait_for_claim(airflow, emulator, job):
    def claimed():
        return next(found.status for found in emulator.jobs() if found.job_id == job.job_id) == "InProgress"

    airflow.wait_for(claimed, f"the claim of {job.job_id}", SECONDS)


def watched_statuses(emulator):
    return {job.status for job in emulator.jobs() if job.pipeline_name == "watched"}


def hand_out(emulator):
    import boto3

    boto3.client(
        "codepipeline",
        endpoint_url=emulator.url,
        region_name="us-east-1",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="example-secret",
    ).poll_for_third_party_jobs(actionTypeId=ACTION_TYPE, maxBatchSize=10)


@pytest.mark.parametrize(
    ("killed", "state", "results"),
    [
        ("nothing", "success", ["success"]),
        ("the work", "failed", ["failure"]),
        ("the claim, which is not retried", "failed", ["failure"]),
        ("the claim, which is retried", "success", ["success"]),
        ("the claim before it asked", "success", ["success"]),
        # It was put by the try that died; the next one asks, and learns that.
        ("the finishing task", "success", ["success", "InvalidJobStateException"]),
        ("a function", "failed", ["failure"]),
        ("a function, which is retried", "success", ["success"]),
        ("a function's claim", "success", ["success"]),
        ("a function after its result", "success", ["success", "InvalidJobStateException"]),
        ("the run, by its timeout", "failed", ["failure"]),
    ],
)
def test_each_job_ends_in_exactly_one_result_whatever_is_killed(aftermath, killed, state, results):
    run = aftermath.runs[killed]
    assert results_of(aftermath.emulator, run.job) == results
    assert run.state == state
    assert len(aftermath.emulator.ledger.terminal_results(run.job["job_id"])) == 1


@pytest.mark.parametrize(
    ("killed", "task_id", "tries"),
    [
        ("nothing", "claim", 1),
        ("the claim, which is retried", "claim", 2),
        ("the claim before it asked", "claim", 2),
        ("the finishing task", "finish_job", 2),
        ("a function, which is retried", "deploy", 2),
        ("a function's claim", "deploy", 2),
        ("a function after its result", "deploy", 2),
    ],
)
def test_what_was_to_be_killed_was_killed(aftermath, killed, task_id, tries):
    assert aftermath.runs[killed].tries[task_id] == tries


def test_dagrun_timeout_skips_finish_job_and_the_callback_ends(aftermath):
    run = aftermath.runs["the run, by its timeout"]
    # Airflow 3.1 leaves it without a state, later ones skip it.
    assert run.states["finish_job"] in (None, "skipped")
    [job] = [job for job in aftermath.emulator.jobs() if job.job_id == run.job["job_id"]]
    assert job.status == "Failed"


def test_each_claim_is_recorded_as_it_went(aftermath):
    recorded = {}
    for killed, run in aftermath.runs.items():
        if "function" in killed:
            continue
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/claim/xcomEntries/codepipeline_claim"
        value = aftermath.airflow.api.call("GET", path)["value"]
        recorded[killed] = (json.loads(value) if isinstance(value, str) else value)["state"]
    before_it_asked = recorded.pop("the claim before it asked")
    # Only from Airflow 3.3 on does a retry know that the try before it had not yet acknowledged;
    # either way its own acknowledgement was answered.
    assert before_it_asked == "claimed"
    assert recorded == {
        "nothing": "claimed",
        "the work": "claimed",
        "the claim, which is not retried": "intent",
        "the claim, which is retried": "unknown",
        "the finishing task": "claimed",
        "the run, by its timeout": "claimed",
    }


def test_an_asset_is_watched_and_each_of_its_jobs_has_one_run(aftermath):
    jobs = [job for job in aftermath.emulator.jobs() if job.pipeline_name == "watched"]
    assert len(jobs) == WATCHED_JOBS
    for job in jobs:
        assert results_of(aftermath.emulator, {"job_id": job.job_id}) == ["success"]
    runs = aftermath.airflow.api.call("GET", "/dags/watched_job/dagRuns")["dag_runs"]
    assert {run["dag_run_id"] for run in runs} == {f"codepipeline__{job.job_id}" for job in jobs}
    assert {run["conf"]["job_id"] for run in runs} == {job.job_id for job in jobs}
