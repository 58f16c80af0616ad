# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: it answers CodePipeline's calls, and leaves all others to moto."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_codepipeline_partner.emulator.api.action_types import ActionTypesApi
from airflow_codepipeline_partner.emulator.api.deploy_targets import DeployTargetsApi
from airflow_codepipeline_partner.emulator.api.executions import ExecutionsApi
from airflow_codepipeline_partner.emulator.api.jobs import JobsApi
from airflow_codepipeline_partner.emulator.api.pipelines import PipelinesApi
from airflow_codepipeline_partner.emulator.api.rules import RulesApi
from airflow_codepipeline_partner.emulator.api.webhooks import WebhooksApi
from airflow_codepipeline_partner.emulator.controls import Controls
from airflow_codepipeline_partner.emulator.engine.moto_store import WsgiApp, call_app
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.faults import (
    MAX_SLOW_CALLS,
    PIPELINE_CALLS,
    Fault,
    change,
    stopping_fault,
)
from airflow_codepipeline_partner.emulator.http.control import ControlHttp
from airflow_codepipeline_partner.emulator.http.faults import fault_error, hang_up
from airflow_codepipeline_partner.emulator.http.long_poll import answer_long_poll, is_long_poll
from airflow_codepipeline_partner.emulator.http.requests import Environ, read_body
from airflow_codepipeline_partner.emulator.http.responses import (
    AWS_JSON,
    StartResponse,
    cbor_error,
    json_answer,
    json_error,
    query_error,
    respond,
    s3_error,
)
from airflow_codepipeline_partner.emulator.http.s3_guard import (
    ArtifactCall,
    ArtifactGuard,
    service_of,
)
from airflow_codepipeline_partner.emulator.http.signature import read_signature
from airflow_codepipeline_partner.emulator.service_model import operations, shortened

TARGET = "CodePipeline_20150709."
_ANY_TARGET = "codepipeline"
_ANY_CBOR_PATH = "/service/codepipeline"
_log = logging.getLogger(__name__)


