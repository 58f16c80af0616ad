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

from benchmarks.figures import Figure, curve
from benchmarks.real_airflow import PRELOADED, RealAirflow, real_airflow, seconds_between

#: Jobs of a round → rounds.
ROUNDS = {40: 3, 200: 1}
PRELOADED_ROUNDS = {40: 2}
_SECONDS_A_JOB = 15
_TASKS = ("claim", "work", "finish")

#: Jobs of a round → whose turns → what each turn had.
_Turns = dict[int, dict[str, list[dict[str, float]]]]


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    with real_airflow() as running:
        figures = _figures(_in_turn(running, {4: 1} if short else ROUNDS), "jobs", "")
    with real_airflow(preloaded=[PRELOADED]) as running:
        turns = _in_turn(running, {4: 1} if short else PRELOADED_ROUNDS)
    return figures + _figures(turns, "jobs-preloaded", ", with the hook imported before a worker forks")


def _in_turn(running: RealAirflow, rounds: dict[int, int]) -> _Turns:
    found: _Turns = {}
    for jobs, number in rounds.items():
        turns: dict[str, list[dict[str, float]]] = {"ours": [], "theirs": []}
        for each in range(number):
            for whose in ("ours", "theirs") if each % 2 else ("theirs", "ours"):
                turns[whose].append((_jobs if whose == "ours" else _plain)(running, jobs))
        found[jobs] = turns
    return found


def _figures(found: _Turns, prefix: str, how: str) -> list[Figure]:
    return [
        _figure(found, name, f"{prefix}-{name}", said + how, against, unit, goal)
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
            *((task, f"{task}: the task's time, median", "the plain task's", "s", {}) for task in _TASKS),
        )
    ]


def _figure(
    found: _Turns, value: str, name: str, what: str, against: str, unit: str, goal: dict[str, float]
) -> Figure:
    points = [
        curve([[turn[value]] for turn in turns["ours"]], [jobs], [[turn[value]] for turn in turns["theirs"]])[
            0
        ]
        for jobs, turns in found.items()
    ]
    return Figure(name, what, against, unit, points, axis="jobs", **goal)


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
