# SPDX-License-Identifier: Apache-2.0
"""CodePipeline for the commands on action types: the emulator, and before it what it never answers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from airflow_codepipeline_partner.emulator import Emulator

DECLARATION = """
category: Build
provider: Airflow
version: 1
settings:
  executionUrlTemplate: https://airflow.example.com/dags/{Config:Target}/{ExternalExecutionId}
configurationProperties:
  - name: Target
    description: Where to
    required: yes
    key: true
  - {name: Token, secret: true, type: String}
inputArtifactDetails: {maximumCount: 1}
tags: {Team: build}
"""
PATH = "Build/Airflow/1"
NAMES = ("category", "provider", "version")
CREATE, LIST, DELETE = "CreateCustomActionType", "ListActionTypes", "DeleteCustomActionType"


class CodePipeline:
    """The emulator, and before it what it never answers."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.planted: dict[str, list[tuple[int, bytes, bool]]] = {}

    def plant(self, operation: str, status: int, body: bytes, times: int = 1, done: bool = False) -> None:
        """Answer with this the next time; what was asked for is only done if it says so."""
        self.planted.setdefault(operation, []).extend([(status, body, done)] * times)

    def refuse(
        self,
        operation: str,
        code: str,
        message: str = "planted",
        status: int = 400,
        times: int = 1,
        done: bool = False,
    ) -> None:
        self.plant(operation, status, json.dumps({"__type": code, "message": message}).encode(), times, done)

    def answer(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        operation = headers["X-Amz-Target"].rpartition(".")[2]
        self.calls.append((operation, json.loads(body)))
        if not self.planted.get(operation):
            return self._ask_emulator(headers, body)
        status, said, done = self.planted[operation].pop(0)
        if done:
            self._ask_emulator(headers, body)
        return status, said

    def _ask_emulator(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        sent = {name: headers[name] for name in ("Authorization", "X-Amz-Target", "Content-Type")}
        connection = HTTPConnection(self.emulator.url.removeprefix("http://"), timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", "/", body, sent)
            response = connection.getresponse()
            return response.status, response.read()

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [asked for name, asked in self.calls if name == operation]

    @property
    def types(self) -> list[str]:
        """The paths of what there is."""
        return [
            "/".join(getattr(each.id, name) for name in NAMES)
            for each in self.emulator.state.action_types.in_region(None)
        ]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    codepipeline: CodePipeline

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.server.codepipeline.answer(self.headers, asked)
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def as_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
