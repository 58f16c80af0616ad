# SPDX-License-Identifier: Apache-2.0
"""An action that starts another pipeline, and ends as that one does."""

from __future__ import annotations

import json

import pytest
from declaring import CODE_DEPLOY, action, code, retry, stage

INVOKE = {"category": "Invoke", "owner": "AWS", "provider": "CodePipeline", "version": "1"}


def invoke(name="Call", pipeline="inner", **configuration):
    return action(name, INVOKE, configuration={"PipelineName": pipeline, **configuration})


@pytest.fixture
def nested(made):
    """A pipeline ``made`` that starts the pipeline ``inner``, in which a worker has an action."""

    def make(*actions, **more):
        m = made()
        m.create(m.source, stage("Build", action("Do", inputs=["App"])), name="inner", **more)
        m.create(m.source, stage("Build", *(actions or [invoke()]), action("Next", CODE_DEPLOY, runOrder=2)))
        return m

    return make


def inner(m):
    """Return the ids of the inner executions, the newest first."""
    listed = m.client.list_pipeline_executions(pipelineName="inner")["pipelineExecutionSummaries"]
    return [each["pipelineExecutionId"] for each in listed]


def call(m):
    return next(run for run in reversed(m.runs()) if run["actionName"] == "Call")


def test_the_action_succeeds_with_its_pipeline(nested):
    m = nested()
    outer = m.start()
    [started] = inner(m)
    assert call(m)["status"] == "InProgress"
    assert call(m)["output"]["executionResult"]["externalExecutionId"] == started
    assert m.actions()["Next"] is None
    m.w.worker.succeed(m.claim()["id"])
    assert m.status(started, "inner") == "Succeeded"
    assert (call(m)["status"], m.status(outer)) == ("Succeeded", "Succeeded")


def test_the_action_fails_with_its_pipeline(nested):
    m = nested()
    outer = m.start()
    m.w.worker.fail(m.claim()["id"])
    assert m.status(outer) == "Failed"
    error = call(m)["output"]["executionResult"]["errorDetails"]
    assert error["code"] == "JobFailed"
    assert f"{inner(m)[0]} of the pipeline inner is Failed" in error["message"]
    m.client.retry_stage_execution(**retry(m, outer))
    assert len(inner(m)) == 2
    m.w.worker.succeed(m.claim()["id"])
    assert m.status(outer) == "Succeeded"


@pytest.mark.parametrize("how", ["stopped", "abandoned", "superseded", "deleted", "never begun"])
def test_the_action_fails_if_its_pipeline_does_not_end(nested, how):
    m = nested()
    first = m.start("inner") if how in ("superseded", "never begun") else None
    outer = m.start()
    stop = {"pipelineName": "inner", "pipelineExecutionId": inner(m)[0]}
    if how == "superseded":
        assert m.status(outer) == "InProgress"
        m.start("inner")
        assert m.status(first, "inner") == "InProgress"
    elif how == "deleted":
        m.client.delete_pipeline(name="inner")
    else:
        m.client.stop_pipeline_execution(**stop, abandon=how == "abandoned")
        if how == "stopped":
            m.w.worker.succeed(m.claim()["id"])
    assert m.status(outer) == "Failed"


def test_a_pipeline_that_ends_at_once_is_waited_for_too(nested):
    m = nested(invoke(), invoke("Again"), invoke("Third") | {"runOrder": 2})
    m.update(m.source, stage("Build", action("Roll", CODE_DEPLOY)), name="inner")
    assert m.status(m.start()) == "Succeeded"
    assert len(inner(m)) == 3


def test_many_pipelines_call_each_other_in_a_row(made):
    m = made()
    last = 200
    for number in range(last + 1):
        following = invoke(pipeline=f"p{number + 1}") if number < last else action("Roll", CODE_DEPLOY)
        m.create(m.source, stage("Build", following), name=f"p{number}")
    assert m.status(m.start("p0"), "p0") == "Succeeded"


def test_an_abandoned_action_leaves_its_pipeline_alone(nested):
    m = nested()
    stop = {"pipelineName": "made", "pipelineExecutionId": m.start(), "abandon": True}
    m.client.stop_pipeline_execution(**stop)
    assert (call(m)["status"], m.status(stop["pipelineExecutionId"])) == ("Abandoned", "Stopped")
    [started] = inner(m)
    m.w.worker.succeed(m.claim()["id"])
    assert m.status(started, "inner") == "Succeeded"
    assert call(m)["status"] == "Abandoned"


def test_variables_and_revisions_are_handed_on(nested):
    variables = json.dumps([{"name": "Tag", "value": "#{Src.ETag}"}])
    revisions = json.dumps(
        [{"actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "#{Src.VersionId}"}]
    )
    m = nested(
        invoke(Variables=variables, SourceRevisions=revisions),
        variables=[{"name": "Tag"}],
        pipelineType="V2",
    )
    m.start()
    m.put_source(b"newer")
    [started] = inner(m)
    asked = {"pipelineName": "inner", "pipelineExecutionId": started}
    shown = m.client.get_pipeline_execution(**asked)["pipelineExecution"]
    source = m.runs()[0]["output"]["outputVariables"]
    assert shown["variables"] == [{"name": "Tag", "resolvedValue": source["ETag"]}]
    assert shown["artifactRevisions"][0]["revisionId"] == source["VersionId"]
    assert shown["trigger"]["triggerDetail"].endswith(":made")


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({"pipeline": "none"}, "no pipeline none"),
        ({"pipeline": "made"}, "made is already on its way"),
        ({"Variables": "{"}, "Variables is no JSON list"),
        ({"Variables": "{}"}, "Variables is no JSON list"),
        ({"Variables": '[{"name": "None", "value": "v"}]'}, "no variable None"),
        ({"Variables": '[{"name": "None"}]'}, "must not be null"),
        ({"SourceRevisions": '["x"]'}, "cannot be started: Unexpected field type"),
    ],
)
def test_an_action_that_cannot_start_its_pipeline_fails(nested, configuration, said):
    m = nested(invoke(**configuration))
    assert m.status(m.start()) == "Failed"
    error = call(m)["output"]["executionResult"]["errorDetails"]
    assert error["code"] == "ConfigurationError"
    assert said in error["message"]
    assert inner(m) == []


def test_a_circle_of_pipelines_ends(nested):
    m = nested()
    m.update(m.source, stage("Build", invoke(pipeline="made")), name="inner")
    outer = m.start()
    assert m.status(outer) == "Failed"
    assert len(inner(m)) == 1


def test_a_pipeline_without_a_name_fails(made):
    m = made()
    m.create(m.source, stage("Build", action("Call", INVOKE)))
    assert m.status(m.start()) == "Failed"


def test_pipelines_of_another_region_are_not_found(nested, client):
    m = nested(invoke(pipeline="far"))
    far = client("codepipeline", m.w.emu, region_name="eu-west-1")
    stages = stage("Source", m.source["actions"][0]), stage("Build", action("Roll", CODE_DEPLOY))
    far.create_pipeline(pipeline=m.declared(*stages, name="far"))
    assert m.status(m.start()) == "Failed"
    assert code(m.client.get_pipeline_state, name="far") == "PipelineNotFoundException"
