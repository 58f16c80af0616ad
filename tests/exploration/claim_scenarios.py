# SPDX-License-Identifier: Apache-2.0
"""Who claims one job at once, and what may not come of it."""

from __future__ import annotations

from dataclasses import dataclass

from exploration.claim_world import ClaimExplorer, Process, State, World

FAILED = ("failed", "failed, silent", "dead")
RIVAL = Process("rival")
FIRST = (Process("claim"), Process("finish", after=("claim",)))
OTHER_RUN = (Process("other:claim", tries=1), Process("other:finish", tries=1, after=("other:claim",)))
NEXT = (Process("a"), Process("b"), Process("finish", after=("a", "b")))
NEXT_OF_ONE = (Process("a"), Process("finish", after=("a",)))


def fault_of(world: World, state: State) -> str | None:
    """Return what is wrong with the end of a story, or None."""
    if state.fault:
        return state.fault
    for run in {each.run for each in state.processes} - {"rival"}:
        fault = _fault_of_run(world, state, run)
        if fault:
            return f"{run}: {fault}"
    return None


def _fault_of_run(world: World, state: State, run: str) -> str | None:
    processes = [each for each in state.processes if each.run == run]
    if run == "run" and state.was_over and any(each.end == "ours" for each in processes):
        return "the work is done again, although the job had ended when the run was cleared"
    last = processes[-1]
    is_red = any(each.end in FAILED for each in processes) or last.end.startswith("failure")
    result, by = state.result
    # A run that assumes that the job is its own may have ended the job of the other run.
    was_put = by == run or (by != "rival" and by in state.doubted)
    if last.end.startswith(("success", "failure")):
        said = last.end.partition(", ")[0]
        # An abandoned action has failed for its customer, too.
        if run in state.unaware:
            return None
        is_true = (was_put and result == said) or (said, result) == ("failure", "stopped")
        if not is_true:
            return f"the last task says {said}, but the job has {result or 'no result'}"
    if world.is_next and state.status == "offered" and last.end not in ("dead", "failed, silent"):
        return "the next job is given up, although it is offered"
    # To leave unknown claims is to leave some jobs that were ours.
    is_ours = state.owner == run and (run in state.certain or world.unknown_claim == "assume_ours")
    if is_ours and not was_put:
        if not is_red:
            return "the run is green, although its job has no result of it"
        # What Airflow holds for ended may end before it can report, and nobody else knows of the job.
        was_cut = any(each.mark and each.end in ("dead", "failed, silent") for each in processes)
        is_excused = was_cut or last.end in ("dead", "failed, silent") or state.status == "ended"
        if not is_excused and world.remembers:
            return "the job that this run has claimed is left without a result"
    is_certain = run in state.certain and run not in state.unaware and not state.cleared
    if is_certain and (result, by) == ("success", run) and last.end == "failed":
        return "the run is red, although its result was put"
    return None


@dataclass(frozen=True)
class Scenario:
    """
    Some processes in a world, and how much may happen to them.

    :param world: The world.
    :param processes: The processes.
    :param deaths: How many processes may die.
    :param losses: How many answers may be lost.
    :param others: How many times the job may be offered again, the customer may stop the pipeline, and a user
        may clear the run.
    :param marks: How many times a user may mark the claim as failed or as a success.
    """

    world: World
    processes: tuple[Process, ...]
    deaths: int = 1
    losses: int = 1
    others: tuple[int, int, int] = (1, 1, 1)
    marks: int = 0

    def explore(self, **budget: int) -> ClaimExplorer:
        """Explore all orders of the processes' steps, with this budget or the given one."""
        own = dict(zip(("offers", "stops", "clears"), self.others, strict=True))
        explorer = ClaimExplorer(lambda state: fault_of(self.world, state), world=self.world)
        budget = budget or {"deaths": self.deaths, "losses": self.losses, "marks": self.marks, **own}
        explorer.explore(State(self.processes, **budget))
        return explorer

    def __str__(self) -> str:
        offers, stops, clears = self.others
        return (
            f"{self.deaths} deaths, {self.losses} lost answers, {offers} more offers, {stops} stops, "
            f"{clears} clears, {self.marks} marks"
        )


SCENARIOS = {
    "one run": Scenario(World(), FIRST, 2, 2),
    "one run that leaves unknown claims": Scenario(World("leave"), FIRST, 2, 2),
    "one run that forgets": Scenario(World(remembers=False), FIRST, 2, 2),
    "a user marks the claim": Scenario(World(), FIRST, losses=0, others=(1, 0, 1), marks=1),
    "a user marks the claim, and an answer is lost": Scenario(
        World(), FIRST, deaths=0, others=(0, 0, 1), marks=1
    ),
    "a user marks the claim, and unknown claims are left": Scenario(
        World("leave"), FIRST, others=(0, 0, 0), marks=1
    ),
    "a custom job": Scenario(World(is_custom=True), FIRST, 2, 1),
    "nonces that change": Scenario(World(rotates=True), FIRST),
    "a rival": Scenario(World(), (*FIRST, RIVAL), others=(1, 0, 1)),
    "a rival, and unknown claims are left": Scenario(World("leave"), (*FIRST, RIVAL), others=(1, 0, 1)),
    "a rival, and a run that forgets": Scenario(World(remembers=False), (*FIRST, RIVAL)),
    "another run": Scenario(World(), (*FIRST, *OTHER_RUN), others=(0, 0, 0)),
    "two tasks claim the next job": Scenario(World(is_next=True), NEXT, deaths=0, others=(1, 0, 0)),
    "a task claims the next job, which is a custom one": Scenario(
        World(is_custom=True, is_next=True), NEXT_OF_ONE, losses=2, others=(2, 1, 0)
    ),
    # Without a stop, a job that is offered at the end was given up.
    "a task claims the next job, which nobody stops": Scenario(
        World(is_custom=True, is_next=True), NEXT_OF_ONE, losses=2, others=(2, 0, 0)
    ),
    "two tasks and a rival claim the next job": Scenario(
        World("leave", is_next=True), (*NEXT, RIVAL), deaths=1, losses=0, others=(0, 0, 0)
    ),
}
