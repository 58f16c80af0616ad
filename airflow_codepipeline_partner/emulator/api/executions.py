# SPDX-License-Identifier: Apache-2.0
"""The calls that start, stop, retry and show executions, and show the emulator's own pipelines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from airflow_codepipeline_partner.emulator.api import pipeline_shapes as shapes
from airflow_codepipeline_partner.emulator.api.pages import page
from airflow_codepipeline_partner.emulator.api.stages import StageCalls, find_stage
from airflow_codepipeline_partner.emulator.engine.pipeline_runner import PipelineRunner
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.executions import PipelineExecution, Trigger
from airflow_codepipeline_partner.emulator.model.pipelines import ACCOUNT_ID, CALLER_ARN, Pipeline
from airflow_codepipeline_partner.emulator.model.start_requests import StartRequest
from airflow_codepipeline_partner.emulator.service_model import validate

MAX_RESULTS = 100

Request = dict[str, Any]
Answer = dict[str, Any]


class ExecutionsApi:
    """
    Answer the calls about pipelines and their executions.

    :param state: The state.
    :param runner: What runs pipelines.
    """

    def __init__(self, state: State, runner: PipelineRunner) -> None:
        self._state = state
        self._runner = runner
        self._handlers: dict[str, Callable[[Pipeline, Request], Answer]] = {
            "GetPipeline": self._get_pipeline,
            "GetPipelineState": self._get_state,
            "GetPipelineExecution": self._get_execution,
            "ListPipelineExecutions": self._list_executions,
            "ListActionExecutions": self._list_actions,
            "ListRuleExecutions": self._list_rules,
            "StartPipelineExecution": self._start_execution,
            "StopPipelineExecution": self._stop_execution,
            "RetryStageExecution": self._retry,
            **StageCalls(state, runner).handlers,
        }

    def __contains__(self, operation: str) -> bool:
        return operation in self._handlers

    def answer(self, operation: str, request: Any, region: str | None = None) -> Answer:
        """
        Do a call.

        :param region: The region that the request is signed for; None for all of them.
        :raises ApiError: The call is refused.
        """
        request = validate(operation, request)
        with self._state.lock:
            self._state.tick()
            name = request.get("name", request.get("pipelineName"))
            pipeline = self._state.pipelines.get(name)
            if pipeline is None or not pipeline.is_in(region):
                raise ApiError(
                    "PipelineNotFoundException",
                    f"Account '{ACCOUNT_ID}' does not have a pipeline with name '{name}'",
                )
            return self._handlers[operation](pipeline, request)

    def state(self, name: str) -> Answer:
        """Return what GetPipelineState answers for a pipeline."""
        return self.answer("GetPipelineState", {"name": name})

    def _get_pipeline(self, pipeline: Pipeline, request: Request) -> Answer:
        if request.get("version", pipeline.version) != pipeline.version:
            raise ApiError("PipelineVersionNotFoundException", f"There is only version {pipeline.version}.")
        return shapes.declaration(pipeline, self._state.settings.region)

    def _get_state(self, pipeline: Pipeline, request: Request) -> Answer:
        views = [(stage, self._state.stage_view(pipeline, stage)) for stage in pipeline.stages]
        return shapes.state(pipeline, views)

    def _get_execution(self, pipeline: Pipeline, request: Request) -> Answer:
        return {"pipelineExecution": shapes.execution(self._find(pipeline, request["pipelineExecutionId"]))}

    def _list_executions(self, pipeline: Pipeline, request: Request) -> Answer:
        executions: Iterable[PipelineExecution] = reversed(self._state.executions[pipeline.name].values())
        stage = request.get("filter", {}).get("succeededInStage", {}).get("stageName")
        if stage is not None:
            executions = (
                each
                for each in executions
                if each.stage_statuses.get(stage) == "Succeeded" and each.pipeline.version == pipeline.version
            )
        shown, following = _page(executions, request, lambda each: each.pipeline_execution_id)
        return {"pipelineExecutionSummaries": [shapes.execution_summary(each) for each in shown]} | following

    def _list_actions(self, pipeline: Pipeline, request: Request) -> Answer:
        execution_id = _asked_execution(request)
        executions: Iterable[PipelineExecution] = reversed(self._state.executions[pipeline.name].values())
        if execution_id is not None:
            executions = [self._find(pipeline, execution_id)]
        runs = (run for execution in executions for run in reversed(execution.actions))
        shown, following = _page(runs, request, lambda run: run.action_execution_id)
        region = self._state.settings.region
        return {"actionExecutionDetails": [shapes.action_execution(run, region) for run in shown]} | following

    def _list_rules(self, pipeline: Pipeline, request: Request) -> Answer:
        """Answer that no rule was run."""
        execution_id = _asked_execution(request)
        if execution_id is not None:
            self._find(pipeline, execution_id)
        shown, _ = _page([], request, str)
        return {"ruleExecutionDetails": list(shown)}

    def _start_execution(self, pipeline: Pipeline, request: Request) -> Answer:
        token = request.get("clientRequestToken")
        known = self._state.start_tokens
        if token is not None and (pipeline.name, token) in known:
            return {"pipelineExecutionId": known[pipeline.name, token]}
        asked = StartRequest.read(pipeline, request)
        self._state.check_concurrency(pipeline)
        started = self._runner.start(pipeline, Trigger(CALLER_ARN), asked)
        if token is not None:
            known[pipeline.name, token] = started
        return {"pipelineExecutionId": started}

    def _stop_execution(self, pipeline: Pipeline, request: Request) -> Answer:
        execution = self._find(pipeline, request["pipelineExecutionId"], "PipelineExecutionNotStoppable")
        abandon = request.get("abandon", False)
        if execution.status == "Stopping" and not abandon:
            raise ApiError("DuplicatedStopRequestException", "The execution is already stopping.")
        if not execution.in_progress:
            raise ApiError(
                "PipelineExecutionNotStoppableException", f"The execution is already {execution.status}."
            )
        self._runner.stop(execution, abandon, request.get("reason"))
        return {"pipelineExecutionId": execution.pipeline_execution_id}

    def _retry(self, pipeline: Pipeline, request: Request) -> Answer:
        name = find_stage(pipeline, request["stageName"]).name
        execution = self._find(pipeline, request["pipelineExecutionId"], "StageNotRetryable")
        if execution.stage.name != name or name not in execution.stage_statuses:
            message = f"The execution has not failed or been stopped in {name}."
            raise ApiError("StageNotRetryableException", message)
        self._runner.retry(execution, all_actions=request["retryMode"] == "ALL_ACTIONS")
        return {"pipelineExecutionId": execution.pipeline_execution_id}

    def _find(
        self, pipeline: Pipeline, execution_id: str, error: str = "PipelineExecutionNotFound"
    ) -> PipelineExecution:
        found = self._state.executions[pipeline.name].get(execution_id)
        if found is None:
            raise ApiError(f"{error}Exception", f"The pipeline has no execution {execution_id}.")
        return found


def _asked_execution(request: Request) -> str | None:
    """Return the only execution that a list is to show, or None for all."""
    asked = request.get("filter", {})
    latest = asked.get("latestInPipelineExecution", {})
    found: str | None = asked.get("pipelineExecutionId", latest.get("pipelineExecutionId"))
    return found


def _page(
    found: Iterable[Any], request: Request, name_of: Callable[[Any], str]
) -> tuple[Sequence[Any], dict[str, str]]:
    return page(found, request.get("nextToken"), request.get("maxResults", MAX_RESULTS), name_of)
