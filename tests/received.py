# SPDX-License-Identifier: Apache-2.0
"""A statsd server, and a collector of OpenTelemetry's traces, that remember what an Airflow sends them."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Statsd:
    """Listen on a UDP port of this machine; use it as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        #: The lines about this package.
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        # An empty packet ends it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(30)
        self._socket.close()

    def _listen(self) -> None:
        while received := self._socket.recv(65_535):
            self.lines += [line for line in received.decode().splitlines() if "codepipeline" in line]

    @property
    def counts(self) -> Counter[str]:
        """A counter's name with its tags, after ``airflow.codepipeline.`` → the sum of what was sent."""
        found: Counter[str] = Counter()
        for line in self.lines:
            name, _, value = line.rpartition(":")
            if value.endswith("|c"):
                found[name.removeprefix("airflow.codepipeline.")] += int(value.removesuffix("|c"))
        return found

    @property
    def timers(self) -> set[str]:
        """The names of the timers, without tags."""
        names = {line.rpartition(":")[0] for line in self.lines if line.endswith("|ms")}
        return {name.partition(",")[0].removeprefix("airflow.codepipeline.") for name in names}


class Collector:
    """Take spans by OTLP over HTTP; use it as a context manager."""

    def __init__(self) -> None:
        spans = self.spans = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.endswith("/v1/traces"):
                    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                        spans.extend(span for scope in resource.scope_spans for span in scope.spans)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *given: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
