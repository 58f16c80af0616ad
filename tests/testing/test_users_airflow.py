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

[database]
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

from airflow.secrets import BaseSecretsBackend


class Backend(BaseSecretsBackend):
    def get_conn_value(self, conn_id):
        with Path(__file__).with_name("asked").open("a") as asked:
            asked.write(f"{conn_id}\\n")
        return None

    def get_variable(self, key, **more):
        return None

    get_config = get_variable
"""
TESTS = """
IMPORT

import os
from pathlib import Path

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
    assert not Path("asked").exists()
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
        assert (own, settings.DAGS_FOLDER) == (USERS, "HOME/dags")
        assert backends[0] == "Backend"
    else:
        assert settings.DAGS_FOLDER == str(Path(KITS[0].removeprefix("sqlite:///")).with_name("dags"))


def test_in_the_kit_again(codepipeline):
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
    shown = run_pytest(tmp_path, "-W", "error", **({"AIRFLOW_HOME": str(home)} if has_home else {}))
    assert "3 passed" in shown, shown[-6000:]
