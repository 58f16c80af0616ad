# SPDX-License-Identifier: Apache-2.0
"""Runs of DAGs in this process, by ``dag.test()``, with the runs that they start."""

from __future__ import annotations

import functools
import importlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from airflow_codepipeline_partner.testing.offline_airflow import BUNDLE

if TYPE_CHECKING:
    from airflow.sdk import DAG

__all__: list[str] = []

#: For how long a sensor waits for a job that is not offered, in seconds.
LONGEST_WAIT = 10.0
#: How long tasks wait between two looks at CodePipeline, or at the work of another system, in seconds.
LONGEST_PAUSE = 0.5
_INTERVALS = ("poke_interval", "poll_interval", "waiter_delay")


@dataclass(frozen=True)
class Run:
    """
    A finished run of a DAG.

    :param dag_id: The DAG.
    :param run_id: The run.
    :param conf: The run's conf.
    :param state: ``success`` or ``failed``.
    :param states: The state of each task, by ``task_id`` or ``task_id[map_index]``.
    :param xcoms: The values in XCom, by task and key.
    :param errors: What the tasks raised in their last try, by task.
    :param started: The runs that its tasks have started, of DAGs that the kit was given.
    """

    dag_id: str
    run_id: str
    conf: Mapping[str, Any] = field(repr=False)
    state: str
    states: Mapping[str, str | None]
    xcoms: Mapping[tuple[str, str], Any] = field(repr=False)
    errors: Mapping[str, BaseException]
    started: Sequence[Run] = ()

    def all(self) -> Iterator[Run]:
        """Yield this run, and those that were started by it, by these, and so on."""
        yield self
        for run in self.started:
            yield from run.all()


@dataclass
class _Order:
    """How a run is to be made."""

    run_id: str | None = None
    #: The payloads of the events that start it, by the asset's name.
    payloads: Mapping[str, Any] = field(default_factory=dict)
    exists: bool = False


class DagRuns:
    """Run DAGs. A run that a task starts is run at once, if its DAG is known."""

    def __init__(self) -> None:
        self._known: dict[str, DAG] = {}
        #: The runs that are or were run here.
        self._taken: set[tuple[str, str]] = set()
        #: The runs that are on their way, the innermost last: what their tasks raised, and what they started.
        self._open: list[tuple[dict[str, BaseException], list[Run]]] = []

    def know(self, dags: Sequence[DAG]) -> None:
        """Store DAGs in Airflow's database. Only their runs are run from now on, if a task starts them."""
        from airflow.models.dag import DagModel
        from sqlalchemy import update

        dagbag = _dagbag()
        bag = dagbag.DagBag(dag_folder=Path(os.devnull), collect_dags=False)
        for dag in dags:
            bag.bag_dag(dag)
        self._known = {dag.dag_id: dag for dag in dags}
        dagbag.sync_bag_to_db(bag, BUNDLE, None)
        with _session() as session:
            # A new DAG is paused, by default, and other DAGs start no run of it.
            session.execute(update(DagModel).where(DagModel.dag_id.in_(self._known)).values(is_paused=False))
            # Those of an earlier run are not there for this one.
            session.execute(update(DagModel).where(DagModel.dag_id.not_in(self._known)).values(is_stale=True))
            session.commit()

    def run(
        self, dag: DAG, conf: Mapping[str, Any] | None = None, payloads: Mapping[str, Any] | None = None
    ) -> Run:
        """
        Run a DAG to its end.

        :param conf: The run's conf.
        :param payloads: The payloads of the asset events that start it, by the asset's name.
        """
        # Those that an earlier test has left are not of this one.
        self._waiting_runs()
        return self._test(dag, conf, _Order(payloads=payloads or {}))

    def _test(self, dag: DAG, conf: Mapping[str, Any] | None, order: _Order) -> Run:
        import airflow.models.dagrun
        import airflow.sdk.definitions.dag
        import airflow.sdk.execution_time.supervisor

        errors: dict[str, BaseException] = {}
        started: list[Run] = []
        self._open.append((errors, started))
        with ExitStack() as stack:
            stack.callback(self._open.pop)
            for place, name, made in (
                (airflow.models.dagrun, "get_or_create_dagrun", functools.partial(_make_run, order)),
                (airflow.sdk.definitions.dag, "_run_task", self._watched(_unwatched())),
                (airflow.sdk.execution_time.supervisor, "in_process_api_server", _task_api),
            ):
                stack.enter_context(mock.patch.object(place, name, made))
            stack.enter_context(_impatient(dag))
            stack.enter_context(users_signals())
            dag_run = dag.test(run_conf=None if conf is None else dict(conf))
            return _finished(dag_run, errors, started)

    def _watched(self, run_task: Callable[..., Any]) -> Callable[..., Any]:
        """Return Airflow's function that runs one task; what it raised is kept, what it started is run."""

        def run_and_look(**arguments: Any) -> Any:
            name = _name_of(arguments["ti"])
            errors, started = self._open[-1]
            errors.pop(name, None)
            result = run_task(**arguments)
            if result is not None and result.error is not None:
                errors[name] = result.error
                self._explain_unknown_dag(result.error)
            for dag_id, run_id, conf in self._waiting_runs():
                started.append(self._test(self._known[dag_id], conf, _Order(run_id, exists=True)))
            return result

        run_and_look.unwatched = run_task  # type: ignore[attr-defined]
        return run_and_look

    def _explain_unknown_dag(self, error: BaseException) -> None:
        """Add to Airflow's refusal to start a run of a DAG that the kit was not given what to do about it."""
        import httpx

        if not isinstance(error, httpx.HTTPStatusError) or error.response.status_code != 404:
            return
        request = error.request
        started = re.search(r"/dag-runs/([^/]+)/[^/]+$", request.url.path)
        if request.method == "POST" and started and started[1] not in self._known:
            error.add_note(
                f"The task starts a run of {started[1]}, a DAG that the test has not named. "
                f"Name it in started=[…]: run(dag, started=[load_dag(path, {started[1]!r})])."
            )

    def _waiting_runs(self) -> list[tuple[str, str, dict[str, Any]]]:
        from airflow.models.dagrun import DagRun
        from sqlalchemy import select

        with _session() as session:
            waiting = session.scalars(
                select(DagRun)
                .where(DagRun.state == "queued", DagRun.dag_id.in_(self._known))
                .order_by(DagRun.id)
            )
            found = [(run.dag_id, run.run_id, run.conf or {}) for run in waiting]
        # Those that an outer run is about to run are queued still.
        found = [run for run in found if run[:2] not in self._taken]
        self._taken |= {run[:2] for run in found}
        return found


