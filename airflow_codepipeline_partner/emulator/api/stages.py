# SPDX-License-Identifier: Apache-2.0
"""The calls about a pipeline's stages and their actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_codepipeline_partner.emulator.engine.approvals import no_such_approval
from airflow_codepipeline_partner.emulator.engine.pipeline_runner import PipelineRunner, cannot_roll_back
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.executions import Trigger
from airflow_codepipeline_partner.emulator.model.pipelines import (
    CALLER_ARN,
    PARALLEL,
    SOURCE_CATEGORY,
    Action,
    Pipeline,
    Stage,
)
from airflow_codepipeline_partner.emulator.model.start_requests import StartRequest

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
            "OverrideStageCondition": self._override_condition,
            "PutActionRevision": self._put_action_revision,
            "PutApprovalResult": self._put_approval_result,
            "RollbackStage": self._roll_back,
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

    def _put_action_revision(self, pipeline: Pipeline, request: Request) -> Answer:
        stage = find_stage(pipeline, request["stageName"])
        source = find_action(stage, request["actionName"])
        if source.action_type.category != SOURCE_CATEGORY:
            raise ApiError("ValidationException", f"The action {source.name} is no source.")
        revision = request["actionRevision"]
        place = pipeline.name, stage.name, source.name, revision["revisionId"]
        known = self._state.put_revisions.get(place)
        if known is not None:
            return {"newRevision": False, "pipelineExecutionId": known}
        asked = StartRequest.of_revision(pipeline, source, revision)
        self._state.check_concurrency(pipeline)
        started = self._runner.start(pipeline, Trigger(CALLER_ARN, "PutActionRevision"), asked)
        self._state.put_revisions[place] = started
        return {"newRevision": True, "pipelineExecutionId": started}

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

    def _roll_back(self, pipeline: Pipeline, request: Request) -> Answer:
        stage = find_stage(pipeline, request["stageName"])
        target = self._state.executions[pipeline.name].get(request["targetPipelineExecutionId"])
        if target is None:
            message = f"The pipeline has no execution {request['targetPipelineExecutionId']}."
            raise ApiError("PipelineExecutionNotFoundException", message)
        if target.pipeline.version != pipeline.version:
            message = "The pipeline has changed since the target execution was started."
            raise ApiError("PipelineExecutionOutdatedException", message)
        if pipeline.execution_mode == PARALLEL:
            raise cannot_roll_back("in the execution mode PARALLEL there are no rollbacks")
        if stage is pipeline.stages[0]:
            raise cannot_roll_back(f"{stage.name} is the source stage")
        if target.rollback_target is not None:
            raise cannot_roll_back("the target execution is a rollback itself")
        if target.stage_statuses.get(stage.name) != "Succeeded":
            raise cannot_roll_back(f"the target execution has not succeeded in {stage.name}")
        trigger = Trigger(CALLER_ARN, "ManualRollback")
        return {"pipelineExecutionId": self._runner.roll_back(target, stage, trigger)}

    def _override_condition(self, pipeline: Pipeline, request: Request) -> Answer:
        stage = find_stage(pipeline, request["stageName"])
        executions = reversed(self._state.executions[pipeline.name].values())
        newest = next((each for each in executions if stage.name in each.stage_statuses), None)
        if newest is None or newest.pipeline_execution_id != request["pipelineExecutionId"]:
            message = f"The execution is not the latest one of the stage {stage.name}."
            raise ApiError("NotLatestPipelineExecutionException", message)
        message = "The emulator runs no conditions, so that none can be overridden."
        raise ApiError("ConditionNotOverridableException", message)


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
