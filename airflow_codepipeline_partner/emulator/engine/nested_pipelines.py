# SPDX-License-Identifier: Apache-2.0
"""Actions that start another pipeline, and end as its execution does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ActionFailed, ApiError
from airflow_codepipeline_partner.emulator.model.executions import ActionExecution, PipelineExecution
from airflow_codepipeline_partner.emulator.model.pipelines import Pipeline
from airflow_codepipeline_partner.emulator.model.start_requests import StartRequest
from airflow_codepipeline_partner.emulator.service_model import validate

#: Members of StartPipelineExecution by the property that holds them as JSON.
_MEMBERS = {"Variables": "variables", "SourceRevisions": "sourceRevisions"}

Start = Callable[[Pipeline, StartRequest, ActionExecution, float], None]


class NestedPipelines:
    """
    Do the actions that start a pipeline.

    Callers hold the state's lock.

    :param state: The state.
    :param start: Starts a pipeline for an action.

    Source: "AWS CodePipeline invoke action reference" in the user guide of CodePipeline.
    """

    def __init__(self, state: State, start: Start) -> None:
        self._state = state
        self._start = start

    def begin(self, action: ActionExecution, now: float) -> None:
        """
        Start the action's pipeline.

        :raises ActionFailed: There is no such pipeline, or it does not take what it is given.
        """
        configuration = action.configuration
        name = configuration.get("PipelineName", "")
        pipeline = self._state.pipelines.get(name)
        if pipeline is None or not pipeline.is_in(action.pipeline.declared_in):
            raise _wrong(f"There is no pipeline {name}.")
        if name in _names_above(action):
            raise _wrong(f"The pipeline {name} is already on its way to this action.")
        request: dict[str, Any] = {"name": name}
        for key, member in _MEMBERS.items():
            if key in configuration:
                request[member] = _read_list(key, configuration[key])
        try:
            asked = StartRequest.read(pipeline, validate("StartPipelineExecution", request))
            self._state.check_concurrency(pipeline)
        except ApiError as error:
            raise _wrong(f"The pipeline {name} cannot be started: {error.message}") from None
        self._start(pipeline, asked, action, now)


def error_of(execution: PipelineExecution) -> Mapping[str, str] | None:
    """Return why the action that started an execution failed, or None if it succeeded."""
    if execution.status == "Succeeded":
        return None
    which = f"{execution.pipeline_execution_id} of the pipeline {execution.pipeline.name}"
    return {"code": "JobFailed", "message": f"The execution {which} is {execution.status}."}


def _names_above(action: ActionExecution) -> set[str]:
    """Return the pipelines that an action is in, directly or through others."""
    names: set[str] = set()
    above: ActionExecution | None = action
    while above is not None:
        names.add(above.pipeline.name)
        above = above.execution.started_by
    return names


def _read_list(key: str, text: str) -> list[Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, list):
        raise _wrong(f"{key} is no JSON list.")
    return read


def _wrong(message: str) -> ActionFailed:
    return ActionFailed("ConfigurationError", message)
