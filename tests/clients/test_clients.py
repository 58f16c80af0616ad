# SPDX-License-Identifier: Apache-2.0
"""
The emulator's clients of other makers: the AWS SDKs for JavaScript and Go, and the AWS CLI.

``make test-clients`` installs the first and the last, and runs this. All take the same lists of calls: a
whole story of a custom action, and one of a partner's.
"""

from __future__ import annotations

import pytest
from clients.sdks import GoSdk
from clients.stages import pipeline
from declaring import CUSTOM_TYPE

PARTNER = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
PROPERTY = {"required": True, "key": True, "secret": False}
COUNTS = {"minimumCount": 0, "maximumCount": 5}
JOB = {"jobId": "$job"}
POLL = {"actionTypeId": CUSTOM_TYPE, "maxBatchSize": 1, "queryParam": {"Project": "shop"}}


def test_a_custom_action_from_its_type_to_its_output_variables(make_calls):
    build = {
        "name": "Build",
        "actionTypeId": CUSTOM_TYPE,
        "configuration": {"Project": "shop"},
        "inputArtifacts": [{"name": "App"}],
        "namespace": "Built",
    }
    check = {"name": "Check", "actionTypeId": CUSTOM_TYPE, "configuration": {"Project": "#{Built.Digest}"}}
    kept_job = {"job": "jobs.0.id", "nonce": "jobs.0.nonce"}
    named = {"pipelineName": "shop"}
    answered = make_calls(
        [
            (
                "CreateCustomActionType",
                {name: CUSTOM_TYPE[name] for name in ("category", "provider", "version")}
                | {
                    "inputArtifactDetails": COUNTS,
                    "outputArtifactDetails": COUNTS,
                    "configurationProperties": [{"name": "Project", "queryable": True} | PROPERTY],
                },
            ),
            ("ListActionTypes", {"actionOwnerFilter": "Custom"}),
            ("CreatePipeline", {"pipeline": pipeline(make_calls.role, build, check)}),
            ("UpdatePipeline", {"pipeline": pipeline(make_calls.role, build, check)}),
            ("GetPipeline", {"name": "shop"}),
            ("ListPipelines", {}),
            ("StartPipelineExecution", {"name": "shop"}, {"run": "pipelineExecutionId"}),
            ("PollForJobs", {**POLL, "queryParam": {"Project": "other"}}),
            ("PollForJobs", {"actionTypeId": CUSTOM_TYPE, "maxBatchSize": 1}),
            ("PollForJobs", POLL, kept_job),
            ("GetJobDetails", JOB),
            ("AcknowledgeJob", {**JOB, "nonce": "0"}),
            ("AcknowledgeJob", {**JOB, "nonce": "$nonce"}),
            ("PutJobSuccessResult", {**JOB, "continuationToken": "next"}),
            ("PutJobSuccessResult", JOB),
            ("PollForJobs", POLL, kept_job),
            ("AcknowledgeJob", {**JOB, "nonce": "$nonce"}),
            (
                "PutJobSuccessResult",
                {
                    **JOB,
                    "outputVariables": {"Digest": "0f3a"},
                    "executionDetails": {"summary": "Built.", "percentComplete": 100},
                },
            ),
            ("PollForJobs", {**POLL, "queryParam": {"Project": "0f3a"}}, kept_job),
            ("AcknowledgeJob", {**JOB, "nonce": "$nonce"}),
            ("PutJobFailureResult", {**JOB, "failureDetails": {"type": "JobFailed", "message": "no"}}),
            ("GetPipelineState", {"name": "shop"}),
            ("ListActionExecutions", named),
            ("ListPipelineExecutions", named),
            ("StopPipelineExecution", {**named, "pipelineExecutionId": "$run"}),
            ("GetPipelineExecution", {**named, "pipelineExecutionId": "$run"}),
            ("DeletePipeline", {"name": "shop"}),
            (
                "DeleteCustomActionType",
                {name: CUSTOM_TYPE[name] for name in ("category", "provider", "version")},
            ),
            ("PollForJobs", POLL),
        ]
    )
    answers = [answer for _, answer in answered]
    updated, shown, listed = answers[3:6]
    assert updated["pipeline"]["version"] == shown["pipeline"]["version"] == 2
    assert [each["name"] for each in listed["pipelines"]] == ["shop"]
    assert shown["metadata"]["created"] == listed["pipelines"][0]["created"]
    del answers[3:6]
    assert answers[0]["actionType"]["id"] == CUSTOM_TYPE
    assert [each["id"] for each in answers[1]["actionTypes"]] == [CUSTOM_TYPE]
    assert answers[2]["pipeline"]["version"] == 1
    assert answers[4].get("jobs") == []
    assert answers[5] == "ValidationException"
    [job] = answers[6]["jobs"]
    assert job["data"]["actionConfiguration"]["configuration"] == {"Project": "shop"}
    assert job["data"]["inputArtifacts"][0]["name"] == "App"
    assert answers[7]["jobDetails"]["id"] == job["id"]
    assert answers[8:10] == ["InvalidNonceException", {"status": "InProgress"}]
    assert answers[10:12] == [{}, "InvalidJobStateException"]
    assert answers[12]["jobs"][0]["data"]["continuationToken"] == "next"
    assert answers[14] == {}
    assert answers[15]["jobs"][0]["data"]["pipelineContext"]["stage"]["name"] == "Check"
    stages = answers[18]["stageStates"]
    assert [stage["latestExecution"]["status"] for stage in stages] == ["Succeeded", "Succeeded", "Failed"]
    assert stages[1]["actionStates"][0]["latestExecution"]["percentComplete"] == 100
    listed = answers[19]["actionExecutionDetails"]
    assert [each["actionName"] for each in listed] == ["Check", "Build", "Fetch"]
    assert listed[1]["output"]["outputVariables"] == {"Digest": "0f3a"}
    assert answers[20]["pipelineExecutionSummaries"][0]["status"] == "Failed"
    assert answers[21] == "PipelineExecutionNotStoppableException"
    assert answers[22]["pipelineExecution"]["status"] == "Failed"
    assert answers[25] == "ActionTypeNotFoundException"


