# SPDX-License-Identifier: Apache-2.0
"""The kit uses nothing that a user's airflow.cfg names, and afterwards Airflow has all of it again."""

from __future__ import annotations

import base64

import pytest

from tests.testing.conftest import DAG_FILE
from tests.testing.users_project import run_pytest, write

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
CONFIG = """
[core]
dags_folder = HOME/dags
load_examples = False
executor = users_backend.Executor
fernet_key = KEY
xcom_backend = users_backend.XCom

[logging]
remote_logging = True
remote_base_log_folder = s3://users-own/logs
remote_log_conn_id = users_own

[metrics]
statsd_on = True
statsd_host = 127.0.0.1
statsd_port = 9
statsd_custom_client_path = users_backend.Statsd

[openlineage]
transport = {"type": "http", "url": "http://127.0.0.1:9"}

[traces]
otel_on = True
otel_host = 127.0.0.1
otel_port = 9

[database]
sql_alchemy_connect_args = users_backend.CONNECT_ARGS
sql_alchemy_connect_args_async = users_backend.CONNECT_ARGS
sql_alchemy_conn = sqlite:///HOME/users.db
sql_alchemy_conn_async = sqlite+aiosqlite:///HOME/users.db

[secrets]
backend = users_backend.Backend

[state_store]
backend = users_state.Stored

[workers]
secrets_backend = users_backend.Backend
"""
#: It notes what it is asked for.
BACKEND = """
from pathlib import Path

from airflow.sdk.bases.xcom import BaseXCom
from airflow.secrets import BaseSecretsBackend
from statsd import StatsClient

# SQLite refuses it.
CONNECT_ARGS = {"of_the_user": 1}


def note(what):
    with Path(__file__).with_name("asked").open("a") as asked:
        asked.write(f"{what}\\n")


class XCom(BaseXCom):
    @staticmethod
    def serialize_value(value, **more):
        note("XCom")
        return BaseXCom.serialize_value(value, **more)

    @staticmethod
    def deserialize_value(result):
        note("XCom")
        return BaseXCom.deserialize_value(result)


class Statsd(StatsClient):
    def _send(self, data):
        note(f"StatsD {data}")


class Backend(BaseSecretsBackend):
    def get_conn_value(self, conn_id):
        note(conn_id)
        return None

    def get_variable(self, key, **more):
        return None

    get_config = get_variable
"""
STATE = """
from airflow.state.metastore import MetastoreBackend


class Stored(MetastoreBackend):
    pass


class OfWorker(MetastoreBackend):
    pass
"""
TESTS = """
IMPORT

import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from opentelemetry import trace

# Airflow counts while it is imported.
Path("asked").unlink(missing_ok=True)
USERS = "sqlite:///HOME/users.db"
KITS = []


def has_users_key():
    '''Whether Airflow encrypts with the user's key, in each of the places that remember one.'''
    found = set()
    for name in ("airflow.models.crypto", "airflow.sdk.crypto"):
        with suppress(ImportError):
            encrypted = import_module(name).get_fernet().encrypt(b"shop")
            try:
                found.add(Fernet("KEY").decrypt(encrypted) == b"shop")
            except InvalidToken:
                found.add(False)
    [same] = found
    return same


def states():
    '''Where Airflow stores the state of tasks and assets, from version 3.3 on.'''
    context = import_module("airflow.sdk.execution_time.context")
    try:
        from airflow.state import get_state_backend
    except ImportError:
        return None
    return [type(each).__name__ for each in (get_state_backend(), context._get_worker_state_store_backend())]


def has_users(states):
    return states in (None, ["Stored", "OfWorker"])


def has_airflows(states):
    return states in (None, ["MetastoreBackend", "NoneType"])


if "airflow" in sys.modules:
    assert has_users(states()), states()
    assert has_users_key()


def databases():
    from airflow import settings

    held = [settings.SQL_ALCHEMY_CONN, str(settings.engine.url), str(settings.Session.get_bind().url)]
    own_async = [settings.SQL_ALCHEMY_CONN_ASYNC, str(settings.async_engine.url)]
    return held + [name.replace("+aiosqlite", "") for name in own_async]


def test_in_the_kit(codepipeline):
    job = codepipeline.queue_job("Deploy/Custom/Example/1")
    codepipeline.run(codepipeline.load_dag("worker_dags.py", "as_function"))
    job.assert_succeeded()
    assert not Path("asked").exists(), Path("asked").read_text()
    assert not has_users_key()
    assert has_airflows(states()), states()
    spans = getattr(trace.get_tracer_provider(), "_active_span_processor", None)
    assert not getattr(spans, "_span_processors", ())
    [kits] = set(databases())
    assert kits != USERS
    KITS.append(kits)


def test_afterwards():
    from airflow import settings
    from airflow.configuration import ensure_secrets_loaded

    [own] = set(databases())
    assert own != KITS[0]
    backends = [type(each).__name__ for each in ensure_secrets_loaded()]
    if "AIRFLOW_HOME" in os.environ:
        from airflow.configuration import conf

        assert conf.get("core", "xcom_backend") == "users_backend.XCom"
        assert conf.get("core", "fernet_key") == "KEY"
        assert has_users_key()
        assert has_users(states()), states()
        assert (own, settings.DAGS_FOLDER) == (USERS, "HOME/dags")
        assert backends[0] == "Backend"
    else:
        assert settings.DAGS_FOLDER == str(Path(KITS[0].removeprefix("sqlite:///")).with_name("dags"))


def test_in_the_kit_again(codepipeline):
    from airflow.configuration import conf

    assert conf.get("core", "xcom_backend") != "users_backend.XCom"
    assert not has_users_key()
    assert has_airflows(states()), states()
    assert set(databases()) == set(KITS)
    codepipeline.queue_job("Deploy/Custom/Example/1")
    codepipeline.run(codepipeline.load_dag("worker_dags.py", "as_function"))
    assert not Path("asked").exists()
"""


@pytest.mark.parametrize(
    ("imported", "has_home"),
    [("from airflow.sdk import Connection", True), ("", True), ("", False)],
    ids=["Airflow was imported", "Airflow was not imported", "Airflow has no home"],
)
def test_the_users_airflow_is_not_used_and_comes_back(tmp_path, imported, has_home):
    home = tmp_path / "airflow"
    (home / "dags").mkdir(parents=True)
    files = {
        "airflow/airflow.cfg": CONFIG,
        "users_backend.py": BACKEND,
        "users_state.py": STATE,
        "worker_dags.py": DAG_FILE.read_text(),
        "test_shop.py": TESTS.replace("IMPORT", imported),
    }
    write(
        tmp_path,
        {name: text.replace("HOME/", f"{home}/").replace("KEY", KEY) for name, text in files.items()},
    )
    # There is nothing that takes spans, which those of the imports wait for at the end.
    env = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"} | ({"AIRFLOW_HOME": str(home)} if has_home else {})
    # By a variable, which the kit leaves out as well as the file.
    env["AIRFLOW__WORKERS__STATE_STORE_BACKEND"] = "users_state.OfWorker"
    shown = run_pytest(tmp_path, "-W", "error", **env)
    assert "3 passed" in shown, shown[-6000:]
