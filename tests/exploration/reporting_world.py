# SPDX-License-Identifier: Apache-2.0
"""
Every order of steps in which the tasks of a run can report the result of one job.

The steps are those of the package itself (``_worker.reporting``). CodePipeline, the records and Airflow are
abstract: a job that takes one result, a table with one record for each task, and tasks that may die before
and after each step, be retried, or go on although Airflow holds them for dead. Answers may be lost, before or
after the call was carried out. The customer may stop the pipeline. A job whose claim is unknown may be
nobody's until another run claims it. Whether CodePipeline tells the status of an ended job is open each time,
as it forgets such jobs after a while.

A state is a tuple, so that each is visited once. A task's part of it is what it has heard since its try
began, which is all that its next step depends on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.job_life import Results
from airflow_codepipeline_partner._worker.records import STATUS_OF, ResultRecord
from airflow_codepipeline_partner._worker.reporting import (
    Answer,
    AskStatus,
    Read,
    Reply,
    Send,
    Withdraw,
    Write,
    reporting,
)


@cache
def record_of(call: str, state: str) -> ResultRecord:
    """Return the record of a call: ``success``, ``failure``, or ``continue a``, by the task ``a``."""
    result, _, task = call.partition(" ")
    arguments: dict[str, Any] = {"jobId": "job", "call": call}
    if result == "continue":
        arguments["continuationToken"] = TaskInstanceRef("dag", "run", task or "task").token
    return ResultRecord(state, "job", result, arguments)  # type: ignore[arg-type]


class Task(NamedTuple):
    """
    A process of a task.

    :param name: The task; two processes of one task share its record.
    :param wants: The call that it wants to send.
    :param heard: What it has heard since its try began; None before it has begun.
    :param attempt: Whether it sends its call again, since the answer was lost.
    :param end: What it came to, or empty: a result, ``failed``, ``silent`` if it failed since it had no
        reply, ``dead``, or ``ignored`` for a process that Airflow holds for dead.
    :param tries: How many tries it has left.
    :param after: The names of the tasks that must have ended before it begins.
    :param heeded: Whether Airflow heeds what it comes to.
    """

    name: str
    wants: str
    heard: tuple[Any, ...] | None = None
    attempt: bool = False
    end: str = ""
    tries: int = 2
    after: tuple[str, ...] = ()
    heeded: bool = True


class State(NamedTuple):
    """
    A state of the world.

    :param tasks: The processes.
    :param records: The tasks' records: name, call and state of each.
    :param taken: The call that CodePipeline has taken, ``abandoned``, ``unclaimed`` while nobody has the job,
        or empty while it is in progress.
    :param deaths: How many processes may still die.
    :param losses: How many answers may still be lost.
    :param stops: How many times the customer may still stop the pipeline.
    :param unaware: Whether CodePipeline did not return the status of the ended job when a task asked.
    :param claims: How many times another run may still claim the job.
    :param careless: A task that sent a call although it had read that the job was left; empty if none did.
    :param counted: The ends of the job that tasks have counted: ``done`` or ``refused``.
    """

    tasks: tuple[Task, ...]
    records: tuple[tuple[str, str, str], ...] = ()
    taken: str = ""
    deaths: int = 0
    losses: int = 0
    stops: int = 0
    unaware: bool = False
    claims: int = 0
    careless: str = ""
    counted: tuple[str, ...] = ()


def results_for(state: State, name: str) -> tuple[Any, ...]:
    """Return what a task reads: its own record, and the others'."""
    own = next(((call, known) for who, call, known in state.records if who == name), None)
    others = tuple((call, known) for who, call, known in state.records if who != name)
    return "read", own, others


def has_read_that_it_was_left(task: Task) -> bool:
    """Return whether a task has read, before its first step, that the job was left."""
    _, own, others = (task.heard or (("read", None, ()),))[0]
    return any(record is not None and record[1] == "left" for record in (own, *others))


def fact_of(heard: tuple[Any, ...]) -> Any:
    """Return the answer to a step, as the steps take it."""
    kind = heard[0]
    if kind == "read":
        own, others = heard[1:]
        return Results.of(None if own is None else record_of(*own), [record_of(*other) for other in others])
    if kind == "answer":
        return Answer(heard[1], heard[2])
    return heard[1]


@cache
def next_action(wants: str, heard: tuple[Any, ...], certain: bool) -> Any:
    """Return the next step of a task that has heard this, or the text of its end."""
    steps = reporting(record_of(wants, "intended"), certain=certain)
    try:
        action = next(steps)
        for each in heard:
            action = steps.send(fact_of(each))
    except StopIteration as end:
        return "failed" if end.value is None else f"ended {end.value}"
    if isinstance(action, Write | Send):
        record = action.record
        is_first = isinstance(action, Write) and action.is_first
        return type(action), record.arguments["call"], record.state, is_first
    return (type(action),)