def test_a_partners_action_from_the_poll_to_the_result(make_calls):
    customer = make_calls.emulator.add_customer()
    make_calls.emulator.add_action_type(PARTNER)
    deploy = {"name": "Deploy", "actionTypeId": PARTNER, "inputArtifacts": [{"name": "App"}]}
    job = JOB | {"clientToken": customer.client_token}
    poll = {"actionTypeId": PARTNER, "maxBatchSize": 1}
    answered = make_calls(
        [
            ("CreatePipeline", {"pipeline": pipeline(make_calls.role, deploy)}),
            ("StartPipelineExecution", {"name": "shop"}),
            ("PollForThirdPartyJobs", poll, {"job": "jobs.0.jobId"}),
            ("GetThirdPartyJobDetails", JOB | {"clientToken": "another's"}),
            ("GetThirdPartyJobDetails", job, {"nonce": "jobDetails.nonce"}),
            ("AcknowledgeThirdPartyJob", {**job, "nonce": "$nonce"}),
            ("PutThirdPartyJobSuccessResult", {**job, "continuationToken": "next"}),
            ("PollForThirdPartyJobs", poll, {"job": "jobs.0.jobId"}),
            ("GetThirdPartyJobDetails", job, {"nonce": "jobDetails.nonce"}),
            ("AcknowledgeThirdPartyJob", {**job, "nonce": "$nonce"}),
            ("PutThirdPartyJobSuccessResult", job),
            (
                "PutThirdPartyJobFailureResult",
                {**job, "failureDetails": {"type": "JobFailed", "message": "no"}},
            ),
            ("GetPipelineState", {"name": "shop"}),
        ]
    )
    answers = [answer for _, answer in answered]
    assert answers[2]["jobs"][0]["clientId"] == customer.client_id
    assert answers[3] == "InvalidClientTokenException"
    assert answers[4]["jobDetails"]["data"]["inputArtifacts"][0]["name"] == "App"
    assert answers[5] == {"status": "InProgress"}
    assert answers[8]["jobDetails"]["data"]["continuationToken"] == "next"
    assert answers[10:12] == [{}, "InvalidJobStateException"]
    states = [stage["latestExecution"]["status"] for stage in answers[12]["stageStates"]]
    assert states == ["Succeeded", "Succeeded"]


@pytest.mark.parametrize("make_calls", [GoSdk], indirect=True)
def test_a_paginator_walks_through_all_pages(make_calls):
    make_calls.emulator.add_customer()
    make_calls.emulator.add_action_type(PARTNER)
    deploy = {"name": "Deploy", "actionTypeId": PARTNER, "inputArtifacts": [{"name": "App"}]}
    named = {"pipelineName": "shop"}
    answered = make_calls(
        [
            ("CreatePipeline", {"pipeline": pipeline(make_calls.role, deploy)}),
            *[("StartPipelineExecution", {"name": "shop"})] * 3,
            ("ListPipelineExecutionsPages", {**named, "maxResults": 2}),
            ("ListActionExecutionsPages", {**named, "maxResults": 2}),
            ("ListActionTypesPages", {"actionOwnerFilter": "ThirdParty"}),
            ("ListPipelineExecutionsPages", {"pipelineName": "none"}),
        ]
    )
    started = [answer["pipelineExecutionId"] for _, answer in answered[1:4]]
    executions, actions, types, none = (answer for _, answer in answered[4:])
    sizes = [len(page["pipelineExecutionSummaries"]) for page in executions]
    walked = [
        each["pipelineExecutionId"] for page in executions for each in page["pipelineExecutionSummaries"]
    ]
    assert (sizes, sorted(walked)) == ([2, 1], sorted(started))
    assert sum(len(page["actionExecutionDetails"]) for page in actions) >= len(actions) > 1
    assert [each["id"] for page in types for each in page["actionTypes"]] == [PARTNER]
    assert none == "PipelineNotFoundException"
