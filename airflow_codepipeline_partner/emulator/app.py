# SPDX-License-Identifier: Apache-2.0
"""The HTTP face: CodePipeline's calls are answered here, everything else is moto's."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_codepipeline_partner.emulator.artifacts import ArtifactCall, ArtifactGuard, Environ, service_of
from airflow_codepipeline_partner.emulator.control_http import ControlHttp
from airflow_codepipeline_partner.emulator.controls import Controls
from airflow_codepipeline_partner.emulator.errors import ApiError, ControlError
from airflow_codepipeline_partner.emulator.faults import Fault, change
from airflow_codepipeline_partner.emulator.job_calls import JobCalls
from airflow_codepipeline_partner.emulator.pipeline_calls import PipelineCalls
from airflow_codepipeline_partner.emulator.reply import (
    AWS_JSON,
    StartResponse,
    cbor_error,
    json_answer,
    json_error,
    query_error,
    reply,
    s3_error,
)
from airflow_codepipeline_partner.emulator.signature import read_signature
from airflow_codepipeline_partner.emulator.storage import WsgiApp, call_app
from airflow_codepipeline_partner.emulator.validation import operations, validate

TARGET = "CodePipeline_20150709."
CBOR_PATH = "/service/CodePipeline_20150709/"
# moto's own, which touch no job.
_MOTO_OPERATIONS = frozenset(
    {
        "CreatePipeline",
        "DeletePipeline",
        "GetPipeline",
        "ListPipelines",
        "ListTagsForResource",
        "TagResource",
        "UntagResource",
        "UpdatePipeline",
    }
)


class EmulatorApp:
    """
    A WSGI application.

    :param controls: The state and its control.
    :param moto: moto's WSGI application.
    :param stopping: Set when the server stops, so that slow answers do not hold it up.
    """

    def __init__(self, controls: Controls, moto: WsgiApp, stopping: threading.Event) -> None:
        self._core = controls.core
        self._moto = moto
        self._stopping = stopping
        self._job_calls = JobCalls(controls.core, controls.store)
        self._pipeline_calls: PipelineCalls = controls.pipeline_calls
        self._guard = ArtifactGuard(controls.core)
        self._control = ControlHttp(controls)

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """Answer a request, or hand it on to moto."""
        path = environ.get("PATH_INFO", "")
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if path == "/_emu" or path.startswith("/_emu/"):
            return self._control(environ, start)
        if path == "/moto-api/reset" and environ["REQUEST_METHOD"] == "POST":
            self._core.reset()
        if self._guard.concerns(environ):
            return self._artifact(environ, start)
        if path.startswith(CBOR_PATH):
            message = "The emulator speaks AWS JSON 1.1: send X-Amz-Target and no CBOR."
            return cbor_error(start, "UnsupportedProtocolException", message)
        if target.startswith(TARGET):
            return self._codepipeline(environ, start, target.removeprefix(TARGET))
        return self._moto(environ, start)

    def _codepipeline(self, environ: Environ, start: StartResponse, operation: str) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            region = _signed_region(environ)
            request = _parse(body)
            if operation in self._job_calls:
                return self._job_call(environ, start, operation, request, region)
            if operation not in operations():
                raise ApiError("UnknownOperationException", f"CodePipeline has no operation {operation!r}.")
            name = request.get("name") if isinstance(request, dict) else None
            ours = isinstance(name, str) and name in self._core.pipelines
            if operation in self._pipeline_calls and (ours or operation not in _MOTO_OPERATIONS):
                return json_answer(start, self._pipeline_calls.answer(operation, request))
            if operation not in _MOTO_OPERATIONS:
                raise ApiError("NotImplementedException", f"The emulator does not know {operation}.")
            validate(operation, request)
            environ["wsgi.input"] = io.BytesIO(body)
            if operation == "ListPipelines":
                return self._list_pipelines(environ, start)
            self._keep_ours(operation, request)
            status, answer = call_app(self._moto, environ)
            if status >= 500:
                # Every client would try that again, and again in vain.
                raise ApiError("NotImplementedException", f"moto could not do this {operation}.")
            return reply(start, status, answer, AWS_JSON)
        except ApiError as error:
            return json_error(start, error.code, error.message, error.status)
        except ControlError as error:
            # The source artifacts could not be put in their bucket.
            return json_error(start, "ConflictException", error.message)

    def _keep_ours(self, operation: str, request: dict[str, Any]) -> None:
        """Refuse to let moto make, change or delete a pipeline with the name of one of ours."""
        name = request.get("name", request.get("pipeline", {}).get("name"))
        if name in self._core.pipelines:
            if operation == "CreatePipeline":
                raise ApiError("PipelineNameInUseException", f"A pipeline with the name '{name}' exists.")
            raise ApiError("NotImplementedException", f"The emulator's own pipelines know no {operation}.")

    def _list_pipelines(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        status, body = call_app(self._moto, environ)
        theirs = json.loads(body)["pipelines"] if status == 200 else []
        return json_answer(start, {"pipelines": [*self._pipeline_calls.summaries(), *theirs]})

    def _job_call(
        self, environ: Environ, start: StartResponse, operation: str, request: Any, region: str | None
    ) -> Iterable[bytes]:
        job_id = request.get("jobId") if isinstance(request, dict) else None
        faults = self._befall(operation, job_id if isinstance(job_id, str) else None)
        stop = _stopping_fault(faults)
        if stop is not None:
            self._record_stopped(operation, job_id, stop, faults)
            if stop.kind == "drop_request":
                return hang_up(environ, start)
            code, message, status = _fault_error(stop)
            return json_error(start, code, message, status)
        error = None
        answer: dict[str, Any] = {}
        try:
            answer = self._job_calls.answer(operation, request, region, faults)
        except ApiError as refused:
            error = refused
        if any(fault.kind == "drop_response" for fault in faults):
            return hang_up(environ, start)
        if error is not None:
            return json_error(start, error.code, error.message, error.status)
        return json_answer(start, change(answer, faults))

    def _befall(self, operation: str, job_id: str | None) -> list[Fault]:
        with self._core.lock:
            job = self._core.jobs.get(job_id or "")
            client_id = job.client_id if job is not None else None
            faults = self._core.faults.befall(operation, job_id, client_id)
        for fault in faults:
            if fault.kind == "slow":
                self._stopping.wait(fault.params["seconds"])
        return faults

    def _record_stopped(self, operation: str, job_id: Any, stop: Fault, faults: Sequence[Fault]) -> None:
        with self._core.lock:
            now = self._core.tick()
            named = job_id if isinstance(job_id, str) else None
            job = self._core.jobs.get(named or "")
            values = {"job_id": named} if job is None else {"status_before": job.status.value}
            self._core.record(
                "call",
                operation,
                now,
                job,
                outcome=stop.kind if stop.kind == "drop_request" else _fault_error(stop)[0],
                faults=tuple(fault.kind for fault in faults),
                **values,
            )

    def _artifact(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        call: ArtifactCall | None = None
        faults: list[Fault] = []
        try:
            call = self._guard.check(environ)
            faults = self._befall(call.operation, call.credentials.job.job_id)
            stop = _stopping_fault(faults)
            if stop is not None and stop.kind == "drop_request":
                self._guard.record(environ, call, stop.kind, tuple(fault.kind for fault in faults))
                return hang_up(environ, start)
            if stop is not None:
                raise ApiError(*_fault_error(stop))
        except ApiError as error:
            self._guard.record(environ, call, error.code, tuple(fault.kind for fault in faults))
            return _denied(environ, start, error)
        told: list[Any] = []
        answer = self._moto(environ, lambda *line_and_headers: told.extend(line_and_headers))
        self._guard.record(environ, call, "ok", tuple(fault.kind for fault in faults), told)
        if any(fault.kind == "drop_response" for fault in faults):
            return hang_up(environ, start)
        start(*told)
        return answer


def hang_up(environ: Environ, start: Any) -> Iterable[bytes]:
    """Close the connection without an answer, as a broken network does."""
    # waitress hands out nothing of the connection but this method of its channel.
    channel = environ["waitress.client_disconnected"].__self__
    channel.socket.shutdown(socket.SHUT_RDWR)
    start("500 Internal Server Error", [("Content-Length", "0")])
    return []


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ApiError("SerializationException", "The request body is no JSON.") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is Python's and not JSON's")


def _signed_region(environ: Environ) -> str:
    """Return for which region a call is signed. Which key signed it does not matter: moto knows none."""
    if not environ.get("HTTP_AUTHORIZATION"):
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
    signature = read_signature(environ)
    if signature is None:
        raise ApiError("IncompleteSignatureException", "The Authorization header is no AWS4-HMAC-SHA256.")
    if signature.service != "codepipeline":
        message = "Credential should be scoped to correct service: 'codepipeline'."
        raise ApiError("InvalidSignatureException", message)
    return signature.region


def _stopping_fault(faults: Iterable[Fault]) -> Fault | None:
    stops = ("throttle", "server_error", "error", "drop_request")
    return next((fault for fault in faults if fault.kind in stops), None)


def _fault_error(fault: Fault) -> tuple[str, str, int]:
    if fault.kind == "throttle":
        return "ThrottlingException", "Rate exceeded", 400
    if fault.kind == "server_error":
        return "InternalFailure", "The request processing has failed.", fault.params["status"]
    return fault.params["code"], fault.params["message"], fault.params["status"]


def _denied(environ: Environ, start: StartResponse, error: ApiError) -> Iterable[bytes]:
    """Answer a denial in the words of the service that was called."""
    if environ.get("HTTP_X_AMZ_TARGET"):
        code = error.code if error.code.endswith("Exception") else f"{error.code}Exception"
        return json_error(start, code, error.message, 400)
    if service_of(environ) == "s3":
        return s3_error(start, error.code, error.message, error.status, environ["REQUEST_METHOD"])
    return query_error(start, error.code, error.message, error.status)
