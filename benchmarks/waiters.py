# SPDX-License-Identifier: Apache-2.0
"""
A triggerer's event loop with many tasks that wait for jobs of 100 action types.

The polls go to a server that only counts them, in a process of its own. For the page there is the same with
triggers of the amazon provider that wait for messages of SQS, at moto's server.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from benchmarks.apart import run_apart, served_apart
from benchmarks.counting_server import counted, counting_server
from benchmarks.emulated import bare_client, connections
from benchmarks.event_loop import Lag, resident_mib
from benchmarks.figures import Figure, Point, curve

TYPES = 100
_SQS_WAITERS = 300
_ACCOUNT = "123456789012"


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    places, rounds, interval, seconds = (
        ([100, 2000], 1, 2, 4) if short else ([1, 10, 100, 1000, 10_000], 3, 10, 30)
    )
    found: list[dict[int, dict[str, float]]] = []
    with served_apart(counting_server) as url:
        for number in range(rounds):
            turns = {}
            for waiters in places[:: -1 if number % 2 else 1]:
                before = counted(url)
                turns[waiters] = run_apart(
                    _wait_for_jobs, url, waiters, interval, seconds, environment=connections(url, {})
                )
                # Of the whole life of that process.
                calls = counted(url).get("PollForThirdPartyJobs", 0) - before.get("PollForThirdPartyJobs", 0)
                turns[waiters]["calls"] = calls
            found.append(turns)
    base = places.index(100)

    def values(name: str) -> list[list[float]]:
        return [[turns[waiters][name] for waiters in places] for turns in found]

    def hundreds(name: str) -> list[list[float]]:
        return [[row[base]] * len(places) for row in values(name)]

    what, against = f"tasks that wait for jobs of {TYPES} action types", f"{TYPES} of them"
    axis = "waiting tasks"
    figures = [
        Figure(
            "waiters-cpu", f"CPU of a triggerer with {what}", against, "s of CPU a minute",
            curve(values("cpu"), places, hundreds("cpu")), at_most=1.2, alarm=2.5, axis=axis,
        ),
        Figure(
            "waiters-calls", f"calls of {what}", f"{against}, counted by the server", "polls",
            curve(values("calls"), places, hundreds("calls")), at_most=1.2, alarm=2.0, axis=axis,
        ),
        *(
            Figure(
                f"waiters-lag-{name.replace('.', '-')}", f"lag of the loop with {what}, {name}", "", "ms",
                curve(values(name), places, None), at_most=50 if name == "p99.9" else None, axis=axis,
            )
            for name in ("p50", "p99", "p99.9", "max")
        ),
        Figure(
            "waiters-memory", f"memory of a triggerer with {what}", "", "MiB",
            curve(values("mib"), places, None), axis=axis,
        ),
    ]  # fmt: skip
    # Airflow's constraints leave out what those triggers need; README.md says how to have it.
    has_aiobotocore = importlib.util.find_spec("aiobotocore") is not None
    return figures if short or not has_aiobotocore else [*figures, *_beside_sqs(rounds, seconds)]


def _beside_sqs(rounds: int, seconds: float) -> list[Figure]:
    ours, theirs = [], []
    with served_apart(counting_server) as url, served_apart(sqs_queues) as sqs:
        for _ in range(rounds):
            ours.append(
                run_apart(_wait_for_jobs, url, _SQS_WAITERS, 10, seconds, environment=connections(url, {}))
            )
            theirs.append(
                run_apart(_wait_for_messages, sqs, _SQS_WAITERS, seconds, environment=connections(sqs, {}))
            )
    names = {"cpu": ("CPU", "s of CPU a minute"), "p99.9": ("lag of the event loop, p99.9", "ms")}
    return [
        Figure(
            f"waiters-beside-sqs-{name.replace('.', '-')}",
            f"{said} with {_SQS_WAITERS} tasks that wait for jobs at 10 s",
            f"{_SQS_WAITERS} of the amazon provider's SqsSensorTrigger at 10 s",
            unit,
            [Point([each[name] for each in ours], [each[name] for each in theirs])],
        )
        for name, (said, unit) in names.items()
    ]


@contextlib.contextmanager
def sqs_queues() -> Iterator[str]:
    """Serve moto with some queues, and yield the URL."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = bare_client("sqs", url)
    for number in range(TYPES):
        client.create_queue(QueueName=f"queue-{number}")
    yield url
    server.stop()


def _wait_for_jobs(url: str, waiters: int, interval: float, seconds: float) -> dict[str, float]:
    from airflow_codepipeline_partner.triggers import CodePipelineJobTrigger

    def make() -> list[Any]:
        return [
            CodePipelineJobTrigger(
                action_type=f"Deploy/ThirdParty/Type{number % TYPES}/1",
                poll_interval=interval,
                timeout_deadline=time.time() + 3600,
            )
            for number in range(waiters)
        ]

    def is_warm() -> bool:
        return counted(url).get("PollForThirdPartyJobs", 0) - before >= min(waiters, TYPES)

    before = counted(url).get("PollForThirdPartyJobs", 0)
    return asyncio.run(_observe(make, is_warm, seconds))


def _wait_for_messages(url: str, waiters: int, seconds: float) -> dict[str, float]:
    from airflow.providers.amazon.aws.triggers.sqs import SqsSensorTrigger

    logging.disable(logging.CRITICAL)
    began = time.monotonic()

    def make() -> list[Any]:
        return [
            SqsSensorTrigger(
                sqs_queue=f"{url}/{_ACCOUNT}/queue-{number % TYPES}",
                # moto would wait in a loop, and take the processors from the triggerer.
                wait_time_seconds=0,
                waiter_delay=10,
            )
            for number in range(waiters)
        ]

    return asyncio.run(_observe(make, lambda: time.monotonic() - began > 15, seconds))


async def _observe(
    make: Callable[[], Sequence[Any]], is_warm: Callable[[], bool], seconds: float
) -> dict[str, float]:
    """Let triggers wait, and return what the loop costs meanwhile, once they have begun."""

    async def first(events: AsyncIterator[Any]) -> None:
        async for _ in events:
            raise RuntimeError("A trigger that has nothing to wait for made an event.")

    waiting = [asyncio.create_task(first(trigger.run())) for trigger in make()]
    while not await asyncio.to_thread(is_warm):  # noqa: ASYNC110 - a look at another process
        await asyncio.sleep(0.5)
    began, used = time.perf_counter(), time.process_time()
    async with Lag() as lag:
        await asyncio.sleep(seconds)
    minutes = (time.perf_counter() - began) / 60
    used = time.process_time() - used
    ended = [task for task in waiting if task.done()]
    for task in ended:
        task.result()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return {"cpu": used / minutes, "mib": resident_mib(), **lag.percentiles()}