def _unwatched() -> Callable[..., Any]:
    """Return Airflow's own function that runs one task, also if a run is started from within another one."""
    import airflow.sdk.definitions.dag

    run_task: Callable[..., Any] = vars(airflow.sdk.definitions.dag)["_run_task"]
    return getattr(run_task, "unwatched", run_task)


@functools.cache
def _task_api() -> Any:
    """Build Airflow's task API once in this process. Airflow 3.1 builds it for each task, in seconds."""
    from airflow.api_fastapi.execution_api.app import InProcessExecutionAPI

    return InProcessExecutionAPI()


def _make_run(order: _Order, *, dag: Any, session: Any, **values: Any) -> Any:
    """Make the run of ``dag.test()`` as a scheduler does: for asset events, or as a task has ordered it."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.types import DagRunType
    from sqlalchemy import select

    if order.exists:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.run_id == order.run_id))
        run.state, run.start_date = "running", values["start_date"]
        run.dag = dag
    else:
        kind = DagRunType.ASSET_TRIGGERED if order.payloads else DagRunType.MANUAL
        if order.payloads:
            values |= {"logical_date": None, "data_interval": None}
        run = dag.create_dagrun(run_type=kind, state="running", session=session, **values)
        for asset_name, payload in order.payloads.items():
            run.consumed_asset_events.append(_asset_event(asset_name, payload, session))
    session.commit()
    return run


def _asset_event(asset_name: str, payload: Any, session: Any) -> Any:
    from airflow.models.asset import AssetEvent, AssetModel
    from sqlalchemy import select

    asset = session.scalar(select(AssetModel).where(AssetModel.name == asset_name))
    event = AssetEvent(asset_id=asset.id, extra={"from_trigger": True, "payload": payload})
    session.add(event)
    return event


@contextmanager
def users_signals() -> Iterator[None]:
    """
    Keep what a signal does: SIGTERM, and the alarm by which a plugin of pytest limits a test's time.

    In each task Airflow sets a handler for SIGTERM that ends nothing; in a process of tests it would stay.
    Its own limits of time take the alarm, and then turn it off.
    """
    set_handler = signal.signal

    def set_unless_airflow(number: int, handler: Any) -> Any:
        of_task = sys._getframe(1).f_globals.get("__name__") == "airflow.sdk.execution_time.task_runner"
        return signal.getsignal(number) if of_task else set_handler(number, handler)

    began, (left, interval) = time.monotonic(), signal.getitimer(signal.ITIMER_REAL)
    on_alarm = signal.getsignal(signal.SIGALRM)
    try:
        with mock.patch.object(signal, "signal", set_unless_airflow):
            yield
    finally:
        # Another thread can set no handler, and Airflow has set none there.
        if threading.current_thread() is threading.main_thread() and on_alarm is not None:
            set_handler(signal.SIGALRM, on_alarm)
            if left:
                left = max(left - (time.monotonic() - began), 0.001)
                signal.setitimer(signal.ITIMER_REAL, left, interval)


@contextmanager
def _impatient(dag: DAG) -> Iterator[None]:
    """Leave out the pauses before retries, and most of those between two looks at CodePipeline."""
    with ExitStack() as stack:
        for task in dag.tasks:
            # Of a mapped task.
            partial = getattr(task, "partial_kwargs", None)
            for name, value in _shorter(task, vars(task) if partial is None else partial).items():
                patch = (
                    mock.patch.object(task, name, value)
                    if partial is None
                    else mock.patch.dict(partial, {name: value})
                )
                stack.enter_context(patch)
        yield


def _shorter(task: Any, held: Mapping[str, Any]) -> dict[str, Any]:
    """Return the waits of a task, by attribute, as short as a test wants them."""
    found: dict[str, Any] = {"retry_delay": timedelta(0), "retry_exponential_backoff": False}
    for name in _INTERVALS:
        if isinstance(held.get(name), int | float):
            found[name] = min(held[name], LONGEST_PAUSE)
    if is_job_sensor(task) and isinstance(held.get("timeout"), int | float):
        found["timeout"] = min(held["timeout"], LONGEST_WAIT)
    return found


def is_job_sensor(task: Any) -> bool:
    """Return whether a task waits for jobs."""
    return bool(getattr(getattr(task, "operator_class", type(task)), "offers_jobs", False))


def _finished(dag_run: Any, errors: Mapping[str, BaseException], started: Sequence[Run]) -> Run:
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    mine = {"dag_id": dag_run.dag_id, "run_id": dag_run.run_id}
    with _session() as session:
        states = {
            _name_of(ti): None if ti.state is None else str(ti.state)
            for ti in session.scalars(select(TaskInstance).filter_by(**mine))
        }
        xcoms = {
            (_name_of(xcom), xcom.key): XComModel.deserialize_value(xcom)
            for xcom in session.scalars(select(XComModel).filter_by(**mine))
        }
    return Run(
        **mine,
        conf=dag_run.conf or {},
        state=str(dag_run.state),
        states=states,
        xcoms=xcoms,
        errors=dict(errors),
        started=tuple(started),
    )


def _name_of(row: Any) -> str:
    return row.task_id if row.map_index < 0 else f"{row.task_id}[{row.map_index}]"


def load_dags(path: Path) -> dict[str, DAG]:
    """
    Load the DAGs of a file, or of a folder, as Airflow does.

    :raises AssertionError: A file cannot be imported; the message has the error.
    """
    __tracebackhide__ = True
    if not path.exists():
        raise AssertionError(f"There is no DAG file {path}.")
    with users_signals():
        bag = _dagbag().DagBag(dag_folder=path, safe_mode=False)
    if bag.import_errors:
        raise AssertionError("\n".join(f"{name}: {error}" for name, error in bag.import_errors.items()))
    return dict(bag.dags)


def _dagbag() -> Any:
    """Return the module of Airflow's bags of DAGs."""
    try:
        return importlib.import_module("airflow.dag_processing.dagbag")
    except ModuleNotFoundError:
        # Its place until Airflow 3.1.
        return importlib.import_module("airflow.models.dagbag")


def _session() -> AbstractContextManager[Any]:
    """Return a session that is not the one of ``dag.test()``, which keeps it open."""
    from airflow import settings

    make: Any = settings.NonScopedSession
    session: AbstractContextManager[Any] = make()
    return session
