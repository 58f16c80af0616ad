# SPDX-License-Identifier: Apache-2.0
"""The calls that make, change, delete and show pipelines: moto keeps them, and the emulator runs them."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import json
from collections.abc import Callable
from typing import Any

from airflow_codepipeline_partner.emulator.api import pipeline_shapes as shapes
from airflow_codepipeline_partner.emulator.api.pipeline_declaration import PipelineReader
from airflow_codepipeline_partner.emulator.engine.pipeline_runner import PipelineRunner
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.pipelines import DEFAULT_REGION, MASKED, Pipeline
from airflow_codepipeline_partner.emulator.service_model import validate

_REFUSED_WHEN_MADE = ("InvalidTagsException", "TooManyTagsException")

Request = dict[str, Any]
#: Lets moto do a call; called with its name and the request, returns the status and the body of the answer.
AskMoto = Callable[[str, Request], tuple[int, bytes]]


class PipelinesApi:
    """
    Answer the calls on pipelines that moto has, too.

    Whatever moto takes, the emulator can run; its answers are the callers'. What is secret in a worker's
    configuration moto is never told.

    :param state: The state.
    :param runner: What runs pipelines.
    """

    OPERATIONS = frozenset(
        {"CreatePipeline", "UpdatePipeline", "DeletePipeline", "GetPipeline", "ListPipelines"}
    )

    def __init__(self, state: State, runner: PipelineRunner) -> None:
        self._state = state
        self._runner = runner
        self._reader = PipelineReader(state)

    def answer(
        self, operation: str, request: Any, region: str | None, ask_moto: AskMoto
    ) -> tuple[int, bytes]:
        """
        Do a call, and return the status and the body of the answer.

        :param region: For which region the request was signed.
        :raises ApiError: The call is refused.
        """
        request = validate(operation, request)
        with self._state.lock:
            now = self._state.tick()
            name = request.get("name", request.get("pipeline", {}).get("name"))
            former = self._state.pipelines.get(name)
            if former is not None and former.declared_in is None:
                raise _not_for_our_own(operation, former)
            if operation == "ListPipelines":
                return 200, self._list(request, ask_moto)
            if operation == "GetPipeline":
                status, body = ask_moto(operation, request)
                return status, self._shown(body) if status == 200 else body
            made = None
            if operation != "DeletePipeline":
                made = self._reader.read(request["pipeline"], region or DEFAULT_REGION, now, former)
                request = _masked(request, made)
            status, body = ask_moto(operation, request)
            if status != 200:
                self._refused(operation, name, body, now, ask_moto)
            elif made is not None:
                version = json.loads(body)["pipeline"]["version"]
                self._state.pipelines[name] = dataclasses.replace(made, version=version)
                self._state.executions.setdefault(name, [])
                self._state.record("call", operation, now, pipeline_name=name, client_id=made.client_id)
            elif former is not None and former.declared_in == (region or DEFAULT_REGION):
                self._runner.withdraw(name)
                self._state.record("call", operation, now, pipeline_name=name, client_id=former.client_id)
            return status, body

    def _refused(self, operation: str, name: str, body: bytes, now: float, ask_moto: AskMoto) -> None:
        code = json.loads(body).get("__type", "Unknown")
        if operation == "CreatePipeline" and code in _REFUSED_WHEN_MADE:
            # moto has kept it nevertheless.
            ask_moto("DeletePipeline", {"name": name})
        self._state.record("call", operation, now, outcome=code, pipeline_name=name)

    def _list(self, request: Request, ask_moto: AskMoto) -> bytes:
        """Return the emulator's own pipelines and those of moto's, without those if it fails."""
        own = [each for each in self._state.pipelines.values() if each.declared_in is None]
        theirs: list[Request] = []
        with contextlib.suppress(ApiError):
            status, body = ask_moto("ListPipelines", request)
            theirs = json.loads(body)["pipelines"] if status == 200 else []
        for each in theirs:
            self._set_times(each, each["name"])
        return json.dumps({"pipelines": [*map(shapes.pipeline_summary, own), *theirs]}).encode()

    def _shown(self, body: bytes) -> bytes:
        told = json.loads(body)
        self._set_times(told["metadata"], told["pipeline"]["name"])
        return json.dumps(told).encode()

    def _set_times(self, shape: Request, name: str) -> None:
        """Tell a pipeline's times by the emulator's clock, and as AWS JSON has them."""
        known = self._state.pipelines.get(name)
        for member in ("created", "updated"):
            if known is not None:
                shape[member] = getattr(known, f"{member}_at")
            elif isinstance(shape[member], str):
                # Not every SDK reads ISO 8601 where AWS JSON has a number.
                shape[member] = datetime.datetime.fromisoformat(shape[member]).timestamp()


def _not_for_our_own(operation: str, pipeline: Pipeline) -> ApiError:
    if operation == "CreatePipeline":
        return ApiError("PipelineNameInUseException", f"A pipeline with the name '{pipeline.name}' exists.")
    return ApiError("NotImplementedException", f"The emulator's own pipelines know no {operation}.")


def _masked(request: Request, made: Pipeline) -> Request:
    """Return the request with the secrets of workers' configurations masked, as moto is to show it."""
    masked = copy.deepcopy(request)
    for stage, declared_stage in zip(made.stages, masked["pipeline"]["stages"], strict=True):
        for action, declared in zip(stage.actions, declared_stage["actions"], strict=True):
            # What of AWS's own actions is secret, moto shows.
            for key in action.secret_configuration_keys if action.makes_jobs else ():
                declared["configuration"][key] = MASKED
    return masked
