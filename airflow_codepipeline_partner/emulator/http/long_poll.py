# SPDX-License-Identifier: Apache-2.0
"""
A long poll of an SQS queue: many short ones of moto's.

moto would wait in its own thread for up to 20 s, and so would the code that stops the emulator.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from airflow_codepipeline_partner.emulator.engine.moto_store import WsgiApp, call_app
from airflow_codepipeline_partner.emulator.http.requests import Environ, read_body

_TARGET = "AmazonSQS.ReceiveMessage"
#: Seconds between two short polls.
_PAUSE = 0.05
#: The longest wait that SQS allows, in seconds; moto refuses more.
_LONGEST = 20


def is_long_poll(environ: Mapping[str, Any]) -> bool:
    """Return whether a request may be a long poll."""
    return bool(environ.get("HTTP_X_AMZ_TARGET") == _TARGET)


def answer_long_poll(
    environ: Environ, moto: WsgiApp, stopping: threading.Event, waiting: threading.Semaphore
) -> tuple[int, bytes, Mapping[str, str]]:
    """
    Return the status, the body and the headers that moto answers with when there is a message.

    :param environ: The request.
    :param moto: moto's WSGI application.
    :param stopping: Set when the server stops: then the wait is over.
    :param waiting: How many requests may wait at once. One too many does not wait.
    """
    body = read_body(environ)
    asked, seconds = _read(body)
    if not waiting.acquire(blocking=False):
        return _poll(environ, moto, body, asked)
    try:
        return _wait(environ, moto, body, asked, seconds, stopping)
    finally:
        waiting.release()


def _wait(
    environ: Environ,
    moto: WsgiApp,
    body: bytes,
    asked: dict[str, Any] | None,
    seconds: float,
    stopping: threading.Event,
) -> tuple[int, bytes, Mapping[str, str]]:
    until = time.monotonic() + seconds
    while True:
        answer = _poll(environ, moto, body, asked)
        if answer[0] != 200 or b'"Messages"' in answer[1] or time.monotonic() >= until:
            return answer
        if stopping.wait(_PAUSE):
            return answer


def _poll(
    environ: Environ, moto: WsgiApp, body: bytes, asked: dict[str, Any] | None
) -> tuple[int, bytes, Mapping[str, str]]:
    # What is no request of SQS's is refused by moto.
    once = body if asked is None else json.dumps({**asked, "WaitTimeSeconds": 0}).encode()
    return call_app(moto, environ | {"wsgi.input": io.BytesIO(once), "CONTENT_LENGTH": str(len(once))})


def _read(body: bytes) -> tuple[dict[str, Any] | None, float]:
    """Return a request and its wait in seconds; None and 0 if moto is to judge it as it is."""
    try:
        asked = json.loads(body)
    except ValueError:
        return None, 0
    if not isinstance(asked, dict):
        return None, 0
    seconds = asked.get("WaitTimeSeconds")
    if not isinstance(seconds, int) or not 0 < seconds <= _LONGEST:
        return None, 0
    return asked, seconds
