# SPDX-License-Identifier: Apache-2.0
"""Pipelines and executions are shown in AWS's shapes, without what is absent and without secrets."""

from __future__ import annotations

import dataclasses

import botocore.session
import pytest
from botocore.validate import ParamValidator
from declaring import ACTION_TYPE

from airflow_codepipeline_partner.emulator.api import pipeline_shapes as shapes
from airflow_codepipeline_partner.emulator.clock import Clock
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.model.action_types import ActionTypeId
from airflow_codepipeline_partner.emulator.model.executions import (
    ActionExecution,
    PipelineExecution,
    Trigger,
)
from airflow_codepipeline_partner.emulator.model.pipelines import (
    S3_SOURCE,
    Action,
    Pipeline,
    PipelineArtifact,
    Stage,
)

SOURCE = Action("Fetch", S3_SOURCE, output_artifacts=("App",))
PARTNER = Action(
    "Partner",
    ActionTypeId.of(ACTION_TYPE),
    {"Project": "#{variables.Shop}", "Password": "hush"},
    frozenset({"Password"}),
    input_artifacts=("App",),
    output_artifacts=("Built",),
    run_order=2,
    namespace="Deployed",
    client_id="client",
    execution_url_template="https://partner.example/{Config:Project}/{ExternalExecutionId}",
    entity_url_template="https://partner.example/{Config:Project}",
    revision_url_template="https://partner.example/{Config:Project}/edit",
)
#: An action with as few members as possible.
BARE = Action("Bare", ActionTypeId("Test", "Custom", "Own", "2"))
PIPELINE = Pipeline(
    "pipe",
    (Stage("Source", (SOURCE,)), Stage("Deploy", (PARTNER, BARE))),
    bucket="artifacts",
    encryption_key=None,
    created_at=100.0,
    updated_at=200.0,
    version=3,
)
APP = PipelineArtifact("App", "artifacts", "pipe/App/abcdefg", "r1")
BUILT = PipelineArtifact("Built", "artifacts", "pipe/Built/hijklmn")
FIRST, SECOND = (f"{number:08}-0000-0000-0000-000000000000" for number in (1, 2))
RESOLVED = {"Project": "p1", "Password": "resolved hush"}
#: All that a worker's results can say.
TOLD = {
    "updated_at": 320.0,
    "status": "Failed",
    "summary": "half",
    "external_execution_id": "run-1",
    "percent_complete": 50,
    "error_details": {"code": "JobFailed", "message": "because"},
    "current_revision": {"revision": "r2", "changeIdentifier": "c2", "created": 315.0},
    "output_variables": {"Version": "7"},
}


def execution(execution_id=FIRST, **more):
    return PipelineExecution(
        PIPELINE, 300.0, Trigger("a test"), pipeline_execution_id=execution_id, updated_at=330.0, **more
    )


def state(executions):
    """Return the state of the pipeline with these executions, the oldest first."""
    known = State(clock=Clock(lambda: 400.0))
    for number, each in enumerate(executions, start=1):
        each.number = number
        if each.waiting:
            known.waiting[PIPELINE.name, each.stage.name].append(each)
        for place, stage in enumerate(PIPELINE.stages):
            if stage.name in each.stage_statuses:
                known.note_entry(dataclasses.replace(each, place=place))
        for made in each.actions:
            known.note_run(made)
    views = [(stage, known.stage_view(PIPELINE, stage)) for stage in PIPELINE.stages]
    return shapes.state(PIPELINE, views)


def run(of, stage_name="Deploy", action=PARTNER, **more):
    """Add a run of an action to an execution."""
    made = ActionExecution(of, stage_name, action, 310.0, **({"updated_at": 310.0} | more))
    of.actions.append(made)
    return made


@pytest.fixture
def full():
    """An execution whose source and whose partner's action have ended."""
    made = execution(stop_reason="enough", variables={"variables": {"Shop": "p1"}, "Deployed": None})
    made.stage_statuses |= {"Source": "Succeeded", "Deploy": "Failed"}
    run(made, "Source", SOURCE, outputs=(APP,), status="Succeeded")
    run(made, configuration=RESOLVED, inputs=(APP,), outputs=(BUILT,), action_execution_id="a1", **TOLD)
    return made


def output_shape(operation):
    model = botocore.session.get_session().get_service_model("codepipeline")
    return model.operation_model(operation).output_shape


