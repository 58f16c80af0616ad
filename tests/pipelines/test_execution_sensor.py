# SPDX-License-Identifier: Apache-2.0
"""The sensor that waits for an execution which anybody may have started."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_codepipeline_partner import _execution_wait
from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._polling import execution_poller
from airflow_codepipeline_partner._protocol import execution_progress
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
def test_an_execution_that_nobody_started(customer, run_dag, how, monkeypatch):
    for module in (_execution_wait, execution_poller):
        monkeypatch.setattr(module, "KNOWN_WITHIN", 0.0)
    run = run_dag(f"wait_for_execution_{how}", pipeline="pipe", execution=NOBODYS)
    assert run.states == {"wait": "failed"}


def sensor(**given):
    with DAG("wait", schedule=None):
        return CodePipelineExecutionSensor(
            task_id="wait", pipeline_name="pipe", **{"execution_id": NOBODYS, **given}
        )


def context_of(first_poke=None):
    return {"ti": SimpleNamespace(get_first_reschedule_date=lambda context: first_poke)}


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_an_execution_may_be_seen_only_after_a_while(customer, mode):
    assert not sensor(mode=mode, deferrable=False).poke(context_of())


def test_in_reschedule_mode_it_does_not_wait_for_ever(customer):
    long_ago = datetime.now(UTC) - timedelta(minutes=2)
    with pytest.raises(AirflowFailException, match="PipelineNotFound"):
        sensor(mode="reschedule", deferrable=False).poke(context_of(first_poke=long_ago))


def test_in_reschedule_mode_a_line_comes_once(emulator, customer, monkeypatch, capfd):
    execution_id = emulator.start_execution("pipe")
    # As if all actions had begun long before.
    monkeypatch.setattr(execution_progress, "_CLOCKS_DIFFER", timedelta(minutes=-2))
    said = []
    for first_poke in (None, datetime.now(UTC)):
        task = sensor(execution_id=execution_id, mode="reschedule", deferrable=False)
        task.poke(context_of(first_poke))
        said.append("Source / Source: Succeeded" in capfd.readouterr().out)
    assert said == [True, False]


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
