# SPDX-License-Identifier: Apache-2.0
"""The controls over HTTP, under /_emu/."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import parse_qsl

from airflow_codepipeline_partner.emulator.control_table import CONTROLS, PREFIX, Control, Members
from airflow_codepipeline_partner.emulator.controls import Controls
from airflow_codepipeline_partner.emulator.errors import ControlError
from airflow_codepipeline_partner.emulator.http.requests import Environ, read_body
from airflow_codepipeline_partner.emulator.http.responses import StartResponse, respond


class ControlHttp:
    """
    Answer requests under /_emu/ with JSON.

    :param controls: What does them.
    """

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        method = environ["REQUEST_METHOD"]
        path = environ["PATH_INFO"].removeprefix(PREFIX) or "/"
        body = read_body(environ)
        try:
            control = _find(method, path)
            if method == "GET":
                members: Members = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
            else:
                members = _parse(body)
            answer, status = control.perform(self._controls, members), 200
        except ControlError as error:
            answer, status = {"error": error.message}, error.status
        return respond(start, status, json.dumps(answer).encode(), "application/json")


def _find(method: str, path: str) -> Control:
    found = {control.http_method: control for control in CONTROLS if control.path == path}
    if method in found:
        return found[method]
    if found:
        raise ControlError(f"{PREFIX}{path} takes {' and '.join(found)}, not {method}", 405)
    raise ControlError(f"there is no {PREFIX}{path}; GET {PREFIX}/ lists what there is", 404)


def _parse(body: bytes) -> Members:
    try:
        parsed = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise ControlError("the request body is no JSON") from None
    if not isinstance(parsed, dict):
        raise ControlError("the request body is no JSON object")
    return parsed
