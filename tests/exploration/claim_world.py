# SPDX-License-Identifier: Apache-2.0
"""
Every order of steps in which the tasks of a run, another run, and a rival can claim one job and end it.

The steps are those of the package itself: ``_worker.claiming``, ``_protocol.claims`` and
``_worker.reporting``. CodePipeline, the records and Airflow are abstract. The job is offered with a nonce,
and with another one when its lease has run out. It is claimed by an acknowledgement with the nonce of the
moment, and keeps it then. Processes may die before and after each step. Airflow tries them again, and clears
the XCom of a claiming task before it does. Answers may be lost, before or after the call was carried out. The
customer may stop the pipeline, a user may clear the tasks.

As in ``reporting_world``, a state is a tuple, and a process's part of it is what it has heard since its try
began.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from airflow_codepipeline_partner._protocol.claims import (
    Acknowledge,
    Acknowledged,
    AskDetails,
    Asked,
    ClaimState,
)
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ActionType, ClaimedJob, OfferedJob
from airflow_codepipeline_partner._worker import awaited_job, claiming, job_life, reporting
from airflow_codepipeline_partner._worker.claiming import Reason
from airflow_codepipeline_partner._worker.last_look import may_be_written
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner._worker.reporting import Answer, Reply
from airflow_codepipeline_partner.exceptions import InvalidNonce, JobNotFound, ServiceUnavailable
from exploration.reporting_world import Explorer, record_of

INTENT, CLAIMED, UNKNOWN, LOST, REFUSED = ClaimState
PARTNER = OfferedJob("job", "client", ActionType("Deploy", "Example", "1", "ThirdParty"))
CUSTOM = OfferedJob("job", None, ActionType("Deploy", "Example", "1", "Custom"), nonce="0")
FORMER = OfferedJob("former", "client", PARTNER.action_type)
#: The task that a next job's token names.
WAITING = TaskInstanceRef("dag", "run", "a")
ERRORS = {
    "stale": InvalidNonce("m"),
    "stale, in doubt": InvalidNonce("m", in_doubt=True),
    "unsent": ServiceUnavailable("m"),
    "silent": ServiceUnavailable("m", in_doubt=True),
    "gone": JobNotFound("m"),
    "gone, in doubt": JobNotFound("m", in_doubt=True),
}
#: What a task has come to, by how its claim has ended.
ENDS = {
    Reason.OURS: "ours",
    Reason.AWAITED: "skipped",
    Reason.NOT_WON: "skipped",
    Reason.HAS_ENDED: "failed",
    Reason.FORGOTTEN: "failed",
    Reason.ABANDONED: "failed",
    Reason.NO_ANSWER: "error",
    Reason.NO_ANSWER_FORGOTTEN: "failed",
}

Program = Generator[tuple[Any, ...], Any, str]


class World(NamedTuple):
    """
    What is the same in all states.

    :param unknown_claim: What an unknown claim counts as.
    :param remembers: Whether something outlives a retry of the claiming task, and copies lie beside it.
    :param is_custom: Whether the job's nonce comes with its offer, and is not in its details.
    :param rotates: Whether each question for the details changes the nonce.
    :param is_next: Whether the job is an action's next one.
    """

    unknown_claim: str = "assume_ours"
    remembers: bool = True
    is_custom: bool = False
    rotates: bool = False
    is_next: bool = False

    @property
    def job(self) -> OfferedJob:
        return CUSTOM if self.is_custom else PARTNER


@cache
def claimed_job(world: World, certain: bool = True) -> ClaimedJob:
    return ClaimedJob(world.job, certain, WAITING.token if world.is_next else None)


@cache
def claim_record(world: World, state: str, certain: bool) -> ClaimRecord:
    """Return a record of the job's claim; ``former`` is the claimed job before it."""
    if state == "former":
        return ClaimRecord(CLAIMED, ClaimedJob(FORMER))
    former = (FORMER.job_id,) if world.is_next else ()
    return ClaimRecord(ClaimState(state), claimed_job(world, certain), former)


def value_of(step: claiming.Write) -> tuple[str, bool]:
    return str(step.state), step.job.certain


# The processes: what they do, in terms of reads, writes and calls.


