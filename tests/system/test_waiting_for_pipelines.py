# SPDX-License-Identifier: Apache-2.0
"""
Deferred tasks of a real Airflow that wait for pipelines, while somebody acts on these and on the tasks.

Started once for all tests here. Each run has a pipeline of its own: a source, a deployment, an approval.
"""

from __future__ import annotations

import json
import os
import signal
import uuid
from types import SimpleNamespace

import pytest
from airflow import __version__ as version
from declaring import APPROVAL, CODE_DEPLOY, TRUST, action, stage
from support import REPO, admin_client, airflow_connections

from airflow_codepipeline_partner.emulator import Emulator
from demo.local_airflow import LocalAirflow

SECONDS = 120
#: What happens → DAG.
RUNS = {
    "its process dies during the start": "waits_for_pipeline",
    "its process dies after the start": "dies_once_started",
    "it fails, and is retried before the task": "waits_with_a_late_retry",
    "it is approved": "waits_for_pipeline",
    "it is rejected": "waits_for_pipeline",
    "it is rejected, retried and approved": "waits_for_pipeline",
    "it is stopped": "waits_for_pipeline",
    "the task is marked failed": "stops_pipeline_if_killed",
    "the task is cleared": "stops_pipeline_if_killed",
    "the task is marked failed, and stops nothing": "waits_for_pipeline",
}
#: Airflow says to a trigger that its task was ended, since 3.3.
SAYS_SO = tuple(map(int, version.split(".")[:2])) >= (3, 3)
SOURCE = {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"}


class Run:
    """A run, and its pipeline."""

    def __init__(self, world, number, dag_id):
        self.airflow, self.client = world.airflow, admin_client(world.emulator, "codepipeline")
        self.dag_id, self.run_id = dag_id, f"run-{number}"
        self.pipeline = f"waited-for-{uuid.uuid4().hex}"
        self.path = f"/dags/{dag_id}/dagRuns/{self.run_id}"
        self.client.create_pipeline(
            pipeline={
                "name": self.pipeline,
                "roleArn": world.role,
                "artifactStore": {"type": "S3", "location": "artifacts"},
                "stages": [
                    stage("Source", action("Fetch", SOURCE, outputs=["App"])),
                    stage("Deploy", action("Deploy", CODE_DEPLOY, inputs=["App"])),
                    stage("Release", action("Approve", APPROVAL)),
                ],
            }
        )

    def start(self):
        body = {"dag_run_id": self.run_id, "logical_date": None, "conf": {"pipeline": self.pipeline}}
        self.airflow.api.call("POST", f"/dags/{self.dag_id}/dagRuns", body)

    def task(self):
        return self.airflow.api.call("GET", f"{self.path}/taskInstances/start")

    def wait_until(self, *states):
        def reached():
            self.state = self.task()["state"]
            return self.state in states

        self.airflow.wait_for(reached, f"{self.pipeline}, {self.dag_id} {states}", SECONDS)

    def executions(self):
        """Return the executions of the pipeline, the oldest first: id → status."""
        found = self.client.list_pipeline_executions(pipelineName=self.pipeline)["pipelineExecutionSummaries"]
        return {each["pipelineExecutionId"]: each["status"] for each in reversed(found)}

    def statuses(self):
        return list(self.executions().values())

    def xcom(self, key):
        value = self.airflow.api.call("GET", f"{self.path}/taskInstances/start/xcomEntries/{key}")["value"]
        # Airflow 3.1 answers with JSON within JSON.
        return json.loads(value) if isinstance(value, str) and value[:1] in '{"' else value

    def answer(self, status):
        """Answer the approval, as soon as one waits, as a person does in the console."""

        def token():
            last = self.client.get_pipeline_state(name=self.pipeline)["stageStates"][-1]
            latest = last["actionStates"][0].get("latestExecution", {})
            return latest.get("status") == "InProgress" and latest.get("token")

        self.airflow.wait_for(token, f"an approval of {self.pipeline}", SECONDS)
        self.client.put_approval_result(
            pipelineName=self.pipeline,
            stageName="Release",
            actionName="Approve",
            result={"summary": "as they say", "status": status},
            token=token(),
        )

    def retry(self, stage_name):
        [execution] = self.executions()
        self.client.retry_stage_execution(
            pipelineName=self.pipeline,
            stageName=stage_name,
            pipelineExecutionId=execution,
            retryMode="FAILED_ACTIONS",
        )

    def stop(self):
        [execution] = self.executions()
        self.client.stop_pipeline_execution(
            pipelineName=self.pipeline, pipelineExecutionId=execution, abandon=True
        )

    def mark(self, state):
        self.airflow.api.call("PATCH", f"{self.path}/taskInstances/start", {"new_state": state})

    def clear(self):
        body = {
            "dry_run": False,
            "dag_run_id": self.run_id,
            "task_ids": ["start"],
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.airflow.api.call("POST", f"/dags/{self.dag_id}/clearTaskInstances", body)

    def kill(self):
        """End the task's process as the kernel's out-of-memory killer would."""
        pid = self.task()["pid"]
        assert pid in {process.pid for part in self.airflow.components for process in part.members()}
        os.kill(pid, signal.SIGKILL)

    def log(self):
        return self.airflow.task_log(self.dag_id, self.run_id, "start").read_text()


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory):
    """Start all runs, do to them what is to be done, and return what became of each."""
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    dags.mkdir()
    code = (REPO / "tests" / "dags" / "waiting_for_pipelines.py").read_text()
    (dags / "waiting_for_pipelines.py").write_text(code)
    with Emulator() as emulator:
        environment = {
            **airflow_connections(emulator, emulator.add_customer()),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        }
        with LocalAirflow(home, dags, environment=environment) as airflow:
            iam = admin_client(emulator, "iam")
            role = iam.create_role(RoleName=uuid.uuid4().hex, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
            world = SimpleNamespace(airflow=airflow, emulator=emulator, role=role)
            known = set(RUNS.values())
            airflow.wait_for(
                lambda: known <= {d["dag_id"] for d in airflow.api.call("GET", "/dags")["dags"]},
                "the DAGs",
                SECONDS,
            )
            runs = {what: Run(world, number, dag_id) for number, (what, dag_id) in enumerate(RUNS.items())}
            do_all(emulator, airflow, runs)
            yield runs
            # moto, which keeps the pipelines too, is one for all tests of the process.
            for run in runs.values():
                run.client.delete_pipeline(name=run.pipeline)


def do_all(emulator, airflow, runs):
    held, late = runs["its process dies during the start"], runs["it fails, and is retried before the task"]
    emulator.inject("slow", "StartPipelineExecution", seconds=60)
    held.start()
    airflow.wait_for(lambda: not emulator.faults(), "the call that is held up", SECONDS)
    held.kill()
    held.wait_until("deferred")
    held.before = held.executions()
    # The call of the dead process is done now, after that of its retry.
    emulator.clear_faults()
    emulator.fail_action(late.pipeline, "Deploy", code="NoCapacity", message="No host is free.")
    others = [run for run in runs.values() if run is not held]
    for run in others:
        run.start()
    late.wait_until("up_for_retry")
    late.retry("Deploy")
    for run in others:
        if run is not late:
            run.wait_until("deferred")
    runs["it is stopped"].stop()
    runs["the task is marked failed"].mark("failed")
    runs["the task is marked failed, and stops nothing"].mark("failed")
    runs["the task is cleared"].clear()
    runs["it is rejected"].answer("Rejected")
    again = runs["it is rejected, retried and approved"]
    again.answer("Rejected")
    again.retry("Release")
    for run in (held, late, again, runs["it is approved"], runs["its process dies after the start"]):
        run.answer("Approved")
    marked, cleared = runs["the task is marked failed"], runs["the task is cleared"]
    airflow.wait_for(lambda: len(cleared.executions()) == 2, "another execution", SECONDS)
    if SAYS_SO:
        for run in (marked, cleared):
            airflow.wait_for(lambda run=run: run.statuses()[0] == "Stopped", "its stop", SECONDS)
    cleared.before = cleared.statuses()
    for run in runs.values():
        if run is not cleared:
            run.wait_until("success", "failed")
    for _ in range(cleared.before.count("InProgress")):
        cleared.answer("Approved")
    cleared.wait_until("success", "failed")


@pytest.mark.parametrize(
    ("what", "state", "statuses", "tries"),
    [
        ("it is approved", "success", ["Succeeded"], 1),
        ("its process dies during the start", "success", ["Succeeded"], 2),
        ("its process dies after the start", "success", ["Succeeded"], 2),
        ("it fails, and is retried before the task", "success", ["Succeeded"], 2),
        ("it is rejected", "failed", ["Failed"], 2),
        ("it is rejected, retried and approved", "success", ["Succeeded"], 1),
        # A retry would not help.
        ("it is stopped", "failed", ["Stopped"], 1),
    ],
)
def test_a_task_ends_as_its_one_execution_does(aftermath, what, state, statuses, tries):
    run = aftermath[what]
    assert (run.state, run.statuses()) == (state, statuses)
    task = run.task()
    assert task["try_number"] == tries
    if state == "success":
        assert run.xcom("return_value") == next(iter(run.executions()))
    assert run.xcom("pipeline_execution")["status"] == statuses[0]


def test_what_started_before_a_death_is_the_one_execution(aftermath):
    run = aftermath["its process dies during the start"]
    assert run.before == dict.fromkeys(run.executions(), "InProgress")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            "it is rejected",
            "has failed: Release / Approve: JobFailed: The approval was rejected: as they say",
        ),
        ("it is stopped", "was stopped"),
    ],
)
def test_the_error_says_what_became_of_the_execution(aftermath, what, said):
    assert said in aftermath[what].log()


def test_a_deferred_task_that_is_ended_stops_its_execution(aftermath):
    """If Airflow says so to its trigger."""
    run = aftermath["the task is marked failed"]
    assert (run.state, run.statuses()) == ("failed", ["Stopped" if SAYS_SO else "InProgress"])


def test_a_deferred_task_that_is_ended_may_leave_it_alone(aftermath):
    run = aftermath["the task is marked failed, and stops nothing"]
    assert (run.state, run.statuses()) == ("failed", ["InProgress"])


def test_a_deferred_task_that_is_cleared_starts_once_more(aftermath):
    run = aftermath["the task is cleared"]
    assert run.before == ["Stopped" if SAYS_SO else "InProgress", "InProgress"]
    assert (run.state, run.statuses()[-1]) == ("success", "Succeeded")
    assert run.xcom("return_value") == list(run.executions())[-1]
