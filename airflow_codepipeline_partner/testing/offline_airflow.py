# SPDX-License-Identifier: Apache-2.0
"""An Airflow for tests: a database of its own, and an environment in which nothing leaves this machine."""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

__all__: list[str] = []

#: The bundle in which Airflow looks for DAGs while a test runs; it stays empty.
BUNDLE = "codepipeline-testing"
ACCESS_KEY = {"login": "AKIAIOSFODNN7EXAMPLE", "password": "example-secret-key"}
REGION = "us-east-1"
#: What ``airflow.settings`` holds of a database.
_ENGINES = ("engine", "Session", "NonScopedSession", "async_engine", "AsyncSession")
_ORM = (
    *_ENGINES,
    *("SQL_ALCHEMY_CONN", "SQL_ALCHEMY_CONN_ASYNC", "DAGS_FOLDER", "PLUGINS_FOLDER"),
)
#: Settings of a user's secrets backends. Empty, they also hide those in the user's airflow.cfg.
_SECRETS_BACKENDS = (
    *("AIRFLOW__SECRETS__BACKEND", "AIRFLOW__SECRETS__BACKEND_KWARGS"),
    *("AIRFLOW__WORKERS__SECRETS_BACKEND", "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS"),
)
#: Airflow, and what it is made of.
_PARTS = (
    *("airflow", "sqlalchemy", "alembic", "aiosqlite", "structlog", "pendulum", "cadwyn", "svcs"),
    *("fastapi", "starlette", "pydantic", "anyio", "httpx", "a2wsgi", "asyncio"),
    *("botocore", "boto3", "moto", "werkzeug", "waitress", "importlib"),
)
#: Database → what ``airflow.settings`` holds of it.
_OPENED: dict[Path, dict[str, Any]] = {}


@functools.cache
def temporary_home() -> Path:
    """Return a folder that is removed when the process ends."""
    home = Path(tempfile.mkdtemp(prefix="codepipeline-testing-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


@contextmanager
def offline_airflow(home: Path, endpoint_url: str) -> Iterator[None]:
    """
    Give Airflow another database, and lead all AWS clients to an endpoint, until the end of the context.

    :param home: The folder for the database. If Airflow is not yet imported, and the user has not set
        ``AIRFLOW_HOME``, also Airflow's home.
    :param endpoint_url: The endpoint URL for every AWS service.
    """
    (home / "dags").mkdir(parents=True, exist_ok=True)
    path = list(sys.path)
    # Not the one that a home has by default, which may be this folder.
    database = home / "testing.db"
    with ExitStack() as stack:
        if "airflow" not in sys.modules:
            # At the very end, when the environment is the user's again.
            stack.callback(_use_own_settings)
        stack.enter_context(_environment(home, database, endpoint_url))
        # What is looked up for DAGs in the empty folder.
        stack.callback(sys.path.__setitem__, slice(None), path)
        stack.enter_context(_no_secrets_backends())
        stack.enter_context(_database(database))
        yield


@contextmanager
def _environment(home: Path, database: Path, endpoint_url: str) -> Iterator[None]:
    with mock.patch.dict(os.environ):
        for name in list(os.environ):
            # Neither a user's account nor their secrets backend may be asked.
            if name.startswith(("AWS_", "AIRFLOW__SECRETS__", "AIRFLOW__WORKERS__SECRETS_BACKEND")):
                del os.environ[name]
        if "airflow" not in sys.modules:
            os.environ.setdefault("AIRFLOW_HOME", str(home))
        bundle = {
            "name": BUNDLE,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(home / "dags")},
        }
        os.environ.update(dict.fromkeys(_SECRETS_BACKENDS, ""))
        os.environ.update(
            AIRFLOW__CORE__DAGS_FOLDER=str(home / "dags"),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps([bundle]),
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{database}",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC=f"sqlite+aiosqlite:///{database}",
            # Airflow 3.1 does not start its task API without one, although no process asks for a token here.
            AIRFLOW__API_AUTH__JWT_SECRET=secrets.token_hex(32),
            AWS_ACCESS_KEY_ID=ACCESS_KEY["login"],
            AWS_SECRET_ACCESS_KEY=ACCESS_KEY["password"],
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            AWS_EC2_METADATA_DISABLED="true",
            AWS_DEFAULT_REGION=REGION,
            AWS_ENDPOINT_URL=endpoint_url,
        )
        yield


@contextmanager
def _no_secrets_backends() -> Iterator[None]:
    """Have Airflow ask none of the user's secrets backends, even if it has made them already."""
    with ExitStack() as stack:
        for name in ("airflow.configuration", "airflow.sdk.configuration"):
            try:
                module = importlib.import_module(name)
            except ModuleNotFoundError:
                # The second one is not there until Airflow 3.1.
                continue
            if hasattr(module, "secrets_backend_list"):
                made = module.initialize_secrets_backends()
                stack.enter_context(mock.patch.object(module, "secrets_backend_list", made))
            if isinstance(made_later := getattr(module, "_secrets_backend_cache", None), dict):
                stack.enter_context(mock.patch.dict(made_later, clear=True))
        yield


def _use_own_settings() -> None:
    """Have an Airflow that was imported for the kit leave the kit's database for the user's."""
    settings: Any = sys.modules.get("airflow.settings")
    if settings is None:
        return
    with quiet_airflow():
        try:
            settings.configure_vars()
            settings.prepare_syspath_for_config_and_plugins()
            settings.configure_orm()
        except Exception:
            # For instance, the driver of their database is not installed. Rather none than the kit's.
            vars(settings).update(dict.fromkeys(_ENGINES))


@contextmanager
def _database(path: Path) -> Iterator[None]:
    """Have Airflow use a database, which is made if it is not there; then the former one again."""
    import airflow.settings

    # Some of its functions have no types.
    settings: Any = airflow.settings
    former = _held()
    if path not in _OPENED:
        settings.configure_vars()
        settings.configure_orm()
        _OPENED[path] = _held()
    vars(settings).update(_OPENED[path])
    try:
        if not path.exists() or not path.stat().st_size:
            with quiet_airflow():
                _make_database()
        yield
    finally:
        settings.Session.remove()
        settings.engine.dispose()
        vars(settings).update(former)


def _held() -> dict[str, Any]:
    from airflow import settings

    return {name: vars(settings)[name] for name in _ORM if name in vars(settings)}


def _make_database() -> None:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.db import initdb

    initdb()
    bundles: Any = DagBundlesManager
    bundles().sync_bundles_to_db()


@contextmanager
def quiet_airflow() -> Iterator[None]:
    """Leave out what Airflow and its parts warn of themselves, which a test may make errors of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=rf"({'|'.join(_PARTS)})(\.|$)")
        yield


def set_connection(conn_id: str, connection: Mapping[str, Any]) -> None:
    """Store a connection in the environment, where Airflow looks before it asks its database."""
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
