# SPDX-License-Identifier: Apache-2.0
"""
Queued jobs to their end on a real Airflow, beside plain tasks in DAGs of the same shape.

Both are started by an asset's events, and both start a run of three tasks for each. The rounds are taken in
turn on one Airflow, with SQLite and four task processes at once.
"""

from __future__ import annotations

import datetime
import statistics
from typing import Any

from benchmarks.figures import Figure, Place, curve
from benchmarks.real_airflow import RealAirflow, real_airflow, seconds_between

#: Jobs of a round → rounds.
ROUNDS = {40: 3, 200: 1}
_SECONDS_A_JOB = 15
_TASKS = ("claim", "work", "finish")


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    sizes = {4: 1} if short else ROUNDS
    found: dict[str, list[list[dict[str, float]]]] = {"ours": [], "theirs": []}
    with real_airflow() as running:
        for jobs, rounds in sizes.items():
            turns: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
            for number in range(rounds):
                for whose in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
                    turns[whose].append((_jobs if whose == "ours" else _plain)(running, jobs))
            for whose, values in turns.items():
                found[whose].append(values)
    return [
        _figure(found, list(sizes), name, said, against, unit, goal)
        for name, said, against, unit, goal in (
            (
                "throughput",
                "jobs a second, from the first queued to the last run's end",
                "runs of plain tasks a second",
                "runs a second",
                {"at_least": 1.0},
            ),
            (
                "one",
                "one job from its acknowledgement to its result, median",
                "a plain run from its first task's start to its last one's end",
                "s",
                {"at_most": 1.3},
            ),
            ("first", "from queued to the first result", "from the event to the first run's end", "s", {}),
            *(
                (f"{task}", f"{task}: the task's time, median", "the plain task's", "s", {})
                for task in _TASKS
            ),
        )
    ]


def _figure(
    found: dict[str, list[list[dict[str, float]]]],
    places: list[Place],
    name: str,
    what: str,
    against: str,
    unit: str,
    goal: dict[str, float],
) -> Figure:
    points = [
        curve([[turn[name]] for turn in ours], [place], [[turn[name]] for turn in theirs])[0]
        for place, ours, theirs in zip(places, found["ours"], found["theirs"], strict=True)
    ]
    return Figure(f"jobs-{name}", what, against, unit, points, axis="jobs", **goal)


def _jobs(running: RealAirflow, number: int) -> dict[str, float]:
    ended = running.ended_runs("job_run")
    began = running.queue_jobs(number)
    running.wait_for_runs("job_run", ended + number, 120 + number * _SECONDS_A_JOB)
    calls = running.calls_since(began)
    if len(calls) != number:
        raise RuntimeError(f"{len(calls)} of {number} jobs have a result.")
    acknowledged, result = "AcknowledgeThirdPartyJob", "PutThirdPartyJobSuccessResult"
    ones = [seconds_between(each[acknowledged], each[result]) for each in calls.values()]
    first = min(seconds_between(began, each[result]) for each in calls.values())
    runs = running.tasks_since("job_run", began)
    return {**_of_runs(runs, began), "one": statistics.median(ones), "first": first}


def _plain(running: RealAirflow, number: int) -> dict[str, float]:
    ended = running.ended_runs("plain_run")
    began = running.make_event("benchmark_ids", number)
    running.wait_for_runs("plain_run", ended + number, 120 + number * _SECONDS_A_JOB)
    return _of_runs(running.tasks_since("plain_run", began), began)


def _of_runs(runs: dict[str, list[dict[str, Any]]], began: datetime.datetime) -> dict[str, float]:
    ends = [max(task["end_date"] for task in tasks) for tasks in runs.values()]
    starts = [min(task["start_date"] for task in tasks) for tasks in runs.values()]
    durations = {
        name: statistics.median(
            seconds_between(task["start_date"], task["end_date"])
            for tasks in runs.values()
            for task in tasks
            if task["task_id"] == name
        )
        for name in _TASKS
    }
    return {
        "throughput": len(runs) / max(seconds_between(began, end) for end in ends),
        "one": statistics.median(map(seconds_between, starts, ends)),
        "first": min(seconds_between(began, end) for end in ends),
        **durations,
    }
