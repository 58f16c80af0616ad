# SPDX-License-Identifier: Apache-2.0
"""
The processes of tasks: Airflow's own task runner, each in a greenlet, so that any order of steps can be had.

A process meets the world at its calls only: to Airflow's server, and to CodePipeline. At each of them the
history decides what happens: it goes on, another process goes first, the process dies before or after it, or
its answer is lost.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import greenlet
from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
from airflow.sdk.execution_time import comms, task_runner
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from simulation.small_airflow import Instance, SmallAirflow, encoded, moment


class Died(BaseException):
    """The process is gone; whatever it still does has no effect."""


class Process:
    """
    A process.

    :param name: For the story, and for the decisions.
    :param body: What it does.
    :param instance: The task instance that it runs, or None.
    """

    def __init__(self, name: str, body: Callable[[], None], instance: Instance | None = None) -> None:
        self.name, self.instance = name, instance
        self.id_of_try = None if instance is None else instance.id
        self.steps = 0
        self.is_dead = False
        self.error: BaseException | None = None
        self._body = body
        self._greenlet = greenlet.greenlet(self._run)
        self._context: list[Any] = []

    def _run(self) -> None:
        try:
            self._body()
        except Died:
            # It is gone, as its history wants.
            return
        except BaseException as error:
            self.error = error

    def go_on(self) -> None:
        """Run until it yields or ends."""
        shared = _airflows_contexts()
        shared[:], self._context = self._context, shared[:]
        try:
            self._greenlet.switch()
        finally:
            shared[:], self._context = self._context, shared[:]

    def pause(self) -> None:
        """Let another process go first. Called from within."""
        self._greenlet.parent.switch()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.is_dead or self._greenlet.dead

    def kill(self) -> None:
        """Be gone, while another process runs. What it would still do on its way out has no effect."""
        self.is_dead = True
        if self._greenlet and not self._greenlet.dead:
            shared = _airflows_contexts()
            shared[:], self._context = self._context, shared[:]
            try:
                self._greenlet.throw(Died)
            finally:
                shared[:], self._context = self._context, shared[:]

    def die(self) -> None:
        """Be gone, from now on. Called from within, it does not return."""
        self.is_dead = True
        raise Died


def _airflows_contexts() -> list[Any]:
    """Return Airflow's stack of current contexts, which a process has for itself in reality."""
    from airflow.sdk.definitions._internal import contextmanager as module

    found: list[Any] = module._CURRENT_CONTEXT
    return found


class Comms:
    """
    Stand for the connection of a task's process with its supervisor.

    :param ask: Answers a message, or has it go wrong.
    """

    def __init__(self, ask: Callable[[Any], Any]) -> None:
        self._ask = ask

    def send(self, msg: Any) -> Any:
        """Send a message and return the answer."""
        return self._ask(msg)

    async def asend(self, msg: Any) -> Any:
        """Send a message and return the answer."""
        return self._ask(msg)


class NoLog:
    """A log that nobody reads."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self._nothing

    def _nothing(self, *about: Any, **more: Any) -> Any:
        return self


def started(server: SmallAirflow, instance: Instance) -> RuntimeTaskInstance:
    """Return what the process of a task gets from Airflow when it starts, whatever a user does then."""
    run = instance.run
    dag_run = {
        "dag_id": run.dag.dag_id,
        "run_id": run.run_id,
        "logical_date": None,
        "data_interval_start": None,
        "data_interval_end": None,
        "run_after": moment(run.started_at),
        "start_date": moment(run.started_at),
        "end_date": None,
        "clear_number": run.clear_number,
        "run_type": "manual",
        "state": run.state,
        "conf": run.conf,
        "consumed_asset_events": [],
        "partition_key": None,
    }
    keys = [] if instance.next_method else sorted(server.xcoms.get(instance.key, {}))
    known = set(DagRun.model_fields)
    # On Airflow 3.1 the server says which of the instances before it are this one's.
    group = instance.task.get_closest_mapped_task_group()
    same_group = [] if group is None else [task for task in run.dag.tasks if _is_in(task, group)]
    from_server = TIRunContext.model_construct(
        dag_run=DagRun.model_construct(**{key: value for key, value in dag_run.items() if key in known}),
        max_tries=instance.max_tries,
        task_reschedule_count=instance.reschedules,
        upstream_map_indexes={task.task_id: instance.map_index for task in same_group},
        variables=[],
        connections=[],
        next_method=instance.next_method,
        next_kwargs=encoded(instance.next_kwargs or {}),
        xcom_keys_to_clear=keys,
        should_retry=instance.max_tries != 0 and instance.try_number <= instance.max_tries,
    )
    return RuntimeTaskInstance.model_construct(
        id=instance.id,
        task_id=instance.task.task_id,
        dag_id=run.dag.dag_id,
        run_id=run.run_id,
        try_number=instance.try_number,
        map_index=instance.map_index,
        dag_version_id=uuid.UUID(int=0),
        task=instance.task,
        bundle_instance=None,
        _ti_context_from_server=from_server,
        max_tries=instance.max_tries,
        start_date=moment(server.now),
        state="running",
        is_mapped=instance.map_index >= 0,
    )


def run_task(ti: RuntimeTaskInstance, note: Callable[[str], None]) -> None:
    """Run a task in Airflow's task runner, as its process does."""
    context = ti.get_template_context()
    state, _, error = task_runner.run(ti, context, NoLog())
    context["exception"] = error  # type: ignore[typeddict-item]
    if error is not None:
        note(f"{type(error).__name__}: {str(error)[:160]}")
    task_runner.finalize(ti, state, context, NoLog(), error)


def _is_in(task: Any, group: Any) -> bool:
    return task.get_closest_mapped_task_group() is group


@contextmanager
def asked_by(ask: Callable[[Any], Any]) -> Iterator[None]:
    """Have all messages of tasks' processes answered by a function."""
    before = vars(task_runner).get("SUPERVISOR_COMMS")
    task_runner.SUPERVISOR_COMMS = Comms(ask)  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is None:
            del task_runner.SUPERVISOR_COMMS
        else:
            task_runner.SUPERVISOR_COMMS = before


__all__ = ["Comms", "Died", "Process", "asked_by", "comms", "run_task", "started"]
