# SPDX-License-Identifier: Apache-2.0
"""Requests are checked against botocore's model."""

from __future__ import annotations

import pytest
from declaring import ACTION_TYPE

JOB = {"jobId": "j", "clientToken": "t"}
SUCCESS, FAILURE, POLL = (
    "PutThirdPartyJobSuccessResult",
    "PutThirdPartyJobFailureResult",
    "PollForThirdPartyJobs",
)


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        (POLL, {}, "Value null at 'actionTypeId' {F} Member must not be null"),
        (
            POLL,
            {"actionTypeId": ACTION_TYPE | {"category": "X"}},
            "Value 'X' at 'actionTypeId.category' {F} Member must satisfy enum value set: [Source, ",
        ),
        (
            POLL,
            {"actionTypeId": ACTION_TYPE | {"provider": "a b"}},
            "Value 'a b' at 'actionTypeId.provider' {F} Member must satisfy regular expression pattern: ",
        ),
        (
            POLL,
            {"actionTypeId": ACTION_TYPE | {"version": "1" * 10}},
            "Member must have length less than or equal to 9",
        ),
        (
            POLL,
            {"actionTypeId": ACTION_TYPE, "maxBatchSize": 0},
            "Value '0' at 'maxBatchSize' {F} Member must have value greater than or equal to 1",
        ),
        (
            SUCCESS,
            JOB | {"continuationToken": "x" * 2049},
            "'continuationToken' {F} Member must have length less than or equal to 2048",
        ),
        (
            SUCCESS,
            JOB | {"executionDetails": {"percentComplete": 101}},
            "'executionDetails.percentComplete' {F} Member must have value less than or equal to 100",
        ),
        (
            SUCCESS,
            JOB | {"executionDetails": {"summary": ""}},
            "'executionDetails.summary' {F} Member must have length greater than or equal to 1",
        ),
        (
            SUCCESS,
            JOB | {"currentRevision": {"revision": "r"}},
            "Value null at 'currentRevision.changeIdentifier'",
        ),
        (
            FAILURE,
            JOB | {"failureDetails": {"type": "JobFailed", "message": "x" * 5001}},
            "'failureDetails.message' failed",
        ),
        (
            FAILURE,
            JOB | {"failureDetails": {"type": "PermissionsError", "message": "x"}},
            "RevisionOutOfSync, RevisionUnavailable, SystemUnavailable]",
        ),
        ("AcknowledgeThirdPartyJob", JOB | {"nonce": "1" * 51}, "Value at 'nonce' failed"),
        (
            "GetThirdPartyJobDetails",
            {"jobId": "j", "clientToken": "secret" * 50},
            "Value at 'clientToken' failed",
        ),
        (
            "StartPipelineExecution",
            {"name": "p", "variables": [{"name": "a b", "value": "v"}]},
            "'variables.1.member.name' failed",
        ),
        ("ListTagsForResource", {}, "Value null at 'resourceArn'"),
    ],
)
def test_each_request_is_checked_against_the_model(world, signed_call, operation, body, message):
    status, answer, headers = signed_call(world().emu, operation, body)
    assert (status, answer["__type"]) == (400, "ValidationException")
    assert answer["message"].startswith("1 validation error detected: ")
    assert message.replace("{F}", "failed to satisfy constraint:") in answer["message"]
    assert "secret" not in answer["message"]
    assert headers["Content-Type"] == "application/x-amz-json-1.1"


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        (POLL, {"actionTypeId": ACTION_TYPE, "maxBatchSize": "3"}, "STRING_VALUE {C} an Integer"),
        (POLL, {"actionTypeId": ACTION_TYPE, "maxBatchSize": True}, "TRUE_VALUE {C} an Integer"),
        (POLL, {"actionTypeId": ACTION_TYPE, "maxBatchSize": 1.5}, "NUMBER_VALUE {C} an Integer"),
        (POLL, {"actionTypeId": ACTION_TYPE, "maxBatchSize": 2**31}, "NUMBER_VALUE {C} an Integer"),
        (POLL, {"actionTypeId": ACTION_TYPE, "maxBatchSize": -(2**31) - 1}, "NUMBER_VALUE {C} an Integer"),
        (POLL, {"actionTypeId": ACTION_TYPE | {"owner": False}}, "FALSE_VALUE {C} a String"),
        (POLL, {"actionTypeId": []}, "Start of list found where not expected."),
        (POLL, {"actionTypeId": "Deploy"}, "Unexpected field type"),
        (SUCCESS, JOB | {"jobId": {}}, "Start of structure or map found where not expected."),
        (SUCCESS, JOB | {"clientToken": 777}, "NUMBER_VALUE {C} a String"),
        ("StartPipelineExecution", {"name": "p", "variables": [5]}, "Unexpected field type"),
        ("CreatePipeline", {"pipeline": {"stages": [{"actions": [{"configuration": {"k": 5}}]}]}}, "NUMBER_"),
        *(
            (SUCCESS, JOB | {"currentRevision": {"created": created}}, "{C} milliseconds since epoch")
            for created in ("2027-01-15T08:00:00Z", 1e300, -62_135_596_801, True)
        ),
    ],
)
def test_a_value_of_another_type_is_a_serialization_exception(world, signed_call, operation, body, message):
    status, answer, _ = signed_call(world().emu, operation, body)
    assert (status, answer["__type"]) == (400, "SerializationException")
    assert message.replace("{C}", "can not be converted to") in answer["message"]
    assert "777" not in answer["message"]