class EmulatorApp:
    """
    A WSGI application.

    :param controls: The controls and the state.
    :param moto: moto's WSGI application.
    :param stopping: Set when the server stops, so that slow calls do not delay it.
    """

    def __init__(self, controls: Controls, moto: WsgiApp, stopping: threading.Event) -> None:
        self._state = controls.state
        self._moto = moto
        self._stopping = stopping
        self._jobs_api = JobsApi(controls.state, controls.runner, controls.store)
        self._action_types_api = ActionTypesApi(controls.state)
        self._executions_api: ExecutionsApi = controls.executions_api
        self._pipelines_api = PipelinesApi(controls.state, controls.runner)
        self._other_apis = (
            WebhooksApi(controls.state),
            RulesApi(),
            DeployTargetsApi(controls.state),
        )
        self._guard = ArtifactGuard(controls.state, controls.store)
        self._control = ControlHttp(controls)
        self._slow_calls = threading.Semaphore(MAX_SLOW_CALLS)

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """Answer a request, or pass it on to moto."""
        answer = self._answer(environ, start)
        if environ["REQUEST_METHOD"] != "HEAD":
            return answer
        # A client would read a body as the beginning of the next response.
        getattr(answer, "close", lambda: None)()
        return []

    def _answer(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/_emu" or path.startswith("/_emu/"):
            return self._control(environ, start)
        if self._guard.handles(environ):
            return self._artifact(environ, start)
        if path.lower().startswith(_ANY_CBOR_PATH):
            message = "The emulator speaks AWS JSON 1.1: send X-Amz-Target and no CBOR."
            return cbor_error(start, "UnsupportedProtocolException", message)
        if _is_codepipeline(environ):
            return self._codepipeline(environ, start)
        if path == "/moto-api/reset" and environ["REQUEST_METHOD"] == "POST":
            self._state.reset()
        return self._ask_moto(environ, start)

    def _ask_moto(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        """Let moto answer. It raises what it cannot do, and clients would retry a 500 in vain."""
        try:
            if is_long_poll(environ):
                status, answer, headers = answer_long_poll(
                    environ, self._moto, self._stopping, self._slow_calls
                )
                return respond(start, status, answer, headers.get("content-type", AWS_JSON))
            return self._moto(environ, _latin_only(start))
        except ApiError as error:
            refusal = error
        except NotImplementedError as error:
            refusal = ApiError("NotImplemented", f"moto does not know this call: {error}", 501)
        except Exception as error:
            _log.debug("moto raised", exc_info=True)
            refusal = ApiError("InvalidRequest", f"moto could not do this: {error!r}")
        return _denied(environ, start, refusal)

    def _codepipeline(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        operation = target.removeprefix(TARGET) if target.startswith(TARGET) else ""
        request, region, refusal = self._read(environ, operation)
        if operation in self._jobs_api:
            return self._job_call(environ, start, operation, request, region, refusal)
        faults = self._matching_faults(operation, None) if operation in PIPELINE_CALLS else []
        stop = stopping_fault(faults)
        if stop is not None:
            return self._stopped(environ, start, operation, None, stop, faults)
        if not any(fault.kind == "drop_response" for fault in faults):
            return self._other_call(environ, start, operation, request, region, refusal)
        self._other_call(environ, lambda *_: None, operation, request, region, refusal)
        return hang_up(environ, start)

    def _other_call(
        self,
        environ: Environ,
        start: StartResponse,
        operation: str,
        request: Any,
        region: str | None,
        refusal: ApiError | None,
    ) -> Iterable[bytes]:
        """Answer a call that is not about a job."""
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        try:
            if refusal is not None:
                raise refusal
            if operation not in operations():
                message = f"X-Amz-Target names no operation of CodePipeline's: {shortened(target)!r}."
                raise ApiError("UnknownOperationException", message)
            if self._action_types_api.answers(operation, request):
                return json_answer(start, self._action_types_api.answer(operation, request, region))
            return self._pipeline_call(environ, start, operation, request, region)
        except ApiError as error:
            refusal = error
        with self._state.lock:
            named = shortened(operation or target) or "Unknown"
            self._state.record("call", named, self._state.tick(), outcome=refusal.code)
        return json_error(start, refusal.code, refusal.message, refusal.status)

    def _read(self, environ: Environ, operation: str) -> tuple[Any, str | None, ApiError | None]:
        """Return a call's request, the region that it is signed for, and its refusal or None."""
        request, region, refusal = None, None, None
        try:
            request = _parse(read_body(environ))
        except ApiError as error:
            refusal = error
        # A service checks all this before the body.
        try:
            if environ["REQUEST_METHOD"] != "POST":
                raise ApiError("UnknownOperationException", "Each call of CodePipeline's is a POST.")
            region = _signed_region(environ)
            if not self._state.allows(operation):
                raise ApiError("ThrottlingException", "Rate exceeded")
        except ApiError as error:
            refusal = error
        return request, region, refusal

    def _pipeline_call(
        self, environ: Environ, start: StartResponse, operation: str, request: Any, region: str | None
    ) -> Iterable[bytes]:
        def ask_moto(named: str, instead: Any) -> tuple[int, bytes]:
            body = json.dumps(instead).encode()
            asked = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
            response = call_app(self._ask_moto, environ | asked | {"HTTP_X_AMZ_TARGET": TARGET + named})
            if response[0] >= 500:
                raise ApiError("NotImplementedException", f"moto could not do this {named}.")
            return response[:2]

        own = isinstance(request, dict) and self._state.is_own_pipeline(request.get("name"))
        if operation in self._executions_api and (own or operation not in self._pipelines_api.OPERATIONS):
            return json_answer(start, self._executions_api.answer(operation, request, region))
        for api in self._other_apis:
            if operation in api:
                return json_answer(start, api.answer(operation, request, region))
        if operation in self._pipelines_api.OPERATIONS:
            status, answer = self._pipelines_api.answer(operation, request, region, ask_moto)
        else:
            raise ApiError("NotImplementedException", f"The emulator does not know {operation}.")
        return respond(start, status, answer, AWS_JSON)

    def _job_call(
        self,
        environ: Environ,
        start: StartResponse,
        operation: str,
        request: Any,
        region: str | None,
        refusal: ApiError | None,
    ) -> Iterable[bytes]:
        job_id = request.get("jobId") if isinstance(request, dict) else None
        faults = self._matching_faults(operation, job_id if isinstance(job_id, str) else None)
        stop = stopping_fault(faults)
        if stop is not None:
            return self._stopped(environ, start, operation, job_id, stop, faults)
        error = None
        answer: dict[str, Any] = {}
        try:
            answer = self._jobs_api.answer(operation, request, region, faults, refusal)
        except ApiError as refused:
            error = refused
        if any(fault.kind == "drop_response" for fault in faults):
            return hang_up(environ, start)
        if error is not None:
            return json_error(start, error.code, error.message, error.status)
        return json_answer(start, change(answer, faults))

    def _matching_faults(self, operation: str, job_id: str | None) -> list[Fault]:
        if not self._state.faults.active:
            return []
        with self._state.lock:
            job = self._state.jobs.get(job_id or "")
            client_id = job.client_id if job is not None else None
            faults = self._state.faults.match(operation, job_id, client_id)
            cleared = self._state.faults.cleared
        seconds = sum(fault.params["seconds"] for fault in faults if fault.kind == "slow")
        # Stopping the server sets the event first, and wakes the waiting calls after that.
        if seconds and not self._stopping.is_set() and self._slow_calls.acquire(blocking=False):
            try:
                cleared.wait(seconds)
            finally:
                self._slow_calls.release()
        return faults

    def _stopped(
        self,
        environ: Environ,
        start: StartResponse,
        operation: str,
        job_id: Any,
        stop: Fault,
        faults: Sequence[Fault],
    ) -> Iterable[bytes]:
        """End a call that is not done."""
        with self._state.lock:
            now = self._state.tick()
            named = job_id if isinstance(job_id, str) else None
            job = self._state.jobs.get(named or "")
            values = {"job_id": named} if job is None else {"status_before": job.status.value}
            self._state.record(
                "call",
                operation,
                now,
                job,
                outcome=stop.kind if stop.kind == "drop_request" else fault_error(stop)[0],
                faults=tuple(fault.kind for fault in faults),
                **values,
            )
        if stop.kind == "drop_request":
            return hang_up(environ, start)
        return json_error(start, *fault_error(stop))

    def _artifact(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        try:
            return self._guarded(environ, start)
        except Exception as error:
            _log.exception("the guard of S3 failed")
            refusal = ApiError("InvalidRequest", f"The emulator could not do this: {error!r}")
        return _denied(environ, start, refusal)

    def _guarded(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        call: ArtifactCall | None = None
        faults: list[Fault] = []
        try:
            call = self._guard.check(environ)
            faults = self._matching_faults(call.operation, call.credentials.job.job_id)
            stop = stopping_fault(faults)
            if stop is not None and stop.kind == "drop_request":
                self._guard.record(environ, call, stop.kind, tuple(fault.kind for fault in faults))
                return hang_up(environ, start)
            if stop is not None:
                raise ApiError(*fault_error(stop, in_s3=True))
            response: list[Any] = []
            answer = self._ask_s3(call, environ, lambda *line_and_headers: response.extend(line_and_headers))
        except ApiError as error:
            self._guard.record(environ, call, error.code, tuple(fault.kind for fault in faults))
            return _denied(environ, start, error)
        self._guard.record(environ, call, "ok", tuple(fault.kind for fault in faults), response)
        if any(fault.kind == "drop_response" for fault in faults):
            return hang_up(environ, start)
        start(*response)
        cuts = [fault.params["after_bytes"] for fault in faults if fault.kind == "cut_body"]
        # If a body is shorter than its Content-Length, waitress closes the connection.
        return [b"".join(answer)[: min(cuts)]] if cuts else answer

    def _ask_s3(self, call: ArtifactCall, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        try:
            return self._moto(environ, _latin_only(start))
        except ApiError:
            raise
        except Exception as error:
            _log.debug("moto raised", exc_info=True)
            if "Part" in call.operation or "Multipart" in call.operation:
                message = "The specified upload does not exist. It may have been aborted or completed."
                raise ApiError("NoSuchUpload", message, 404) from None
            raise ApiError("InvalidRequest", f"moto could not do this: {error!r}") from None


def _latin_only(start: StartResponse) -> StartResponse:
    """Refuse headers of a response that HTTP cannot hold, as S3 does."""

    def checked(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        for name, value in headers:
            try:
                value.encode("latin-1")
            except UnicodeEncodeError:
                message = f"Header value cannot be represented using ISO-8859-1: {name}"
                raise ApiError("InvalidArgument", message) from None
        return start(status, headers, *more)

    return checked


def _is_codepipeline(environ: Environ) -> bool:
    """Return whether a request is for CodePipeline, even a malformed one, which moto would fail at."""
    if environ.get("HTTP_X_AMZ_TARGET", "").lower().startswith(_ANY_TARGET):
        return True
    signature = read_signature(environ)
    if signature is not None:
        return signature.service == "codepipeline"
    # AWS JSON that names neither an operation nor a readable service.
    return "HTTP_X_AMZ_TARGET" not in environ and _is_aws_json(environ)


def _is_aws_json(environ: Environ) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).lower().startswith("application/x-amz-json")


def _parse(body: bytes) -> Any:
    try:
        text = (body or b"{}").decode(json.detect_encoding(body), "surrogatepass")
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise ApiError("SerializationException", "The request body is no JSON.") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is Python's and not JSON's")


# json.loads would make one for each call.
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _signed_region(environ: Environ) -> str:
    """Return the region that a call is signed for. Any key may sign it: moto has none."""
    if not environ.get("HTTP_AUTHORIZATION"):
        raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
    signature = read_signature(environ)
    if signature is None:
        raise ApiError("IncompleteSignatureException", "The Authorization header is no AWS4-HMAC-SHA256.")
    if signature.service != "codepipeline":
        message = "Credential should be scoped to correct service: 'codepipeline'."
        raise ApiError("InvalidSignatureException", message)
    return signature.region


def _denied(environ: Environ, start: StartResponse, error: ApiError) -> Iterable[bytes]:
    """Respond with an error in the format of the service that was called."""
    if environ.get("HTTP_X_AMZ_TARGET") or _is_aws_json(environ):
        code = error.code if error.code.endswith("Exception") else f"{error.code}Exception"
        return json_error(start, code, error.message, 400)
    if service_of(environ) == "s3":
        return s3_error(start, error.code, error.message, error.status)
    return query_error(start, error.code, error.message, error.status)
