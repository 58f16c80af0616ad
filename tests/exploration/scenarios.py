# SPDX-License-Identifier: Apache-2.0
"""Which tasks report at once, and what may not come of it."""

from __future__ import annotations

from exploration.reporting_world import Explorer, State, Task, started

#: The end of a task that says that the job has a result.
RESULTS = ("success", "failure", "continue")


def fault_of(state: State) -> str | None:
    """Return what is wrong with the end of a story, or None."""
    actual = state.taken.partition(" ")[0]
    for task in state.tasks:
        # An abandoned action has failed for its customer, too.
        is_true = task.end == actual or (task.end, actual) == ("failure", "abandoned")
        if task.heeded and task.end in RESULTS and not is_true and not state.unaware:
            return f"{task.name} says {task.end}, but the job has {state.taken or 'no result'}"
    ghosts = any(not task.heeded for task in state.tasks)
    several = len({task.wants for task in state.tasks}) > 1
    for task in state.tasks:
        is_last = not any(task.name in other.after for other in state.tasks)
        # An older try of the task, with another call, writes the same record: one of the two is lost.
        is_excused = (ghosts and several) or (state.unaware and (ghosts or several))
        if is_last and task.heeded and task.end == "failed" and actual in RESULTS and not is_excused:
            return f"{task.name} fails, although the result {state.taken} was put"
    if not state.taken and any(task.end in RESULTS for task in state.tasks):
        return "the job is left without a result"
    return None


def fault_of_unknown_claim(state: State) -> str | None:
    """Return what is wrong with the end of a story in which it is unknown whose the job is, or None."""
    if state.careless:
        return f"{state.careless} sends a result of a job that was left"
    for task in state.tasks:
        # That the action goes on is a guess, if an answer was lost: the wait for the next job tells.
        if task.heeded and task.end in ("success", "failure") and task.end != state.taken.partition(" ")[0]:
            return f"{task.name} says {task.end}, but the job has {state.taken or 'no result'}"
    return None


SCENARIOS = {
    "finish alone": [Task("finish", "success", tries=3)],
    "work that failed": [Task("finish", "failure", tries=3)],
    "a result operator, then finish": [Task("put", "success"), Task("finish", "success", after=("put",))],
    "a function, then finish": [Task("function", "success"), Task("finish", "failure", after=("function",))],
    "two results at once, then finish": [
        Task("put", "success"),
        Task("other", "failure"),
        Task("finish", "failure", after=("put", "other")),
    ],
    "two sensors renew at once": [Task("a", "continue a"), Task("b", "continue b")],
    "a sensor renews while finish reports": [Task("a", "continue a"), Task("finish", "failure")],
    "three sensors renew at once": [Task(name, f"continue {name}", tries=1) for name in "abc"],
}


#: Those in which the claim may be unknown.
OF_UNKNOWN_CLAIMS = (
    "finish alone",
    "a result operator, then finish",
    "a function, then finish",
    "two results at once, then finish",
    "a sensor renews while finish reports",
)


def explore(*tasks: Task, never_taken: tuple[str, ...] = (), zombies: bool = True, **budget: int) -> Explorer:
    """Explore all orders of these tasks' steps."""
    explorer = Explorer(fault_of, never_taken=frozenset(never_taken), zombies=zombies)
    explorer.explore(started(*tasks, **budget))
    return explorer


def explore_unknown_claim(*tasks: Task, zombies: bool = True, **budget: int) -> Explorer:
    """Explore all orders of these tasks' steps, for a job that nobody has until another run claims it."""
    explorer = Explorer(fault_of_unknown_claim, certain=False, zombies=zombies)
    explorer.explore(started(*tasks, taken="unclaimed", claims=1, **budget))
    return explorer