def first_claim(world: World, me: str) -> Program:
    """Claim an action's first job, with the records that a ClaimCheckpoint keeps."""
    is_retry, clears, new_starts = yield ("begin",)
    ended: tuple[Any, ...] = ()
    # The time of a record, as the number of the run's start: from the intent on it is that of the intent.
    since: int | None = None
    steps = claiming.claiming(
        world.job,
        TaskInstanceRef("dag", "run", "claim"),
        world.unknown_claim,
        outlives_a_retry=world.remembers,
    )
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            reason, claim = end.value
            if reason is Reason.CUT_OFF:
                # It has the plain key of results, as the only task after it that reports.
                record = ClaimRecord(claim.state, claim.job)
                said = yield from _report(world, "finish", record, "failure")
                # Airflow does not try it again.
                return "failed, silent" if said == "error" else "failed"
            return "failed" if isinstance(claim.error, JobNotFound) else ENDS[reason]
        answer = None
        if isinstance(step, claiming.Recall):
            held = (yield "get", "store") if world.remembers else None
            record = None if held is None else claim_record(world, *held[:2])
            ended = (held or ())[3:]
            was_cleared = ended not in ((), (clears,))
            if record is not None and record.state in job_life.MAY_BE_ACKNOWLEDGED:
                since = held[2]
            answer = claiming.Earlier(
                record,
                was_cleared,
                is_forgotten=is_retry and not world.remembers,
                was_run_cleared=new_starts > (held[2] if held else 0),
                is_of_ended_run=since is not None and since < new_starts,
            )
        elif isinstance(step, claiming.Write):
            if step.state is INTENT and since is None:
                since = new_starts
            if world.remembers:
                yield "put", "store", (*value_of(step), new_starts if since is None else since, *ended)
                yield "put", "copy", value_of(step)
            yield "put", "claim", value_of(step)
        elif isinstance(step, claiming.NoteEnd):
            if world.remembers:
                yield "put", "store", (str(step.claim.state), step.claim.job.certain, new_starts, clears)
        elif isinstance(step, claiming.IsCutOff):
            answer = yield ("cut off",)
        elif isinstance(step, claiming.IsAwaited):
            answer = False
        else:
            answer = yield from _call(world, step)


def _call(world: World, step: Any, offered: str = "0") -> Generator[Any, Any, Any]:
    """Send a call of a claim; a custom job's offer says its nonce."""
    if isinstance(step, AskDetails):
        heard = yield ("details",)
        nonce = offered if world.is_custom else heard
        return ERRORS.get(heard) or Asked(claimed_job(world), nonce)
    assert isinstance(step, Acknowledge)
    heard = yield "acknowledge", step.nonce
    status, _, in_doubt = heard.partition(", ")
    return ERRORS.get(heard) or Acknowledged(status, bool(in_doubt))


def _newest(world: World) -> Generator[Any, Any, ClaimRecord]:
    """Read all records of the claim."""
    held = yield ("get all",)
    records = [claim_record(world, "former", True), *(claim_record(world, *value) for value in held)]
    newest = job_life.newest_claim(records)
    assert newest is not None
    return newest


def _known(world: World, me: str) -> Generator[Any, Any, Any]:
    """Read what a ClaimInRun holds: the newest record of the claim, and the results of its job."""
    record = yield from _newest(world)
    results = yield from _results(me)
    return SimpleNamespace(record=record, results=results, store=SimpleNamespace(ref=WAITING))


def _results(me: str) -> Generator[Any, Any, job_life.Results]:
    own, others = yield "get results", me
    return job_life.Results.of(own and record_of(*own), [record_of(*each) for each in others])


