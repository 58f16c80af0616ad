# SPDX-License-Identifier: Apache-2.0
"""
One history: jobs are offered, runs take them, and at each step of each process something may go wrong.

What goes wrong is decided by a seed. The history tells its story, and holds what its verdict needs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from datetime import datetime
from typing import Any

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._worker import job_runs
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError
from airflow_codepipeline_partner.triggers import CodePipelineContinuationTrigger
from simulation.outsiders import Outsiders
from simulation.patches import patches
from simulation.processes import Process, asked_by, run_task, started
from simulation.simulate import CLIENT_ID, CLIENT_TOKEN
from simulation.small_airflow import Instance, Run
from simulation.world import SLOWNESS, START, World

PIPELINES = 2
#: No history needs more turns; one that does never ends.
MAX_TURNS = 3000
#: Chance that something else happens next than what would.
CHANCE_OF_ANOTHER_TURN = 0.15
#: The same, after a process was paused.
CHANCE_AFTER_PAUSE = 0.7


class History(World):
    """
    A history.

    :param seed: What it is drawn from.
    :param given: Decisions to be replayed, or None.
    """

    def __init__(self, seed: int, given: Mapping[str, int] | None = None) -> None:
        super().__init__(seed, given)
        self.outsiders = Outsiders(self)
        #: When the user acts, if that is not drawn.
        self.cue: Callable[[History], bool] = lambda history: False
        self.never_ended = False
        self._launched: dict[str, int] = {}
        self._idle_polls = 0

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
        for self.turn in range(MAX_TURNS):
            if self.outsiders.to_do and self.cue(self):
                for run in list(self.server.runs.values()):
                    for _, act in list(self.outsiders.of_user(run))[:1]:
                        act()
            moves = list(self._moves())
            if not moves:
                return
            chance = CHANCE_AFTER_PAUSE if self._is_new_way else CHANCE_OF_ANOTHER_TURN
            self._is_new_way = False
            _, move = self.decisions.choose(f"turn {self.turn}", moves, chance)
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
            self.actions[job.job_id] = job.action.action_execution_id
        self.processes = [each for each in self.processes if not each.has_ended]
        hang = [each for each in self.processes if self._hangs_until.get(each.name, 0) > self.turn]
        for process in self.processes:
            if process not in hang:
                yield process.name, lambda process=process: self._go_on(process)
        for run in list(self.server.runs.values()):
            if run.state == "running":
                for instance in self.server.startable(run):
                    yield f"start {instance.name}", lambda instance=instance: self._start(instance)
                self.server.update_state(run)
                if run.state == "failed":
                    self.call_back(run)
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
        yield from self.outsiders.moves()

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

    def call_back(self, run: Run) -> None:
        """Have the DAG processor run the callback of a run that has failed."""
        if not self.way.has_notifier:
            return
        context = {"dag": run.dag, "run_id": run.run_id, "reason": run.reason or "task_failure"}

        def body() -> None:
            for callback in _as_list(run.dag.on_failure_callback):
                # Of its own, as in a process of its own.
                copy(callback)(context)

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
        if instance.state != "up_for_reschedule":
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
        for due, gone in self.ends_of_dead:
            if gone is process and self.outdated.get(process.name, self.now) < self.now - SLOWNESS:
                # However slow all is, its supervisor has had its heartbeat by now.
                return self._notice(due, process)
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
                if each.due_at is not None:
                    dues.append(each.due_at)
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
                if instance.trigger is None:
                    # This poll has found its job already.
                    continue
                _, kwargs = instance.trigger
                wanted = CodePipelineContinuationTrigger(**kwargs).next_job
                try:
                    known = job._is_token_known
                    token = job.continuation_token if known else hook.continuation_token(job)
                except CodePipelineProviderError:
                    continue
                if wanted.concerns(job, token):
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
            if jobs and len(self.server.runs) < job_runs.MAX_ATTEMPTS:
                run_id = f"many__{len(self.server.runs)}"
                conf = {"jobs": [job.to_xcom() for job in jobs]}
                self.server.start_run(dag, run_id, conf, self.now)
            return
        for job in jobs:
            run_id = job_runs.free_run_id(RuntimeTaskInstance, dag.dag_id, job.job_id)
            if run_id is not None:
                conf = {name: value for name, value in job.to_xcom().items() if value is not None}
                self.server.start_run(dag, run_id, conf, self.now)


def _as_list(callbacks: Any) -> list[Any]:
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]


def _moment_of(kwargs: Mapping[str, Any]) -> float:
    moment = kwargs.get("moment")
    return moment.timestamp() if isinstance(moment, datetime) else 0.0


__all__ = ["SLOWNESS", "START", "History"]
