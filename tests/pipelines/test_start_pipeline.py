# SPDX-License-Identifier: Apache-2.0
"""The operator that starts a pipeline: one execution for all tries, and what it says of its end."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import DAG
from support import admin_client

from airflow_codepipeline_partner._protocol.executions import PipelineExecution
from airflow_codepipeline_partner._protocol.responses import Outcome
from airflow_codepipeline_partner._transport import Transport, _Unanswered
from airflow_codepipeline_partner.exceptions import ExecutionNotSucceeded, InvalidInput
from airflow_codepipeline_partner.operators import CodePipelineStartPipelineOperator
from airflow_codepipeline_partner.operators.start_pipeline import token_of

WAYS = ("on_the_worker", "deferred")


@pytest.mark.parametrize("how", WAYS)
def test_it_waits_for_the_end(partner, executions, run_dag, how):
    partner(lambda hook, job: hook.succeed(job))
    run = run_dag(f"start_pipeline_{how}", pipeline="pipe")
    assert run.states == {"start": "success"}
    ended = run.xcoms["start", "pipeline_execution"]
    assert {run.xcoms["start", "return_value"]: "Succeeded"} == executions()
    assert ended == {
        "pipeline_name": "pipe",
        "pipeline_execution_id": run.xcoms["start", "return_value"],
        "status": "Succeeded",
        "status_summary": None,
        "failed_actions": [],
    }


@pytest.mark.parametrize("how", WAYS)
def test_a_failed_action_is_named(partner, executions, run_dag, how):
    partner(lambda hook, job: hook.fail(job, message="No such host.", failure_type="ConfigurationError"))
    run = run_dag(f"start_pipeline_{how}", pipeline="pipe")
    assert run.states == {"start": "failed"}
    [failed] = run.xcoms["start", "pipeline_execution"]["failed_actions"]
    assert failed["stage_name"] == failed["action_name"] == "Partner"
    assert (failed["error_code"], failed["error_message"]) == ("ConfigurationError", "No such host.")
    # Its retry went on with the same execution.
    assert list(executions().values()) == ["Failed"]


@pytest.mark.parametrize("how", WAYS)
def test_its_start_and_each_wait_for_its_end_are_counted(partner, run_dag, stats, how):
    partner(lambda hook, job: hook.fail(job, message="No such host."))
    assert run_dag(f"start_pipeline_{how}", pipeline="pipe").states == {"start": "failed"}
    sent = [(name, tags) for _, name, _, tags in stats.sent if name.startswith("codepipeline.executions")]
    about = {"pipeline": "pipe"}
    waited = ("codepipeline.executions.waits_ended", {**about, "status": "Failed"})
    # The task's retry has waited again.
    assert sent == [("codepipeline.executions.started", about), waited, waited]


@pytest.mark.parametrize("fault", ["the answer is lost", "the process dies"])
def test_a_second_try_starts_no_second_execution(partner, executions, run_dag, monkeypatch, fault):
    partner(lambda hook, job: hook.succeed(job))
    try_once, starts = Transport._try_once, []

    def faulty(self, call, *args, **kwargs):
        answer = try_once(self, call, *args, **kwargs)
        if call.operation != "StartPipelineExecution":
            return answer
        starts.append(call)
        if len(starts) > 1:
            return answer
        if fault == "the process dies":
            raise SystemExit(9)
        return _Unanswered("its answer was lost", Outcome.UNKNOWN)

    monkeypatch.setattr(Transport, "_try_once", faulty)
    run = run_dag("start_pipeline_on_the_worker", pipeline="pipe")
    assert run.states == {"start": "success"}
    assert list(executions().values()) == ["Succeeded"]
    assert len(starts) == 2


def context_of(**changed):
    facts = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "max_tries": 1, "try_number": 1}
    run = SimpleNamespace(start_date=changed.pop("start_date", "2026-01-01"))
    return {"ti": SimpleNamespace(**{**facts, **changed}), "dag_run": run}


def test_a_retry_has_the_same_token_and_a_clear_another():
    token = token_of(context_of())
    assert token_of(context_of(try_number=2)) == token
    others = [
        token_of(context_of(**{name: value}))
        for name, value in (
            ("max_tries", 3),
            ("map_index", 1),
            ("task_id", "u"),
            ("run_id", "s"),
            ("dag_id", "e"),
            # Another Airflow, with the same DAG.
            ("start_date", "2026-01-02"),
        )
    ]
    assert len({token, *others}) == 7


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pipeline_name": "no/name"}, "pipelineName"),
        ({"variables": {f"v{number}": "x" for number in range(51)}}, "51 entries"),
        ({"variables": {"v": "x" * 1001}}, "variable 'v' has 1001 characters"),
        ({"variables": {"v": ""}}, "variable 'v' has 0 characters"),
        ({"variables": ["v"]}, "variables must be a mapping"),
        ({"source_revisions": [{"action_name": "Source"}]}, "no revisionType, revisionValue"),
        ({"source_revisions": {"action_name": "Source"}}, "must be a list"),
        (
            {
                "source_revisions": [
                    {"action_name": "Source", "revision_type": "COMMIT", "revision_value": "1"}
                ]
            },
            "did you mean 'COMMIT_ID'",
        ),
        ({"client_request_token": "with a space"}, "clientRequestToken"),
        ({"waiter_delay": 0}, "waiter_delay"),
        ({"waiter_max_attempts": 0}, "waiter_max_attempts"),
        ({"stop_pipeline_on_kill": "now"}, "stop_pipeline_on_kill"),
    ],
)
def test_what_cannot_be_sent_is_refused_as_the_dag_is_read(wrong, said):
    with DAG("refused", schedule=None), pytest.raises(InvalidInput, match=said):
        CodePipelineStartPipelineOperator(task_id="start", **{"pipeline_name": "pipe", **wrong})


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"pipeline": "nobodys"}, "PipelineNotFound"),
        ({"pipeline": "pipe", "variables": {"undeclared": "x"}}, "no variable undeclared"),
    ],
)
def test_what_codepipeline_refuses_starts_nothing(
    customer, executions, emulator, run_dag, caplog, conf, said
):
    run = run_dag("start_pipeline_on_the_worker", **conf)
    assert run.states == {"start": "failed"}
    assert executions() == {}
    # A retry would not help.
    assert len([entry for entry in emulator.ledger if entry.operation == "StartPipelineExecution"]) == 1


@pytest.mark.parametrize(("way", "status"), [("wait", "Stopping"), ("abandon", "Stopped")])
def test_a_killed_task_stops_its_execution_if_told_to(customer, executions, emulator, way, status):
    with DAG("killed", schedule=None):
        task = CodePipelineStartPipelineOperator(
            task_id="start", pipeline_name="pipe", wait_for_completion=False, stop_pipeline_on_kill=way
        )
    task.execute(context_of())
    task.on_kill()
    # Again, as if it had ended meanwhile.
    task.on_kill()
    assert list(executions().values()) == [status]


def test_a_killed_task_leaves_its_execution_alone_by_default(customer, executions):
    with DAG("killed", schedule=None):
        task = CodePipelineStartPipelineOperator(
            task_id="start", pipeline_name="pipe", wait_for_completion=False
        )
    execution_id = task.execute(context_of())
    task.on_kill()
    assert executions() == {execution_id: "InProgress"}
    assert execution_id in task.execution_url


@pytest.mark.parametrize("how", WAYS)
def test_an_execution_that_is_stopped_from_outside(customer, executions, emulator, run_dag, how, monkeypatch):
    start = Transport.send

    def stopping(self, call, *args, **kwargs):
        if call.operation in ("GetPipelineExecution", "ListPipelineExecutions"):
            client = admin_client(emulator, "codepipeline")
            for each, status in executions().items():
                if status == "InProgress":
                    client.stop_pipeline_execution(
                        pipelineName="pipe", pipelineExecutionId=each, abandon=True
                    )
        return start(self, call, *args, **kwargs)

    monkeypatch.setattr(Transport, "send", stopping)
    run = run_dag(f"start_pipeline_{how}", pipeline="pipe")
    assert run.states == {"start": "failed"}
    assert run.xcoms["start", "pipeline_execution"]["status"] == "Stopped"


def test_an_execution_that_goes_on_is_waited_for_once_more(customer, emulator):
    """Somebody has retried its stage since the triggerer saw that it failed."""
    execution_id = emulator.start_execution("pipe")
    failed = PipelineExecution("pipe", execution_id, "Failed").to_xcom()
    event = {"status": "ended", "pipeline_execution_id": execution_id, "execution": failed, "error": None}
    event["timeout_deadline"] = deadline = time.time() + 3600
    with DAG("once_more", schedule=None):
        task = CodePipelineStartPipelineOperator(task_id="start", pipeline_name="pipe")
    with pytest.raises(TaskDeferred) as deferred:
        task.execute_complete(context_of(), event)
    assert deferred.value.trigger.execution_id == execution_id
    # The time that it may take does not begin anew.
    assert deferred.value.trigger.timeout_deadline == deadline


def test_a_wait_has_an_end(customer):
    with DAG("late", schedule=None):
        task = CodePipelineStartPipelineOperator(
            task_id="start", pipeline_name="pipe", waiter_delay=0.01, waiter_max_attempts=2
        )
    with pytest.raises(ExecutionNotSucceeded, match="has not ended in time") as raised:
        task.execute(context_of())
    assert raised.value.retryable
