# SPDX-License-Identifier: Apache-2.0
"""The calls about rules, and about the targets of deployments."""

from __future__ import annotations

import uuid

import pytest
from declaring import CODE_DEPLOY, action, code, stage


@pytest.fixture
def run(made):
    """A pipeline that has run."""
    m = made()
    m.create(m.source, stage("Build", action("Roll", CODE_DEPLOY)))
    m.execution_id = m.start()
    return m


def test_no_rule_was_run(run):
    call = run.client.list_rule_executions
    latest = {"latestInPipelineExecution": {"pipelineExecutionId": run.execution_id, "startTimeRange": "All"}}
    for asked in ({}, {"filter": {"pipelineExecutionId": run.execution_id}}, {"filter": latest}):
        assert call(pipelineName="made", maxResults=5, **asked)["ruleExecutionDetails"] == []
    assert code(call, pipelineName="none") == "PipelineNotFoundException"
    assert code(call, pipelineName="made", nextToken="x") == "InvalidNextTokenException"
    unknown = {"pipelineExecutionId": str(uuid.uuid4())}
    for asked in (unknown, {"latestInPipelineExecution": unknown | {"startTimeRange": "Latest"}}):
        assert code(call, pipelineName="made", filter=asked) == "PipelineExecutionNotFoundException"


def test_the_types_of_rules_are_those_of_the_user_guide(run):
    found = run.client.list_rule_types(ruleOwnerFilter="AWS", regionFilter="eu-west-1")["ruleTypes"]
    assert [each["id"]["provider"] for each in found] == [
        "CloudWatchAlarm",
        "CodeBuild",
        "Commands",
        "DeploymentWindow",
        "LambdaInvoke",
        "VariableCheck",
    ]
    assert {(each["id"]["category"], each["id"]["owner"], each["id"]["version"]) for each in found} == {
        ("Rule", "AWS", "1")
    }
    required = {
        each["id"]["provider"]: [
            known["name"] for known in each.get("ruleConfigurationProperties", ()) if known["required"]
        ]
        for each in found
    }
    assert required["DeploymentWindow"] == ["Cron"]
    assert required["CloudWatchAlarm"] == ["AlarmName", "AlarmStates"]
    assert all(each["inputArtifactDetails"] for each in found)
    assert code(run.client.list_rule_types, ruleOwnerFilter="Custom") == "ValidationException"


def test_a_deployment_has_no_targets(run):
    source, roll = (each["actionExecutionId"] for each in run.runs())
    call = run.client.list_deploy_action_execution_targets
    status = [{"name": "TARGET_STATUS", "values": ["Failed"]}]
    for asked in ({}, {"pipelineName": "made"}, {"filters": status}):
        assert call(actionExecutionId=roll, **asked)["targets"] == []
    assert code(call, actionExecutionId=source) == "ValidationException"
    assert code(call, actionExecutionId=str(uuid.uuid4())) == "ActionExecutionNotFoundException"
    assert code(call, actionExecutionId=roll, pipelineName="none") == "PipelineNotFoundException"
    assert code(call, actionExecutionId=roll, nextToken="x") == "InvalidNextTokenException"
    assert code(call, actionExecutionId=roll, filters=[{"name": "x"}]) == "ValidationException"
    run.create(run.source, stage("Build", action("Roll", CODE_DEPLOY)), name="other")
    assert code(call, actionExecutionId=roll, pipelineName="other") == "ActionExecutionNotFoundException"
    run.client.delete_pipeline(name="made")
    assert code(call, actionExecutionId=roll) == "ActionExecutionNotFoundException"


def test_a_deployment_is_found_in_its_region_only(run, client):
    [_, roll] = (each["actionExecutionId"] for each in run.runs())
    other = client("codepipeline", run.w.emu, region_name="eu-west-1")
    call = other.list_deploy_action_execution_targets
    assert code(call, actionExecutionId=roll) == "ActionExecutionNotFoundException"
