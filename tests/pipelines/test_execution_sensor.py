# SPDX-License-Identifier: Apache-2.0
"""The sensor that waits for an execution which anybody may have started."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.sensors import CodePipelineExecutionSensor

WAYS = ("on_the_worker", "deferred")
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("how", WAYS)
def test_it_returns_the_execution_that_succeeded(partner, emulator, run_dag, how):
    execution_id = emulator.start_execution("pipe")
    partner(lambda hook, job: hook.succeed(job))
    run = run_dag(f"wait_for_execution_{how}", pipeline="pipe", execution=execution_id)
    assert run.states == {"wait": "success"}
    found = run.xcoms["wait", "return_value"]
    assert (found["pipeline_execution_id"], found["status"]) == (execution_id, "Succeeded")


@pytest.mark.parametrize("how", WAYS)
def test_it_fails_if_the_execution_did(partner, emulator, run_dag, how):
    execution_id = emulator.start_execution("pipe")
    partner(lambda hook, job: hook.fail(job, message="No such host."))
    run = run_dag(f"wait_for_execution_{how}", pipeline="pipe", execution=execution_id)
    assert run.states == {"wait": "failed"}
    [failed] = run.xcoms["wait", "pipeline_execution"]["failed_actions"]
    assert failed["error_message"] == "No such host."


@pytest.mark.parametrize("how", WAYS)
def test_an_execution_that_nobody_started(customer, run_dag, how):
    run = run_dag(f"wait_for_execution_{how}", pipeline="pipe", execution=NOBODYS)
    assert run.states == {"wait": "failed"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"execution_id": "the last one"}, "pipelineExecutionId"),
        ({"pipeline_name": ""}, "pipelineName"),
        ({"poke_interval": 0}, "poke_interval"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_as_the_dag_is_read(wrong, said):
    given = {"pipeline_name": "pipe", "execution_id": NOBODYS, **wrong}
    with DAG("refused", schedule=None), pytest.raises(InvalidInput, match=said):
        CodePipelineExecutionSensor(task_id="wait", **given)
