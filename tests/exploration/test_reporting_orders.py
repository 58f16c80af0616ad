# SPDX-License-Identifier: Apache-2.0
"""No order of steps, deaths and lost answers leads to a wrong result, or to a run of the wrong colour."""

from __future__ import annotations

import os

import pytest

from exploration.reporting_world import Explorer, State, Task, started

#: The end of a task that says that the job has a result.
RESULTS = ("success", "failure", "continue")


def fault_of(state: State) -> str | None:
    """Return what is wrong with the end of a story, or None."""
    actual = state.taken.partition(" ")[0]
    for task in state.tasks:
        # An abandoned action has failed for its customer, too.
        is_true = task.end == actual or (task.end, actual) == ("failure", "abandoned")
        if task.heeded and task.end in RESULTS and not is_true and not state.untold:
            return f"{task.name} says {task.end}, but the job has {state.taken or 'no result'}"
    finish = state.tasks[-1]
    if finish.end == "failed" and finish.heeded and actual in RESULTS and not state.untold:
        return f"{finish.name} fails, although the result {state.taken} was put"
    if not state.taken and any(task.end in RESULTS for task in state.tasks):
        return "the job is left without a result"
    return None


def explore(*tasks: Task, never_taken: tuple[str, ...] = (), zombies: bool = True, **budget: int) -> Explorer:
    explorer = Explorer(fault_of, never_taken=frozenset(never_taken), zombies=zombies)
    explorer.explore(started(*tasks, **budget))
    print(f"{explorer.states} states, {explorer.ends} ends, {len(explorer.faults)} faults")
    for fault, state in explorer.faults[:3]:
        print(f"FAULT: {fault}", *explorer.story(state), sep="\n  ")
    return explorer


SCENARIOS = {
    "finish alone": [Task("finish", "success", tries=3)],
    "work that failed": [Task("finish", "failure", tries=3)],
    "a result operator, then finish": [Task("put", "success"), Task("finish", "success", after=("put",))],
    "two results at once": [
        Task("put", "success"),
        Task("other", "failure"),
        Task("finish", "failure", after=("put", "other")),
    ],
    "two sensors renew at once": [Task("a", "continue a"), Task("b", "continue b")],
    "a sensor renews while finish reports": [Task("a", "continue a"), Task("finish", "failure")],
    "a function, then finish": [Task("function", "success"), Task("finish", "failure", after=("function",))],
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_order_of_steps_leads_to_a_wrong_end(name, request):
    """With one death and one lost answer here; with two of each in the full exploration."""
    most = int(os.environ.get("EXPLORE", "1"))
    explorer = explore(*SCENARIOS[name], deaths=most, losses=most, stops=1)
    assert explorer.faults == []
    assert explorer.ends


def test_of_two_healthy_sensors_that_renew_at_once_none_fails():
    explorer = explore(Task("a", "continue a"), Task("b", "continue b"), zombies=False)
    assert explorer.faults == []
    assert explorer.ends
