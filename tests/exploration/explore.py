# SPDX-License-Identifier: Apache-2.0
"""``make explore``: walk all orders of steps, and print how many there are and what was held in them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import cache, partial
from multiprocessing import Pool
from typing import Any, NamedTuple

from exploration.claim_scenarios import SCENARIOS as CLAIMS
from exploration.scenarios import OF_UNKNOWN_CLAIMS, SCENARIOS, explore, explore_unknown_claim

#: Deaths, lost answers, and whether a process that is held for dead may go on.
BUDGETS = ((2, 2, False), (1, 1, True))
HELD = (
    "what a task says of the job's result is true",
    "no run is red although its result was put, except where two of these meet: two different calls, an "
    "older try that still lives, a status that CodePipeline does not tell",
    "no run is green without a result",
    "no result is put for a job that this run has not asked for, and none for another worker's, except where "
    "unknown claims are assumed to be ours and an answer was lost",
    "no task puts a result of a job that was left: its claim is unknown, and it took no result before",
    "a job that this run has claimed gets a result, unless the last task dies or gets no answer",
)


def main() -> int:
    """Explore, print, and return the exit status."""
    begun = time.monotonic()
    states = faults = 0
    with Pool() as pool:
        for name, found in zip(walks(), pool.imap(walk, walks()), strict=True):
            states += found.states
            faults += found.faults
            counts = f"{found.states:>9,} states, {found.ends:>7,} ends, {found.faults} faults"
            print(f"{counts}: {name}", flush=True)
            for fault, *story in found.stories:
                print(f"FAULT: {fault}", *story, sep="\n  ")
    print(f"{states:,} states in {time.monotonic() - begun:.0f} s. In each of them:", *HELD, sep="\n  - ")
    return 1 if faults else 0


class Found(NamedTuple):
    """How much a walk has visited, and the first faults with their stories."""

    states: int
    ends: int
    faults: int
    stories: list[list[str]]


def walk(name: str) -> Found:
    """Visit all states of one scenario; return what was found."""
    explorer = walks()[name]()
    stories = [[fault, *explorer.story(state)] for fault, state in explorer.faults[:3]]
    return Found(explorer.states, explorer.ends, len(explorer.faults), stories)


@cache
def walks() -> dict[str, Callable[[], Any]]:
    """Return what to walk, by name."""
    found: dict[str, Callable[[], Any]] = {}
    for name, tasks in SCENARIOS.items():
        for deaths, losses, zombies in BUDGETS:
            if zombies and len(tasks) > 2:
                continue
            if len(tasks) > 2 and not any(task.after for task in tasks):
                # Three that all run at once: more orders than time.
                deaths, losses = 1, 1
            ghosts = ", the dead may go on" if zombies else ""
            budget = {"zombies": zombies, "deaths": deaths, "losses": losses, "stops": 1}
            about = f"{name} ({deaths} deaths, {losses} lost answers, 1 stop{ghosts})"
            found[about] = partial(explore, *tasks, **budget)
    for name in OF_UNKNOWN_CLAIMS:
        budget = {"zombies": False, "deaths": 2, "losses": 2}
        about = f"{name}, of an unknown claim (2 deaths, 2 lost answers)"
        found[about] = partial(explore_unknown_claim, *SCENARIOS[name], **budget)
    for name, scenario in CLAIMS.items():
        found[f"claims: {name} ({scenario})"] = scenario.explore
    return found


if __name__ == "__main__":
    sys.exit(main())