def _claim(world: World, me: str, steps: claiming.NextSteps, nonce: str) -> Generator[Any, Any, str]:
    """Claim the next job, as claim_next_job and _claim_anew do; return how the call ended."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            error = None if end.value is None else end.value.error
            return "" if error is None else "failed" if isinstance(error, JobNotFound) else "error"
        answer = None
        if isinstance(step, claiming.ReadClaim):
            answer = yield from _newest(world)
        elif isinstance(step, claiming.Write):
            yield "put", f"claim {me}", value_of(step)
        elif isinstance(step, claiming.ReadResults):
            answer = yield ("get each result",)
        elif isinstance(step, claiming.DoubtResults):
            answer = step.known
            assert all(value[1] != "done" for _, value in step.known)
        elif isinstance(step, claiming.WithdrawResults):
            for key, value in step.known:
                if (yield "get", key) == value:
                    yield "put", key, None
        else:
            answer = yield from _call(world, step, nonce)


def _go_on(world: World, me: str, event: str) -> Generator[Any, Any, ClaimRecord | str]:
    """Claim the next job, if it is to be claimed; return its record, or what the task comes to."""
    event, _, nonce = event.partition(" ")
    known = yield from _known(world, me)
    took_none = awaited_job.takes_no_result(known)
    if took_none and event == "never":
        return "failed"
    is_awaited = _is_awaited(world, known)
    if event == "offered" if is_awaited else awaited_job.is_next_claim_unknown(known):
        if took_none:
            steps = claiming.claiming_anew(world.job, known.record)
        else:
            steps = claiming.claiming_next(world.job, known.record, (WAITING.token,))
        failed = yield from _claim(world, me, steps, nonce or "0")
        if failed:
            return failed
        known = yield from _known(world, me)
    # The task that reports asks a job that took no result once more, before it waits for it.
    if _is_awaited(world, known) and not awaited_job.takes_no_result(known):
        return "failed" if event == "never" else "wait"
    record: ClaimRecord = known.record
    return record if record.counts_as_ours(world.unknown_claim) else "failed"


def _is_awaited(world: World, known: Any) -> bool:
    return known.record.job.job_id != world.job.job_id or awaited_job.awaited_token(known) is not None


def next_claim(world: World, me: str) -> Program:
    """Wait for an action's next job and claim it; another task does the same."""
    event = yield ("begin",)
    found = yield from _go_on(world, me, event)
    return found if isinstance(found, str) else "ours"


def finish(world: World, me: str) -> Program:
    """Report the result of the work, if the claim's records count as ours."""
    event = yield ("begin",)
    if world.is_next:
        found = yield from _go_on(world, me, event)
        if isinstance(found, str):
            return found
        record = found
    else:
        held = (yield "get", "claim") or (yield "get", "copy")
        is_certain = held is not None and held[0] == CLAIMED
        if not is_certain and may_be_written([(yield ("state of the claim",))]):
            yield "put", "last look", ("said",)
            held = (yield "get", "claim") or (yield "get", "copy")
        if held is None:
            return (yield ("end without a job",))
        record = claim_record(world, *held[:2])
        if not record.counts_as_ours(world.unknown_claim):
            return (yield ("end without a job",))
    wanted = yield ("wanted",)
    return (yield from _report(world, me, record, wanted))


def _report(world: World, me: str, record: ClaimRecord, wanted: str) -> Generator[Any, Any, str]:
    """Report the job's result, and return what the task comes to."""
    steps = reporting.reporting(
        record_of(wanted, "intended"), certain=record.is_certain, is_next=world.is_next
    )
    answer: Any = None
    reply = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            is_refused = reply in (Reply.NO_RESULT_TAKEN, Reply.FORGOTTEN) or (
                world.is_next and reply is None
            )
            if end.value is None and not is_refused:
                return "error"
            if end.value is None:
                known = SimpleNamespace(record=record, results=(yield from _results(me)))
                return "wait" if awaited_job.takes_no_result(known) else "failed"
            return f"{end.value}{'' if record.is_certain else ', uncertain'}"
        answer = None
        if isinstance(step, reporting.Read):
            answer = yield from _results(me)
        elif isinstance(step, reporting.Write):
            yield "put", f"result {me}", (step.record.arguments["call"], step.record.state)
        elif isinstance(step, reporting.Withdraw):
            yield "put", f"result {me}", None
        elif isinstance(step, reporting.AskStatus):
            answer = yield ("status",)
        else:
            heard = yield "send", step.record.arguments["call"], record.is_certain
            answer, reply = Answer(*heard), heard[0]


def rival(world: World, me: str) -> Program:
    """Claim the job, as another worker does, and end it if it is won."""
    yield ("begin",)
    nonce = yield ("details",)
    status = yield "acknowledge", nonce
    if status.startswith("InProgress"):
        yield "send", "success", True
    return "ours"


PROGRAMS: dict[str, Callable[[World, str], Program]] = {
    "claim": first_claim,
    "a": next_claim,
    "b": next_claim,
    "finish": finish,
    "rival": rival,
}


