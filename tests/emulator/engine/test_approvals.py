# SPDX-License-Identifier: Apache-2.0
"""Manual approvals: an execution waits for a person's answer."""

from __future__ import annotations

import uuid

import pytest
from declaring import APPROVAL, action, code, message, retry, stage

CALLER = "arn:aws:sts::123456789012:user/moto"
WEEK = 7 * 24 * 3600


@pytest.fixture
def waiting(made):
    """An execution that waits for an approval, then for a worker."""

    def make(mode="SUPERSEDED", actions=(), **approval):
        m = made()
        ask = action("Ask", APPROVAL, **approval)
        m.create(
            m.source,
            stage("Build", ask, *(actions or [action("Do", runOrder=2)])),
            executionMode=mode,
            pipelineType="V2",
        )
        return m, m.start()

    return make


def latest(m, place=0):
    [_, build] = m.client.get_pipeline_state(name="made")["stageStates"]
    return build["actionStates"][place]["latestExecution"]


def answer(m, status="Approved", summary="fine", **change):
    asked = {"pipelineName": "made", "stageName": "Build", "actionName": "Ask"}
    asked["result"] = {"status": status, "summary": summary}
    if "token" not in change:
        change["token"] = latest(m)["token"]
    return asked | change


def test_an_approved_action_succeeds_and_the_next_begins(waiting):
    m, execution_id = waiting()
    asked = latest(m)
    assert asked["status"] == "InProgress"
    uuid.UUID(asked["token"])
    assert m.w.worker.poll() == []
    m.w.emu.advance(60)
    assert m.client.put_approval_result(**answer(m))["approvedAt"] == m.w.emu.now()
    shown = latest(m)
    assert (shown["status"], shown["summary"], shown["lastUpdatedBy"]) == ("Succeeded", "fine", CALLER)
    assert "token" not in shown
    assert shown["lastStatusChange"] == m.w.emu.now()
    m.w.worker.succeed(m.claim()["id"])
    assert m.status(execution_id) == "Succeeded"


def test_a_rejected_action_fails_the_execution(waiting):
    m, execution_id = waiting()
    m.client.put_approval_result(**answer(m, "Rejected", "not today"))
    shown = latest(m)
    assert (shown["status"], shown["summary"], shown["lastUpdatedBy"]) == ("Failed", "not today", CALLER)
    assert shown["errorDetails"]["code"] == "JobFailed"
    assert "not today" in shown["errorDetails"]["message"]
    assert m.status(execution_id) == "Failed"
    run = m.runs()[-1]
    assert run["updatedBy"] == CALLER
    assert run["output"]["executionResult"]["errorDetails"] == shown["errorDetails"]


def test_an_answer_may_have_no_words(waiting):
    m, _ = waiting()
    m.client.put_approval_result(**answer(m, "Rejected", ""))
    assert "summary" not in latest(m)
    assert latest(m)["errorDetails"]["message"]


@pytest.mark.parametrize(
    ("declared", "seconds"),
    [({}, WEEK), ({"timeoutInMinutes": 5}, 300), ({"timeoutInMinutes": 86400}, 5184000)],
)
def test_an_approval_without_an_answer_expires(waiting, declared, seconds):
    m, execution_id = waiting(**declared)
    given = answer(m)
    m.w.emu.advance(seconds - 1)
    assert m.status(execution_id) == "InProgress"
    m.w.emu.advance(1)
    assert m.status(execution_id) == "Failed"
    assert latest(m)["errorDetails"]["code"] == "JobFailed"
    assert f"{seconds // 60} minutes" in latest(m)["errorDetails"]["message"]
    assert code(m.client.put_approval_result, **given) == "InvalidApprovalTokenException"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pipelineName": "other"}, "PipelineNotFoundException"),
        ({"stageName": "Other"}, "StageNotFoundException"),
        ({"actionName": "Other"}, "ActionNotFoundException"),
        ({"actionName": "Do"}, "InvalidApprovalTokenException"),
        ({"token": str(uuid.uuid4())}, "InvalidApprovalTokenException"),
        ({"token": "none"}, "ValidationException"),
        ({"result": {"status": "Approved", "summary": "x" * 513}}, "ValidationException"),
        ({"result": {"status": "Maybe", "summary": ""}}, "ValidationException"),
    ],
)
def test_an_answer_to_something_else_is_refused(waiting, change, error):
    m, _ = waiting()
    assert code(m.client.put_approval_result, **answer(m, **change)) == error
    assert latest(m)["status"] == "InProgress"


def test_the_second_answer_is_refused(waiting):
    m, _ = waiting()
    given = answer(m)
    m.client.put_approval_result(**given)
    for status in ("Approved", "Rejected"):
        again = given | {"result": {"status": status, "summary": ""}}
        assert code(m.client.put_approval_result, **again) == "ApprovalAlreadyCompletedException"
    assert latest(m)["status"] == "Succeeded"


