# SPDX-License-Identifier: Apache-2.0
"""The operators that answer a manual approval, and that open and close transitions between stages."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from declaring import APPROVAL, action, stage

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._protocol.responses import Outcome
from airflow_codepipeline_partner._transport import Transport, _Unanswered
from airflow_codepipeline_partner.exceptions import InvalidInput, RequestRefused
from airflow_codepipeline_partner.operators import (
    CodePipelinePutApprovalResultOperator,
    CodePipelineStageTransitionOperator,
)

NOBODYS = "00000000-0000-4000-8000-000000000000"


ASK = stage("Ask", action("Answer", APPROVAL))


def started(client):
    return client.start_pipeline_execution(name="ask")["pipelineExecutionId"]


def status_of(client, execution_id):
    found = client.get_pipeline_execution(pipelineName="ask", pipelineExecutionId=execution_id)
    return found["pipelineExecution"]["status"]


def approval(**parameters):
    with DAG("answer", schedule=None):
        return CodePipelinePutApprovalResultOperator(
            task_id="answer",
            retries=3,
            **{"pipeline_name": "ask", "stage_name": "Ask", "action_name": "Answer", **parameters},
        )


def context_of(try_number=1, max_tries=3, began=None):
    ti = SimpleNamespace(dag_id="answer", run_id="r", try_number=try_number, max_tries=max_tries)
    return {"ti": ti, "dag_run": SimpleNamespace(start_date=began)}


@pytest.mark.parametrize("mode", ["SUPERSEDED", "QUEUED", "PARALLEL"])
@pytest.mark.parametrize(("answer", "status"), [("Approved", "Succeeded"), ("Rejected", "Failed")])
def test_an_approval_is_answered(client, declare, mode, answer, status):
    declare("ask", ASK, mode=mode)
    execution_id = started(client)
    approval(status=answer, execution_id=execution_id).execute(context_of())
    assert status_of(client, execution_id) == status


def test_without_an_execution_the_one_that_waits_is_answered(client, declare):
    declare("ask", ASK)
    execution_id = started(client)
    approval().execute(context_of())
    assert status_of(client, execution_id) == "Succeeded"
    [_, ask] = client.get_pipeline_state(name="ask")["stageStates"]
    assert ask["actionStates"][0]["latestExecution"]["summary"] == "Approved by Airflow: answer, run r."


def test_an_approval_that_does_not_wait(client, declare):
    declare("ask", ASK)
    # A retry may come when it waits.
    with pytest.raises(RequestRefused, match="No approval waits at Ask / Answer"):
        approval().execute(context_of())
    execution_id = started(client)
    approval().execute(context_of())
    # Somebody has answered it.
    with pytest.raises(RequestRefused, match="No approval waits"):
        approval(execution_id=execution_id).execute(context_of())


@pytest.mark.parametrize("with_id", [True, False])
def test_a_retry_knows_its_own_answer(client, declare, with_id):
    declare("ask", ASK)
    execution_id = started(client)
    more = {"execution_id": execution_id} if with_id else {}
    approval(**more).execute(context_of())
    approval(**more).execute(context_of(try_number=2))
    with pytest.raises(RequestRefused):
        approval(status="Rejected", **more).execute(context_of(try_number=2))


def test_a_retry_does_not_answer_the_next_one_that_waits(client, declare):
    declare("ask", ASK)
    first, then = started(client), None
    approval().execute(context_of())
    then = started(client)
    approval().execute(context_of(try_number=2))
    assert [status_of(client, each) for each in (first, then)] == ["Succeeded", "InProgress"]
    # A clear is another wish.
    approval().execute(context_of(try_number=2, max_tries=4))
    assert status_of(client, then) == "Succeeded"


def test_a_retry_answers_if_the_earlier_try_did_not(client, declare):
    declare("ask", ASK)
    execution_id = started(client)
    approval().execute(context_of(try_number=2))
    assert status_of(client, execution_id) == "Succeeded"


def test_what_was_answered_before_the_run_is_no_answer_of_it(client, declare):
    declare("ask", ASK)
    started(client)
    approval(summary="Fine.").execute(context_of())
    then = started(client)
    later = datetime.now(UTC) + timedelta(minutes=5)
    approval(summary="Fine.").execute(context_of(try_number=2, began=later))
    assert status_of(client, then) == "Succeeded"


def test_an_answer_whose_own_answer_was_lost(client, declare, monkeypatch):
    declare("ask", ASK)
    execution_id = started(client)
    try_once, puts = Transport._try_once, []

    def losing(self, call, *args, **kwargs):
        answer = try_once(self, call, *args, **kwargs)
        if call.operation == "PutApprovalResult":
            puts.append(call)
            if len(puts) == 1:
                return _Unanswered("its answer was lost", Outcome.UNKNOWN)
        return answer

    monkeypatch.setattr(Transport, "_try_once", losing)
    approval().execute(context_of())
    assert (len(puts), status_of(client, execution_id)) == (2, "Succeeded")


def test_it_waits_until_the_approval_comes_up(client, declare):
    declare("ask", ASK)
    found = []
    later = threading.Timer(0.3, lambda: found.append(started(client)))
    later.start()
    approval(wait_for_approval=True, waiter_delay=0.05, waiter_max_attempts=200).execute(context_of())
    later.join()
    assert status_of(client, found[0]) == "Succeeded"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pipeline_name": "nobodys"}, "PipelineNotFound"),
        ({"stage_name": "Asks"}, "no stage with the name Asks.*Ask"),
        ({"action_name": "Answers"}, "no action in stage Ask"),
        ({"execution_id": NOBODYS}, "PipelineNotFound"),
    ],
)
def test_what_is_not_there_is_named(client, declare, wrong, said):
    declare("ask", ASK)
    execution_id = started(client)
    with pytest.raises((AirflowFailException, RequestRefused), match=said):
        approval(**wrong).execute(context_of())
    assert status_of(client, execution_id) == "InProgress"


@pytest.mark.parametrize("wrong", [{"status": "Yes"}, {"execution_id": "last"}, {"waiter_delay": 0}])
def test_what_cannot_be_an_answer_is_refused_as_the_dag_is_read(wrong):
    with pytest.raises(InvalidInput):
        approval(**wrong)


def transition(**parameters):
    with DAG("transition", schedule=None):
        return CodePipelineStageTransitionOperator(
            task_id="transition", **{"pipeline_name": "ask", "stage_name": "Ask", **parameters}
        )


def test_executions_are_held_up_and_let_in(client, declare):
    declare("ask", ASK)
    transition(enabled=False, reason="Freeze until Monday.").execute({})
    # Again, as a retry would.
    transition(enabled=False, reason="Freeze until Monday.").execute({})
    started(client)
    [_, ask] = client.get_pipeline_state(name="ask")["stageStates"]
    assert ask["inboundTransitionState"]["enabled"] is False
    assert ask["inboundTransitionState"]["disabledReason"] == "Freeze until Monday."
    assert "latestExecution" not in ask["actionStates"][0]
    transition(enabled=True).execute({})
    [_, ask] = client.get_pipeline_state(name="ask")["stageStates"]
    assert ask["actionStates"][0]["latestExecution"]["status"] == "InProgress"


def test_a_transition_of_no_stage(client, declare):
    declare("ask", ASK)
    with pytest.raises(AirflowFailException, match="StageNotFound"):
        transition(stage_name="Nobodys", enabled=True).execute({})


@pytest.mark.parametrize(
    "wrong",
    [
        {"enabled": False},
        {"enabled": True, "reason": "No reason."},
        {"enabled": False, "reason": "Freeze; until Monday"},
        {"enabled": True, "transition_type": "Sideways"},
    ],
)
def test_what_is_no_transition_is_refused_as_the_dag_is_read(wrong):
    with pytest.raises(InvalidInput):
        transition(**wrong)
