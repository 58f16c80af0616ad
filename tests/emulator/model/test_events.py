# SPDX-License-Identifier: Apache-2.0
"""The shapes of events that the engine's own tests do not show."""

from __future__ import annotations

from airflow_codepipeline_partner.emulator.model import events
from airflow_codepipeline_partner.emulator.model.action_types import ActionTypeId
from airflow_codepipeline_partner.emulator.model.executions import (
    ActionExecution,
    PipelineExecution,
    Trigger,
)
from airflow_codepipeline_partner.emulator.model.pipelines import Action, Pipeline, PipelineArtifact, Stage

BUILD = ActionTypeId("Build", "Custom", "Own", "1")


def an_action(declared_in=None, **more):
    declared = Action("Do", BUILD, region="eu-north-1")
    pipeline = Pipeline("p", (Stage("Build", (declared,)),), "bucket", None, 0, 0, declared_in=declared_in)
    execution = PipelineExecution(pipeline=pipeline, started_at=0, trigger=Trigger("me"))
    return ActionExecution(execution, "Build", declared, started_at=1.2345, **more)


def test_an_action_may_be_in_another_region_than_its_pipeline():
    event = events.of_action(an_action("eu-west-1"), "STARTED", 2, None).as_dict()
    assert (event["region"], event["detail"]["region"]) == ("eu-west-1", "eu-north-1")
    assert event["resources"] == ["arn:aws:codepipeline:eu-west-1:123456789012:p"]
    assert event["detail"]["start-time"] == "1970-01-01T00:00:01.234Z"


def test_artifacts_and_results_are_shown_when_they_count():
    place = PipelineArtifact("App", "bucket", "p/App/1", revision="abc")
    action = an_action(inputs=(place,), outputs=(place,), summary="so far")
    members = {"input-artifacts", "output-artifacts", "execution-result"}
    shown = {
        state: members & events.of_action(action, state, 2, None).detail.keys()
        for state in ("STARTED", "SUCCEEDED", "FAILED", "ABANDONED")
    }
    assert shown == {
        "STARTED": {"input-artifacts"},
        "SUCCEEDED": {"output-artifacts", "execution-result"},
        "FAILED": {"execution-result"},
        "ABANDONED": set(),
    }
