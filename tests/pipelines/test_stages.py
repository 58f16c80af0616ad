# SPDX-License-Identifier: Apache-2.0
"""The operators that roll a stage back, pass its conditions, and tell a source of a new revision."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from declaring import CODE_DEPLOY, action, stage
from support import CUSTOM_TYPE

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._pipeline_methods import PipelineMethods
from airflow_codepipeline_partner._protocol.responses import Outcome
from airflow_codepipeline_partner._transport import Transport, _Unanswered
from airflow_codepipeline_partner.exceptions import InvalidInput, ServiceUnavailable
from airflow_codepipeline_partner.operators import (
    CodePipelineOverrideStageConditionOperator,
    CodePipelinePutActionRevisionOperator,
    CodePipelineRollbackStageOperator,
)

NOBODYS = "00000000-0000-4000-8000-000000000000"
SHIP = stage("Ship", action("Out", CODE_DEPLOY, inputs=["SourceOutput"]))


class Store(dict):
    """Stands for Airflow 3.3's store of a task."""

    set = dict.__setitem__


def context_of(try_number=1, max_tries=1, store=None):
    left = {}
    ti = SimpleNamespace(
        try_number=try_number, max_tries=max_tries, xcom_push=lambda key, value: left.update({key: value})
    )
    return {"ti": ti, "task_state_store": store, "left": left}


def made(operator, pipeline_name="ship", **parameters):
    with DAG("one", schedule=None):
        return operator(task_id="one", pipeline_name=pipeline_name, **parameters)


@pytest.fixture
def shipped(client, declare):
    """An execution that succeeded in the stage, before another one."""
    declare("ship", SHIP)
    ids = [client.start_pipeline_execution(name="ship")["pipelineExecutionId"] for _ in range(2)]
    return ids[0]


def rollbacks(client):
    found = client.list_pipeline_executions(pipelineName="ship")["pipelineExecutionSummaries"]
    return [each["pipelineExecutionId"] for each in found if each["executionType"] == "ROLLBACK"]


def roll_back(target, **parameters):
    more = {"stage_name": "Ship", "target_execution_id": target, "waiter_delay": 0.05}
    return made(CodePipelineRollbackStageOperator, **{**more, **parameters})


def test_a_stage_is_rolled_back(client, shipped):
    context = context_of()
    execution_id = roll_back(shipped).execute(context)
    assert rollbacks(client) == [execution_id]
    assert context["left"]["pipeline_execution"]["status"] == "Succeeded"


def losing_answers(monkeypatch, *, before_it_acts=False):
    """Lose the answer to the first call that rolls a stage back."""
    try_once, calls = Transport._try_once, []

    def faulty(self, call, *args, **kwargs):
        is_it = call.operation == "RollbackStage"
        calls.extend([call] * is_it)
        is_lost = is_it and len(calls) == 1
        if is_lost and before_it_acts:
            return _Unanswered("its answer was lost", Outcome.UNKNOWN)
        answer = try_once(self, call, *args, **kwargs)
        return _Unanswered("its answer was lost", Outcome.UNKNOWN) if is_lost else answer

    monkeypatch.setattr(Transport, "_try_once", faulty)
    return calls


def test_a_lost_answer_rolls_back_once(client, shipped, monkeypatch):
    calls = losing_answers(monkeypatch)
    assert [roll_back(shipped).execute(context_of())] == rollbacks(client)
    assert len(calls) == 1


def test_a_call_that_did_not_come_through_is_made_by_a_retry(client, shipped, monkeypatch):
    calls = losing_answers(monkeypatch, before_it_acts=True)
    store = Store()
    with pytest.raises(ServiceUnavailable):
        roll_back(shipped).execute(context_of(store=store))
    assert rollbacks(client) == []
    assert [roll_back(shipped).execute(context_of(try_number=2, store=store))] == rollbacks(client)
    assert len(calls) == 2


def test_a_retry_after_a_death_finds_its_rollback(client, shipped, monkeypatch):
    store = Store()
    task = roll_back(shipped)
    with monkeypatch.context() as patch:
        patch.setattr(type(task), "_wait_for", lambda *given: (_ for _ in ()).throw(SystemExit(9)))
        with pytest.raises(SystemExit):
            task.execute(context_of(store=store))
    assert [roll_back(shipped).execute(context_of(try_number=2, store=store))] == rollbacks(client)
    # A clear is another wish.
    roll_back(shipped).execute(context_of(max_tries=3, store=store))
    assert len(rollbacks(client)) == 2


