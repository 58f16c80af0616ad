# SPDX-License-Identifier: Apache-2.0
"""The emulator's engine without HTTP, and what stands for boto3's client."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError, ConnectionClosedError

from airflow_codepipeline_partner.emulator.api.jobs import JobsApi
from airflow_codepipeline_partner.emulator.controls import Controls
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.jobs import JobEvent
from airflow_codepipeline_partner.emulator.settings import Settings

#: Where the imaginary endpoint is.
ENDPOINT = "https://codepipeline.invalid"


class NoObjects:
    """An S3 in which nothing is looked for: the work here has no artifacts."""

    def ensure_bucket(self, bucket: str) -> None:
        """Do nothing."""

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Do nothing."""

    def get(self, bucket: str, key: str, version_id: str | None = None) -> None:
        """Find nothing."""

    def exists(self, bucket: str, key: str) -> bool:
        """Say that there is one."""
        return True


class CodePipeline:
    """
    The emulator's engine.

    :param now: The time of the history.
    :param settings: How it behaves where AWS documents nothing.
    """

    def __init__(self, now: Callable[[], float], settings: Settings) -> None:
        self.state = State(settings, SimpleNamespace(now=now, advance=None))  # type: ignore[arg-type]
        store: Any = NoObjects()
        self.controls = Controls(self.state, store)
        self._api = JobsApi(self.state, self.controls.runner, store)
        self._names = {xform_name(name): name for name in self._api._handlers}

    def operation_of(self, method: str) -> str:
        """Return the operation that a method of boto3's client calls."""
        return self._names[method]

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """
        Carry a call out.

        :raises ClientError: It is refused.
        """
        try:
            return self._api.answer(operation, request, "us-east-1")
        except ApiError as error:
            raise refusal(operation, error.code, error.message, error.status) from None

    @property
    def is_something_offered(self) -> bool:
        """Whether a poll would return a job."""
        with self.state.lock:
            self.state.tick()
        return any(
            job.job_id not in queue._out and job.after(JobEvent.HAND_OUT) is not None
            for by_region in self.state.queues.values()
            for queue in by_region.values()
            for _, _, job in queue._waiting
        )

    @property
    def next_due(self) -> float | None:
        """When something is due to happen by itself, or None."""
        heap = self.state.timers._heap
        return heap[0][0] if heap else None


def refusal(operation: str, code: str, message: str, status: int = 400) -> ClientError:
    """Return what botocore raises for an error answer."""
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0},
    }
    return ClientError(answer, operation)  # type: ignore[arg-type]


def closed() -> ConnectionClosedError:
    """Return what botocore raises if the connection closes without an answer."""
    return ConnectionClosedError(endpoint_url=ENDPOINT)


class Client:
    """
    Stand for boto3's client of one task's process.

    :param call: Carries a call out, or has it go wrong: ``call(operation, request)``.
    :param codepipeline: Knows the names of the operations.
    """

    def __init__(self, call: Callable[[str, dict[str, Any]], dict[str, Any]], codepipeline: CodePipeline):
        self._call, self._codepipeline = call, codepipeline
        self._handlers: dict[str, list[Callable[..., None]]] = {}
        self.meta = SimpleNamespace(
            events=SimpleNamespace(register=self._register), endpoint_url=ENDPOINT, region_name="us-east-1"
        )

    def _register(self, event: str, handler: Callable[..., None]) -> None:
        self._handlers.setdefault(event.split(".")[0], []).append(handler)

    def _emit(self, event: str, **facts: Any) -> None:
        for handler in self._handlers.get(event, ()):
            handler(**facts)

    def __getattr__(self, method: str) -> Callable[..., dict[str, Any]]:
        operation = self._codepipeline.operation_of(method)

        def send(**request: Any) -> dict[str, Any]:
            self._emit("before-send")
            answer = self._call(operation, request)
            body = json.dumps(answer).encode() if answer else b""
            self._emit("response-received", response_dict={"headers": {}, "body": body})
            return answer

        return send
