# SPDX-License-Identifier: Apache-2.0
"""
DAG runs from end to end in this process, by ``dag.test()``, without its waits.

What a test sees of Airflow stays as it is; only the way there is shorter.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import anyio.to_thread
import httpx
import pytest

from airflow_codepipeline_partner.testing.dag_runs import users_signals


class InProcessTransport(httpx.BaseTransport):
    """
    Carry a request to Airflow's task API in this process.

    Airflow's own transport goes through WSGI, and hands each request from thread to thread some ten times.
    """

    def __init__(self, app: Any) -> None:
        # An error is answered with status 500, as by a server.
        self._asgi = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="task-api", daemon=True).start()
        # It is left open: the process ends it.
        self._lifespan = app.router.lifespan_context(app)
        self._in_loop(self._lifespan.__aenter__())

    def _in_loop(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._in_loop(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._asgi.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())


class _Overrides(dict[Any, Any]):
    """What is overridden in the task API: the first value stays, with what it has read from the database."""

    def __setitem__(self, key: Any, value: Any) -> None:
        self.setdefault(key, value)


def _remembered(get_dependant: Any) -> Any:
    """
    Return FastAPI's ``get_dependant``, with its answers remembered.

    If one dependency of an app is overridden, it reads the signatures of all of them anew in each request.
    """
    known: dict[str, Any] = {}

    def get_known_dependant(**about: Any) -> Any:
        if sys._getframe(1).f_code.co_name != "solve_dependencies":
            # While routes are made, what is returned is changed.
            return get_dependant(**about)
        # A function without a name of its own is known by its address; the answer keeps it alive.
        key = repr((id(about["call"]), about))
        if key not in known:
            known[key] = get_dependant(**about)
        return known[key]

    return get_known_dependant


async def _run_here(function: Any, *values: Any, **options: Any) -> Any:
    """
    Call a function of the task API, without another thread.

    A request has five of them. They would not keep others from their turn: there is one request at a time.
    """
    return function(*values)


@contextmanager
def quick_airflow() -> Iterator[None]:
    """Build Airflow's task API once, ask it directly, and leave out the waits of ``dag.test()``."""
    from airflow.sdk.execution_time import supervisor
    from fastapi.dependencies import utils as dependencies

    build, sleep = supervisor.in_process_api_server, time.sleep

    @functools.cache
    def in_process_api_server() -> Any:
        # Airflow 3.1 builds it anew for each task, and leaves a thread with an event loop behind; later ones
        # keep it, too.
        api = build()
        api.app.dependency_overrides = _Overrides(api.app.dependency_overrides)
        with pytest.MonkeyPatch.context() as patch:
            # Airflow 3.1 does not start without one, although nobody needs a token in this process.
            patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "of-the-tests")
            api.transport = InProcessTransport(api.app)
        return api

    def short_sleep(seconds: float) -> None:
        # dag.test() sleeps for a second whenever no task can run yet, for instance until a retry is due. And
        # here is no other process that might still write a claim.
        by = sys._getframe(1).f_globals["__name__"]
        is_idle = by in ("airflow.sdk.definitions.dag", "airflow_codepipeline_partner._worker.last_look")
        sleep(min(seconds, 0.05) if is_idle else seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "in_process_api_server", in_process_api_server)
        patch.setattr(time, "sleep", short_sleep)
        patch.setattr(anyio.to_thread, "run_sync", _run_here)
        patch.setattr(dependencies, "get_dependant", _remembered(dependencies.get_dependant))
        yield


class Run:
    """A finished DAG run, as a test asks about it."""

    def __init__(self, dag_run: Any) -> None:
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        self.dag_id, self.run_id, self.state = dag_run.dag_id, dag_run.run_id, str(dag_run.state)
        mine = {"dag_id": self.dag_id, "run_id": self.run_id}
        with create_session() as session:
            #: ``task_id`` or ``task_id[map_index]`` → state.
            self.states = {
                _name(ti): None if ti.state is None else str(ti.state)
                for ti in session.scalars(select(TaskInstance).filter_by(**mine))
            }
            #: (task, key) → value.
            self.xcoms = {
                (_name(xcom), xcom.key): XComModel.deserialize_value(xcom)
                for xcom in session.scalars(select(XComModel).filter_by(**mine))
            }


def _name(row: Any) -> str:
    return row.task_id if row.map_index < 0 else f"{row.task_id}[{row.map_index}]"


@contextmanager
def only_our_warnings_are_errors() -> Iterator[None]:
    """Let Airflow and what it is made of warn of themselves while it runs in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module=r"airflow_codepipeline_partner(\.|$)")
        yield


class Dags:
    """The DAGs of the DAGs folder, ready to be run from end to end in this process."""

    def __init__(self) -> None:
        try:
            from airflow.dag_processing.dagbag import DagBag
        except ImportError:
            # Its place until Airflow 3.1.
            from airflow.models.dagbag import DagBag

        with only_our_warnings_are_errors():
            bag = DagBag()
        assert bag.import_errors == {}
        self.by_id = bag.dags
        self._are_stored = False

    def run(self, dag_id: str, /, **conf: Any) -> Run:
        """Run a DAG, as ``airflow dags test`` does."""
        with only_our_warnings_are_errors(), ExitStack() as stack:
            if self._are_stored:
                stack.enter_context(_no_dag_is_stored_anew())
            # Ended by SIGTERM, a worker of the tests ends what its fixtures have started.
            stack.enter_context(users_signals())
            dag_run = self.by_id[dag_id].test(run_conf=conf)
            self._are_stored = True
            return Run(dag_run)


@contextmanager
def _no_dag_is_stored_anew() -> Iterator[None]:
    """Leave out that Airflow 3.3 reads and stores all the DAGs of the folder at each ``dag.test()``."""
    try:
        from airflow.dag_processing import dagbag
    except ImportError:
        # Until Airflow 3.1, which stores them once.
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dagbag, "BundleDagBag", lambda **parameters: None)
        patch.setattr(dagbag, "sync_bag_to_db", lambda *arguments: None)
        yield