def test_a_rollback_that_has_no_actions_yet_is_its_own(client, shipped, monkeypatch):
    losing_answers(monkeypatch)
    monkeypatch.setattr(PipelineMethods, "get_action_executions", lambda *of_which: [])
    task = roll_back(shipped, wait_for_completion=False)
    assert [task.execute(context_of())] == rollbacks(client)


def test_another_stages_rollback_is_not_taken_for_its_own(client, declare, monkeypatch):
    declare("ship", SHIP, stage("Prod", action("Live", CODE_DEPLOY, inputs=["SourceOutput"])))
    target, _ = (client.start_pipeline_execution(name="ship")["pipelineExecutionId"] for _ in range(2))
    losing_answers(monkeypatch, before_it_acts=True)
    store = Store()
    with pytest.raises(ServiceUnavailable):
        roll_back(target).execute(context_of(store=store))
    client.rollback_stage(pipelineName="ship", stageName="Prod", targetPipelineExecutionId=target)
    [other] = rollbacks(client)
    assert roll_back(target).execute(context_of(try_number=2, store=store)) not in (None, other)
    assert len(rollbacks(client)) == 2


@pytest.mark.parametrize("wrong", [{"stage_name": "Nobodys"}, {"target": NOBODYS}])
def test_what_cannot_be_rolled_back(client, shipped, wrong):
    target = wrong.pop("target", shipped)
    with pytest.raises(AirflowFailException):
        roll_back(target, **wrong).execute(context_of())
    assert rollbacks(client) == []


def test_a_condition_that_holds_nothing_up(client, shipped):
    task = made(
        CodePipelineOverrideStageConditionOperator,
        stage_name="Ship",
        execution_id=shipped,
        condition_type="BEFORE_ENTRY",
    )
    with pytest.raises(AirflowFailException):
        task.execute(context_of())


@pytest.fixture
def watched(client, declare, emulator):
    """A pipeline with a custom source."""
    kind = {**CUSTOM_TYPE, "category": "Source"}
    client.create_custom_action_type(
        category="Source",
        provider=kind["provider"],
        version=kind["version"],
        inputArtifactDetails={"minimumCount": 0, "maximumCount": 0},
        outputArtifactDetails={"minimumCount": 1, "maximumCount": 1},
    )
    pipeline = stage("Fetch", action("Get", kind, outputs=["Fetched"]))
    own = {"stages": [pipeline, stage("Ship", action("Out", CODE_DEPLOY, inputs=["Fetched"]))]}
    declare("watched", **own)


def tell(**parameters):
    more = {"stage_name": "Fetch", "action_name": "Get", "revision_id": "1"}
    return made(CodePipelinePutActionRevisionOperator, "watched", **{**more, **parameters})


def test_a_new_revision_starts_the_pipeline_once(client, watched):
    first = tell().execute(context_of())
    # A retry has the same revision.
    tell().execute(context_of(try_number=2))
    second = tell(revision_id="2").execute(context_of())
    found = client.list_pipeline_executions(pipelineName="watched")["pipelineExecutionSummaries"]
    assert {each["pipelineExecutionId"] for each in found} == {first, second}


def test_a_revision_of_no_source(client, shipped):
    task = made(
        CodePipelinePutActionRevisionOperator, stage_name="Ship", action_name="Nobodys", revision_id="1"
    )
    with pytest.raises(AirflowFailException, match="ActionNotFound"):
        task.execute(context_of())


def test_what_cannot_be_sent_is_refused_as_the_dag_is_read():
    for wrong in ({"stage_name": "a/b"}, {"target_execution_id": "last"}):
        with pytest.raises(InvalidInput):
            roll_back(NOBODYS, **wrong)
    for wrong in ({"revision_id": ""}, {"revision_change_id": "x" * 101}):
        with pytest.raises(InvalidInput):
            tell(**wrong)
    with pytest.raises(InvalidInput):
        made(
            CodePipelineOverrideStageConditionOperator,
            stage_name="Ship",
            execution_id=NOBODYS,
            condition_type="SOMETIME",
        )
