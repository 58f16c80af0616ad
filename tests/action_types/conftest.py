# SPDX-License-Identifier: Apache-2.0
"""What the tests of action types share."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from action_type_server import DECLARATION, CodePipeline, Handler, Server
from botocore.retries.standard import ExponentialBackoff

from airflow_codepipeline_partner import cli


@pytest.fixture
def server(emulator) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.codepipeline = CodePipeline(emulator)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def codepipeline(server) -> CodePipeline:
    return server.codepipeline


@pytest.fixture(autouse=True)
def credentials(monkeypatch, tmp_path):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    # A second try is to follow at once.
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)


@pytest.fixture
def run(server, capsys) -> Callable[..., Any]:
    """Run a command against the server; return what it printed, on the standard output where it was done."""

    def call(*arguments: str, code: int = 0, said: str = "") -> Any:
        where = () if arguments[0] in ("policy", "template", "wake-queue") else ("--endpoint-url", server.url)
        assert cli.main(["action-type", *arguments, *where]) == code
        printed = capsys.readouterr()
        assert said in printed.err
        assert "Traceback" not in printed.err
        assert "planted-secret" not in printed.err + printed.out
        if code:
            assert printed.out == ""
        return printed.out if code == 0 else printed.err

    return call


@pytest.fixture
def file(tmp_path) -> Callable[..., str]:
    def write(text: str = DECLARATION, **replaced: str) -> str:
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "action-type.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def connection(server, monkeypatch):
    extra = {"region_name": "eu-north-1", "endpoint_url": server.url}
    connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "planted-secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(connection))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    # Those of the environment are to stay unused.
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    return "mine"