def test_a_retry_asks_again_with_another_token(waiting):
    m, execution_id = waiting()
    first = answer(m, "Rejected")
    m.client.put_approval_result(**first)
    m.client.retry_stage_execution(**retry(m, execution_id))
    assert latest(m)["token"] != first["token"]
    assert code(m.client.put_approval_result, **first) == "ApprovalAlreadyCompletedException"
    m.client.put_approval_result(**answer(m))
    assert m.named(m.claim()) == "Do"


def test_the_old_timeout_does_not_end_a_retry(waiting):
    m, execution_id = waiting(timeoutInMinutes=10)
    m.w.emu.advance(300)
    m.client.put_approval_result(**answer(m, "Rejected"))
    m.client.retry_stage_execution(**retry(m, execution_id))
    m.w.emu.advance(599)
    assert latest(m)["status"] == "InProgress"
    m.w.emu.advance(1)
    assert latest(m)["status"] == "Failed"


@pytest.mark.parametrize("abandon", [True, False])
def test_a_stop_waits_for_the_answer_or_abandons(waiting, abandon):
    m, execution_id = waiting()
    given = answer(m)
    m.client.stop_pipeline_execution(
        pipelineName="made", pipelineExecutionId=execution_id, abandon=abandon, reason="enough"
    )
    assert latest(m)["status"] == ("Abandoned" if abandon else "InProgress")
    if abandon:
        assert code(m.client.put_approval_result, **given) == "InvalidApprovalTokenException"
    else:
        m.client.put_approval_result(**given)
        assert m.actions()["Do"] is None
    assert m.status(execution_id) == "Stopped"


def test_in_parallel_the_token_is_in_the_list_of_actions(waiting):
    m, first = waiting("PARALLEL")
    second = m.start()
    assert "token" not in latest(m)
    tokens = [
        m.runs(each)[-1]["output"]["executionResult"]["externalExecutionId"] for each in (first, second)
    ]
    assert tokens[0] != tokens[1]
    m.client.put_approval_result(**answer(m, token=tokens[0]))
    assert m.runs(first)[1]["status"] == "Succeeded"
    assert m.runs(second)[1]["status"] == "InProgress"
    m.client.put_approval_result(**answer(m, "Rejected", token=tokens[1]))
    assert (m.status(first), m.status(second)) == ("InProgress", "Failed")


def test_approvals_beside_other_actions_wait_for_all(waiting):
    m, execution_id = waiting(actions=[action("Do"), action("Too", APPROVAL)])
    given = answer(m)
    wrong = given | {"token": latest(m, 2)["token"]}
    assert code(m.client.put_approval_result, **wrong) == "InvalidApprovalTokenException"
    m.client.put_approval_result(**given)
    m.client.put_approval_result(**(wrong | {"actionName": "Too"}))
    assert m.status(execution_id) == "InProgress"
    m.w.worker.succeed(m.claim()["id"])
    assert m.status(execution_id) == "Succeeded"


def test_what_to_look_at_is_shown_with_its_variables(waiting):
    look = "https://example.com/#{codepipeline.PipelineExecutionId}"
    m, execution_id = waiting(configuration={"ExternalEntityLink": look, "CustomData": "see #{Src.ETag}"})
    [_, build] = m.client.get_pipeline_state(name="made")["stageStates"]
    assert build["actionStates"][0]["entityUrl"] == f"https://example.com/{execution_id}"
    assert "#" not in m.runs()[-1]["input"]["resolvedConfiguration"]["CustomData"]


def test_only_an_approval_has_a_timeout_of_its_own(made):
    m = made()
    declared = m.declared(m.source, stage("Build", action("Do", timeoutInMinutes=5)))
    assert code(m.client.create_pipeline, pipeline=declared) == "InvalidActionDeclarationException"
    assert "timeoutInMinutes" in message(m.client.create_pipeline, pipeline=declared)


def test_a_deleted_pipeline_asks_nobody(waiting):
    m, _ = waiting()
    given = answer(m)
    m.client.delete_pipeline(name="made")
    assert code(m.client.put_approval_result, **given) == "PipelineNotFoundException"
    m.w.emu.advance(WEEK)


def test_an_answer_is_in_the_ledger_without_its_token(waiting):
    m, execution_id = waiting()
    given = answer(m)
    m.client.put_approval_result(**given)
    [said] = m.w.emu.ledger.where(operation="PutApprovalResult")
    assert (said.outcome, said.pipeline_execution_id) == ("ok", execution_id)
    assert said.details == {"status": "Approved", "summary": "fine"}
    assert given["token"] not in str([entry.as_dict() for entry in m.w.emu.ledger])
