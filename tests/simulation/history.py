# SPDX-License-Identifier: Apache-2.0
"""
One history: jobs are offered, runs take them, and at each step of each process something may go wrong.

What goes wrong is decided by a seed. The history tells its story, and holds what its verdict needs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_codepipeline_partner import assets
from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.next_job_filter import NextJobFilter
from airflow_codepipeline_partner._worker.records import CLAIM_KEY
from airflow_codepipeline_partner.emulator.settings import Settings
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError
from simulation import ways
from simulation.codepipeline import CodePipeline, closed, refusal
from simulation.decisions import Decisions
from simulation.events import Call, Work
from simulation.patches import patches
from simulation.plan import FIXED_SETTINGS, PLANS, SETTINGS, Plan, all_ways
from simulation.processes import Died, Process, asked_by, run_task, started
from simulation.simulate import CLIENT_ID, CLIENT_TOKEN
from simulation.small_airflow import Instance, Run, SmallAirflow, refused
from simulation.ways import Way

#: What a task's process says last.
ENDS_OF_TRIES = ("SucceedTask", "TaskState", "RetryTask", "DeferTask")
START = 1_800_000_000.0
PIPELINES = 2
#: How long Airflow takes to see that a process is gone, in seconds.
HEARTBEAT_TIMEOUT = 300.0
#: How long a step of a process takes at most, in seconds.
SLOWNESS = 90.0
#: No history needs more turns; one that does never ends.
MAX_TURNS = 1500
#: Chance of a misfortune at a step, while one is left.
CHANCE = 0.04
#: Chance that something else happens next than what would.
CHANCE_OF_ANOTHER_TURN = 0.15
#: The same, after a process was paused.
CHANCE_AFTER_PAUSE = 0.7
#: For how many turns a process hangs while others go on, and how likely one does that a user has ended.
TURNS_OF_A_HANG = 8
CHANCE_OF_A_HANG = 0.5


class History:
    """
    A history.

    :param seed: What it is drawn from.
    :param given: Decisions to be replayed, or None.
    :param version_has_states: Whether this Airflow has a store of task states, as 3.3 has.
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
        #: Process → job → run: the acknowledgements that were about to be sent.
        self.intents: dict[str, dict[str, str]] = {}
        #: (run, job) of each claim that is recorded as certain.
        self.recorded: set[tuple[str, str]] = set()
        self.processes: list[Process] = []
        self.current: Process | None = None
        self.misfortunes: list[str] = []
        self.ends_of_dead: list[tuple[float, Process]] = []
        #: The names of processes that Airflow ended while they ran.
        self.killed: set[str] = set()
        #: Those whose task a user marked or cleared. They may go on for some seconds.
        self.outdated: set[str] = set()
        self.left = {"die": self.plan.deaths, "lose": self.plan.losses, "fail": self.plan.failures}
        never = ("nothing",) if self.way.has_notifier else ("nothing", "time out")
        self._user = [each for each in (self.plan.user, self.plan.then) if each not in never]
        #: The kinds of what users did.
        self.users_actions: list[str] = []
        self._launched: dict[str, int] = {}
        self._rivals: dict[str, Any] = {}
        self._turn = 0
        #: Process → the turn until which all else goes first.
        self._hangs_until: dict[str, int] = {}
        self._idle_polls = 0
        self._is_new_way = False
        self.never_ended = False
        #: Process → how many steps it has had.
        self.steps: dict[str, int] = {}
        #: When the user acts, if that is not drawn.
        self.cue: Callable[[History], bool] = lambda history: False

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
        # Others wait for the record of a skip, but not for long.
        hangs = () if "codepipeline_skip" in what else ("hang",)
        options = ["go on", "pause", *possible, *hangs]
        chance = CHANCE * (len(options) - 1)
        fate = self.decisions.choose(f"{process.name}#{process.steps}", options, chance)
        if fate in ("pause", "hang"):
            if fate == "hang":
                self._hang(process)
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

    def _hang(self, process: Process) -> None:
        """Let whatever else can happen go before the next step of a process."""
        self._hangs_until[process.name] = self._turn + TURNS_OF_A_HANG

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
        if type(message).__name__.startswith("Set") and key.startswith(CLAIM_KEY) and "job_id" in value:
            claims = self.intents.setdefault(process.name, {})
            if value.get("state") == "claimed":
                self.recorded.add((process.instance.side, value["job_id"]))
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
        self.work.append(Work(run_id, job_id, name, what, side, self.now))

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

    # The history.

    def run(self) -> None:
        """Let everything happen, until nothing does any more."""
        # Retries wait for a random time.
        random.seed(0)
        with self._world():
            self._prepare()
            try:
                self._let_happen()
            finally:
                for process in self.processes:
                    self._kill(process)

    def _let_happen(self) -> None:
        for self._turn in range(MAX_TURNS):
            if self._user and self.cue(self):
                for run in list(self.server.runs.values()):
                    for _, act in list(self._of_user(run))[:1]:
                        act()
            moves = list(self._moves())
            if not moves:
                return
            chance = CHANCE_AFTER_PAUSE if self._is_new_way else CHANCE_OF_ANOTHER_TURN
            self._is_new_way = False
            _, move = self.decisions.choose(f"turn {self._turn}", moves, chance)
            move()
        self.never_ended = True

    @contextmanager
    def _world(self) -> Iterator[None]:
        with ExitStack() as stack:
            for patch in patches(self):
                stack.enter_context(patch)
            stack.enter_context(asked_by(self.ask_server))
            yield

    def _prepare(self) -> None:
        controls = self.codepipeline.controls
        if self.way.owner == "ThirdParty":
            controls.add_customer(CLIENT_ID, CLIENT_TOKEN)
        count = PIPELINES if self.way.takes_many else 1
        for number in range(count):
            controls.add_pipeline(
                f"pipe{number}",
                client_id=CLIENT_ID if self.way.owner == "ThirdParty" else None,
                action_type=self._action_type,
                input_artifacts=(),
                output_artifacts=(),
            )
            controls.start_execution(f"pipe{number}")

    @property
    def _action_type(self) -> str:
        return f"Deploy/{self.way.owner}/Acme/1"

    def _moves(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield what may happen next; the first one happens if nothing special is decided."""
        with self.codepipeline.state.lock:
            self.codepipeline.state.tick()
        for job in self.codepipeline.state.jobs.values():
            if job.continuation_token:
                self.tokens[job.job_id] = job.continuation_token
        self.processes = [each for each in self.processes if not each.has_ended]
        hang = [each for each in self.processes if self._hangs_until.get(each.name, 0) > self._turn]
        for process in self.processes:
            if process not in hang:
                yield process.name, lambda process=process: self._go_on(process)
        for run in list(self.server.runs.values()):
            if run.state == "running":
                for instance in self.server.startable(run):
                    yield f"start {instance.name}", lambda instance=instance: self._start(instance)
                self.server.update_state(run)
                if run.state == "failed":
                    self._call_back(run)
        for run in self.server.runs.values():
            for instance in run.instances.values():
                if instance.state == "deferred" and self._is_due(instance):
                    yield f"wake {instance.name}", lambda instance=instance: self._wake(instance)
        for due, process in self.ends_of_dead:
            if due <= self.now:
                yield (
                    f"notice {process.name}",
                    lambda due=due, process=process: self._notice(due, process),
                )
        if self._is_something_offered:
            yield "poll", self._poll
        for process in hang:
            yield process.name, lambda process=process: self._go_on(process)
        due_at = self._next_due()
        if due_at is not None and not self._is_at_rest():
            yield "time passes", lambda: self._wait_until(due_at)
        yield from self._of_others()

    @property
    def _is_something_offered(self) -> bool:
        return self.codepipeline.is_something_offered

    def _is_at_rest(self) -> bool:
        """Return whether nothing more can happen, except that time passes."""
        if self.processes or any(run.state == "running" for run in self.server.runs.values()):
            return False
        if self.ends_of_dead:
            return False
        left = [job for job in self.codepipeline.state.jobs.values() if not job.status.ended]
        if any(job.status.value != "InProgress" for job in left):
            # It is offered again and again, and none of our runs takes it any more.
            return self._idle_polls > 2
        return True

    def _of_others(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield what users and other workers may do. It never happens by default."""
        if self.plan.rival:
            for job in list(self.codepipeline.state.jobs.values()):
                if job.job_id not in self._rivals and job.status.value in ("Created", "Queued", "Dispatched"):
                    yield "the rival claims", lambda job=job: self._rival_claims(job)
        for job_id, ends in list(self._rivals.items()):
            if ends:
                yield "the rival ends", lambda job_id=job_id: self._rival_ends(job_id)
        if self._user:
            for run in self.server.runs.values():
                yield from self._of_user(run)

    def _of_user(self, run: Run) -> Iterator[tuple[str, Callable[[], None]]]:
        kind = self._user[0]
        if kind == "mark failed" and run.state == "running":
            yield kind, lambda: self._user_does(kind, lambda: self.server.mark_failed(run))
        elif kind == "time out" and run.state == "running" and self.way.has_notifier:
            yield kind, lambda: self._user_does(kind, lambda: self._time_out(run))
        elif kind in ("clear", "clear claim"):
            for instance in list(run.instances.values()):
                is_meant = instance.task.task_id.split(".")[-1] in ("claim", "function")
                if instance.state is not None and is_meant == (kind == "clear claim"):
                    what = f"clears {instance.name}"
                    yield (
                        what,
                        lambda instance=instance, what=what: self._user_does(
                            what, lambda: self.server.clear(instance)
                        ),
                    )
        elif kind == "abandon":
            for name in list(self.codepipeline.state.pipelines):
                yield kind, lambda name=name: self._user_does(kind, lambda: self._abandon(name))

    def _user_does(self, what: str, how: Callable[[], None]) -> None:
        self.users_actions.append(self._user.pop(0))
        self.misfortunes.append(f"user: {what}")
        self.tell(f"** the user: {what} **")
        before = {id(process): process.instance.state for process in self.processes if process.instance}
        how()
        for process in self.processes:
            instance = process.instance
            if instance is None or instance.state == before.get(id(process)):
                continue
            self.outdated.add(process.name)
            if all(process is not gone for _, gone in self.ends_of_dead):
                # Its supervisor sees this at the next heartbeat, and ends it.
                self.ends_of_dead.append((self.now + 5, process))
                if self.decisions.choose(
                    f"{process.name} hangs at turn {self._turn}", [False, True], CHANCE_OF_A_HANG
                ):
                    self._hang(process)

    def _abandon(self, name: str) -> None:
        controls = self.codepipeline.controls
        executions = self.codepipeline.state.executions[name]
        execution_id = executions[-1].pipeline_execution_id
        try:
            controls.executions_api.answer(
                "StopPipelineExecution",
                {"pipelineName": name, "pipelineExecutionId": execution_id, "abandon": True},
                "us-east-1",
            )
        except Exception as error:
            self.tell(f"nothing to abandon: {error}")

    def _time_out(self, run: Run) -> None:
        self.server.time_out(run)
        self._call_back(run)

    def _call_back(self, run: Run) -> None:
        """Have the DAG processor run the callback of a run that has failed."""
        if not self.way.has_notifier:
            return
        context = {"dag": run.dag, "run_id": run.run_id, "reason": run.reason or "task_failure"}

        def body() -> None:
            for callback in _as_list(run.dag.on_failure_callback):
                callback(context)

        self.processes.append(Process(f"{self._name_of(run)} callback", body))

    def _is_due(self, instance: Instance) -> bool:
        assert instance.trigger is not None
        classpath, kwargs = instance.trigger
        if instance.deferred_until <= self.now:
            return True
        if "Continuation" in classpath:
            return bool(kwargs["timeout_deadline"] <= self.now)
        return _moment_of(kwargs) <= self.now

    def _wake(self, instance: Instance) -> None:
        """Have the triggerer fire the trigger of an instance whose time has come."""
        assert instance.trigger is not None
        if instance.deferred_until <= self.now:
            instance.next_method, instance.next_kwargs = "__fail__", {"error": "Trigger/execution timeout"}
            self._resume(instance)
        elif "Continuation" in instance.trigger[0]:
            self._fire(instance, {"status": "timeout", "jobs": [], "error": None})
        else:
            self._fire(instance, None)

    def _fire(self, instance: Instance, event: Any) -> None:
        instance.next_kwargs = {**instance.next_kwargs, "event": event}
        self._resume(instance)

    def _resume(self, instance: Instance) -> None:
        instance.trigger = None
        self._launch(instance)

    def _start(self, instance: Instance) -> None:
        instance.try_number += 1
        self._launch(instance)

    def _launch(self, instance: Instance) -> None:
        instance.state = "running"
        name = f"{self._name_of(instance.run)} {instance.name}.{instance.try_number}"
        # A deferred task comes back in a further process.
        count = self._launched[name] = self._launched.get(name, 0) + 1
        name += f".{count}" if count > 1 else ""

        ti = started(self.server, instance)
        self.processes.append(Process(name, lambda: run_task(ti, self.tell), instance))

    def _name_of(self, run: Run) -> str:
        return f"run{list(self.server.runs.values()).index(run) + 1}"

    def _go_on(self, process: Process) -> None:
        self.current = process
        try:
            process.go_on()
        finally:
            self.current = None
        if process.error is not None:
            self.story.append(f"         {process.name} ended with {process.error!r}")
            if process.instance is not None and process.instance.id == process.id_of_try:
                self.server.fail_try(process.instance)

    def _notice(self, due: float, process: Process) -> None:
        """Have the scheduler see that a process is gone."""
        self.ends_of_dead.remove((due, process))
        instance = process.instance
        assert instance is not None
        if not process.has_ended:
            self.killed.add(process.name)
        self._kill(process)
        is_its_try = instance.id == process.id_of_try and instance.state == "running"
        if is_its_try or instance.state == "restarting":
            self.tell(f"Airflow sees that {process.name} is gone")
            self.server.fail_try(instance)

    def _kill(self, process: Process) -> None:
        self.current = process
        try:
            process.kill()
        finally:
            self.current = None

    def _next_due(self) -> float | None:
        dues = [due for due, _ in self.ends_of_dead]
        for run in self.server.runs.values():
            for each in run.instances.values():
                if each.state == "up_for_retry":
                    dues.append(each.retry_at)
                elif each.state == "deferred" and each.trigger is not None:
                    _, kwargs = each.trigger
                    due = kwargs.get("timeout_deadline") or _moment_of(kwargs)
                    dues.append(min(due, each.deferred_until))
        if self.codepipeline.next_due is not None:
            dues.append(self.codepipeline.next_due)
        soonest = min((due for due in dues if due > self.now), default=None)
        if soonest is not None and (self.processes or self._is_something_offered):
            # What runs is slow, but not for hours.
            return min(soonest, self.now + SLOWNESS)
        return soonest

    def _wait_until(self, due: float) -> None:
        self.now = max(self.now, due)
        self.server.now = self.now

    # CodePipeline's offers.

    def _poll(self) -> None:
        """Have the triggerer poll once, and give what is offered to who waits for it, or to new runs."""
        aws = AwsParameters()
        hook = aws.hook()
        try:
            jobs = hook.poll(self._action_type)
        except CodePipelineProviderError as error:
            self.tell(f"the poll fails: {error}")
            return
        waiting = [
            each
            for run in self.server.runs.values()
            for each in run.instances.values()
            if each.state == "deferred" and each.trigger is not None and "Continuation" in each.trigger[0]
        ]
        offered: list[Any] = []
        for job in jobs:
            self.tell(f"job {job.job_id[:4]} is offered")
            for instance in waiting:
                assert instance.trigger is not None
                _, kwargs = instance.trigger
                wanted = NextJobFilter(
                    kwargs["client_id"], kwargs["continuation_token"], aws, kwargs["doubtful_job_id"]
                )
                try:
                    token = hook.continuation_token(job)
                except CodePipelineProviderError:
                    continue
                if wanted.concerns(job, token) and instance.state == "deferred":
                    self._fire(instance, {"status": "offered", "jobs": [job.to_xcom()], "error": None})
                    break
            else:
                offered.append(job)
        before = len(self.server.runs)
        self._dispatch(offered)
        is_busy = any(run.state == "running" for run in self.server.runs.values())
        is_idle = len(self.server.runs) == before and len(offered) == len(jobs) and not is_busy
        self._idle_polls = self._idle_polls + 1 if is_idle else 0

    def _dispatch(self, jobs: list[Any]) -> None:
        dag = self.way.dag
        if self.way.takes_many:
            if jobs:
                run_id = f"many__{len(self.server.runs)}"
                conf = {"jobs": [job.to_xcom() for job in jobs]}
                self.server.start_run(dag, run_id, conf, self.now)
            return
        for job in jobs:
            run_id = assets._free_run_id(RuntimeTaskInstance, dag.dag_id, job.job_id)
            if run_id is not None:
                conf = {name: value for name, value in job.to_xcom().items() if value is not None}
                self.server.start_run(dag, run_id, conf, self.now)

    def _rival_claims(self, job: Any) -> None:
        """Have another worker claim a job, as AWS's documentation says."""
        third = self.way.owner == "ThirdParty"
        request = {"jobId": job.job_id, "nonce": job.nonce}
        if third:
            request["clientToken"] = CLIENT_TOKEN
        operation = "AcknowledgeThirdPartyJob" if third else "AcknowledgeJob"
        status, outcome = None, "ok"
        try:
            status = self.codepipeline.answer(operation, request).get("status")
        except Exception as error:
            outcome = str(error)
        self._rivals[job.job_id] = status == "InProgress"
        self.tell(f"the rival claims job {job.job_id[:4]}: {status or outcome}")
        self.calls.append(
            Call("rival", None, operation, job.job_id, True, True, outcome, {}, status, at=self.now)
        )

    def _rival_ends(self, job_id: str) -> None:
        third = self.way.owner == "ThirdParty"
        request: dict[str, Any] = {"jobId": job_id, "executionDetails": {"externalExecutionId": "rival"}}
        if third:
            request["clientToken"] = CLIENT_TOKEN
        operation = "PutThirdPartyJobSuccessResult" if third else "PutJobSuccessResult"
        outcome = "ok"
        try:
            self.codepipeline.answer(operation, request)
        except Exception as error:
            outcome = str(error)
        self._rivals[job_id] = None
        self.tell(f"the rival ends job {job_id[:4]}: {outcome}")
        self.calls.append(Call("rival", None, operation, job_id, True, True, outcome, request, at=self.now))


def _as_list(callbacks: Any) -> list[Any]:
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]


def _moment_of(kwargs: Mapping[str, Any]) -> float:
    moment = kwargs.get("moment")
    return moment.timestamp() if isinstance(moment, datetime) else 0.0


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


__all__ = ["History"]
