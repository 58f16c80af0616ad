# SPDX-License-Identifier: Apache-2.0
"""An Airflow for tests: a database of its own, and an environment in which nothing leaves this machine."""

from __future__ import annotations

import atexit
import base64
import functools
import importlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
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
#: How the variables begin that lead Airflow, or boto3, to something of a user's.
_USERS_OWN = (
    *("AWS_", "OTEL_", "OPENLINEAGE_", "AIRFLOW__CORE__XCOM_BACKEND", "AIRFLOW__DATABASE__"),
    *("AIRFLOW__LOGGING__REMOTE_", "AIRFLOW__METRICS__", "AIRFLOW__OPENLINEAGE__", "AIRFLOW__SECRETS__"),
    *("AIRFLOW__TRACES__", "AIRFLOW__WORKERS__SECRETS_BACKEND"),
    *("AIRFLOW__EMAIL__", "AIRFLOW__SMTP__", "AIRFLOW__SENTRY__", "SENTRY_DSN"),
    *("AIRFLOW__STATE_STORE__", "AIRFLOW__WORKERS__STATE_STORE_BACKEND"),
)
#: Where Airflow keeps what it reads of an airflow.cfg, and how it counts.
_CONFIGURATIONS = ("airflow.configuration", "airflow.sdk.configuration")
_STATS = ("airflow._shared.observability.metrics.stats", "airflow.sdk._shared.observability.metrics.stats")
#: Functions that remember what they made by Airflow's settings, and variables that hold such a thing.
_MADE_BY_SETTINGS = (
    *(("airflow.models.crypto", "get_fernet"), ("airflow.sdk.crypto", "get_fernet")),
    *(("airflow.models.crypto", "_fernet"), ("airflow.state", "_backend_instance")),
    ("airflow.sdk.execution_time.context", "_get_worker_state_store_backend"),
    *(
        (module, function)
        for module in ("airflow.sdk.serde", "airflow.serialization.serde")
        for function in ("_get_patterns", "_get_regexp_patterns", "_match_glob", "_match_regexp")
    ),
)
#: What Airflow encrypts with in the kit's databases; the user's key is theirs.
_FERNET_KEY = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
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
        else:
            _forget_settings()
            stack.callback(_forget_settings)
            stack.enter_context(_no_config_file())
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
            # Nothing of a user's may be asked, or be sent anything.
            if name.startswith(_USERS_OWN):
                del os.environ[name]
        if "airflow" not in sys.modules:
            os.environ.setdefault("AIRFLOW_HOME", str(home))
        bundle = {
            "name": BUNDLE,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(home / "dags")},
        }
        os.environ.update(dict.fromkeys(_SECRETS_BACKENDS, ""))
        # An empty one: Airflow would fill one that is not there.
        config = home / "airflow-testing.cfg"
        config.touch()
        os.environ.update(
            AIRFLOW_CONFIG=str(config),
            AIRFLOW__CORE__DAGS_FOLDER=str(home / "dags"),
            AIRFLOW__CORE__FERNET_KEY=_FERNET_KEY,
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps([bundle]),
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{database}",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC=f"sqlite+aiosqlite:///{database}",
            # Airflow 3.1 does not start its task API without one, although no process asks for a token here.
            AIRFLOW__API_AUTH__JWT_SECRET=secrets.token_hex(32),
            AIRFLOW__OPENLINEAGE__DISABLED="True",
            AWS_ACCESS_KEY_ID=ACCESS_KEY["login"],
            AWS_SECRET_ACCESS_KEY=ACCESS_KEY["password"],
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            AWS_EC2_METADATA_DISABLED="true",
            AWS_DEFAULT_REGION=REGION,
            AWS_ENDPOINT_URL=endpoint_url,
        )
        yield


def _modules(names: Iterable[str]) -> Iterator[Any]:
    """Yield those modules that this version of Airflow has."""
    for name in names:
        with suppress(ModuleNotFoundError):
            yield importlib.import_module(name)


@contextmanager
def _no_config_file() -> Iterator[None]:
    """Have an Airflow that has read a user's airflow.cfg, and made what it names, go on without."""
    with ExitStack() as stack:
        for module in _modules(_CONFIGURATIONS):
            # What comes from the file; the defaults are elsewhere.
            stack.enter_context(mock.patch.dict(module.conf._sections, clear=True))
        for module in _modules(_STATS):
            stack.enter_context(mock.patch.multiple(module, _factory=None, _backend=None))
        _without_users_objects(stack)
        yield


def _without_users_objects(stack: ExitStack) -> None:
    """Take away the XCom backend, the exports of spans, and, of Airflow 3.1, counter and remote log."""
    from airflow.sdk.bases.xcom import BaseXCom

    for name, module in list(sys.modules.items()):
        held = vars(module).get("XCom") if name.startswith("airflow.") else None
        if isinstance(held, type) and issubclass(held, BaseXCom):
            stack.enter_context(mock.patch.object(module, "XCom", BaseXCom))
    spans: Any = sys.modules.get("opentelemetry.trace")
    exporting = getattr(getattr(spans, "_TRACER_PROVIDER", None), "_active_span_processor", None)
    if hasattr(exporting, "_span_processors"):
        stack.enter_context(mock.patch.object(exporting, "_span_processors", ()))
    logs: Any = sys.modules.get("airflow.logging_config")
    if "REMOTE_TASK_LOG" in vars(logs or object):
        stack.enter_context(mock.patch.object(logs, "REMOTE_TASK_LOG", None))
    stats: Any = getattr(sys.modules.get("airflow.stats"), "Stats", None)
    if isinstance(stats, type) and hasattr(stats, "_instance_pid"):
        no_stats = importlib.import_module("airflow.metrics.base_stats_logger").NoStatsLogger
        stack.enter_context(mock.patch.multiple(stats, instance=no_stats(), _instance_pid=os.getpid()))


@contextmanager
def _no_secrets_backends() -> Iterator[None]:
    """Have Airflow ask none of the user's secrets backends, even if it has made them already."""
    with ExitStack() as stack:
        for module in _modules(_CONFIGURATIONS):
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
            _read_own_config()
            settings.configure_vars()
            settings.prepare_syspath_for_config_and_plugins()
            settings.configure_orm()
        except Exception:
            # For instance, the driver of their database is not installed. Rather none than the kit's.
            vars(settings).update(dict.fromkeys(_ENGINES))


def _read_own_config() -> None:
    """Have Airflow read the user's airflow.cfg, which it has not read when it was imported."""
    configuration: Any = sys.modules["airflow.configuration"]
    path = configuration.get_airflow_config(configuration.AIRFLOW_HOME)
    configuration.AIRFLOW_CONFIG = path
    for module in _modules(_CONFIGURATIONS):
        if Path(path).exists():
            module.conf.read(path)
    _forget_settings()


def _forget_settings() -> None:
    """Have Airflow make anew what it makes by its settings, such as the keys of its database."""
    for name, remembers in _MADE_BY_SETTINGS:
        module = sys.modules.get(name)
        # Asked for as an attribute, what has moved would warn.
        held: Any = vars(module or object).get(remembers)
        if hasattr(held, "cache_clear"):
            held.cache_clear()
        elif held is not None and not callable(held):
            setattr(module, remembers, None)


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
