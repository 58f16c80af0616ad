# SPDX-License-Identifier: Apache-2.0
"""What the demo stands on: the search for secrets finds them, and no process outlives its component."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import sqlite3
import sys
import textwrap
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from demo import environment
from demo.environment import constraints_file
from demo.processes import Component, end_all, tail_of
from demo.rest_api import AirflowFailed, RestApi
from demo.secret_search import Hit, search

SECRET = 'token/with+signs="and"=more'
SECRETS = {"token": [SECRET], "other": ["another-secret-value"]}


@pytest.mark.parametrize(
    "text",
    [
        SECRET.encode(),
        quote(SECRET, safe="").encode(),
        json.dumps({"conf": SECRET}).encode(),
        base64.b64encode(b"user:" + SECRET.encode()),
        base64.b64encode(b"users:" + SECRET.encode() + b"!"),
        base64.urlsafe_b64encode(b"a user:" + SECRET.encode() + b"!!"),
    ],
)
def test_a_secret_is_found_however_it_is_written(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "task.log").write_bytes(b"before " + text + b" after\n")
    assert search(tmp_path, SECRETS) == [Hit("token", "logs/task.log")]


@pytest.mark.parametrize("value", [f"it is {SECRET}", zlib.compress(SECRET.encode())])
def test_a_secret_is_found_in_the_column_of_a_table(tmp_path: Path, value: object) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "airflow.db")) as database:
        database.execute("CREATE TABLE xcom (key TEXT, value BLOB)")
        database.execute("INSERT INTO xcom VALUES ('return_value', ?)", (value,))
        database.commit()
    assert Hit("token", "airflow.db, table xcom, column value") in search(tmp_path, SECRETS)


def test_a_deleted_secret_is_found_in_the_file_of_the_database(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "airflow.db")) as database:
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE xcom (value TEXT)")
        database.execute("INSERT INTO xcom VALUES (?)", (SECRET,))
        database.commit()
        database.execute("DELETE FROM xcom")
        database.commit()
    assert search(tmp_path, SECRETS) == [Hit("token", "airflow.db")]


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "task.log").write_text("token=*** and a job id\n")
    assert search(tmp_path, SECRETS) == []


def test_a_component_ends_with_children_in_other_groups(tmp_path: Path) -> None:
    component = _component(
        tmp_path,
        """
        import os, signal, time
        if os.fork() == 0:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(600)
        """,
    )
    component.start()
    _wait_for(lambda: component.log.read_text().count("ready") == 2)
    pids = [process.pid for process in component.members()]
    assert len(pids) == 2
    end_all([component], grace=0.2)
    assert component.members() == []
    assert component.exit_code is not None


def test_a_component_that_ends_in_time_is_not_killed(tmp_path: Path) -> None:
    component = _component(
        tmp_path,
        """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("ready", flush=True)
        time.sleep(600)
        """,
    )
    component.start()
    _wait_for(lambda: "ready" in component.log.read_text())
    end_all([component])
    assert component.exit_code == 7


def test_the_end_of_a_log_is_readable_whether_text_or_json(tmp_path: Path) -> None:
    error = {"exc_type": "InvalidClientToken", "exc_value": "refused"}
    entry = {"timestamp": "12:00", "level": "error", "event": "Task failed", "error_detail": [error]}
    log = tmp_path / "task.log"
    log.write_text(f"dropped\nplain\n{json.dumps(entry)}\n")
    assert tail_of(log, 2) == "plain\n12:00 ERROR Task failed\n    InvalidClientToken: refused"


def test_an_environment_is_never_made_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where its own Python comes first on the path.
    assert Path(sys.prefix) != Path(sys.base_prefix)
    commands: list[list[object]] = []
    monkeypatch.setattr(environment, "_run", lambda command, what: commands.append(command))
    environment._make_venv(Path("/nowhere/at/all"))
    python = Path(str(commands[0][0])).resolve()
    assert commands[0][1:] == ["-m", "venv", Path("/nowhere/at/all")]
    assert not Path(str(commands[0][0])).is_relative_to(sys.prefix)
    assert python.is_relative_to(Path(sys.base_prefix).resolve())


@pytest.mark.parametrize("airflow", ["3.1.8", "3.2.2", "3.3.2"])
def test_constraints_hold_names_and_versions_only(airflow: str) -> None:
    lines = constraints_file(airflow).read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert f"apache-airflow=={airflow}" in pinned
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._!]+", line) for line in pinned)


@pytest.fixture
def answers() -> Iterator[tuple[RestApi, list[int]]]:
    """A REST API that answers with these statuses, one after the other."""
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        api = RestApi(f"http://127.0.0.1:{server.server_port}", "nobody", "nothing")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield api, statuses
        server.shutdown()


def test_airflow_is_asked_again_where_its_server_fails(answers: tuple[RestApi, list[int]]) -> None:
    api, statuses = answers
    statuses += [500, 503, 200]
    assert api.call("GET", "/dags", authorized=False) == {}
    assert statuses == []


def test_airflow_is_not_asked_for_ever(answers: tuple[RestApi, list[int]]) -> None:
    api, statuses = answers
    statuses += [500] * 9
    with pytest.raises(AirflowFailed, match="GET /api/v2/dags was answered with 500"):
        api.call("GET", "/dags", authorized=False)
    assert len(statuses) == 4


def test_what_airflow_refuses_is_not_asked_again(answers: tuple[RestApi, list[int]]) -> None:
    api, statuses = answers
    statuses += [409, 200]
    with pytest.raises(AirflowFailed, match="409"):
        api.call("GET", "/dags", authorized=False)
    assert statuses == [200]


def _component(directory: Path, code: str) -> Component:
    return Component(
        kind="test",
        command=[sys.executable, "-c", textwrap.dedent(code)],
        environment=dict(os.environ),
        directory=directory,
        log=directory / "component.log",
    )


def _wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
