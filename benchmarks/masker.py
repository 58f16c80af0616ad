# SPDX-License-Identifier: Apache-2.0
"""
The calls of a job through the hook while Airflow's secrets masker reads its log, as in a task.

The masker never forgets a secret, and slows with each. So a process that works on many jobs stays fast only
if few secrets of each job are registered.
"""

from __future__ import annotations

import gc
import logging
import time
from typing import Any

from benchmarks.apart import run_apart, served_apart
from benchmarks.emulated import ACTION_TYPE, connections, emulator
from benchmarks.figures import Figure, curve

#: Jobs whose mean is the value at a place.
_TURN = 10


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    if short:
        return [_figure("masker", "poll, claim and success through the hook", False, [1, 100], 1)]
    return [
        _figure("masker", "poll, claim and success through the hook", False, [1, 10, 100, 1000], 3),
        _figure("masker-details", "the same, and hook.details", True, [1, 10, 30, 100], 3),
    ]


def _figure(name: str, what: str, asks: bool, places: list[int], rounds: int) -> Figure:
    found = []
    for _ in range(rounds):
        with served_apart(emulator, places[-1] + 3 * _TURN, {}, True) as store:
            known = connections(store["url"], {store["client_id"]: store["client_token"]})
            found.append(run_apart(_work, places, asks, environment=known))
    return Figure(
        name=name,
        what=f"{what}, with the masker on",
        against="the first jobs of the same process",
        unit="ms of CPU a job",
        points=curve(found, places),
        # Nobody asks for the details of many jobs in one process but in a loop of their own.
        at_most=None if asks else 1.1,
        alarm=2.0,
        axis="jobs that the process has done",
    )


class _Masked(logging.Handler):
    """Handles records as a task's log does: what is written has been masked."""

    def emit(self, record: logging.LogRecord) -> None:
        from airflow.sdk.log import redact  # type: ignore[attr-defined]

        redact(record.getMessage())


def _work(places: list[int], asks: bool) -> list[float]:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    logging.basicConfig(level=logging.INFO, handlers=[_Masked()], force=True)
    hook = CodePipelineHook()

    def work() -> None:
        [job] = hook.poll(ACTION_TYPE, 1)
        claimed = hook.claim(job)
        if asks:
            hook.details(claimed)
        hook.succeed(claimed)

    # It makes the client.
    hook.poll({**ACTION_TYPE, "version": "1"}, 1)
    hook.log.info("Ready.")
    gc.collect()
    gc.freeze()
    found, done = [], 0
    for place in places:
        for _ in range(place - done):
            work()
        found.append(_milliseconds(work))
        done = max(place, done) + _TURN
    return found


def _milliseconds(work: Any) -> float:
    began = time.process_time()
    for _ in range(_TURN):
        work()
    return (time.process_time() - began) / _TURN * 1000
