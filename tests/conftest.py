# SPDX-License-Identifier: Apache-2.0
"""
A throw-away Airflow (SQLite, no process of its own) and an emulator for each test.

Airflow reads its settings as it is imported, so they are set here, before any test module is.
"""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import ACTION_TYPE, REPO

from airflow_codepipeline_partner.emulator import Clock, Customer, Emulator, server

HOME = Path(tempfile.mkdtemp(prefix="codepipeline-partner-tests-"))
# The first command of Airflow would make keys of its own, which this process has not read by then.
(HOME / "airflow.cfg").write_text(
    f"[core]\nfernet_key = {base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}\n"
    f"[api]\nsecret_key = {secrets.token_hex(32)}\n[api_auth]\njwt_secret = {secrets.token_hex(32)}\n"
)
DAGS_FOLDER = HOME / "dags"
EVENT_NAMES: dict[str, str] = {}

for name in list(os.environ):
    # Neither an Airflow nor an AWS account of the user who runs the tests may matter.
    if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_", "AWS_")):
        del os.environ[name]
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(DAGS_FOLDER),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AWS_EC2_METADATA_DISABLED="true",
)


def pytest_configure() -> None:
    # As Ctrl-C does: fixtures end what they have started, also if a limit of time ends the tests.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(REPO / "tests" / "system"):
            item.add_marker(pytest.mark.system)


LEFT_OUT = """\
make test-system      what starts a real Airflow or its commands
make test-simulation  thousands of histories in which anything goes wrong
make explore          every order of steps of tasks that claim and report
make test-clients     the emulator with the AWS CLI, other AWS SDKs and moto's tests
make test-chaos       kills and faults in a real Airflow on Celery
"""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.option.markexpr.startswith("not system"):
        terminalreporter.section("left out")
        terminalreporter.write(LEFT_OUT)


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


def airflow(*arguments: str) -> None:
    """Run a command of Airflow's."""
    command = [sys.executable, "-m", "airflow", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


@pytest.fixture(scope="session")
def airflow_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The database that ``dag.test()`` needs, and the DAGs where Airflow looks for them."""
    from in_process_airflow import quick_airflow
    from sqlalchemy import Engine, event

    shutil.copytree(REPO / "example_dags", DAGS_FOLDER / "examples")
    shutil.copytree(REPO / "tests" / "dags", DAGS_FOLDER / "tests")
    # One for all workers of pytest-xdist, whose temporary directories lie side by side; each takes a copy.
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    migrated, database = shared / "airflow.db", HOME / "airflow.db"
    with (shared / "airflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not migrated.exists():
            airflow("db", "migrate")
            database.replace(migrated)
    shutil.copyfile(migrated, database)

    @event.listens_for(Engine, "connect")
    def write_without_waiting(connection: Any, record: Any) -> None:
        # A test's database need not outlive a loss of power.
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    # While a connection stays open, none is the last to be closed: that one takes the whole database for a
    # moment, and a process that opens another just then learns that it is locked, without a wait.
    with quick_airflow(), closing(sqlite3.connect(database)) as held_open:
        held_open.execute("SELECT count(*) FROM dag").fetchone()
        yield


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    # Enough for who asks here, and quicker to start than its own 64.
    monkeypatch.setattr(server, "_THREADS", 8)
    # Just started, none of them waits for work yet, which waitress warns of.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # Where a machine's time is set forward, no lease may lapse by that.
    began = time.time() - time.monotonic()
    with Emulator(clock=Clock(lambda: began + time.monotonic())) as running:
        yield running


@pytest.fixture
def sqs(emulator: Emulator) -> Any:
    """A client of the SQS behind the emulator."""
    import boto3

    session = boto3.Session("AKIAEXAMPLE", "example-secret", region_name="us-east-1")
    return session.client("sqs", endpoint_url=emulator.url)


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


def init_with_known_names(aliaser: Any, emitter: Any, aliases: Any = None) -> None:
    """Make botocore's aliaser of event names, with what an earlier one has found out."""
    from botocore.hooks import EVENT_ALIASES

    aliaser._event_aliases = EVENT_ALIASES if aliases is None else aliases
    aliaser._alias_name_cache = EVENT_NAMES if aliases is None else {}
    aliaser._emitter = emitter


@pytest.fixture(autouse=True)
def quick_clients(botocore_loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Leave out what takes long and is not ours.

    botocore reads its models and works out the names of its events anew for each client, and Airflow's masker
    compiles all the secrets of all tests before at each new one.
    """
    import botocore.hooks
    import botocore.session
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    _secrets_masker().reset_masker()
    monkeypatch.setattr(botocore.session, "create_loader", lambda data_path: botocore_loader)
    monkeypatch.setattr(botocore.hooks.EventAliaser, "__init__", init_with_known_names)


@pytest.fixture
def make_hook(fake_time: FakeTime) -> Callable[..., Any]:
    """Make hooks that wait on the fake clock only."""
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    def make(**parameters: Any) -> CodePipelineHook:
        return CodePipelineHook(**parameters, clock=fake_time.clock, sleep=fake_time.sleep)

    return make


@pytest.fixture
def stats(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is counted and measured, in the place of what Airflow's Stats would send."""
    from counted import Stats

    from airflow_codepipeline_partner import _metrics

    found = Stats()
    monkeypatch.setattr(_metrics, "_stats", lambda: found)
    monkeypatch.setattr(_metrics, "_seen", {})
    return found


@pytest.fixture(scope="session")
def serialized_dags(airflow_database: None) -> None:
    """Have Airflow know all DAGs, unpaused, so that one can start another."""
    airflow("dags", "reserialize")
    with closing(sqlite3.connect(HOME / "airflow.db")) as database, database:
        database.execute("UPDATE dag SET is_paused = 0")


@pytest.fixture
def dags_folder(airflow_database: None) -> Path:
    return DAGS_FOLDER


@pytest.fixture
def load_dags() -> Any:
    from in_process_airflow import Dags

    return Dags


@pytest.fixture(scope="session")
def dags(airflow_database: None) -> Any:
    from in_process_airflow import Dags

    return Dags()


@pytest.fixture
def run_dag(dags: Any) -> Callable[..., Any]:
    return dags.run


@pytest.fixture
def rows(airflow_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Airflow's database, empty, and a copy: the tests' own is left as it is."""
    from doctor_rows import Rows
    from sqlalchemy import create_engine
    from sqlalchemy.orm import sessionmaker

    rows = Rows(tmp_path / "airflow.db")
    # Not as a file: where one is closed that SQLite has open, its locks are gone.
    with closing(sqlite3.connect(HOME / "airflow.db")) as own, closing(sqlite3.connect(rows.path)) as copy:
        own.backup(copy)
    for table in ("xcom", "dag_run", "dag", "job", "import_error", "serialized_dag", "connection"):
        rows.execute(f"DELETE FROM {table}")  # noqa: S608 - no input
    engine = create_engine(f"sqlite:///{rows.path}")
    monkeypatch.setattr("airflow.utils.session.create_session", sessionmaker(engine))
    yield rows
    engine.dispose()
