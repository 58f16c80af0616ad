# SPDX-License-Identifier: Apache-2.0
"""
Try many histories: ``make test-simulation SEEDS=10000``.

A history that ends wrongly is shrunk, and its story is printed. ``ARGS="--replay SEED"`` prints that of one
seed.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import json
import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

MAX_LINES = 60
CLIENT_ID, CLIENT_TOKEN = "11111111-1111-4111-8111-111111111111", "the-client-token"
#: How many seeds a process gets at once.
PART = 25


def set_up() -> None:
    """Give this process an Airflow without a database, and quiet."""
    for name in list(os.environ):
        if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_", "AWS_")):
            del os.environ[name]
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="codepipeline-simulation-")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    # Airflow would check each job's values as params, with a JSON schema.
    os.environ["AIRFLOW__CORE__DAG_RUN_CONF_OVERRIDES_PARAMS"] = "False"
    os.environ.update(connections())
    # Airflow sets its logs up as it is imported.
    importlib.import_module("airflow.sdk.execution_time.task_runner")
    import structlog

    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    importlib.import_module("simulation.patches").remember_what_stays()
    # A collection would look at all of Airflow's modules, again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def connections(endpoint_url: str | None = None) -> dict[str, str]:
    """Return the connections that the package's hooks look for, where no server has to be asked."""
    extra = {"region_name": "us-east-1", **({} if endpoint_url is None else {"endpoint_url": endpoint_url})}
    aws = {"conn_type": "aws", "login": "a", "password": "b", "extra": extra}
    client = {"conn_type": "codepipeline_partner_client", "login": CLIENT_ID, "password": CLIENT_TOKEN}
    conn_id = f"codepipeline_client_{CLIENT_ID.replace('-', '_')}".upper()
    return {
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws),
        f"AIRFLOW_CONN_{conn_id}": json.dumps(client),
    }


def try_history(seed: int, given: Mapping[str, int] | None = None) -> tuple[Any, list[Any]]:
    """Let a history happen, and judge it."""
    from simulation.history import History
    from simulation.verdict import Finding, judge

    history = History(seed, given)
    try:
        history.run()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return history, [Finding("crash", f"{type(error).__name__}: {error}")]
    return history, judge(history)


def shrunk(seed: int, made: Mapping[str, int], kinds: set[str]) -> dict[str, int]:
    """Return the fewest decisions that still lead to a fault of one of these kinds."""

    def is_wrong(decisions: Mapping[str, int]) -> bool:
        return bool(kinds & {finding.kind for finding in try_history(seed, decisions)[1]})

    left = dict(made)
    if not is_wrong(left):
        return left
    size = max(1, len(left) // 2)
    while size:
        names = list(left)
        for start in range(0, len(names), size):
            fewer = {name: left[name] for name in left if name not in names[start : start + size]}
            if len(fewer) < len(left) and is_wrong(fewer):
                left = fewer
        size //= 2
    return left


def story_of(seed: int, given: Mapping[str, int] | None = None, lines: int | None = MAX_LINES) -> str:
    """Return the story of a history."""
    history, findings = try_history(seed, given)
    plan = history.plan
    story = history.story
    if lines is not None and len(story) > lines - 8:
        story = [*story[: lines - 9], "         …"]
    settings = ", ".join(f"{name} {value}" for name, value in plan.settings.items())
    states = [
        f"{history._name_of(run)} is {run.state}: "
        + ", ".join(f"{each.name} {each.state}" for each in run.instances.values())
        for run in history.server.runs.values()
    ]
    return "\n".join(
        [
            f"seed {seed}: DAG {plan.way}; the work: {plan.work}; "
            f"user: {plan.user}, {plan.then}; rival: {plan.rival}",
            f"  ({settings})"[:200],
            *story,
            *states[:3],
            *map(str, findings),
        ]
    )


def _try_seed(seed: int) -> tuple[int, list[str], str, int]:
    history, findings = try_history(seed)
    return seed, [finding.kind for finding in findings], history.plan.way, len(history.misfortunes)


def _try_seeds(seeds: range) -> list[tuple[int, list[str], str, int]]:
    return [_try_seed(seed) for seed in seeds]


def results(seeds: range, processes: int) -> Iterator[tuple[int, list[str], str, int]]:
    """Try all seeds, in some processes."""
    if processes == 1:
        yield from map(_try_seed, seeds)
        return
    parts = [seeds[start : start + PART] for start in range(0, len(seeds), PART)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=set_up) as pool:
        try:
            yield from itertools.chain.from_iterable(pool.map(_try_seeds, parts))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def main() -> int:
    """Try histories, and return whether one ended wrongly."""
    parser = argparse.ArgumentParser(
        description="Try many histories of jobs, in which anything may go wrong."
    )
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default: 10,000)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stories", type=int, default=3, help="how many stories to tell (default: 3)")
    parser.add_argument("--minutes", type=float, help="stop after this time, however many were tried")
    parser.add_argument("--replay", type=int, metavar="SEED", help="tell the story of one seed")
    parser.add_argument("--whole", action="store_true", help="with --replay: do not shrink")
    arguments = parser.parse_args()
    set_up()
    if arguments.replay is not None:
        return _replay(arguments.replay, arguments.whole)
    began = time.perf_counter()
    wrong: dict[int, list[str]] = {}
    kinds: dict[str, list[int]] = {}
    misfortunes = 0
    tried = 0
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    for seed, found, way, count in results(seeds, arguments.processes):
        tried += 1
        misfortunes += count
        if found:
            wrong[seed] = found
            for kind in set(found):
                kinds.setdefault(f"{kind} in {way}", []).append(seed)
        if arguments.minutes and time.perf_counter() - began > 60 * arguments.minutes:
            break
    seconds = time.perf_counter() - began
    print(
        f"{tried} histories, {misfortunes} misfortunes, {len(wrong)} end wrongly; "
        f"{seconds:.0f} s, {tried / seconds:.0f} a second"
    )
    for what, found_in in sorted(kinds.items(), key=lambda it: -len(it[1])):
        print(f"  {len(found_in):6} {what}: seeds {', '.join(map(str, sorted(found_in)[:5]))}")
    for seed in sorted(wrong)[: arguments.stories]:
        print()
        _replay(seed, whole=False)
    return 1 if wrong else 0


def _replay(seed: int, whole: bool) -> int:
    history, findings = try_history(seed)
    if not findings or whole:
        print(story_of(seed, lines=None))
        return bool(findings)
    fewest = shrunk(seed, history.decisions.made, {finding.kind for finding in findings})
    print(story_of(seed, fewest))
    print(f'replay: make test-simulation ARGS="--replay {seed}"')
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