def unknown_choices(shape, value, path=""):
    """Return the texts that are not among the choices of their member."""
    if shape.type_name == "structure":
        inner = [(shape.members[name], each, f"{path}.{name}") for name, each in value.items()]
    elif shape.type_name in ("list", "map"):
        member = shape.member if shape.type_name == "list" else shape.value
        inner = [(member, each, path) for each in (value if shape.type_name == "list" else value.values())]
    else:
        choices = getattr(shape, "enum", [])
        return [f"{path}: {value}"] if choices and value not in choices else []
    return [fault for each in inner for fault in unknown_choices(*each)]


def assert_valid(operation, answer):
    """By botocore's model of the operation's response, down to its last member."""
    shape = output_shape(operation)
    assert ParamValidator().validate(answer, shape).generate_report() == ""
    assert unknown_choices(shape, answer) == []


def action_state(shape, name="Partner"):
    [found] = [
        each for stage in shape["stageStates"] for each in stage["actionStates"] if each["actionName"] == name
    ]
    return found


def test_a_pipeline_is_declared_with_all_its_actions():
    declared = shapes.declaration(PIPELINE, "eu-west-1")
    assert declared == {
        "pipeline": {
            "name": "pipe",
            "roleArn": "arn:aws:iam::123456789012:role/codepipeline-emulator",
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "stages": [
                {
                    "name": "Source",
                    "actions": [
                        {
                            "name": "Fetch",
                            "actionTypeId": {
                                "category": "Source",
                                "owner": "AWS",
                                "provider": "S3",
                                "version": "1",
                            },
                            "runOrder": 1,
                            "configuration": {},
                            "inputArtifacts": [],
                            "outputArtifacts": [{"name": "App"}],
                        }
                    ],
                },
                {
                    "name": "Deploy",
                    "actions": [
                        {
                            "name": "Partner",
                            "actionTypeId": ACTION_TYPE,
                            "runOrder": 2,
                            "configuration": {"Project": "#{variables.Shop}", "Password": "****"},
                            "inputArtifacts": [{"name": "App"}],
                            "outputArtifacts": [{"name": "Built"}],
                        },
                        {
                            "name": "Bare",
                            "actionTypeId": {
                                "category": "Test",
                                "owner": "Custom",
                                "provider": "Own",
                                "version": "2",
                            },
                            "runOrder": 1,
                            "configuration": {},
                            "inputArtifacts": [],
                            "outputArtifacts": [],
                        },
                    ],
                },
            ],
            "version": 3,
            "executionMode": "PARALLEL",
            "pipelineType": "V2",
        },
        "metadata": {
            "pipelineArn": "arn:aws:codepipeline:eu-west-1:123456789012:pipe",
            "created": 100.0,
            "updated": 200.0,
        },
    }
    assert_valid("GetPipeline", declared)


def test_the_key_of_the_artifacts_is_declared_if_there_is_one():
    encrypted = dataclasses.replace(PIPELINE, encryption_key="key-1")
    declared = shapes.declaration(encrypted, None)
    assert declared["pipeline"]["artifactStore"]["encryptionKey"] == {"id": "key-1", "type": "KMS"}
    assert declared["metadata"]["pipelineArn"].startswith("arn:aws:codepipeline:us-east-1:")
    assert_valid("GetPipeline", declared)


def test_a_pipeline_is_listed_without_its_stages():
    queued = dataclasses.replace(PIPELINE, execution_mode="QUEUED")
    summary = shapes.pipeline_summary(queued)
    assert summary == {
        "name": "pipe",
        "version": 3,
        "pipelineType": "V2",
        "executionMode": "QUEUED",
        "created": 100.0,
        "updated": 200.0,
    }
    assert_valid("ListPipelines", {"pipelines": [summary]})


def test_before_any_execution_the_state_has_only_links():
    """With the declared configuration."""
    shown = state([])
    enabled = {"enabled": True}
    assert shown == {
        "pipelineName": "pipe",
        "pipelineVersion": 3,
        "stageStates": [
            {
                "stageName": "Source",
                "inboundTransitionState": enabled,
                "actionStates": [{"actionName": "Fetch"}],
            },
            {
                "stageName": "Deploy",
                "inboundTransitionState": enabled,
                "actionStates": [
                    {
                        "actionName": "Partner",
                        "entityUrl": "https://partner.example/#{variables.Shop}",
                        "revisionUrl": "https://partner.example/#{variables.Shop}/edit",
                    },
                    {"actionName": "Bare"},
                ],
            },
        ],
        "created": 100.0,
        "updated": 200.0,
    }
    assert_valid("GetPipelineState", shown)


