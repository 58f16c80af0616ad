# SPDX-License-Identifier: Apache-2.0
"""``make explore``: walk all orders of steps, and print how many there are and what was held in them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

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
    for name, found in explorers():
        states += found.states
        faults += len(found.faults)
        print(
            f"{found.states:>9,} states, {found.ends:>7,} ends, {len(found.faults)} faults: {name}",
            flush=True,
        )
        for fault, state in found.faults[:3]:
            print(f"FAULT: {fault}", *found.story(state), sep="\n  ")
    print(f"{states:,} states in {time.monotonic() - begun:.0f} s. In each of them:", *HELD, sep="\n  - ")
    return 1 if faults else 0


def explorers() -> Iterator[tuple[str, Any]]:
    """Explore one scenario after the other; yield what it is, and what was found."""
    for name, tasks in SCENARIOS.items():
        for deaths, losses, zombies in BUDGETS:
            if zombies and len(tasks) > 2:
                continue
            if len(tasks) > 2 and not any(task.after for task in tasks):
                # Three that all run at once: more orders than time.
                deaths, losses = 1, 1
            ghosts = ", the dead may go on" if zombies else ""
            yield (
                f"{name} ({deaths} deaths, {losses} lost answers, 1 stop{ghosts})",
                explore(*tasks, zombies=zombies, deaths=deaths, losses=losses, stops=1),
            )
    for name in OF_UNKNOWN_CLAIMS:
        yield (
            f"{name}, of an unknown claim (2 deaths, 2 lost answers)",
            explore_unknown_claim(*SCENARIOS[name], zombies=False, deaths=2, losses=2),
        )
    for name, scenario in CLAIMS.items():
        yield f"claims: {name} ({scenario})", scenario.explore()


if __name__ == "__main__":
    sys.exit(main())
