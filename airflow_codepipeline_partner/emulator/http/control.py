# SPDX-License-Identifier: Apache-2.0
"""The control interface over HTTP, under /_emu/."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from airflow_codepipeline_partner.emulator.controls import Controls
from airflow_codepipeline_partner.emulator.errors import ControlError
from airflow_codepipeline_partner.emulator.http.responses import StartResponse, respond
from airflow_codepipeline_partner.emulator.model.customers import Customer
from airflow_codepipeline_partner.emulator.service_model import is_number
from airflow_codepipeline_partner.emulator.settings import Settings

PREFIX = "/_emu"
Types = tuple[type, ...]
_TEXT: Types = (str,)
_NUMBER: Types = (int, float)
_WHOLE: Types = (int,)
_MAP: Types = (dict,)
_LIST: Types = (list,)
_NAMES: dict[Types, str] = {
    _TEXT: "text",
    _NUMBER: "number",
    _WHOLE: "whole number",
    _MAP: "object",
    _LIST: "list",
}
Body = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Route:
    """
    What can be asked.

    :param does: One line for those who list the routes.
    :param handle: Takes the members of the request, and returns JSON values.
    :param members: The members that it knows, and their types.
    :param required: Those that must be there.
    :param open_ended: Whether it takes other members too.
    :param nullable: Members for which null is a value of its own and not the default.
    """

    does: str
    handle: Callable[[Body], Any]
    members: Mapping[str, Types] = dataclasses.field(default_factory=dict)
    required: tuple[str, ...] = ()
    open_ended: bool = False
    nullable: tuple[str, ...] = ()


class ControlHttp:
    """
    Answer requests under /_emu/ with JSON.

    :param controls: What they control.
    """

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        customer = {"client_id": _TEXT, "client_token": _TEXT}
        pipeline = {
            "name": _TEXT,
            "client_id": _TEXT,
            "action_type": _MAP,
            "configuration": _MAP,
            "secret_configuration_keys": _LIST,
            "input_artifacts": _LIST,
            "output_artifacts": _LIST,
            "stage_name": _TEXT,
            "action_name": _TEXT,
            "encryption_key": _TEXT,
            "job_timeout": _NUMBER,
            "execution_url_template": _TEXT,
            "bucket": _TEXT,
        }
        fault = {
            "kind": _TEXT,
            "operation": _TEXT,
            "times": _WHOLE,
            "probability": _NUMBER,
            "seed": _WHOLE,
            "job_id": _TEXT,
            "client_id": _TEXT,
        }
        self.routes: dict[tuple[str, str], Route] = {
            ("GET", "/"): Route("list what there is", self._list),
            ("GET", "/health"): Route("say that the emulator answers", lambda _: {"status": "ok"}),
            ("POST", "/customers"): Route(
                "add a customer", lambda b: _customer(controls.add_customer(**b)), customer
            ),
            ("POST", "/customers/rotate"): Route(
                "give a customer a new token",
                lambda b: _customer(controls.rotate_token(**b)),
                customer | {"overlap": _NUMBER},
                ("client_id",),
            ),
            ("POST", "/connect"): Route(
                "make the URL of a customer's Connect",
                lambda b: {"url": controls.connect_request(**b)},
                {"client_id": _TEXT, "configuration_url": _TEXT},
                ("client_id", "configuration_url"),
            ),
            ("POST", "/action-types"): Route(
                "register an action type",
                lambda b: _done(controls.add_action_type(**b)),  # type: ignore[func-returns-value]
                {"action_type": _MAP, "secret_configuration_keys": _LIST},
                ("action_type",),
            ),
            ("GET", "/pipelines"): Route(
                "list the pipelines", lambda _: {"pipelines": sorted(controls.state.pipelines)}
            ),
            ("POST", "/pipelines"): Route(
                "add a pipeline",
                lambda b: {"name": controls.add_pipeline(**b).name},
                pipeline,
                ("name",),
            ),
            ("GET", "/state"): Route(
                "show a pipeline's state", lambda b: controls.pipeline_state(**b), {"name": _TEXT}, ("name",)
            ),
            ("POST", "/executions"): Route(
                "start a pipeline; artifacts are base64 by name",
                self._start_execution,
                {"name": _TEXT, "artifacts": _MAP, "variables": _MAP},
                ("name",),
            ),
            ("GET", "/jobs"): Route(
                "list the jobs", lambda _: {"jobs": [dataclasses.asdict(job) for job in controls.jobs()]}
            ),
            ("GET", "/clock"): Route("tell the time", lambda _: {"now": controls.now().isoformat()}),
            ("POST", "/clock/advance"): Route(
                "move the time forward",
                lambda b: {"now": controls.advance(**b).isoformat()},
                {"seconds": _NUMBER},
                ("seconds",),
            ),
            ("GET", "/faults"): Route(
                "list the faults", lambda _: {"faults": [fault.as_dict() for fault in controls.faults()]}
            ),
            ("POST", "/faults"): Route(
                "inject a fault",
                lambda b: controls.inject(**b).as_dict(),
                fault,
                ("kind",),
                open_ended=True,
                nullable=("times",),
            ),
            ("POST", "/faults/clear"): Route(
                "drop all faults",
                lambda _: _done(controls.clear_faults()),  # type: ignore[func-returns-value]
            ),
            ("GET", "/ledger"): Route(
                "show what happened; attributes of an entry as parameters", self._ledger, open_ended=True
            ),
            ("GET", "/settings"): Route("show the settings", lambda _: controls.settings.as_dict()),
            ("POST", "/settings"): Route(
                "change settings",
                lambda b: controls.configure(**b).as_dict(),
                open_ended=True,
                nullable=tuple(Settings().as_dict()),
            ),
            ("POST", "/reset"): Route("forget everything but the time", self._reset, {"settings": _MAP}),
        }

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        method = environ["REQUEST_METHOD"]
        path = environ["PATH_INFO"].removeprefix(PREFIX) or "/"
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            route = self._find(method, path)
            if method == "GET":
                members: Body = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
            else:
                members = _parse(body)
            answer = route.handle(_checked(route, members))
            status = 200
        except ControlError as error:
            answer, status = {"error": error.message}, error.status
        return respond(start, status, json.dumps(answer).encode(), "application/json")

    def _find(self, method: str, path: str) -> Route:
        route = self.routes.get((method, path))
        if route is not None:
            return route
        others = [known for known, known_path in self.routes if known_path == path]
        if others:
            raise ControlError(f"{PREFIX}{path} takes {' and '.join(others)}, not {method}", 405)
        raise ControlError(f"there is no {PREFIX}{path}; GET {PREFIX}/ lists what there is", 404)

    def _list(self, _: Body) -> Any:
        return {
            "routes": [
                {"method": method, "path": PREFIX + path, "does": route.does, "members": list(route.members)}
                for (method, path), route in self.routes.items()
            ]
        }

    def _start_execution(self, body: Body) -> Any:
        artifacts = {name: _decoded(name, value) for name, value in body.get("artifacts", {}).items()}
        started = self._controls.start_execution(body["name"], artifacts, variables=body.get("variables"))
        return {"pipeline_execution_id": started}

    def _ledger(self, query: Body) -> Any:
        # All others that a query can name are texts.
        if "number" in query:
            if not is_number(query["number"]):
                raise ControlError("number is a whole number")
            query["number"] = int(query["number"])
        try:
            entries = self._controls.ledger.where(**query)
        except ValueError as error:
            raise ControlError(str(error)) from None
        return {"ledger": [entry.as_dict() for entry in entries]}

    def _reset(self, body: Body) -> Any:
        settings = None
        if "settings" in body:
            try:
                settings = Settings.from_mapping(body["settings"])
            except ValueError as error:
                raise ControlError(str(error)) from None
        self._controls.reset(settings)
        return {}


def _done(_: None) -> Body:
    return {}


def _customer(customer: Customer) -> Body:
    return {"client_id": customer.client_id, "client_token": customer.client_token}


def _parse(body: bytes) -> Body:
    try:
        parsed = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise ControlError("the request body is no JSON") from None
    if not isinstance(parsed, dict):
        raise ControlError("the request body is no JSON object")
    return parsed


def _checked(route: Route, members: Body) -> Body:
    missing = [name for name in route.required if members.get(name) is None]
    if missing:
        raise ControlError(f"missing: {', '.join(missing)}")
    unknown = sorted(set(members) - set(route.members))
    if unknown and not route.open_ended:
        known = ", ".join(route.members) or "nothing"
        raise ControlError(f"unknown: {', '.join(unknown)}; it takes {known}")
    for name, types in route.members.items():
        value = members.get(name)
        if value is not None and (not isinstance(value, types) or isinstance(value, bool)):
            raise ControlError(f"{name} is a {_NAMES[types]}")
    # null stands for the default, except where it means something of its own.
    return {name: value for name, value in members.items() if value is not None or name in route.nullable}


def _decoded(name: str, value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ControlError(f"artifact {name} is no base64") from None