def test_the_state_of_an_action_is_what_its_worker_told(full):
    shown = state([full])
    assert action_state(shown) == {
        "actionName": "Partner",
        "entityUrl": "https://partner.example/p1",
        "revisionUrl": "https://partner.example/p1/edit",
        "latestExecution": {
            "actionExecutionId": "a1",
            "status": "Failed",
            "summary": "half",
            "lastStatusChange": 320.0,
            "externalExecutionId": "run-1",
            "externalExecutionUrl": "https://partner.example/p1/run-1",
            "percentComplete": 50,
            "errorDetails": {"code": "JobFailed", "message": "because"},
        },
        "currentRevision": {"revisionId": "r2", "revisionChangeId": "c2", "created": 315.0},
    }
    assert_valid("GetPipelineState", shown)


def test_what_a_worker_has_not_told_yet_is_left_out():
    begun = execution()
    run(begun, action=BARE, action_execution_id="a1")
    shown = state([begun])
    assert action_state(shown, "Bare") == {
        "actionName": "Bare",
        "latestExecution": {"actionExecutionId": "a1", "status": "InProgress", "lastStatusChange": 310.0},
    }
    assert_valid("GetPipelineState", shown)


def test_a_percentage_of_zero_is_shown():
    begun = execution()
    run(begun, percent_complete=0)
    assert action_state(state([begun]))["latestExecution"]["percentComplete"] == 0


def test_an_action_shows_its_newest_run_in_any_execution(full):
    """Also if a newer execution has not come to it yet."""
    newer = execution(SECOND)
    assert action_state(state([full, newer]))["latestExecution"]["summary"] == "half"
    run(newer, summary="first try")
    run(newer, summary="retried")
    latest = action_state(state([full, newer]))["latestExecution"]
    assert latest["summary"] == "retried"


def test_a_stage_shows_the_newest_execution_that_entered_it(full):
    newer = execution(SECOND)
    newer.stage_statuses["Source"] = "InProgress"
    shown = state([full, newer])
    source, deploy = [stage["latestExecution"] for stage in shown["stageStates"]]
    assert source == {"pipelineExecutionId": SECOND, "status": "InProgress", "type": "STANDARD"}
    assert deploy == {"pipelineExecutionId": FIRST, "status": "Failed", "type": "STANDARD"}
    assert_valid("GetPipelineState", shown)


def test_a_stage_shows_the_executions_that_wait_for_it():
    """The oldest one in both places."""
    waiting = [execution(FIRST, place=1, waiting=True), execution(SECOND, place=1, waiting=True)]
    shown = state([*waiting, execution(place=1)])
    source, deploy = shown["stageStates"]
    first, second = (
        {"pipelineExecutionId": each, "status": "InProgress", "type": "STANDARD"} for each in (FIRST, SECOND)
    )
    assert deploy["inboundExecution"] == first
    assert deploy["inboundExecutions"] == [first, second]
    assert source.keys().isdisjoint({"inboundExecution", "inboundExecutions"})
    assert_valid("GetPipelineState", shown)


def test_an_execution_is_shown_with_revisions_and_variables(full):
    shown = shapes.execution(full)
    assert shown == {
        "pipelineName": "pipe",
        "pipelineVersion": 3,
        "pipelineExecutionId": FIRST,
        "status": "InProgress",
        "statusSummary": "enough",
        "artifactRevisions": [{"name": "App", "revisionId": "r1"}],
        "variables": [{"name": "Shop", "resolvedValue": "p1"}],
        "trigger": {"triggerType": "StartPipelineExecution", "triggerDetail": "a test"},
        "executionMode": "PARALLEL",
        "executionType": "STANDARD",
    }
    assert_valid("GetPipelineExecution", {"pipelineExecution": shown})


