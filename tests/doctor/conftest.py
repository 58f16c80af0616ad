# SPDX-License-Identifier: Apache-2.0
"""What the tests of the doctor share: the command, and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_codepipeline_partner import cli
from airflow_codepipeline_partner.doctor import aws_access, checks
from airflow_codepipeline_partner.doctor.airflow_database import AirflowDatabase
from airflow_codepipeline_partner.doctor.aws_access import AwsAccess
from airflow_codepipeline_partner.doctor.findings import CannotCheck

PLANTED = ("planted-secret", "planted-token")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """No AWS configuration of the user's, no second attempts, and a process that is no API server."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    monkeypatch.setattr(aws_access, "ATTEMPTS", 1)


@pytest.fixture
def database(rows):
    return AirflowDatabase(20)


class AwayDatabase(AirflowDatabase):
    """Airflow's database, where there is none."""

    def is_there(self) -> bool:
        raise CannotCheck(
            "Airflow's database could not be read (OperationalError).", "Run airflow db migrate."
        )


@pytest.fixture
def no_database(monkeypatch):
    monkeypatch.setattr(checks, "AirflowDatabase", AwayDatabase)


@pytest.fixture
def connect(monkeypatch) -> Callable[..., AwsAccess]:
    """Store the connection ``aws_default``, and return what reaches AWS by it."""

    def store(url: str | None, *, is_partner: bool = False, **changed: Any) -> AwsAccess:
        extra = {"region_name": "us-east-1", "endpoint_url": url, **changed.pop("extra", {})}
        connection = {
            "conn_type": "aws",
            "login": "AKIAPLANTED",
            "password": "planted-secret",
            "extra": {name: value for name, value in extra.items() if value is not None},
            **changed,
        }
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        return AwsAccess("aws_default", None, is_partner=is_partner)

    return store


@pytest.fixture
def aws(emulator, connect) -> AwsAccess:
    return connect(emulator.url)


@pytest.fixture
def declared(emulator):
    """The action type of the tests, in the emulator."""
    emulator.add_action_type("Build/Custom/Airflow/1")


@pytest.fixture
def doctor(capsys) -> Callable[..., Any]:
    """Run the command; return its JSON, or, with ``text=True``, what it printed."""

    def call(*arguments: str, code: int | None = None, text: bool = False) -> Any:
        ended = cli.main(["doctor", *arguments, *(() if text else ("--json",))])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        for secret in PLANTED:
            assert secret not in printed.out + printed.err
        if code is not None:
            assert ended == code, printed.out
        return printed.out if text else json.loads(printed.out)

    return call
