# SPDX-License-Identifier: Apache-2.0
"""Each result is counted once, in whatever order tasks report it. A death may lose a count, and adds none."""

from __future__ import annotations

from functools import partial

import pytest

from exploration.reporting_world import Explorer, State, started
from exploration.scenarios import SCENARIOS


def miscount_of(state: State, *, is_quiet: bool) -> str | None:
    """Return what is wrong with the counts at the end of a story, or None."""
    was_put = state.taken not in ("", "abandoned", "unclaimed")
    if any(state.counted.count(end) > 1 for end in ("done", "refused")):
        return f"counted {len(state.counted)} times"
    if state.unaware or state.taken == "abandoned":
        # CodePipeline did not say how the job has ended; or it has failed, and a task had sent a failure.
        return None
    if len(state.counted) > 1:
        return "counted as put, and as refused"
    if "done" in state.counted and not was_put:
        return "counted, and not put"
    if "refused" in state.counted and was_put:
        return "counted as refused, and put"
    return "not counted" if is_quiet and was_put and not state.counted else None


def explore(name: str, **budget: int) -> Explorer:
    is_quiet = not any(budget.values())
    explorer = Explorer(partial(miscount_of, is_quiet=is_quiet), zombies=False)
    explorer.explore(started(*SCENARIOS[name], **budget))
    return explorer


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_each_result_is_counted_once(name):
    explorer = explore(name)
    assert explorer.faults == []
    assert explorer.ends


@pytest.mark.parametrize("name", sorted(SCENARIOS.keys() - {"three sensors renew at once"}))
@pytest.mark.parametrize("budget", [{"deaths": 1}, {"losses": 1}, {"stops": 1}, {"deaths": 1, "losses": 1}])
def test_no_result_is_counted_twice(name, budget):
    assert explore(name, **budget).faults == []
