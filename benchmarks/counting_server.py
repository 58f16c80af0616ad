# SPDX-License-Identifier: Apache-2.0
"""
A server that counts CodePipeline's calls by itself, and answers them with what it was given.

It is no emulator and shares no code with one, so that it can bear witness. It costs little, so that the
other processes have the processors.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

_OPENER = build_opener(ProxyHandler({}))


@contextlib.contextmanager
def counting_server() -> Iterator[str]:
    """Serve on a free port of 127.0.0.1, and yield the URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    counting = _Counting()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(counting.serve, "127.0.0.1", 0, backlog=1024)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def stop() -> None:
        server.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def counted(url: str) -> dict[str, int]:
    """
    Return the numbers of calls of each operation so far, and as ``jobs`` that of jobs still to offer.

    :param url: Where the server is.
    """
    with _OPENER.open(f"{url}/counts", timeout=60) as response:
        found: dict[str, int] = json.load(response)
    return found


def offer(url: str, jobs: list[dict[str, str]]) -> None:
    """
    Have the next polls offer jobs, each once.

    :param url: Where the server is.
    :param jobs: Job id (``jobId``), client id (``clientId``), and the ``token`` in the job's details.
    """
    with _OPENER.open(Request(f"{url}/jobs", json.dumps(jobs).encode()), timeout=60):  # noqa: S310 - ours
        pass


class _Counting:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._jobs: list[dict[str, str]] = []
        self._tokens: dict[str, str] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                fields = {
                    name.lower(): value.strip() for name, _, value in (x.partition(":") for x in head[1:])
                }
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                path, target = head[0].split()[1], fields.get("x-amz-target", "").rpartition(".")[2]
                answer = json.dumps(self._answer(path, target, json.loads(body or b"{}"))).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(answer), answer)
                )
        writer.close()

    def _answer(self, path: str, operation: str, given: Any) -> Any:
        if path == "/counts":
            return {**self._counts, "jobs": len(self._jobs)}
        if path == "/jobs":
            self._jobs += given
            self._tokens |= {job["jobId"]: job["token"] for job in given}
            return {}
        self._counts[operation] += 1
        if operation == "PollForThirdPartyJobs":
            batch = given["maxBatchSize"]
            offered, self._jobs = self._jobs[:batch], self._jobs[batch:]
            return {"jobs": [{"jobId": job["jobId"], "clientId": job["clientId"]} for job in offered]}
        job_id = given["jobId"]
        data = {"continuationToken": self._tokens[job_id]}
        return {"jobDetails": {"id": job_id, "nonce": "1", "data": data}}
