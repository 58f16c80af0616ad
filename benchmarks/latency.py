# SPDX-License-Identifier: Apache-2.0
"""
One job on an idle Airflow, from queued to claimed and done, with a poll each second.

A run for each job is beside one run for all jobs of an event, which does without the dispatching run; and
beside plain tasks in the same shape. A job that an event announces, with a poll each 60 s, is beside those,
too. How long Airflow itself takes from an asset's event to the first task of its run is there to be seen.
"""

from __future__ import annotations

import time

from benchmarks.figures import Figure, Point
from benchmarks.real_airflow import PRELOADED, RealAirflow, real_airflow, seconds_between

_ROUNDS = 7
_SHAPE = "an asset's event that starts a run of plain tasks by a dispatching run"


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    with real_airflow() as running:
        figures = _figures(running, 2 if short else _ROUNDS)
    if short:
        return figures
    with real_airflow(preloaded=[PRELOADED]) as running:
        return figures + _figures(
            running, _ROUNDS, "latency-preloaded", ", with the hook imported before a worker forks"
        )


def _figures(running: RealAirflow, rounds: int, prefix: str = "latency", how: str = "") -> list[Figure]:
    claimed, done, first = [], [], []
    plain_claimed, plain_done, shared, woken = [], [], [], []
    for _ in range(rounds):
        first.append(_event(running))
        plain_begin, plain_end = _plain(running)
        plain_claimed.append(plain_begin)
        plain_done.append(plain_end)
        until_claimed, until_done = _job(running)
        claimed.append(until_claimed)
        done.append(until_done)
        shared.append(_job(running, "all", "job_all")[0])
        woken.append(_job(running, "woken")[0])
    later = [ours - plain for ours, plain in zip(woken, plain_claimed, strict=True)]
    return [
        Figure(
            f"{prefix}-claim", f"one job with a run of its own, from queued to claimed{how}",
            "one job in a run for all jobs of an event", "s", [Point(claimed, shared)], 1.3,
        ),
        Figure(
            f"{prefix}-claim-event", f"one job with a run of its own, from queued to claimed{how}",
            "an asset's event to the start of the first task of its run", "s", [Point(claimed, first)],
        ),
        Figure(
            f"{prefix}-woken",
            f"one job that an event announces, polled for each 60 s: from queued to claimed{how}",
            "a poll each second", "s", [Point(woken, claimed)],
        ),
        Figure(
            f"{prefix}-woken-later", f"the same, later than {_SHAPE}, until its first task starts", "", "s",
            [Point(later)], 1.0,
        ),
        Figure(
            f"{prefix}-claim-in-shape", f"one job, from queued to claimed{how}",
            f"{_SHAPE}, until its first task starts", "s", [Point(claimed, plain_claimed)],
        ),
        Figure(
            f"{prefix}-done-in-shape", f"one job, from queued to its result{how}",
            f"{_SHAPE}, until its last task ends", "s", [Point(done, plain_done)],
        ),
    ]  # fmt: skip


def _job(running: RealAirflow, pipeline: str = "benchmark", dag_id: str = "job_run") -> tuple[float, float]:
    ended = running.ended_runs(dag_id)
    began = running.queue_jobs(1, pipeline)
    running.wait_for_runs(dag_id, ended + 1, 120)
    # A run of the round before may have ended only now.
    running.airflow.wait_for(lambda: running.calls_since(began), "the job's result", 120)
    [calls] = running.calls_since(began).values()
    moments = [moment for name, moment in calls.items() if name.startswith(("Acknowledge", "Put"))]
    # So that the next one starts at some moment between two polls.
    time.sleep(0.3)
    return seconds_between(began, moments[0]), seconds_between(began, moments[1])


def _plain(running: RealAirflow) -> tuple[float, float]:
    ended = running.ended_runs("plain_run")
    began = running.make_event("benchmark_ids", 1)
    running.wait_for_runs("plain_run", ended + 1, 120)
    [tasks] = running.tasks_since("plain_run", began).values()
    starts, ends = [each["start_date"] for each in tasks], [each["end_date"] for each in tasks]
    return seconds_between(began, min(starts)), seconds_between(began, max(ends))


def _event(running: RealAirflow) -> float:
    ended = running.ended_runs("plain_event")
    began = running.make_event("benchmark_event", 1)
    running.wait_for_runs("plain_event", ended + 1, 120)
    [tasks] = running.tasks_since("plain_event", began).values()
    return seconds_between(began, tasks[0]["start_date"])
