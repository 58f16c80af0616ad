# SPDX-License-Identifier: Apache-2.0
"""
Tasks that wait for their customers' next jobs in one triggerer; each customer has a connection of their own.

A poll for partner jobs returns no continuation tokens, so the details of each offered job are looked up. The
jobs of all customers are offered at once, and measured is what that costs until the last task has its job.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from typing import Any

from benchmarks.apart import run_apart, served_apart
from benchmarks.counting_server import counted, counting_server, offer
from benchmarks.emulated import connections
from benchmarks.event_loop import Lag, resident_mib
from benchmarks.figures import Figure, curve

_TYPE = "Deploy/ThirdParty/Example/1"


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    places, rounds = ([50], 1) if short else ([1, 10, 100, 1000, 10_000], 3)
    found: list[list[dict[str, float]]] = []
    for _ in range(rounds):
        row = []
        for customers in places:
            with served_apart(counting_server) as url:
                row.append(run_apart(_look_up, url, customers))
        found.append(row)

    def figure(name: str, what: str, unit: str, **goal: float) -> Figure:
        values = [[each[name] for each in row] for row in found]
        said = f"{what}, tasks that wait for the next jobs of customers"
        points = curve(values, places, None)
        return Figure(f"customers-{name.replace('.', '-')}", said, "", unit, points, axis="customers", **goal)

    return [
        figure("calls", "details asked for, for each job", "calls", at_most=1.0, alarm=1.0),
        figure("cpu", "CPU of each look-up", "ms"),
        figure("memory", "memory of each look-up", "KiB"),
        figure("p99.9", "lag of the event loop, p99.9", "ms", at_most=50.0),
        figure("max", "lag of the event loop, max", "ms"),
        figure("seconds", "time until the last one has its job", "s"),
    ]


def _look_up(url: str, customers: int) -> dict[str, float]:
    # The first customer is only there to make the clients.
    client_ids = [str(uuid.UUID(int=number)) for number in range(1, customers + 2)]
    # A process cannot be started with the variables of 10,000.
    os.environ.update(connections(url, {each: f"token-of-{each}" for each in client_ids}))
    return asyncio.run(_observe(url, client_ids))


async def _observe(url: str, client_ids: list[str]) -> dict[str, float]:
    from airflow_codepipeline_partner.triggers import CodePipelineContinuationTrigger

    async def wait(client_id: str) -> Any:
        trigger = CodePipelineContinuationTrigger(
            action_type=_TYPE,
            client_id=client_id,
            continuation_token=f"next-of-{client_id}",
            max_batch_size=100,
            poll_interval=0.5,
            timeout_deadline=time.time() + 600,
        )
        async for event in trigger.run():
            return event.payload
        raise RuntimeError("A trigger has ended without an event.")

    async def polls() -> int:
        return (await asyncio.to_thread(counted, url)).get("PollForThirdPartyJobs", 0)

    def job_of(client_id: str) -> dict[str, str]:
        return {"jobId": str(uuid.uuid4()), "clientId": client_id, "token": f"next-of-{client_id}"}

    first, *others = client_ids
    # Somebody keeps the poll going.
    idle = asyncio.create_task(wait("nobody"))
    await asyncio.to_thread(offer, url, [job_of(first)])
    await wait(first)
    waiting = [asyncio.create_task(wait(each)) for each in others]
    seen = await polls()
    while await polls() < seen + 2:  # noqa: ASYNC110 - a look at another process
        await asyncio.sleep(0.2)
    before = resident_mib()
    asked = (await asyncio.to_thread(counted, url))["GetThirdPartyJobDetails"]
    began, used = time.perf_counter(), time.process_time()
    async with Lag() as lag:
        await asyncio.to_thread(offer, url, [job_of(each) for each in others])
        events = await asyncio.gather(*waiting)
    used, seconds = time.process_time() - used, time.perf_counter() - began
    if any(each["status"] != "offered" for each in events):
        raise RuntimeError("A task did not get its job.")
    asked = (await asyncio.to_thread(counted, url))["GetThirdPartyJobDetails"] - asked
    idle.cancel()
    return {
        "calls": asked / len(others),
        "cpu": used / len(others) * 1000,
        "memory": (resident_mib() - before) / len(others) * 1024,
        "seconds": seconds,
        **lag.percentiles(),
    }
