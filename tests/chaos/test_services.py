# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.local_airflow import free_port
from tests.chaos import services

NO_SERVICES = """
import sys
from tests.chaos import services
services.POSTGRESQL_PORT, services.REDIS_PORT = {ports}
sys.argv = ["run.py"]
from tests.chaos.run import main
sys.exit(main())
"""


@pytest.mark.parametrize(("in_ci", "exit_code"), [(False, 3), (True, 1)])
def test_without_services_it_names_them_and_is_never_green(in_ci: bool, exit_code: int) -> None:
    ports = free_port(), free_port()
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    ended = subprocess.run(
        [sys.executable, "-c", NO_SERVICES.format(ports=ports)],
        env=environ | ({"CI": "true"} if in_ci else {}),
        cwd=Path(services.__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == exit_code
    for name, port in zip(("PostgreSQL", "Redis"), ports, strict=True):
        assert f"{name} is missing: nothing answers on 127.0.0.1:{port}" in ended.stderr
    assert "docker compose up" in ended.stderr


def test_one_run_and_the_next_share_nothing() -> None:
    first, second = services.Services(), services.Services()
    assert first.name != second.name
    assert first.name in first.database_url
    assert first.key_prefix.startswith(first.name)
    assert f"//{first.name}:" in first.broker_url


def test_only_connections_of_the_run_are_cut() -> None:
    # Of the suite's group, which other tests do without.
    psycopg2, redis = pytest.importorskip("psycopg2"), pytest.importorskip("redis")
    if services.missing_services():
        pytest.skip("needs PostgreSQL and Redis")
    with services.Services() as ours, services.Services() as others:
        clients = [redis.Redis.from_url(each.broker_url, retry=None) for each in (ours, others)]
        # One of its own, which stays.
        assert ours.query("SELECT 1") == [(1,)]
        databases = [psycopg2.connect(each.database_url.replace("+psycopg2", "")) for each in (ours, others)]
        for client in clients:
            client.ping()
        identities = [client.client_id() for client in clients]
        assert (ours.cut_queue(), ours.cut_database()) == (1, 1)
        assert [
            client.client_id() == identity for client, identity in zip(clients, identities, strict=True)
        ] == [
            False,
            True,
        ]
        assert [_can_ask(database, psycopg2.OperationalError) for database in databases] == [False, True]
        assert ours.query("SELECT 1") == [(1,)]
        for resource in (*clients, *databases):
            resource.close()


def _can_ask(database: Any, refusal: type[Exception]) -> bool:
    try:
        with database.cursor() as cursor:
            cursor.execute("SELECT 1")
    except refusal:
        return False
    return True
