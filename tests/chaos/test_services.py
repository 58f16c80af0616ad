# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
