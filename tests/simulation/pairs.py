# SPDX-License-Identifier: Apache-2.0
"""
Every two misfortunes: one after the other is tried at each step of a DAG, and nothing else goes wrong.

Seeds reach orders of events that are long. This reaches all that are short.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from simulation import simulate

#: What is decided at a step and is no misfortune: to let another process go first. A hang lets all others go.
HARMLESS = ("go on", "pause")


@dataclass(frozen=True)
class Search:
    """
    What is tried.

    :param way: The DAG.
    :param user: What a user does, as one of the two misfortunes; or ``nothing``.
    :param depth: How many misfortunes, at most.
    :param settings: What is not as usual, by name.
    """

    way: str
    user: str
    depth: int
    settings: tuple[tuple[str, int], ...] = ()

    def plan(self) -> dict[str, int]:
        """Return the decisions before a history begins."""
        from simulation.plan import PLANS, all_ways

        most = {name: PLANS[name].index(max(PLANS[name])) for name in ("deaths", "losses", "failures")}
        user = PLANS["user"].index(self.user)
        return {"way": sorted(all_ways()).index(self.way), **most, "user": user, **dict(self.settings)}


def misfortunes_after(history: Any, given: Mapping[str, int], last: str | None) -> Iterator[tuple[str, int]]:
    """Yield each misfortune that may happen in a history after the last one that does, as (name, number)."""
    is_later = last is None
    for name, options in history.decisions.seen:
        if is_later and name not in given:
            for number, option in enumerate(options[1:], 1):
                if is_misfortune(option):
                    yield name, number
        is_later = is_later or name == last


def is_misfortune(option: Any) -> bool:
    """Return whether an option is a misfortune: at a step of a process, or by a user."""
    if isinstance(option, tuple):
        label, _ = option
        return label.startswith(("clears ", "marks ", "mark failed", "abandon", "time out"))
    return isinstance(option, str) and option not in HARMLESS


def walk(given: dict[str, int], depth: int, last: str | None) -> Iterator[tuple[dict[str, int], list[str]]]:
    """Try a history and all that have more misfortunes; yield the decisions and kinds of fault of each."""
    history, findings = simulate.try_history(1, given)
    yield given, [finding.kind for finding in findings]
    if depth == 0:
        return
    for name, number in list(misfortunes_after(history, given, last)):
        yield from walk({**given, name: number}, depth - 1, name)


def _try_first(depth: int, plan: dict[str, int], first: tuple[str, int]) -> tuple[int, list[Any]]:
    name, number = first
    count, wrong = 0, []
    for given, kinds in walk({**plan, name: number}, depth - 1, name):
        count += 1
        wrong += [(kinds, given)] if kinds else []
    return count, wrong


def search(what: Search, processes: int) -> tuple[int, list[tuple[list[str], dict[str, int]]]]:
    """Try all histories of a search; return their number, and the kinds and decisions of the wrong ones."""
    plan = what.plan()
    history, findings = simulate.try_history(1, plan)
    count, wrong = 1, [([finding.kind for finding in findings], plan)] if findings else []
    firsts = list(misfortunes_after(history, plan, None))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=simulate.set_up) as pool:
        for tried, found in pool.map(partial(_try_first, what.depth, plan), firsts):
            count += tried
            wrong += found
    return count, wrong


def main() -> int:
    """Search, and return whether a history ended wrongly."""
    parser = argparse.ArgumentParser(description="Try every two misfortunes, one after the other.")
    parser.add_argument("--way", action="append", help="the DAGs (default: all)")
    parser.add_argument("--user", default="nothing", help="what a user does (default: nothing)")
    parser.add_argument("--depth", type=int, default=2, help="how many misfortunes (default: 2)")
    parser.add_argument("--set", action="append", default=[], help="NAME=NUMBER of an option of the plan")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stories", type=int, default=3, help="how many stories to tell (default: 3)")
    arguments = parser.parse_args()
    simulate.set_up()
    from simulation.plan import all_ways

    settings = tuple((name, int(number)) for name, number in (each.split("=") for each in arguments.set))
    is_wrong = False
    for way in arguments.way or sorted(all_ways()):
        began = time.perf_counter()
        count, wrong = search(Search(way, arguments.user, arguments.depth, settings), arguments.processes)
        seconds = time.perf_counter() - began
        print(f"{way}: {count} histories, {len(wrong)} end wrongly; {seconds:.0f} s", flush=True)
        is_wrong = is_wrong or bool(wrong)
        for _, given in wrong[: arguments.stories]:
            print(simulate.story_of(1, given), flush=True)
    return is_wrong


if __name__ == "__main__":
    raise SystemExit(main())
