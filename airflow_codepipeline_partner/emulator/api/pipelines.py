# SPDX-License-Identifier: Apache-2.0
"""The calls that create, change, delete and show pipelines: moto keeps them, the emulator runs them."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Callable
from typing import Any

from airflow_codepipeline_partner.emulator.api import pipeline_shapes as shapes
from airflow_codepipeline_partner.emulator.api.action_types import page_of_tags
from airflow_codepipeline_partner.emulator.api.pages import sorted_page
from airflow_codepipeline_partner.emulator.api.pipeline_declaration import PipelineReader
from airflow_codepipeline_partner.emulator.engine.pipeline_runner import PipelineRunner
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.pipelines import ACCOUNT_ID, DEFAULT_REGION, Pipeline
from airflow_codepipeline_partner.emulator.model.secret_masking import mask_declaration
from airflow_codepipeline_partner.emulator.service_model import validate

MAX_PIPELINES = 1000  # of one page
_TAG_OPERATIONS = frozenset({"ListTagsForResource", "TagResource", "UntagResource"})
_REFUSED_WHEN_MADE = ("InvalidTagsException", "TooManyTagsException")

Request = dict[str, Any]
#: Lets moto do a call: takes its name and the request, returns the status and the body of the response.
AskMoto = Callable[[str, Request], tuple[int, bytes]]


class PipelinesApi:
    """
    Answer the calls about pipelines that moto has too.

    The emulator can run whatever moto accepts, and returns moto's responses. moto never gets the secrets in
    a worker's configuration.

    :param state: The state.
    :param runner: What runs pipelines.
    """

    OPERATIONS = frozenset(
        {"CreatePipeline", "UpdatePipeline", "DeletePipeline", "GetPipeline", "ListPipelines"}
        | _TAG_OPERATIONS
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
        if operation in _TAG_OPERATIONS:
            return self._answer_tags(operation, request, ask_moto)
        with self._state.lock:
            now = self._state.tick()
            name = request.get("name", request.get("pipeline", {}).get("name"))
            former = self._state.pipelines.get(name)
            if former is not None and former.declared_in is None:
                raise _not_for_our_own(operation, former)
            if operation == "ListPipelines":
                return 200, self._list(request, ask_moto)
            if operation == "GetPipeline":
                known = former if former is not None and former.is_in(region) else None
                return self._get(request, known, ask_moto)
            if operation == "CreatePipeline" and former is not None and former.declared_in == region:
                raise _name_in_use(name)
            made = None
            if operation != "DeletePipeline":
                made = self._reader.read(request["pipeline"], region or DEFAULT_REGION, now, former)
                request = mask_declaration(request, made)
            status, body = ask_moto(operation, request)
            if status != 200:
                self._refused(operation, name, body, now, ask_moto)
            elif made is not None:
                version = json.loads(body)["pipeline"]["version"]
                self._state.pipelines[name] = dataclasses.replace(made, version=version)
                shown = json.loads(self._shown(ask_moto("GetPipeline", {"name": name})[1]))
                self._state.versions.setdefault(name, {})[version] = shown
                self._state.executions.setdefault(name, {})
                self._state.record("call", operation, now, pipeline_name=name, client_id=made.client_id)
            elif former is not None and former.declared_in == (region or DEFAULT_REGION):
                self._runner.withdraw(name)
                self._state.record("call", operation, now, pipeline_name=name, client_id=former.client_id)
            return status, body

    def _answer_tags(self, operation: str, request: Request, ask_moto: AskMoto) -> tuple[int, bytes]:
        """Let moto answer, which keeps the tags, and has one page of them."""
        name = request["resourceArn"].rpartition(":")[2]
        own = self._state.pipelines[name] if self._state.is_own_pipeline(name) else None
        if own is not None and operation != "ListTagsForResource":
            raise _not_for_our_own(operation, own)
        status, body = (200, b'{"tags": []}') if own is not None else ask_moto(operation, request)
        if operation == "ListTagsForResource" and status == 200:
            body = json.dumps(page_of_tags(json.loads(body)["tags"], request)).encode()
        return status, body

    def _refused(self, operation: str, name: str, body: bytes, now: float, ask_moto: AskMoto) -> None:
        code = json.loads(body).get("__type", "Unknown")
        if operation == "CreatePipeline" and code in _REFUSED_WHEN_MADE:
            # moto has created it nevertheless.
            ask_moto("DeletePipeline", {"name": name})
        self._state.record("call", operation, now, outcome=code, pipeline_name=name)

    def _get(self, request: Request, known: Pipeline | None, ask_moto: AskMoto) -> tuple[int, bytes]:
        version = request.get("version")
        if known is not None and version not in (None, known.version):
            former = self._state.versions.get(known.name, {}).get(version)
            if former is None:
                message = f"The pipeline '{known.name}' has no version {version}."
                raise ApiError("PipelineVersionNotFoundException", message)
            return 200, json.dumps(former).encode()
        status, body = ask_moto("GetPipeline", request)
        return status, self._shown(body) if status == 200 else body

    def _list(self, request: Request, ask_moto: AskMoto) -> bytes:
        """Return the emulator's own pipelines and moto's, or only its own if moto fails."""
        own = [each for each in self._state.pipelines.values() if each.declared_in is None]
        theirs: list[Request] = []
        with contextlib.suppress(ApiError):
            status, body = ask_moto("ListPipelines", {})
            theirs = json.loads(body)["pipelines"] if status == 200 else []
        for each in theirs:
            self._set_times(each, each["name"])
        found = sorted([*map(shapes.pipeline_summary, own), *theirs], key=_name)
        token, size = request.get("nextToken"), request.get("maxResults", MAX_PIPELINES)
        shown, following = sorted_page(found, token, size, _name)
        return json.dumps({"pipelines": shown} | following).encode()

    def _shown(self, body: bytes) -> bytes:
        shown = json.loads(body)
        self._set_times(shown["metadata"], shown["pipeline"]["name"])
        return json.dumps(shown).encode()

    def _set_times(self, shape: Request, name: str) -> None:
        """Set a pipeline's times to the emulator's, in AWS JSON's format."""
        known = self._state.pipelines.get(name)
        for member in ("created", "updated"):
            if known is not None:
                shape[member] = getattr(known, f"{member}_at")
            elif isinstance(shape[member], str):
                # AWS JSON has a number here; not every SDK reads ISO 8601.
                shape[member] = datetime.datetime.fromisoformat(shape[member]).timestamp()


def _name(summary: Request) -> str:
    return str(summary["name"])


def _name_in_use(name: str) -> ApiError:
    # moto answers InvalidStructureException.
    message = f"A pipeline with the name '{name}' already exists in account '{ACCOUNT_ID}'"
    return ApiError("PipelineNameInUseException", message)


def _not_for_our_own(operation: str, pipeline: Pipeline) -> ApiError:
    if operation == "CreatePipeline":
        return _name_in_use(pipeline.name)
    return ApiError("NotImplementedException", f"The emulator's own pipelines do not support {operation}.")
