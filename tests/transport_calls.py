# SPDX-License-Identifier: Apache-2.0
"""What the tests of the transport share: the calls, and a server that spoils answers."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support import ACTION_TYPE

from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._secrets import Secret

POLL = "PollForThirdPartyJobs"
DETAILS = "GetThirdPartyJobDetails"
ACKNOWLEDGE = "AcknowledgeThirdPartyJob"
SUCCESS = "PutThirdPartyJobSuccessResult"
FAILURE = "PutThirdPartyJobFailureResult"
OPERATIONS = (POLL, DETAILS, ACKNOWLEDGE, SUCCESS, FAILURE)


class Front:
    """A server in front of the emulator that notes what passes and spoils answers."""

    def __init__(self, target: str) -> None:
        self.requests: list[str] = []
        self._spoiled: dict[str, list[tuple[int, bytes]]] = {}
        address = urlsplit(target).netloc
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                operation = operation or parse_qs(body.decode())["Action"][0]
                front.requests.append(operation)
                behind = http.client.HTTPConnection(address, timeout=30)
                headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                behind.request("POST", self.path, body, headers)
                answer = behind.getresponse()
                status, content = answer.status, answer.read()
                behind.close()
                if front._spoiled.get(operation):
                    status, content = front._spoiled[operation].pop(0)
                self.send_response(status)
                self.send_header("Content-Type", answer.headers["Content-Type"] or "text/plain")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def spoil(self, operation: str, body: bytes, status: int = 200) -> None:
        """Answer the next call with this, although it was carried out."""
        self._spoiled.setdefault(operation, []).append((status, body))

    def __enter__(self) -> Front:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def connect(monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    """Have ``aws_default`` lead elsewhere."""
    connection = {
        "conn_type": "aws",
        "login": "AKIAEXAMPLE",
        "password": "example-secret",
        "extra": {"region_name": "us-east-1", **extra},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))


def attempts(emulator, operation, since=0):
    return [
        entry for entry in emulator.ledger.where(kind="call", operation=operation) if entry.number > since
    ]


def sent(operation):
    """A call as it stands, and its secrets."""
    if operation == POLL:
        return Call(POLL, {"actionTypeId": ACTION_TYPE}), {}
    secrets = {"clientToken": Secret("a-client-token")}
    if operation == ACKNOWLEDGE:
        secrets["nonce"] = Secret("a-nonce")
    details = {"failureDetails": {"type": "JobFailed", "message": "m"}} if operation == FAILURE else {}
    return Call(operation, {"jobId": "j", **details}), secrets
