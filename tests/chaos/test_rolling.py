# SPDX-License-Identifier: Apache-2.0
"""A rolling restart: one part after the other, each waits for its successor, and for a bounded time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.local_airflow import LocalAirflow
from demo.processes import Component
from demo.rest_api import AirflowFailed
from tests.chaos.rolling import GRACE_SECONDS, UP_SECONDS, RollingRestart


class World:
    """An Airflow without processes, whose clock goes on by a second at each look."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.happened: list[str] = []
        self.stubborn: list[Component] = []
        self.ended: list[Component] = []
        self.is_up = True
        monkeypatch.setattr(Component, "start", lambda component: self._note("start", component))
        monkeypatch.setattr(Component, "kill", lambda component: self._note("kill", component))
        monkeypatch.setattr(Component, "ask_itself_to_end", lambda component: self._end(component))
        monkeypatch.setattr(Component, "members", lambda component: [])
        monkeypatch.setattr(
            Component,
            "exit_code",
            property(lambda component: 0 if self._has(self.ended, component) else None),
        )
        self.airflow = LocalAirflow(folder, folder)
        for kind in ("scheduler", "celery worker", "api-server", "scheduler"):
            self.airflow.start_component(kind)
        self.happened.clear()

    def steps(self) -> Iterator[str | None]:
        restart = RollingRestart(
            self.airflow,
            lambda _: lambda _: self.is_up,
            lambda component: self._note("late", component),
            clock=self._tick,
        )
        return restart.steps()

    def _tick(self) -> float:
        self.now += 1
        return self.now

    def _end(self, component: Component) -> None:
        self._note("ask", component)
        if not self._has(self.stubborn, component):
            self.ended.append(component)

    def _note(self, what: str, component: Component) -> None:
        self.happened.append(f"{what} {component.log.stem}")

    @staticmethod
    def _has(these: list[Component], component: Component) -> bool:
        return any(each is component for each in these)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_parts_are_restarted_in_turn_the_server_first(world: World) -> None:
    said = [text for text in world.steps() if text]
    names = ("api-server", "scheduler", "scheduler-2", "celery-worker")
    assert world.happened == [f"{what} {name}" for name in names for what in ("ask", "kill", "start")]
    assert said == [f"{name} is up again" for name in names]
    assert world.airflow.leaving == []
    assert len(world.airflow.components) == 4


def test_one_that_does_not_end_is_killed(world: World) -> None:
    world.stubborn = [
        component for component in world.airflow.components if component.kind == "celery worker"
    ]
    said = [text for text in world.steps() if text]
    assert world.happened[-4:] == [f"{what} celery-worker" for what in ("ask", "late", "kill", "start")]
    assert f"celery-worker had not ended after {GRACE_SECONDS:g} s, and is killed" in said


def test_a_successor_that_does_not_come_up_is_a_failure(world: World) -> None:
    world.is_up = False
    with pytest.raises(AirflowFailed, match=f"api-server was not up {UP_SECONDS:g} s after"):
        list(world.steps())


def test_what_is_killed_meanwhile_is_left_to_who_killed_it(world: World) -> None:
    world.is_up = False
    steps = world.steps()
    next(steps)
    for kind in ("api-server", "scheduler"):
        # A successor that is waited for, and one whose turn is still to come.
        world.airflow.kill(next(each for each in world.airflow.components if each.kind == kind))
    world.is_up = True
    list(steps)
    assert [text for text in world.happened if text.startswith("ask")] == [
        "ask api-server",
        "ask scheduler-2",
        "ask celery-worker",
    ]
