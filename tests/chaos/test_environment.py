# SPDX-License-Identifier: Apache-2.0
"""What the chaos suite needs of the demo's modules: two components of a kind, and groups side by side."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from demo import environment
from demo.local_airflow import LocalAirflow
from demo.processes import Component
from demo.rest_api import AirflowFailed


def test_two_of_a_kind_have_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes back has the number that is free."""
    monkeypatch.setattr(Component, "start", lambda self: None)
    arguments = {"celery worker": ("--pid", "worker-{number}.pid")}
    airflow = LocalAirflow(tmp_path, tmp_path, arguments=arguments)
    first, second = (airflow.start_component("celery worker") for _ in range(2))
    assert [first.command[-1], second.command[-1]] == ["worker-1.pid", "worker-2.pid"]
    assert first.log != second.log
    airflow.kill(first)
    again = airflow.start_component("celery worker")
    assert (again.command[-1], again.log) == ("worker-1.pid", first.log)


def test_only_the_supervised_are_restarted_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Component, "start", lambda self: None)
    monkeypatch.setattr(
        Component, "exit_code", property(lambda self: 1 if any(self is each for each in ended) else None)
    )
    ended: list[Component] = []
    airflow = LocalAirflow(tmp_path, tmp_path, supervised=["scheduler"])
    airflow.start_component("scheduler")
    for _ in range(airflow.MOST_REVIVALS):
        ended = [airflow.components[0]]
        airflow.check_alive()
        [living] = airflow.components
        assert living.kind == "scheduler"
        assert living is not ended[0]
    assert airflow.revivals == ["airflow scheduler ended with exit code 1"] * airflow.MOST_REVIVALS
    ended = [airflow.components[0]]
    with pytest.raises(AirflowFailed, match="scheduler ended"):
        airflow.check_alive()
    airflow = LocalAirflow(tmp_path, tmp_path, supervised=["scheduler"])
    ended = [airflow.start_component("triggerer")]
    with pytest.raises(AirflowFailed, match="triggerer ended"):
        airflow.check_alive()


def test_after_a_blow_any_part_may_end_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Component, "start", lambda self: None)
    monkeypatch.setattr(
        Component, "exit_code", property(lambda self: 1 if any(self is each for each in ended) else None)
    )
    airflow = LocalAirflow(tmp_path, tmp_path)
    ended = [airflow.start_component("dag-processor")]
    airflow.expect_ends(60)
    airflow.check_alive()
    [successor] = airflow.components
    assert airflow.revivals == ["airflow dag-processor ended with exit code 1"]
    airflow.expect_ends(1)  # The longer time holds.
    ended = [successor]
    airflow.check_alive()
    monkeypatch.setattr(airflow, "_ends_expected_until", 0.0)
    ended = list(airflow.components)
    with pytest.raises(AirflowFailed, match="dag-processor ended"):
        airflow.check_alive()


def test_a_part_that_was_asked_to_end_keeps_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Component, "start", lambda self: None)
    asked: list[Component] = []
    monkeypatch.setattr(Component, "ask_itself_to_end", lambda self: asked.append(self))
    monkeypatch.setattr(Component, "exit_code", property(lambda self: 0 if self in asked else None))
    airflow = LocalAirflow(tmp_path, tmp_path)
    old = airflow.start_component("triggerer")
    airflow.begin_to_end(old)
    airflow.check_alive()
    assert asked == [old]
    assert (airflow.components, airflow.leaving) == ([], [old])
    assert airflow.start_component("triggerer").log != old.log
    airflow.kill(old)
    assert airflow.leaving == []
    assert airflow.start_component("triggerer").log == old.log


def test_a_component_is_asked_to_end_without_what_it_started(tmp_path: Path) -> None:
    child = "import time; print('child', flush=True); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    component = Component("test", [sys.executable, "-c", code], {}, tmp_path, tmp_path / "log")
    component.start()
    try:
        deadline = time.monotonic() + 30
        while "child" not in component.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        component.ask_itself_to_end()
        while component.exit_code is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert component.exit_code == -signal.SIGTERM
        assert component.members()
    finally:
        component.kill()
    assert not component.members()


def test_installed_groups_stay_and_are_not_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "constraints").mkdir()
    environment_pins = tmp_path / "constraints" / "airflow-1.txt"
    environment_pins.write_text("a==1\n")
    (tmp_path / "pyproject.toml").write_text("")
    made: list[Path] = []
    installed: list[list[str]] = []
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(
        environment, "_make_venv", lambda venv: (made.append(venv), venv.mkdir(parents=True, exist_ok=True))
    )
    monkeypatch.setattr(
        environment, "_install_package", lambda venv, airflow, groups, *more: installed.append(groups)
    )
    environment.install("1", ["dev", "chaos"])
    for groups in (["dev"], ["chaos"], ["dev", "chaos"]):
        environment.install("1", groups)
    assert installed == [["chaos", "dev"]]
    (tmp_path / "pyproject.toml").write_text("changed")
    environment.install("1", ["dev"])
    assert installed[1:] == [["chaos", "dev"]]
    assert len(made) == 1
    environment_pins.write_text("a==2\n")
    environment.install("1", ["dev"])
    assert installed[2:] == [["dev"]]
    assert len(made) == 2