def test_an_execution_is_listed_with_its_times(full):
    summary = shapes.execution_summary(full)
    assert summary == {
        "pipelineExecutionId": FIRST,
        "status": "InProgress",
        "statusSummary": "enough",
        "startTime": 300.0,
        "lastUpdateTime": 330.0,
        "sourceRevisions": [{"actionName": "Fetch", "revisionId": "r1"}],
        "trigger": {"triggerType": "StartPipelineExecution", "triggerDetail": "a test"},
        "stopTrigger": {"reason": "enough"},
        "executionMode": "PARALLEL",
        "executionType": "STANDARD",
    }
    assert_valid("ListPipelineExecutions", {"pipelineExecutionSummaries": [summary]})


@pytest.mark.parametrize("variables", [{}, {"variables": {}}, {"variables": None}], ids=str)
def test_an_execution_without_reason_and_variables_is_short(variables):
    bare = execution(variables=variables)
    run(bare, "Source", SOURCE, outputs=(dataclasses.replace(APP, revision=None),))
    # Only the revisions of source actions count.
    run(bare, outputs=(dataclasses.replace(BUILT, revision="r2"),))
    shown, summary = shapes.execution(bare), shapes.execution_summary(bare)
    assert shown.keys().isdisjoint({"statusSummary", "variables"})
    assert "stopTrigger" not in summary
    assert shown["artifactRevisions"] == summary["sourceRevisions"] == []
    assert_valid("GetPipelineExecution", {"pipelineExecution": shown})
    assert_valid("ListPipelineExecutions", {"pipelineExecutionSummaries": [summary]})


def test_an_actions_run_is_listed_with_what_went_in_and_out(full):
    shown = shapes.action_execution(full.actions[1], "eu-west-1")
    assert shown == {
        "pipelineExecutionId": FIRST,
        "actionExecutionId": "a1",
        "pipelineVersion": 3,
        "stageName": "Deploy",
        "actionName": "Partner",
        "startTime": 310.0,
        "lastUpdateTime": 320.0,
        "status": "Failed",
        "input": {
            "actionTypeId": ACTION_TYPE,
            "configuration": {"Project": "#{variables.Shop}", "Password": "****"},
            "resolvedConfiguration": {"Project": "p1", "Password": "****"},
            "region": "eu-west-1",
            "inputArtifacts": [
                {"name": "App", "s3location": {"bucket": "artifacts", "key": "pipe/App/abcdefg"}}
            ],
            "namespace": "Deployed",
        },
        "output": {
            "outputArtifacts": [
                {"name": "Built", "s3location": {"bucket": "artifacts", "key": "pipe/Built/hijklmn"}}
            ],
            "executionResult": {
                "externalExecutionId": "run-1",
                "externalExecutionSummary": "half",
                "externalExecutionUrl": "https://partner.example/p1/run-1",
                "errorDetails": {"code": "JobFailed", "message": "because"},
            },
            "outputVariables": {"Version": "7"},
        },
    }
    assert_valid("ListActionExecutions", {"actionExecutionDetails": [shown]})


@pytest.mark.parametrize("output_variables", [None, {}])
def test_a_run_without_a_result_shows_none(output_variables):
    begun = run(execution(), action=BARE, output_variables=output_variables)
    shown = shapes.action_execution(begun, None)
    assert shown["output"] == {"outputArtifacts": [], "executionResult": {}}
    assert "namespace" not in shown["input"]
    assert_valid("ListActionExecutions", {"actionExecutionDetails": [shown]})


@pytest.mark.parametrize(
    ("of_action", "of_pipeline", "of_emulator", "shown"),
    [
        ("eu-west-1", "eu-west-2", "eu-west-3", "eu-west-1"),
        (None, "eu-west-2", "eu-west-3", "eu-west-2"),
        (None, None, "eu-west-3", "eu-west-3"),
        (None, None, None, "us-east-1"),
    ],
)
def test_a_run_is_in_the_nearest_region(of_action, of_pipeline, of_emulator, shown):
    pipeline = dataclasses.replace(PIPELINE, declared_in=of_pipeline)
    begun = run(
        PipelineExecution(pipeline, 300.0, Trigger("a test")),
        action=dataclasses.replace(BARE, region=of_action),
    )
    assert shapes.action_execution(begun, of_emulator)["input"]["region"] == shown


def test_no_shape_shows_a_secret(full):
    for shown in (
        shapes.declaration(PIPELINE, None),
        shapes.pipeline_summary(PIPELINE),
        state([full]),
        shapes.execution(full),
        shapes.execution_summary(full),
        *(shapes.action_execution(each, None) for each in full.actions),
    ):
        assert "hush" not in str(shown)