@dataclass
class Explorer:
    """
    Visit every state that can be reached, and check each.

    :param certain: Whether the claim is certain.
    :param never_taken: Calls that CodePipeline never takes.
    :param zombies: Whether a process may go on although Airflow holds it for dead.
    :param check_end: Returns what is wrong with a state in which nothing more happens, or None.
    """

    check_end: Callable[[State], str | None]
    certain: bool = True
    never_taken: frozenset[str] = frozenset()
    zombies: bool = True
    states: int = 0
    ends: int = 0
    faults: list[tuple[str, State]] = field(default_factory=list)
    _came_from: dict[State, State | None] = field(default_factory=dict)

    def explore(self, start: State, most: int = 5_000_000) -> None:
        """Explore from a state on."""
        came_from = self._came_from = {start: None}
        queue = deque([start])
        while queue:
            state = queue.popleft()
            self.states += 1
            if self.states > most:
                raise RuntimeError(f"more than {most} states")
            is_end = True
            for _, after in self.successors(state):
                is_end = False
                if after not in came_from:
                    came_from[after] = state
                    queue.append(after)
            if is_end:
                self.ends += 1
                fault = self.check_end(state)
                if fault:
                    self.faults.append((fault, state))

    def story(self, state: State) -> list[str]:
        """Return how a state came about."""
        lines: list[str] = []
        while (before := self._came_from[state]) is not None:
            lines.append(next(what for what, after in self.successors(before) if after == state))
            state = before
        return lines[::-1]

    def successors(self, state: State) -> Iterator[tuple[str, State]]:
        """Yield what can happen next, and the state after it."""
        if state.stops and not state.taken:
            yield "the customer stops the pipeline", state._replace(taken="abandoned", stops=state.stops - 1)
        if state.claims and state.taken == "unclaimed":
            yield "another run claims the job", state._replace(taken="", claims=state.claims - 1)
        for index, task in enumerate(state.tasks):
            yield from self._of_task(state, index, task)

    def _of_task(self, state: State, index: int, task: Task) -> Iterator[tuple[str, State]]:
        def become(**changes: Any) -> State:
            return self._settled(state, index, task._replace(**changes))

        if task.end:
            return
        if task.heard is None:
            ended = {each.name for each in state.tasks if each.heeded and each.end}
            if not set(task.after) <= ended:
                return
            task = task._replace(heard=())
        elif state.deaths and task.heeded:
            fewer = state.deaths - 1
            again: dict[str, Any] = {"end": "dead"}
            if task.tries > 1:
                again = {"heard": None, "attempt": False, "tries": task.tries - 1}
            yield f"{task.name} dies", become(**again)._replace(deaths=fewer)
            if self.zombies:
                # Airflow holds it for dead: another try begins, and the process goes on.
                other = become(**again)._replace(deaths=fewer)
                ghost = task._replace(heeded=False)
                yield f"{task.name} is held for dead", other._replace(tasks=(*other.tasks, ghost))
        action = next_action(task.wants, task.heard or (), self.certain)
        is_careless = action[0] is Send and has_read_that_it_was_left(task)
        for what, after in self._act(state, task, action, become):
            yield what, after._replace(careless=task.name) if is_careless else after

    def _settled(self, state: State, index: int, task: Task) -> State:
        """Return a state in which a task that has nothing more to do has ended, or is tried again."""
        if task.heard and not task.end:
            action = next_action(task.wants, task.heard, self.certain)
            if action == "failed" and task.tries > 1 and task.heeded:
                task = task._replace(heard=None, tries=task.tries - 1)
            elif isinstance(action, str):
                end = action.removeprefix("ended ")
                silent = end == "failed" and any(fact[:2] == ("answer", Reply.NONE) for fact in task.heard)
                end = "silent" if silent else end
                # What it has heard no longer matters.
                task = task._replace(heard=(), end=end if task.heeded else "ignored")
        tasks = list(state.tasks)
        tasks[index] = task
        return state._replace(tasks=tuple(tasks))

    def _act(
        self, state: State, task: Task, action: tuple[Any, ...], become: Callable[..., State]
    ) -> Iterator[tuple[str, State]]:
        kind, *about = action
        about, is_counted = about[:2], about[2:] == [True]
        heard = task.heard or ()
        if kind is Read:
            yield f"{task.name} reads", become(heard=(*heard, results_for(state, task.name)))
        elif kind in (Write, Withdraw):
            left = tuple(each for each in state.records if each[0] != task.name)
            if kind is Write:
                left = tuple(sorted((*left, (task.name, *about))))
            what = f"{task.name} writes {' '.join(about)}" if about else f"{task.name} withdraws"
            counted = (*state.counted, about[1]) if is_counted else state.counted
            yield what, become(heard=(*heard, ("done", None)))._replace(records=left, counted=counted)
        elif kind is AskStatus:
            status = None if not state.taken else STATUS_OF.get(state.taken.partition(" ")[0], "Failed")
            for found in {None, status}:
                after = become(heard=(*heard, ("status", found)))
                unaware = state.unaware or (found is None and status is not None)
                yield f"{task.name} asks the status: {found}", after._replace(unaware=unaware)
        else:
            yield from self._send(state, task, about[0], become)

    def _send(
        self, state: State, task: Task, call: str, become: Callable[..., State]
    ) -> Iterator[tuple[str, State]]:
        heard = task.heard or ()
        if call in self.never_taken:
            answer = "answer", Reply.NEVER_TAKEN, task.attempt
            yield f"{task.name}: {call} is never taken", become(heard=(*heard, answer), attempt=False)
            return
        after = state.taken or call
        reply = Reply.NO_RESULT_TAKEN if state.taken else Reply.TAKEN
        answer = "answer", reply, task.attempt and reply is not Reply.TAKEN
        yield (
            f"{task.name} sends {call}: {reply}",
            become(heard=(*heard, answer), attempt=False)._replace(taken=after),
        )
        if state.losses:
            fewer = state.losses - 1
            for carried_out in (True, False):
                taken = after if carried_out else state.taken
                how = "carried out" if carried_out else "not carried out"
                what = f"{task.name} sends {call}, the answer is lost ({how})"
                yield f"{what}, and sends it again", become(attempt=True)._replace(taken=taken, losses=fewer)
                silent = become(heard=(*heard, ("answer", Reply.NONE, True)), attempt=False)
                yield f"{what}, and gives up", silent._replace(taken=taken, losses=fewer)


def started(*tasks: Task, **budget: Any) -> State:
    """Return the state in which nothing has happened yet."""
    return State(tuple(tasks), **budget)
