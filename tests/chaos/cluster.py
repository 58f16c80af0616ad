# SPDX-License-Identifier: Apache-2.0
"""
A real Airflow with CeleryExecutor, two of each kind that may die, and settings that notice it soon.

And a second one, as small as it can be: LocalExecutor, and one of each part.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from demo.local_airflow import LocalAirflow
from tests.chaos.services import Services

HERE = Path(__file__).resolve().parent
WORKER = "celery worker"
COMPONENTS = ("api-server", "dag-processor", "scheduler", "scheduler", WORKER, WORKER)
#: Tasks at once, in each of the two workers.
SLOTS = 4
#: What makes a death noticed soon; Airflow's own values are in the comments.
SOON_NOTICED = {
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",  # a third of the timeout
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",  # 300
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",  # 10
    "SCHEDULER__JOB_HEARTBEAT_SEC": "2",  # 5
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",  # 30
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",  # 300
    "SCHEDULER__TASK_QUEUED_TIMEOUT": "30",  # 600
    "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",  # 120
    "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "60",  # 24 hours
    "TRIGGERER__JOB_HEARTBEAT_SEC": "2",  # 5
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",  # 30
}


def make_airflow(
    home: Path, services: Services, aws_endpoint: str, on_wait: Callable[[], None], *, triggerers: int = 2
) -> LocalAirflow:
    """
    Return the Airflow, which is yet to be started.

    :param home: A directory for all that it writes.
    :param services: Where its database and its queue are.
    :param aws_endpoint: Where CodePipeline is.
    :param on_wait: Called several times a second while waiting.
    :param triggerers: How many.
    """
    settings = {
        "CORE__EXECUTOR": "CeleryExecutor",
        # Airflow's own value, per scheduler; the pool says what runs at once. A task that its worker's death
        # leaves without a result in Celery holds a place in its scheduler until it is delivered again.
        "CORE__PARALLELISM": "32",
        "CORE__DEFAULT_POOL_TASK_SLOT_COUNT": str(2 * SLOTS),
        "CELERY__BROKER_URL": services.broker_url,
        "CELERY__RESULT_BACKEND": services.result_backend,
        "CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        "CELERY__WORKER_CONCURRENCY": str(SLOTS),
        "CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": services.key_prefix,
    }
    worker = ("--skip-serve-logs", "--without-mingle", "--without-gossip")
    own = ("--celery-hostname", "worker-{number}@%h", "--pid", str(home / "worker-{number}.pid"))
    return LocalAirflow(
        home,
        _copy_files(home),
        components=(*COMPONENTS, *["triggerer"] * triggerers),
        environment=_environment(settings, services, aws_endpoint),
        arguments={WORKER: (*worker, *own)},
        # Airflow's scheduler ends itself if two of them change a task at the same moment; a deployment with
        # two has a supervisor.
        supervised=("scheduler",),
        on_wait=on_wait,
    )


def make_second_airflow(
    home: Path, services: Services, aws_endpoint: str, on_wait: Callable[[], None], kinds: Iterable[str]
) -> LocalAirflow:
    """
    Return a second Airflow that polls for the same jobs, which is yet to be started.

    The names of its DAGs, tasks and runs are those of the first: each takes the other's jobs for its own
    unless it looks closely.

    :param home: As of :func:`make_airflow`, but another directory.
    :param services: As of :func:`make_airflow`, but another database.
    :param aws_endpoint: Where CodePipeline is.
    :param on_wait: Called several times a second while waiting.
    :param kinds: The kinds of jobs that it polls for.
    """
    settings = {"CORE__EXECUTOR": "LocalExecutor", "CORE__PARALLELISM": str(SLOTS)}
    home.mkdir()
    return LocalAirflow(
        home,
        _copy_files(home),
        environment={
            **_environment(settings, services, aws_endpoint),
            "CHAOS_KINDS": ",".join(kinds),
        },
        on_wait=on_wait,
    )


def _environment(settings: dict[str, str], services: Services, aws_endpoint: str) -> dict[str, str]:
    """Return the environment of an Airflow: these settings, and those that all have."""
    settings = {
        **settings,
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "DATABASE__SQL_ALCHEMY_CONN": services.database_url,
        **SOON_NOTICED,
    }
    aws = {
        "conn_type": "aws",
        "login": "AKIAEXAMPLE",
        "password": "example-secret",
        "extra": {"region_name": "us-east-1", "endpoint_url": aws_endpoint},
    }
    environment = {f"AIRFLOW__{name}": value for name, value in settings.items()}
    return environment | {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws)}


def _copy_files(home: Path) -> Path:
    """Copy the DAGs, so that nobody changes them and the checkout gets no cache."""
    dags = home / "dags"
    for source, copy in (("dags", dags), ("config", home / "config")):
        shutil.copytree(HERE / source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return dags
