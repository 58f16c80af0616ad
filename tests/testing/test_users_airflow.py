# SPDX-License-Identifier: Apache-2.0
"""The kit uses nothing that a user's airflow.cfg names, and afterwards Airflow has all of it again."""

from __future__ import annotations

import pytest

from tests.testing.conftest import DAG_FILE
from tests.testing.users_project import run_pytest, write

CONFIG = """
[core]
dags_folder = HOME/dags
load_examples = False
executor = users_backend.Executor
fernet_key = 0R5Zo7zQqbV2kWmHnQyA8zZ0d0Xq0vQ0c5c5c5c5c5c=
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
TESTS = """
IMPORT

import os
from pathlib import Path

from opentelemetry import trace

# Airflow counts while it is imported.
Path("asked").unlink(missing_ok=True)
USERS = "sqlite:///HOME/users.db"
KITS = []


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
        assert conf.get("core", "fernet_key").startswith("0R5Z")
        assert (own, settings.DAGS_FOLDER) == (USERS, "HOME/dags")
        assert backends[0] == "Backend"
    else:
        assert settings.DAGS_FOLDER == str(Path(KITS[0].removeprefix("sqlite:///")).with_name("dags"))


def test_in_the_kit_again(codepipeline):
    from airflow.configuration import conf

    assert conf.get("core", "xcom_backend") != "users_backend.XCom"
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
        "worker_dags.py": DAG_FILE.read_text(),
        "test_shop.py": TESTS.replace("IMPORT", imported),
    }
    write(tmp_path, {name: text.replace("HOME/", f"{home}/") for name, text in files.items()})
    # There is nothing that takes spans, which those of the imports wait for at the end.
    env = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"} | ({"AIRFLOW_HOME": str(home)} if has_home else {})
    shown = run_pytest(tmp_path, "-W", "error", **env)
    assert "3 passed" in shown, shown[-6000:]
