# SPDX-License-Identifier: Apache-2.0
"""What one does with a pipeline, by clients of other makers: hold up, approve, retry, roll back, override."""

from __future__ import annotations

import pytest
from clients.sdks import AwsCli, NodeSdk
from clients.stages import pipeline
from declaring import APPROVAL, CUSTOM_TYPE

KIND = {name: CUSTOM_TYPE[name] for name in ("category", "provider", "version")}
COUNTS = {"minimumCount": 0, "maximumCount": 5}
ASK = {"name": "Ask", "actionTypeId": APPROVAL}
SHIP = {"name": "Ship", "actionTypeId": CUSTOM_TYPE, "inputArtifacts": [{"name": "App"}]}
NAMED = {"pipelineName": "shop"}
POLL = ("PollForJobs", {"actionTypeId": CUSTOM_TYPE}, {"job": "jobs.0.id", "nonce": "jobs.0.nonce"})
CLAIM = ("AcknowledgeJob", {"jobId": "$job", "nonce": "$nonce"})
STATE = ("GetPipelineState", {"name": "shop"})
TOKEN = "stageStates.1.actionStates.0.latestExecution.token"


def transition(operation, **more):
    return operation, {**NAMED, "stageName": "Ask", "transitionType": "Inbound", **more}


def answer(token, status="Approved"):
    said = {"summary": "by a test", "status": status}
    return "PutApprovalResult", {
        **NAMED,
        "stageName": "Ask",
        "actionName": "Ask",
        "result": said,
        "token": token,
    }


# Debian's SDK for Go is older than most of these operations.
@pytest.mark.parametrize("make_calls", [NodeSdk, AwsCli], indirect=True)
def test_a_pipeline_from_its_approval_to_its_rollback(make_calls):
    made = pipeline(make_calls.role, ASK, SHIP) | {"pipelineType": "V2", "executionMode": "SUPERSEDED"}
    failure = {"jobId": "$job", "failureDetails": {"type": "JobFailed", "message": "no"}}
    of_ship = {**NAMED, "stageName": "Ship"}
    answered = make_calls(
        [
            (
                "CreateCustomActionType",
                {**KIND, "inputArtifactDetails": COUNTS, "outputArtifactDetails": COUNTS},
            ),
            ("CreatePipeline", {"pipeline": made}),
            transition("DisableStageTransition", reason="Freeze."),
            ("StartPipelineExecution", {"name": "shop"}, {"run": "pipelineExecutionId"}),
            STATE,
            transition("EnableStageTransition"),
            (*STATE, {"token": TOKEN}),
            answer("00000000-0000-4000-8000-000000000000"),
            answer("$token"),
            answer("$token"),
            POLL,
            CLAIM,
            ("PutJobFailureResult", failure),
            (
                "RetryStageExecution",
                {**of_ship, "pipelineExecutionId": "$run", "retryMode": "FAILED_ACTIONS"},
            ),
            POLL,
            CLAIM,
            ("PutJobSuccessResult", {"jobId": "$job"}),
            ("StartPipelineExecution", {"name": "shop"}, {"later": "pipelineExecutionId"}),
            (*STATE, {"token": TOKEN}),
            answer("$token", "Rejected"),
            (
                "OverrideStageCondition",
                {**of_ship, "pipelineExecutionId": "$run", "conditionType": "BEFORE_ENTRY"},
            ),
            ("RollbackStage", {**of_ship, "targetPipelineExecutionId": "$run"}),
            (
                "PutActionRevision",
                {
                    **NAMED,
                    "stageName": "Nobodys",
                    "actionName": "Fetch",
                    "actionRevision": {
                        "revisionId": "1",
                        "revisionChangeId": "1",
                        "created": "2026-01-31T00:00:00Z",
                    },
                },
            ),
            ("ListRuleExecutions", NAMED),
            ("ListRuleTypes", {}),
            ("ListWebhooks", {}),
            ("ListPipelineExecutions", NAMED),
        ]
    )
    answers = [answer for _, answer in answered]
    held, waits = answers[4]["stageStates"][1], answers[6]["stageStates"][1]
    assert held["inboundTransitionState"]["disabledReason"] == "Freeze."
    assert waits["actionStates"][0]["latestExecution"]["status"] == "InProgress"
    assert answers[7] == "InvalidApprovalTokenException"
    assert "approvedAt" in answers[8]
    assert answers[9] == "ApprovalAlreadyCompletedException"
    assert answers[13] == {"pipelineExecutionId": answers[3]["pipelineExecutionId"]}
    assert answers[16] == {}
    assert answers[20] == "ConditionNotOverridableException"
    assert answers[22] == "StageNotFoundException"
    assert answers[23].get("ruleExecutionDetails") == []
    assert answers[25].get("webhooks") == []
    newest, rejected, first = answers[26]["pipelineExecutionSummaries"]
    assert newest["pipelineExecutionId"] == answers[21]["pipelineExecutionId"]
    assert (newest["executionType"], newest["status"]) == ("ROLLBACK", "InProgress")
    assert (rejected["status"], first["status"]) == ("Failed", "Succeeded")
