# SPDX-License-Identifier: Apache-2.0
"""The calls about a pipeline's stages and their actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_codepipeline_partner.emulator.engine.approvals import no_such_approval
from airflow_codepipeline_partner.emulator.engine.pipeline_runner import PipelineRunner
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.pipelines import Action, Pipeline, Stage

_OUTBOUND = "Outbound"

Request = dict[str, Any]
Answer = dict[str, Any]


class StageCalls:
    """
    Answer the calls about stages.

    :param state: The state.
    :param runner: What runs pipelines.
    """

    def __init__(self, state: State, runner: PipelineRunner) -> None:
        self._state = state
        self._runner = runner
        #: By operation; each takes the pipeline and the request.
        self.handlers: dict[str, Callable[[Pipeline, Request], Answer]] = {
            "DisableStageTransition": self._disable_transition,
            "EnableStageTransition": self._enable_transition,
            "PutApprovalResult": self._put_approval_result,
        }

    def _disable_transition(self, pipeline: Pipeline, request: Request) -> Answer:
        return self._change_transition("DisableStageTransition", pipeline, request)

    def _enable_transition(self, pipeline: Pipeline, request: Request) -> Answer:
        return self._change_transition("EnableStageTransition", pipeline, request)

    def _change_transition(self, operation: str, pipeline: Pipeline, request: Request) -> Answer:
        stage = find_stage(pipeline, request["stageName"])
        if request["transitionType"] == _OUTBOUND:
            # GetPipelineState has a transition once, with the stage that it leads to.
            following = pipeline.stages[pipeline.stages.index(stage) + 1 :]
            if not following:
                message = f"No transition leads out of the last stage, {stage.name}."
                raise ApiError("ValidationException", message)
            stage = following[0]
        details = {name: value for name, value in request.items() if name != "pipelineName"}
        now = self._state.tick()
        self._state.record(
            "call",
            operation,
            now,
            pipeline_name=pipeline.name,
            client_id=pipeline.client_id,
            details=details,
        )
        self._runner.set_transition(pipeline, stage, request.get("reason"))
        return {}

    def _put_approval_result(self, pipeline: Pipeline, request: Request) -> Answer:
        stage = find_stage(pipeline, request["stageName"])
        action = find_action(stage, request["actionName"])
        asked = self._state.approvals.get(request["token"])
        named = pipeline.name, stage.name, action.name
        if asked is None or (asked.pipeline.name, asked.stage_name, asked.action.name) != named:
            raise no_such_approval()
        now, result = self._state.tick(), request["result"]
        self._runner.approvals.answer(asked, result["status"], result["summary"], now)
        return {"approvedAt": now}


def find_stage(pipeline: Pipeline, name: str) -> Stage:
    """
    Return a stage of a pipeline.

    :raises ApiError: It has none of this name.
    """
    for stage in pipeline.stages:
        if stage.name == name:
            return stage
    raise ApiError("StageNotFoundException", f"The pipeline {pipeline.name} has no stage {name}.")


def find_action(stage: Stage, name: str) -> Action:
    """
    Return an action of a stage.

    :raises ApiError: It has none of this name.
    """
    for action in stage.actions:
        if action.name == name:
            return action
    raise ApiError("ActionNotFoundException", f"The stage {stage.name} has no action {name}.")
