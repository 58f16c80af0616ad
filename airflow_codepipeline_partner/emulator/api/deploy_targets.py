# SPDX-License-Identifier: Apache-2.0
"""The call about the targets of a deployment; the emulator deploys to none."""

from __future__ import annotations

from typing import Any

from airflow_codepipeline_partner.emulator.api.pages import page
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.service_model import validate

_DEPLOY = "Deploy"


class DeployTargetsApi:
    """
    Answer ListDeployActionExecutionTargets.

    :param state: The state.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def __contains__(self, operation: str) -> bool:
        return operation == "ListDeployActionExecutionTargets"

    def answer(self, operation: str, request: Any, region: str | None) -> dict[str, Any]:
        """
        Do a call.

        :param region: The region that the request is signed for.
        :raises ApiError: The call is refused.
        """
        request = validate(operation, request)
        with self._state.lock:
            self._state.tick()
            name = request.get("pipelineName")
            pipeline = self._state.pipelines.get(name or "")
            if name is not None and (pipeline is None or not pipeline.is_in(region)):
                raise ApiError("PipelineNotFoundException", f"There is no pipeline {name}.")
            run = self._state.action_executions.get(request["actionExecutionId"])
            if run is None or name not in (None, run.pipeline.name) or not run.pipeline.is_in(region):
                message = f"There is no action execution {request['actionExecutionId']}."
                raise ApiError("ActionExecutionNotFoundException", message)
            if run.action.action_type.category != _DEPLOY:
                raise ApiError("ValidationException", f"The action {run.action.name} is no deployment.")
        shown, _ = page([], request.get("nextToken"), 1, str)
        return {"targets": list(shown)}
