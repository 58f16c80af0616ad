# SPDX-License-Identifier: Apache-2.0
"""
How many polls a second the emulator answers, beside ListPipelines of moto's own server.

The clients are bare sockets: each of them sends the same signed request again and again, so that the time is
the server's.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]

from benchmarks.apart import run_apart, served_apart
from benchmarks.emulated import ACTION_TYPE, REGION, bare_client, emulator
from benchmarks.figures import Figure, curve

CLIENTS = 16
_ACCOUNT = "123456789012"


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    places, rounds, seconds = ([10, 10_000], 1, 1.5) if short else ([10, 100, 1000, 10_000, 100_000], 5, 4.0)
    poll = {"actionTypeId": ACTION_TYPE, "maxBatchSize": 1}
    ours: list[list[dict[str, float]]] = [[] for _ in range(rounds)]
    theirs: list[list[dict[str, float]]] = [[] for _ in range(rounds)]
    with contextlib.ExitStack() as serving:
        moto = serving.enter_context(served_apart(moto_server))
        # A job that is offered stays queued. Those that nobody calls now cost nothing.
        settings = {"lease_seconds": 0}
        emulators = [serving.enter_context(served_apart(emulator, jobs, settings)) for jobs in places]
        for number in range(rounds):
            for each in emulators:
                ours[number].append(_rates(each, "PollForThirdPartyJobs", poll, seconds))
                theirs[number].append(_rates(moto, "ListPipelines", {}, seconds))
    figures = []
    for suffix, name, unit, alarm in (
        ("", "wall", "calls a second", 1.5),
        ("-cpu", "cpu", "calls for each second of the server's CPU", 1.5),
    ):
        values = [[[each[name] for each in row] for row in rows] for rows in (ours, theirs)]
        points = curve(values[0], places, values[1])
        what, against = (
            f"polls of {CLIENTS} clients at the emulator",
            "ListPipelines of as many at moto's server",
        )
        if suffix:
            what, against = f"{what}, by the CPU of the server", f"{against}, by its CPU"
        figures.append(
            Figure(
                f"emulator{suffix}", what, against, unit, points, at_least=6, alarm=alarm, axis="queued jobs"
            )
        )
    return figures


def _rates(
    server: dict[str, Any], operation: str, arguments: dict[str, Any], seconds: float
) -> dict[str, float]:
    """Return how many calls a server answers in a second, and in one second of its processor time."""
    process = psutil.Process(server["pid"])
    before = process.cpu_times()
    made = run_apart(call_for, server["url"], operation, arguments, seconds)
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return {"wall": made["calls"] / made["seconds"], "cpu": made["calls"] / used}


@contextlib.contextmanager
def moto_server() -> Iterator[dict[str, Any]]:
    """Serve moto with one pipeline, and yield its ``url`` and ``pid``."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    role = bare_client("iam", url).create_role(RoleName="benchmark", AssumeRolePolicyDocument=_TRUST)["Role"]
    bare_client("codepipeline", url).create_pipeline(pipeline=_pipeline(role["Arn"]))
    yield {"url": url, "pid": os.getpid()}
    server.stop()


def call_for(url: str, operation: str, arguments: dict[str, Any], seconds: float) -> dict[str, float]:
    """
    Call a server with some clients for a time, and return the number of ``calls`` and the ``seconds``.

    :param url: The server.
    :param operation: CodePipeline's operation.
    :param arguments: What each call sends.
    :param seconds: How long.
    """
    request, counts = _signed(url, operation, arguments), [0] * CLIENTS
    place = urlsplit(url)
    end = time.monotonic() + seconds

    def call(number: int) -> None:
        connection = None
        while time.monotonic() < end:
            if connection is None:
                connection = socket.create_connection((place.hostname, place.port), timeout=60)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(request)
            if not _is_answered(connection, operation):
                connection.close()
                connection = None
            counts[number] += 1
        if connection is not None:
            connection.close()

    callers = [threading.Thread(target=call, args=(number,)) for number in range(CLIENTS)]
    began = time.monotonic()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return {"calls": sum(counts), "seconds": time.monotonic() - began}


def _is_answered(connection: socket.socket, operation: str) -> bool:
    """Read an answer, and return whether the connection stays open."""
    said = connection.recv(65536)
    while b"\r\n\r\n" not in said:
        said += connection.recv(65536)
    head, _, body = said.partition(b"\r\n\r\n")
    status, _, fields = head.lower().partition(b"\r\n")
    if status.split()[1] != b"200":
        raise RuntimeError(f"{operation} was answered with {said[:300]!r}")
    length = int(fields.partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return b"connection: close" not in fields and not status.startswith(b"http/1.0")


def _signed(url: str, operation: str, arguments: dict[str, Any]) -> bytes:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    body = json.dumps(arguments).encode()
    head = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"CodePipeline_20150709.{operation}",
        "Host": urlsplit(url).netloc,
    }
    request = AWSRequest("POST", f"{url}/", data=body, headers=head)
    SigV4Auth(Credentials("AKIAEXAMPLE", "secret-of-nobody"), "codepipeline", REGION).add_auth(request)
    lines = ["POST / HTTP/1.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "codepipeline.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def _pipeline(role: str) -> dict[str, Any]:
    source = {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}
    approval = {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}
    bucket = {"S3Bucket": "bucket", "S3ObjectKey": "key"}
    return {
        "name": "benchmark",
        "roleArn": role,
        "artifactStore": {"type": "S3", "location": "bucket"},
        "stages": [
            {
                "name": "Source",
                "actions": [
                    {
                        "name": "Source",
                        "actionTypeId": source,
                        "configuration": bucket,
                        "outputArtifacts": [{"name": "SourceOutput"}],
                    }
                ],
            },
            {"name": "Approval", "actions": [{"name": "Approval", "actionTypeId": approval}]},
        ],
        "version": 1,
    }