class Process(NamedTuple):
    """
    A process of a task.

    :param name: The task. What stands before a colon names its run, if that is not the first run.
    :param heard: The number of what it has heard since its try began; None before it has begun.
    :param event: What it is begun with, if it waits, or has waited, for the next job.
    :param attempt: Whether it sends its call again, since the answer was lost.
    :param end: What it came to, or empty.
    :param tries: How many tries it has left.
    :param after: The names of the processes that must have ended before it begins.
    :param mark: As what a user has marked its task, which Airflow holds for ended since. It may go on.
    """

    name: str
    heard: int | None = None
    event: str = "start"
    attempt: bool = False
    end: str = ""
    tries: int = 2
    is_retry: bool = False
    after: tuple[str, ...] = ()
    mark: str = ""

    @property
    def run(self) -> str:
        return "rival" if self.name == "rival" else self.name.rpartition(":")[0] or "run"

    @property
    def task(self) -> str:
        return self.name.rpartition(":")[2]


class State(NamedTuple):
    """
    A state of the world.

    :param processes: The processes.
    :param status: The job's: offered, in progress, or ended.
    :param nonce: The job's nonce of the moment.
    :param owner: The run whose acknowledgement claimed the job.
    :param result: The call that the job has taken, and by whom; ``stopped`` if the customer stopped it.
    :param records: Run and key → value.
    :param asked: Runs of which an acknowledgement may have been sent, since its intent was being written.
    :param doubted: Runs of which an acknowledgement may have been carried out without an answer.
    :param certain: Runs that have recorded that they certainly claimed the job.
    :param unaware: Runs that did not learn that the job had ended, or how.
    :param new_starts: How many times a user has cleared the run after its end.
    :param was_over: Whether the run's job had ended by then.
    :param fault: What must not have happened.
    """

    processes: tuple[Process, ...]
    status: str = "offered"
    nonce: int = 0
    owner: str = ""
    result: tuple[str, str] = ("", "")
    records: tuple[tuple[tuple[str, str], Any], ...] = ()
    asked: frozenset[str] = frozenset()
    doubted: frozenset[str] = frozenset()
    certain: frozenset[str] = frozenset()
    unaware: frozenset[str] = frozenset()
    fault: str = ""
    deaths: int = 0
    losses: int = 0
    offers: int = 0
    stops: int = 0
    clears: int = 0
    marks: int = 0
    cleared: bool = False
    new_starts: int = 0
    was_over: bool = False


class _History(NamedTuple):
    """
    What a process has heard.

    :param facts: All of it, in order.
    :param action: What it does next, or the text of its end.
    :param asks: Whether an intent is written, or is being written, and its outcome is not.
    """

    facts: tuple[Any, ...] = ()
    action: Any = None
    asks: bool = False


