# SPDX-License-Identifier: Apache-2.0
"""
What the processes of a history meet: Airflow's server, CodePipeline, time, and what goes wrong there.

At each step the seed decides what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_codepipeline_partner._worker.records import (
    CLAIM_KEY,
    CONTINUED_KEY,
    NEXT_CLAIM_KEY,
    RESULT_KEY,
)
from airflow_codepipeline_partner.emulator.settings import Settings
from simulation import ways
from simulation.codepipeline import CodePipeline, closed, refusal
from simulation.decisions import Decisions
from simulation.events import Call, Work
from simulation.plan import FIXED_SETTINGS, PLANS, SETTINGS, Plan, all_ways
from simulation.processes import Died, Process
from simulation.small_airflow import SmallAirflow, refused
from simulation.ways import Way

#: What a task's process says last.
ENDS_OF_TRIES = ("SucceedTask", "TaskState", "RetryTask", "DeferTask", "RescheduleTask")
START = 1_800_000_000.0
#: How long Airflow takes to see that a process is gone, in seconds.
HEARTBEAT_TIMEOUT = 300.0
#: How long a step of a process takes at most, in seconds: longer than an offer.
SLOWNESS = 90.0
#: Chance of a misfortune at a step, while one is left.
CHANCE = 0.04
#: The keys of what shows that a job is a run's.
RECORDS = (CLAIM_KEY, NEXT_CLAIM_KEY, CONTINUED_KEY)
#: For how many turns a process hangs while others go on.
TURNS_OF_A_HANG = 8


class World:
    """
    The world of a history.

    :param seed: What is drawn from it.
    :param given: Decisions to be replayed, or None.
    """

    def __init__(self, seed: int, given: Mapping[str, int] | None = None) -> None:
        self.decisions = Decisions(seed, given)
        self.plan = self._drawn()
        self.way: Way = all_ways()[self.plan.way]
        self.now = START + 0.0
        self.server = SmallAirflow()
        self.codepipeline = CodePipeline(lambda: self.now, Settings(**self.plan.settings))
        self.story: list[str] = []
        self.calls: list[Call] = []
        self.work: list[Work] = []
        #: Job → the continuation token that it carries.
        self.tokens: dict[str, str] = {}
        #: Job → its action's execution.
        self.actions: dict[str, str] = {}
        #: Process → job → run: the acknowledgements that were about to be sent.
        self.intents: dict[str, dict[str, str]] = {}
        #: (run, job) of each claim that is recorded as certain → since when.
        self.recorded: dict[tuple[str, str], float] = {}
        self.processes: list[Process] = []
        self.current: Process | None = None
        self.misfortunes: list[str] = []
        self.ends_of_dead: list[tuple[float, Process]] = []
        #: The names of processes that have written a record of a claim.
        self.wrote: set[str] = set()
        #: The names of processes that were about to put a result.
        self.intended: set[str] = set()
        #: When a process read last how the tasks before it had ended.
        self.judged: dict[str, float] = {}
        #: The names of processes that Airflow ended while they ran.
        self.killed: set[str] = set()
        #: When a user marked or cleared their task. They may go on for some seconds.
        self.outdated: dict[str, float] = {}
        self.left = {"die": self.plan.deaths, "lose": self.plan.losses, "fail": self.plan.failures}
        #: The kinds of what users did.
        self.users_actions: list[str] = []
        self.turn = 0
        #: Process → the turn until which all else goes first.
        self._hangs_until: dict[str, int] = {}
        self._is_new_way = False
        #: Process → how many steps it has had.
        self.steps: dict[str, int] = {}

    def _drawn(self) -> Plan:
        choose = self.decisions.choose
        way = choose("way", sorted(all_ways()))
        drawn: dict[str, Any] = {name: choose(name, options) for name, options in PLANS.items()}
        settings = {name: drawn.pop(name) for name in SETTINGS}
        return Plan(way, settings | FIXED_SETTINGS, **drawn)

    # What a process meets.

    def tell(self, text: str) -> None:
        """Add a line to the story."""
        who = self.current.name if self.current else "-"
        self.story.append(f"{self.now - START:7.1f}  {who:<24} {text}")

    def _fate(self, what: str, kinds: list[str]) -> str:
        """Decide what happens at a step of the current process."""
        process = self.current
        if process is None:
            return "go on"
        if process.is_dead:
            raise Died
        self.now += 0.05
        self.server.now = self.now
        process.steps += 1
        self.steps[process.name] = process.steps
        possible = [kind for kind in kinds if self.left.get(kind.split()[0], 0) > 0]
        hangs: tuple[str, ...] = ("hang", "hang for long")
        if "codepipeline_skip" in what:
            # Others wait for the record of a skip, but not for long.
            hangs = ()
            self._hangs_until.pop(process.name, None)
        options = ["go on", "pause", *possible, *hangs]
        chance = CHANCE * (len(options) - 1)
        fate = self.decisions.choose(f"{process.name}#{process.steps}", options, chance)
        if fate in ("pause", *hangs):
            if fate == "hang for long":
                self.misfortunes.append(f"{fate}: {process.name}: {what}")
                self.now += SLOWNESS
                self.server.now = self.now
            if fate != "pause":
                self.hang(process)
            self._is_new_way = True
            process.pause()
            if process.is_dead:
                raise Died
            return "go on"
        if fate != "go on":
            self.left[fate.split()[0]] -= 1
            self.misfortunes.append(f"{fate}: {process.name}: {what}")
            self.tell(f"** {fate} ** {what}")
        return fate

    def hang(self, process: Process) -> None:
        """Let whatever else can happen go before the next step of a process."""
        self._hangs_until[process.name] = self.turn + TURNS_OF_A_HANG

    def _die(self) -> None:
        process = self.current
        assert process is not None
        if process.instance is not None:
            self.ends_of_dead.append((self.now + HEARTBEAT_TIMEOUT, process))
        process.die()

    def ask_server(self, message: Any) -> Any:
        """Answer what a task's process asks Airflow."""
        if type(message).__name__ == "MaskSecret":
            # Only the first look at a connection sends it.
            return None
        what = _described(message)
        kinds = ["die before", "die after"]
        if type(message).__name__ not in ENDS_OF_TRIES:
            # Airflow itself takes a task whose last message is lost for successful, or for failed.
            kinds += ["fail before", "fail after"]
        fate = self._fate(what, kinds)
        if fate == "die before":
            self._die()
        if fate == "fail before":
            raise refused()
        process = self.current
        instance = None if process is None else process.instance
        self._note_claim(message, process)
        if process is not None and type(message).__name__ == "GetTaskStates" and message.task_ids:
            self.judged[process.name] = self.now
        answer = self.server.answer(message, instance, None if process is None else process.id_of_try)
        if not what.startswith("Get") and what:
            self.tell(what)
        if fate == "die after":
            self._die()
        if fate == "fail after":
            raise refused()
        return answer

    def _note_claim(self, message: Any, process: Process | None) -> None:
        """Note what a process records: that it is about to claim a job, or has claimed it."""
        value = getattr(message, "value", None)
        key = getattr(message, "key", "")
        if process is None or process.instance is None or not isinstance(value, dict):
            return
        if type(message).__name__ == "SetXCom" and key.startswith(RECORDS):
            self.wrote.add(process.name)
        if key.startswith(RESULT_KEY) and value.get("state") == "intended":
            self.intended.add(process.name)
        if type(message).__name__.startswith("Set") and key.startswith(CLAIM_KEY) and "job_id" in value:
            claims = self.intents.setdefault(process.name, {})
            if value.get("state") == "claimed":
                self.recorded.setdefault((process.instance.side, value["job_id"]), self.now)
            if value.get("state") == "intent":
                claims[value["job_id"]] = process.instance.side

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out a call to CodePipeline, or have it go wrong."""
        kinds = ["die before", "die after", "lose request", "lose answer", "lose with 500"]
        fate = self._fate(operation, kinds)
        if fate == "die before":
            self._die()
        process = self.current
        instance = None if process is None else process.instance
        known = Call(
            process.name if process else "-",
            None if instance is None else instance.side,
            operation,
            request.get("jobId"),
            was_carried_out=fate not in ("lose request", "lose with 500"),
            was_answered=fate == "go on",
            outcome=fate,
            request={key: value for key, value in request.items() if key != "clientToken"},
            at=self.now,
        )
        self.calls.append(known)
        if fate == "lose request":
            raise closed()
        if fate == "lose with 500":
            raise refusal(operation, "InternalFailure", "The request processing has failed.", 500)
        error: Exception | None = None
        answer: dict[str, Any] = {}
        try:
            answer = self.codepipeline.answer(operation, request)
            known.outcome, known.status = "ok", answer.get("status")
        except Exception as refused_by:
            error = refused_by
            known.outcome = str(getattr(refused_by, "response", {}).get("Error", {}).get("Code", refused_by))
        if not operation.startswith("Poll"):
            result = ""
            if "Success" in operation:
                result = " continue" if request.get("continuationToken") else " success"
            elif "Failure" in operation:
                result = f" failure: {request['failureDetails']['message'][:70]}"
            self.tell(f"{operation}{result} -> {known.outcome} {known.status or ''}")
        if fate == "die after":
            self._die()
        if fate == "lose answer":
            raise closed()
        if error is not None:
            raise error
        return answer

    def sleep(self, seconds: float) -> None:
        """Let time pass in the current process, while others go on."""
        self.now += seconds
        self.server.now = self.now
        if self.current is not None:
            self._is_new_way = True
            self.current.pause()
            if self.current is not None and self.current.is_dead:
                raise Died

    # What users' functions do.

    def _note_work(self, job_id: str, name: str, what: str) -> None:
        instance = self.current.instance if self.current else None
        run_id, side = ("", "") if instance is None else (instance.run.run_id, instance.side)
        by = self.current.name if self.current else ""
        self.work.append(Work(run_id, job_id, name, what, side, self.now, by))

    def do_work(self, job_id: str, ti: Any) -> None:
        """Stand for a user's function."""
        name = f"{ti.task_id}_{ti.map_index}" if ti.map_index >= 0 else ti.task_id
        self._note_work(job_id, name, "begin")
        kinds = ["die before"]
        if self._fate("the work", kinds) == "die before":
            self._die()
        stumbles = self.plan.work == "stumble" and ti.try_number == 1
        if self.plan.work in ("fail", "job failure") or stumbles:
            self._note_work(job_id, name, "fail")
            if self.plan.work == "job failure":
                raise ways.WorkFailed("the customer's own fault", type="ConfigurationError")
            raise ValueError("as planned")
        self._note_work(job_id, name, "end")

    def is_done(self, job_id: str) -> bool:
        """Stand for a look at work elsewhere: it is done after some looks."""
        instance = self.current.instance if self.current else None
        assert instance is not None
        looks = sum(each.what == "begin" and each.task == instance.name for each in self.work)
        self._note_work(job_id, instance.name, "begin")
        if self._fate("a look at the work", ["die before"]) == "die before":
            self._die()
        if self.plan.work == "stumble" and looks == min(1, self.plan.looks):
            # The look fails, not the work.
            raise ValueError("as planned")
        if looks < self.plan.looks:
            return False
        self._note_work(job_id, instance.name, "fail")
        self.ends_well()
        self.work[-1].what = "end"
        return True

    def ends_well(self) -> bool:
        """Return that the work elsewhere has ended, or raise its failure."""
        if self.plan.work in ("fail", "job failure"):
            raise ValueError("as planned")
        return True


def _described(message: Any) -> str:
    name = type(message).__name__
    if name == "SetXCom":
        state = message.value.get("state") if isinstance(message.value, dict) else None
        return f"writes {message.key} {state or ''}" if message.key != "return_value" else "returns"
    if name == "DeleteXCom":
        return f"clears {message.key}"
    if name == "SetTaskStateStore":
        state = message.value.get("state") if isinstance(message.value, dict) else None
        return f"stores {message.key} {state or ''}"
    if name in ("SetRenderedFields", "SetRenderedMapIndex", "MaskSecret"):
        return ""
    if name == "TaskState":
        return f"is {getattr(message.state, 'value', message.state)}"
    return {"SucceedTask": "succeeds", "RetryTask": "is to be retried", "DeferTask": "defers"}.get(name, name)
