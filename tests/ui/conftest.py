# SPDX-License-Identifier: Apache-2.0
"""
The page in this process, over a database with jobs that a test makes up.

Airflow's simple auth manager knows roles only. Its subclass here knows which DAGs a user may read, and what
of them: users log in with real tokens, and Airflow's own filters ask it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from ui_jobs import DENIED, QUESTIONS, READABLE, JobMaker, clear_database

with warnings.catch_warnings():
    # Starlette would like another library for the tests of apps. Airflow imports this, too.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


@pytest.fixture
def session(airflow_database: None) -> Iterator[Any]:
    from airflow.utils.session import create_session

    with create_session() as session:
        clear_database(session)
        session.commit()
        yield session
        session.rollback()
        clear_database(session)


@pytest.fixture
def jobs(session: Any) -> JobMaker:
    return JobMaker(session)


def _manager_class() -> Any:
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    class PerDagAuthManager(SimpleAuthManager):
        def is_authorized_dag(
            self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None
        ) -> bool:
            readable = READABLE[user.username]
            what = "DAG" if access_entity is None else access_entity.value
            name = details.id if details else None
            if {what, f"{what} of {name}"} & DENIED.get(user.username, set()):
                return False
            return method == "GET" and (readable is None or (details and details.id in readable))

        def batch_is_authorized_dag(self, requests: Any, *, user: Any) -> bool:
            QUESTIONS.append(user.username)
            allowed: bool = super().batch_is_authorized_dag(requests, user=user)
            return allowed

        def is_authorized_asset(self, *, method: Any, user: Any, details: Any = None) -> bool:
            return method == "GET" and "ASSET" not in DENIED.get(user.username, set())

        def is_authorized_view(self, *, access_view: Any, user: Any) -> bool:
            return user.username != "nobody"

    return PerDagAuthManager


@pytest.fixture
def log_in(session: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a browser of a user who is logged in; without a name, of somebody who is not."""
    from airflow.api_fastapi import app as airflow_app

    from airflow_codepipeline_partner.ui import plugin

    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "of-the-tests-and-long-enough-for-its-algorithm-" * 2)
    # As Airflow's API server starts it.
    monkeypatch.setattr(airflow_app, "get_auth_manager_cls", _manager_class)
    airflow_app.purge_cached_app()
    manager = airflow_app.create_auth_manager()
    root = FastAPI()
    root.mount(plugin.URL_PREFIX, plugin.CodePipelineJobsPlugin.fastapi_apps[0]["app"])

    def log_in_as(name: str | None = "admin", root_path: str = "") -> TestClient:
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

        address = f"http://airflow.test{root_path}{plugin.URL_PREFIX}"
        client = TestClient(root, base_url=address, root_path=root_path)
        if name is not None:
            token = manager.generate_jwt(SimpleAuthManagerUser(username=name, role="viewer"))
            client.cookies.set("_token", token)
        return client

    yield log_in_as
    airflow_app.purge_cached_app()


@pytest.fixture(autouse=True)
def nothing_is_denied() -> Iterator[None]:
    DENIED.clear()
    QUESTIONS.clear()
    yield
    DENIED.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            # Airflow, and what it is made of, may warn of themselves.
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            item.add_marker(pytest.mark.filterwarnings(r"error:::airflow_codepipeline_partner(\.|$)"))