@dataclass
class ClaimExplorer(Explorer):
    """Visit every state of a world that can be reached, and check each."""

    world: World = field(default_factory=World)
    _histories: list[_History] = field(default_factory=lambda: [_History()])
    _numbers: dict[tuple[str, int, Any], int] = field(default_factory=dict)

    def _hear(self, task: str, heard: int, fact: Any) -> int:
        """Return the number of what a task has heard before and a fact more."""
        key = task, heard, fact
        if key not in self._numbers:
            before = self._histories[heard]
            facts = (*before.facts, fact)
            asks = before.asks
            if isinstance(before.action, tuple) and before.action[0] == "acknowledge":
                asks = True
            elif isinstance(before.action, tuple) and before.action[0] == "put" and before.action[2]:
                # The outcome is written when it is where the last task looks.
                is_last = before.action[1] in ("claim", f"claim {task}")
                asks = before.action[2][0] == "intent" or (asks and not is_last)
            self._numbers[key] = len(self._histories)
            self._histories.append(_History(facts, self._action(task, facts), asks))
        return self._numbers[key]

    def _action(self, task: str, facts: tuple[Any, ...]) -> Any:
        program = PROGRAMS[task](self.world, task)
        try:
            action = next(program)
            for each in facts:
                action = program.send(each)
        except StopIteration as end:
            return end.value
        return action

    def successors(self, state: State) -> Iterator[tuple[str, State]]:  # type: ignore[override]
        if state.fault:
            return
        if state.stops and state.status != "ended":
            yield (
                "the customer stops the pipeline",
                state._replace(status="ended", result=("stopped", ""), stops=state.stops - 1),
            )
        if state.offers and state.status == "offered":
            yield "the job is offered again", state._replace(nonce=state.nonce + 1, offers=state.offers - 1)
        if state.clears and any(each.name == "claim" and each.end for each in state.processes):
            yield "a user clears the run", self._cleared(state)
        for index, process in enumerate(state.processes):
            if state.marks and process.name == "claim" and not process.end:
                for mark in ("failed", "success"):
                    yield f"a user marks the claim as {mark}", self._marked(state, index, mark)
            if not process.end:
                yield from self._of_process(state, index, process)

    def _marked(self, state: State, index: int, mark: str) -> State:
        """Return the state after a user has marked a task. If its process is there, it goes on."""
        processes = list(state.processes)
        has_begun = processes[index].heard is not None
        processes[index] = processes[index]._replace(mark=mark, end="" if has_begun else "never")
        return state._replace(processes=tuple(processes), marks=state.marks - 1)

    def _cleared(self, state: State) -> State:
        """Return the state after a user has cleared the first run's claim, and what comes after it."""
        has_ended = all(each.end for each in state.processes if each.run == "run")
        processes = tuple(
            Process(each.name, tries=1, is_retry=True, after=each.after) if each.run == "run" else each
            for each in state.processes
        )
        return state._replace(
            processes=processes,
            clears=state.clears - 1,
            cleared=True,
            new_starts=state.new_starts + has_ended,
            was_over=has_ended and state.status == "ended" and state.owner == "run",
        )

    def _of_process(self, state: State, index: int, process: Process) -> Iterator[tuple[str, State]]:
        def become(changed: State = state, **changes: Any) -> State:
            processes = list(changed.processes)
            processes[index] = process._replace(**changes)
            return changed._replace(processes=tuple(processes))

        def hear(fact: Any, changed: State = state, **changes: Any) -> State:
            heard = self._hear(process.task, process.heard or 0, fact)
            action = self._histories[heard].action
            if isinstance(action, str):
                return self._settled(process, action, lambda **more: become(changed, **more))
            if action[0] == "acknowledge":
                changed = changed._replace(asked=changed.asked | {process.run})
            return become(changed, heard=heard, attempt=False, **changes)

        if process.heard is None:
            ended = {each.name for each in state.processes if each.end or each.mark}
            if set(process.after) <= ended:
                yield from self._begin(state, process, hear)
            return
        history = self._histories[process.heard]
        action = history.action
        if state.deaths and process.run != "rival":
            asks = history.asks or action[0] == "acknowledge"
            doubted = state.doubted | {process.run} if asks else state.doubted
            changed = state._replace(deaths=state.deaths - 1, doubted=doubted)
            again: dict[str, Any] = {"end": "dead", "heard": 0}
            if process.tries > 1 and not process.mark:
                again = {"heard": None, "event": "start", "tries": process.tries - 1, "is_retry": True}
            yield f"{process.name} dies", become(changed, attempt=False, **again)
        yield from getattr(self, "_" + action[0].replace(" ", "_"))(state, process, action, hear, become)

    def _settled(self, process: Process, end: str, become: Callable[..., State]) -> State:
        if end == "wait":
            return become(heard=None, event="waiting", attempt=False)
        if end == "error" and process.tries > 1 and not process.mark:
            return become(heard=None, event="start", attempt=False, tries=process.tries - 1, is_retry=True)
        return become(heard=0, event="", attempt=False, end="failed, silent" if end == "error" else end)

    def _begin(self, state: State, process: Process, hear: Callable[..., State]) -> Iterator[Any]:
        if process.task == "claim":
            # Airflow clears the XCom of a task that begins.
            kept = ("store", "copy")
            records = tuple(each for each in state.records if each[0][0] != process.run or each[0][1] in kept)
            fact = process.is_retry, state.cleared and process.run == "run", state.new_starts
            yield f"{process.name} begins", hear(fact, state._replace(records=records))
        elif process.event == "waiting":
            if state.status == "offered":
                yield (
                    f"{process.name} is offered the job",
                    hear(f"offered {state.nonce}" if self.world.is_custom else "offered"),
                )
            else:
                # It looks at the record now and again. Another task may still be at its claim.
                others = [each for each in state.processes if each.task in PROGRAMS and each != process]
                if any(not each.end and each.event != "waiting" and not each.after for each in others):
                    return
                yield f"{process.name} is not offered the job in time", hear("never")
        else:
            # Airflow clears its XCom, too.
            records = tuple(each for each in state.records if each[0] != (process.run, "last look"))
            yield f"{process.name} begins", hear("start", state._replace(records=records))

    # The actions.

    def _get(self, state: State, process: Process, action: Any, hear: Any, become: Any) -> Iterator[Any]:
        value = dict(state.records).get((process.run, action[1]))
        yield f"{process.name} reads {action[1]}: {value}", hear(value)

    def _get_all(self, state: State, process: Process, action: Any, hear: Any, become: Any) -> Iterator[Any]:
        found = tuple(
            value for (run, key), value in state.records if run == process.run and key[:5] == "claim"
        )
        yield f"{process.name} reads the claim: {found}", hear(found)

    def _get_each_result(
        self, state: State, process: Process, action: Any, hear: Any, become: Any
    ) -> Iterator[Any]:
        found = tuple(
            (key, value) for (run, key), value in state.records if run == process.run and key[:6] == "result"
        )
        yield f"{process.name} reads each result: {found}", hear(found)

    def _get_results(
        self, state: State, process: Process, action: Any, hear: Any, become: Any
    ) -> Iterator[Any]:
        found = {
            key: value for (run, key), value in state.records if run == process.run and key[:6] == "result"
        }
        own = found.pop(f"result {action[1]}", None)
        fact = own, tuple(found.values())
        yield f"{process.name} reads the results: {fact}", hear(fact)

    def _put(self, state: State, process: Process, action: Any, hear: Any, become: Any) -> Iterator[Any]:
        _, key, value = action
        records = dict(state.records)
        records.pop((process.run, key), None)
        if value is not None:
            records[process.run, key] = value
        certain, asked = state.certain, state.asked
        if key[:5] == "claim" and value[0] == "claimed":
            certain = certain | {process.run}
        if value is not None and value[0] == "intent":
            asked = asked | {process.run}
        changed = state._replace(records=tuple(sorted(records.items())), certain=certain, asked=asked)
        yield f"{process.name} writes {key}: {value}", hear(None, changed)

    def _state_of_the_claim(
        self, state: State, process: Process, action: Any, hear: Any, become: Any
    ) -> Iterator[Any]:
        [claim] = self._before(state, process)
        found = claim.mark or {"ours": "success", "skipped": "skipped"}.get(claim.end, "failed")
        yield f"{process.name} asks for the state of the claim: {found}", hear(found)

    def _cut_off(self, state: State, process: Process, action: Any, hear: Any, become: Any) -> Iterator[Any]:
        others = [each for each in state.processes if each.run == process.run and process.name in each.after]
        said = (process.run, "last look") in dict(state.records)
        gone = all(each.end or (each.heard is not None and said) for each in others)
        yield f"{process.name} looks whether it has been ended", hear(process.mark == "failed" or gone)

    def _end_without_a_job(
        self, state: State, process: Process, action: Any, hear: Any, become: Any
    ) -> Iterator[Any]:
        # A claim that a user has marked as a success, and that has no job, makes no run green.
        failed = any(
            each.end in ("failed", "failed, silent", "dead", "never") or each.mark
            for each in self._before(state, process)
        )
        yield f"{process.name} has no job to end", hear("failed" if failed else "skipped")

    def _wanted(self, state: State, process: Process, action: Any, hear: Any, become: Any) -> Iterator[Any]:
        worked = any(each.end == "ours" for each in self._before(state, process))
        yield f"{process.name} judges the work", hear("success" if worked else "failure")

    def _before(self, state: State, process: Process) -> list[Process]:
        return [each for each in state.processes if each.name in process.after]

    def _details(self, state: State, process: Process, action: Any, hear: Any, become: Any) -> Iterator[Any]:
        nonce = state.nonce + 1 if self.world.rotates else state.nonce
        yield f"{process.name} asks for details", hear(str(nonce), state._replace(nonce=nonce))
        if process.run != "rival":
            if state.status == "ended":
                yield (
                    f"{process.name} asks for details: forgotten",
                    hear("gone", self._untold(state, process)),
                )
            if state.losses:
                fewer = state._replace(losses=state.losses - 1)
                yield f"{process.name} asks for details in vain", hear("unsent", fewer)

    def _untold(self, state: State, process: Process) -> State:
        return state._replace(unaware=state.unaware | {process.run})

    def _acknowledge(
        self, state: State, process: Process, action: Any, hear: Any, become: Any
    ) -> Iterator[Any]:
        run, nonce = process.run, action[1]
        in_doubt = ", in doubt" if process.attempt else ""
        stale = f"stale{in_doubt}"
        after = state
        heard = [(stale, state)]
        if state.status == "ended":
            status = {"failure": "Failed", "success": "Succeeded"}.get(state.result[0], "TimedOut")
            unaware = self._untold(state, process)
            heard = [(status + in_doubt, state), (stale, unaware), (f"gone{in_doubt}", unaware)]
        elif state.status == "offered" and str(state.nonce) == nonce:
            after = state._replace(status="in progress", owner=run)
            heard = [(f"InProgress{in_doubt}", after)]
        for fact, changed in heard:
            yield f"{process.name} acknowledges: {fact}", hear(fact, changed)
        if not state.losses or run == "rival":
            return
        fewer = state.losses - 1
        if not process.attempt:
            yield f"{process.name} cannot send", hear("unsent", state._replace(losses=fewer))
        doubted = state.doubted | {run}
        for changed, how in {(after, "carried out"), (state, "not carried out")}:
            changed = changed._replace(losses=fewer, doubted=doubted)
            what = f"{process.name} acknowledges, the answer is lost ({how})"
            yield f"{what}, and again", become(changed, attempt=True)
            yield f"{what}, and gives up", hear("silent", changed)

    def _status(self, state: State, process: Process, action: Any, hear: Any, become: Any) -> Iterator[Any]:
        if state.status == "offered":
            yield "", state._replace(fault=f"{process.name} asks the status of a job that is nobody's")
        elif state.status == "in progress":
            yield f"{process.name} asks the status", hear(None)
        else:
            status = {"failure": "Failed", "success": "Succeeded"}.get(state.result[0], "Failed")
            yield f"{process.name} asks the status: {status}", hear(status)
            yield f"{process.name} asks the status in vain", hear(None, self._untold(state, process))

    def _send(self, state: State, process: Process, action: Any, hear: Any, become: Any) -> Iterator[Any]:
        _, call, is_certain = action
        run = process.run
        fault = self._fault_of_put(state, run, is_certain)
        if fault:
            yield f"{process.name} sends {call}", state._replace(fault=fault)
            return
        after, reply = state, Reply.NO_RESULT_TAKEN
        if state.status == "in progress":
            after, reply = state._replace(status="ended", result=(call, run)), Reply.TAKEN
        in_doubt = process.attempt and reply is not Reply.TAKEN
        yield f"{process.name} sends {call}: {reply}", hear((reply, in_doubt), after)
        if state.status == "ended" and self.world.is_next:
            # For another job it means the same as the refusal.
            yield f"{process.name} sends {call}: forgotten", hear((Reply.FORGOTTEN, in_doubt), state)
        if state.losses and run != "rival":
            fewer = state.losses - 1
            for changed, how in {(after, "carried out"), (state, "not carried out")}:
                changed = changed._replace(losses=fewer)
                what = f"{process.name} sends {call}, the answer is lost ({how})"
                yield f"{what}, and again", become(changed, attempt=True)
                yield f"{what}, and gives up", hear((Reply.NONE, True), changed)

    def _fault_of_put(self, state: State, run: str, is_certain: bool) -> str:
        """Return what is wrong with a put that a run is about to send, or nothing."""
        if run == "rival":
            return ""
        if run not in state.asked:
            return f"{run} puts a result, although it has asked for nothing"
        if state.owner != run:
            if self.world.unknown_claim == "leave":
                return f"{run} is to leave unknown claims, and puts a result for {state.owner or 'nobody'}"
            # A job that is nobody's takes no result.
            if state.owner and (run not in state.doubted or is_certain):
                return f"{run} knows that it has lost the job, and puts a result for {state.owner}"
        return ""
