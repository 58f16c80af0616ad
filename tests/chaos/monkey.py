# SPDX-License-Identifier: Apache-2.0
"""Who strikes the blows of the plan, and mends what was broken when its pause is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any

import psutil  # type: ignore[import-untyped]

from demo.local_airflow import LocalAirflow
from demo.processes import Component
from demo.rest_api import AirflowFailed
from tests.chaos.cluster import WORKER
from tests.chaos.evidence import Strike
from tests.chaos.metadata import Metadata, RunningTask, job_of_run
from tests.chaos.partner import Partner
from tests.chaos.plan import CUSTOMERS, KILLS, Blow
from tests.chaos.rolling import RollingRestart
from tests.chaos.services import Services

Said = Callable[[str], None]
#: Until what Airflow did not take is sent again.
_AGAIN_SECONDS = 2.0
#: For so long after connections were cut, a part of Airflow may end by itself.
_AFTER_CUT_SECONDS = 60.0
#: What Airflow's server does not answer with, if it is away or dies.
_NOT_ANSWERED = (AirflowFailed, OSError, HTTPException)


class Monkey:
    """
    Strike each blow when it is due and there is something to be hit.

    Only what the suite started is ever hit: a component of its own Airflow, or a descendant of one.

    :param airflow: Whose components are killed.
    :param services: Whose connections are cut.
    :param metadata: Says what runs where.
    :param partner: Who gives customers new tokens.
    :param say: Told of each blow.
    """

    def __init__(
        self, airflow: LocalAirflow, services: Services, metadata: Metadata, partner: Partner, say: Said
    ) -> None:
        self.strikes: list[Strike] = []
        self._airflow = airflow
        self._services = services
        self._metadata = metadata
        self._partner = partner
        self._say = say
        self._due: list[Blow] = []
        self._repairs: list[tuple[float, Callable[[], object]]] = []
        self._restarts: list[Iterator[str | None]] = []
        self._acts: dict[str, Callable[[Blow], Strike | None]] = {
            **dict.fromkeys(KILLS, self._kill_component),
            "task process": self._kill_task_process,
            "cut database": self._cut_database,
            "cut queue": self._cut_queue,
            "rolling restart": self._begin_restart,
            "rotate token": self._rotate_token,
            "mark task failed": self._mark_task_failed,
            "mark run failed": self._mark_run_failed,
            "clear task": self._clear_task,
        }

    def plan(self, blows: tuple[Blow, ...]) -> None:
        """Take on further blows."""
        self._due = list(blows)

    @property
    def is_mending(self) -> bool:
        """Whether something that was broken is still to be mended."""
        return bool(self._repairs or self._restarts)

    @property
    def not_struck(self) -> list[str]:
        """The blows that are still to be struck, by name."""
        return [blow.what for blow in self._due]

    def tick(self, ended: int) -> None:
        """
        Do what is due; return soon.

        :param ended: How many jobs have ended.
        """
        now = time.monotonic()
        for repair in [repair for repair in self._repairs if repair[0] <= now]:
            self._repairs.remove(repair)
            repair[1]()
        # One deploy at a time.
        for restart in self._restarts[:1]:
            try:
                said = next(restart)
            except StopIteration:
                self._restarts.remove(restart)
                said = "all parts are new"
            if said is not None:
                self._say(f"rolling restart: {said}")
        for blow in [blow for blow in self._due if blow.after <= ended]:
            strike = self._acts[blow.what](blow)
            if strike is not None:
                self._due.remove(blow)
                self.strikes.append(strike)
                self._say(f"{strike.what}: {strike.said}")

    def _later(self, pause: float, repair: Callable[[], object]) -> None:
        self._repairs.append((time.monotonic() + pause, repair))

    # Kills.

    def _kill_task_process(self, blow: Blow) -> Strike | None:
        task = _picked(blow, self._tasks_in(self._components(WORKER)))
        if task is None:
            return None
        try:
            psutil.Process(task.pid).kill()
        except psutil.Error:
            # It ended by itself; another one will do.
            return None
        return _strike(blow, [task], str(task))

    def _kill_component(self, blow: Blow) -> Strike | None:
        component = _picked(blow, self._components(blow.what))
        if component is None:
            return None
        # What asks a server that is away asks again, so that its death excuses no job.
        tasks = self._tasks_in([component])
        self._airflow.kill(component)
        self._later(blow.pause, lambda: self._airflow.start_component(blow.what))
        said = f"{component.log.stem}, for {blow.pause:.0f} s"
        return _strike(blow, tasks, "; ".join([said, *map(str, tasks)]))

    def _cut_database(self, blow: Blow) -> Strike | None:
        self._airflow.expect_ends(_AFTER_CUT_SECONDS)
        return _strike(blow, [], f"{self._services.cut_database()} connections")

    def _cut_queue(self, blow: Blow) -> Strike | None:
        cut = self._services.cut_queue()
        if not cut:
            # The workers are away, and the schedulers have nothing to send.
            return None
        self._airflow.expect_ends(_AFTER_CUT_SECONDS)
        return _strike(blow, [], f"{cut} connections")

    def _begin_restart(self, blow: Blow) -> Strike | None:
        restart = RollingRestart(self._airflow, self._watch, self._note_late)
        self._restarts.append(restart.steps())
        return _strike(blow, [], "of all parts, one after the other")

    def _note_late(self, component: Component) -> None:
        tasks = self._tasks_in([component])
        if tasks:
            job_ids = frozenset(task.job_id for task in tasks if task.job_id)
            self.strikes.append(
                Strike("task that outlived a restart", time.time(), job_ids, "; ".join(map(str, tasks)))
            )

    def _watch(self, kind: str) -> Callable[[Component], bool]:
        """Return what shows whether a component of a kind is up that is started after this call."""
        if kind == "api-server":
            return lambda _: self._has_answer()
        if kind == WORKER:
            # It keeps no record of itself. Its log may be that of its predecessor too.
            sizes = {path: path.stat().st_size for path in self._airflow.logs.glob("*.log")}
            return lambda worker: b" ready." in worker.log.read_bytes()[sizes.get(worker.log, 0) :]
        before = self._metadata.newest_part()
        return lambda _: self._metadata.is_up(kind, after=before)

    def _has_answer(self) -> bool:
        try:
            self._airflow.api.call("GET", "/monitor/health", authorized=False)
        except _NOT_ANSWERED:
            return False
        return True

    def _components(self, kind: str) -> list[Component]:
        return [component for component in self._airflow.components if component.kind == kind]

    def _tasks_in(self, components: list[Component]) -> list[RunningTask]:
        pids = {process.pid for component in components for process in component.members()}
        return [task for task in self._metadata.running_tasks() if task.pid in pids]

    # What customers and users do.

    def _rotate_token(self, blow: Blow) -> Strike:
        customer = int(blow.pick * CUSTOMERS)
        self._partner.rotate_token(customer)
        self._later(blow.pause, lambda: self._store_token(customer))
        return _strike(blow, [], f"customer {customer}, unknown to Airflow for {blow.pause:.0f} s")

    def _store_token(self, customer: int) -> None:
        try:
            self._partner.store_token(customer)
        except _NOT_ANSWERED as error:
            self._say(f"rotate token: Airflow did not take it; it is sent again: {error}")
            self._later(_AGAIN_SECONDS, lambda: self._store_token(customer))

    def _mark_task_failed(self, blow: Blow) -> Strike | None:
        task = _picked(blow, self._work_that_runs())
        if task is None:
            return None
        path = f"/dags/{task.dag_id}/dagRuns/{task.run_id}/taskInstances/{task.task_id}"
        return self._ask(blow, task, "PATCH", path, {"new_state": "failed"})

    def _clear_task(self, blow: Blow) -> Strike | None:
        task = _picked(blow, self._work_that_runs())
        if task is None:
            return None
        body = {
            "dry_run": False,
            "dag_run_id": task.run_id,
            "task_ids": [task.task_id],
            "only_failed": False,
            "only_running": False,
            "include_downstream": True,
            "reset_dag_runs": True,
        }
        return self._ask(blow, task, "POST", f"/dags/{task.dag_id}/clearTaskInstances", body)

    def _mark_run_failed(self, blow: Blow) -> Strike | None:
        run = _picked(blow, [run for run in self._metadata.living_runs() if run.state == "running"])
        if run is None:
            return None
        return self._ask(blow, run, "PATCH", f"/dags/{run.dag_id}/dagRuns/{run.run_id}", {"state": "failed"})

    def _work_that_runs(self) -> list[RunningTask]:
        return [task for task in self._metadata.running_tasks() if task.task_id == "work"]

    def _ask(self, blow: Blow, of: Any, method: str, path: str, body: dict[str, Any]) -> Strike | None:
        try:
            self._airflow.api.call(method, path, body)
        except _NOT_ANSWERED as error:
            # The server is away, or what was running has ended meanwhile; another one will do.
            self._say(f"{blow.what}: was refused, {error}")
            return None
        job_id = job_of_run(of.run_id)
        said = f"{of.dag_id} {of.run_id}"
        return Strike(blow.what, time.time(), frozenset([job_id] if job_id else []), said)


def _picked(blow: Blow, candidates: list[Any]) -> Any:
    """Return the one that the plan's chance falls on, or None where there is nothing."""
    return candidates[int(blow.pick * len(candidates))] if candidates else None


def _strike(blow: Blow, tasks: list[RunningTask], said: str) -> Strike:
    job_ids = frozenset(task.job_id for task in tasks if task.job_id)
    return Strike(blow.what, time.time(), job_ids, said)