def test_a_null_in_a_list_is_a_validation_error(world, signed_call):
    body = {"name": "p", "variables": [None]}
    answer = signed_call(world().emu, "StartPipelineExecution", body)[1]
    assert "Value null at 'variables.1.member'" in answer["message"]


@pytest.mark.parametrize("created", [-1, -1.5, -62_135_596_800, 253_402_300_799])
def test_a_revision_may_be_as_old_as_time(world, signed_call, created):
    w = world()
    w.start()
    job_id = w.worker.claim()
    revision = {"revision": "r", "changeIdentifier": "c", "created": created}
    body = {"jobId": job_id, "clientToken": w.worker.token, "currentRevision": revision}
    assert signed_call(w.emu, SUCCESS, body)[0] == 200
    shown = w.emu.pipeline_state("pipeline")["stageStates"][1]["actionStates"][0]["currentRevision"]
    assert shown["created"] == created


def test_a_value_is_not_repeated_at_full_length(world, signed_call):
    body = JOB | {"continuationToken": "x" * 100_000}
    assert len(signed_call(world().emu, SUCCESS, body)[1]["message"]) < 1000


def test_all_violations_are_reported_at_once(world, signed_call):
    status, answer, _ = signed_call(world().emu, "AcknowledgeThirdPartyJob", {"jobId": ""})
    assert status == 400
    assert answer["message"].startswith("3 validation errors detected: ")


def test_configuration_maps_are_checked_by_key_and_value(world, signed_call):
    action = {"name": "a", "actionTypeId": ACTION_TYPE, "configuration": {"": "v", "k": ""}}
    declared = {
        "name": "p",
        "roleArn": "arn:aws:iam::1:role/r",
        "stages": [{"name": "s", "actions": [action]}],
    }
    answer = signed_call(world().emu, "CreatePipeline", {"pipeline": declared})[1]
    assert "configuration.key' failed" in answer["message"]
    assert "configuration.k.member' failed" in answer["message"]


def test_unknown_members_and_nulls_are_ignored(world, signed_call):
    w = world()
    body = {"actionTypeId": ACTION_TYPE, "maxBatchSize": None, "queryParam": {"a": "b"}}
    assert signed_call(w.emu, POLL, body)[:2] == (200, {"jobs": []})
    w.start()
    job_id = w.worker.claim()
    details = {"executionDetails": {"summary": None, "percentComplete": 3, "nonsense": 1}}
    assert signed_call(w.emu, SUCCESS, {"jobId": job_id, "clientToken": w.worker.token} | details)[0] == 200
    assert w.emu.ledger.puts(job_id)[0].details == {"executionDetails": {"percentComplete": 3}}
