# SPDX-License-Identifier: Apache-2.0
"""
A throw-away Airflow (SQLite, no process of its own) and an emulator for each test.

Airflow reads its settings as it is imported, so they are set here, before any test module is.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import ACTION_TYPE, REPO

from airflow_codepipeline_partner.emulator import Clock, Customer, Emulator

HOME = Path(tempfile.mkdtemp(prefix="codepipeline-partner-tests-"))
DAGS_FOLDER = HOME / "dags"

for name in list(os.environ):
    # Neither an Airflow nor an AWS account of whoever runs the tests may matter.
    if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_", "AWS_")):
        del os.environ[name]
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(DAGS_FOLDER),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AWS_EC2_METADATA_DISABLED="true",
)


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_database() -> Iterator[None]:
    """The database that ``dag.test()`` needs, and the DAGs where Airflow looks for them."""
    shutil.copytree(REPO / "example_dags", DAGS_FOLDER / "examples")
    shutil.copytree(REPO / "tests" / "dags", DAGS_FOLDER / "tests")
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True, timeout=300
    )
    from airflow.sdk.execution_time import supervisor

    # Airflow 3.1 builds its whole API anew for each task of dag.test(), and leaves a thread with an event
    # loop behind; later ones keep it, too.
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    # While a connection stays open, none is the last to be closed: that one takes the whole database for a
    # moment, and whoever opens another just then is told that it is locked, without a wait.
    with closing(sqlite3.connect(HOME / "airflow.db")) as held_open:
        held_open.execute("SELECT count(*) FROM dag").fetchone()
        yield


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    # Where a machine's time is set forward, no lease may lapse by that.
    began = time.time() - time.monotonic()
    with Emulator(clock=Clock(lambda: began + time.monotonic())) as running:
        yield running


@pytest.fixture
def aws_connection(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ``aws_default``, which leads to the emulator."""
    extra = {"region_name": "us-east-1", "endpoint_url": emulator.url}
    connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example-secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))


@pytest.fixture
def store_token(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Store a client's token in the connection that the provider looks for."""

    def store(customer: Customer, **changed: Any) -> str:
        conn_id = f"codepipeline_client_{customer.client_id.replace('-', '_')}"
        connection = {
            "conn_type": "codepipeline_partner_client",
            "login": customer.client_id,
            "password": customer.client_token,
            **changed,
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    return store


@pytest.fixture
def customer(emulator: Emulator, aws_connection: None, store_token: Callable[..., str]) -> Customer:
    """A customer whose token is stored, with the pipeline ``pipe``."""
    customer = emulator.add_customer()
    emulator.add_pipeline("pipe", client_id=customer.client_id, action_type=ACTION_TYPE)
    store_token(customer)
    return customer


@pytest.fixture
def offer(
    emulator: Emulator, customer: Customer, make_hook: Callable[..., Any]
) -> Callable[[], dict[str, Any]]:
    """Start the pipeline and poll: return an offered job, as it lies in XCom."""

    def offer_one() -> dict[str, Any]:
        emulator.start_execution("pipe")
        [job] = make_hook().poll(ACTION_TYPE)
        return job.to_xcom()

    return offer_one


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture(scope="session")
def botocore_loader() -> Any:
    """What botocore reads its models with; it keeps what it has read."""
    import botocore.loaders

    return botocore.loaders.create_loader()


@pytest.fixture(autouse=True)
def quick_clients(botocore_loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Leave out what takes long and is not ours.

    botocore reads its models anew for each client, and Airflow's masker compiles all the secrets of all tests
    before at each new one.
    """
    import botocore.session
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    _secrets_masker().reset_masker()
    monkeypatch.setattr(botocore.session, "create_loader", lambda data_path: botocore_loader)


@pytest.fixture
def make_hook(fake_time: FakeTime) -> Callable[..., Any]:
    """Make hooks that wait on the fake clock only."""
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    def make(**parameters: Any) -> CodePipelineHook:
        return CodePipelineHook(**parameters, clock=fake_time.clock, sleep=fake_time.sleep)

    return make


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


@pytest.fixture(scope="session")
def serialized_dags(airflow_database: None) -> None:
    """Have Airflow know all DAGs, so that one can start another."""
    subprocess.run(
        [sys.executable, "-m", "airflow", "dags", "reserialize"],
        check=True,
        capture_output=True,
        timeout=300,
    )


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


@pytest.fixture
def dags_folder(airflow_database: None) -> Path:
    return DAGS_FOLDER


@pytest.fixture
def load_dags() -> type[Dags]:
    return Dags


@pytest.fixture(scope="session")
def dags(airflow_database: None) -> Dags:
    return Dags()


@pytest.fixture
def run_dag(dags: Dags) -> Callable[..., Run]:
    return dags.run
