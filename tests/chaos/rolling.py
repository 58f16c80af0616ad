# SPDX-License-Identifier: Apache-2.0
"""A rolling restart, as of a deploy: each part ends by SIGTERM, and the next waits for its successor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from demo.local_airflow import LocalAirflow
from demo.processes import Component
from demo.rest_api import AirflowFailed

#: In the order of the restart: the server goes first, as it must know what the others may ask of it.
ORDER = ("api-server", "dag-processor", "scheduler", "triggerer", "celery worker")
#: For a normal end; a Celery worker waits for its tasks. What runs after it is killed.
GRACE_SECONDS = 20.0
#: Until a successor is up; they take about 10 s on an idle machine.
UP_SECONDS = 180.0


class RollingRestart:
    """
    Restart all parts, one after the other.

    A part that is killed meanwhile is left to who killed it.

    :param airflow: Whose parts.
    :param watch: Called before a component is started. What it returns shows whether that component is up.
    :param before_kill: Called with a component whose time is over, before it is killed.
    :param clock: Seconds.
    """

    def __init__(
        self,
        airflow: LocalAirflow,
        watch: Callable[[str], Callable[[Component], bool]],
        before_kill: Callable[[Component], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._airflow = airflow
        self._watch = watch
        self._before_kill = before_kill
        self._clock = clock

    def steps(self) -> Iterator[str | None]:
        """
        Yield while there is something to wait for: what was done, for people, or None.

        :raises AirflowFailed: A successor was not up in time.
        """
        old = sorted(self._airflow.components, key=lambda component: ORDER.index(component.kind))
        for component in old:
            if not self._is_there(component):
                continue
            yield from self._end(component)
            is_up = self._watch(component.kind)
            successor = self._airflow.start_component(component.kind)
            deadline = self._clock() + UP_SECONDS
            while self._is_there(successor) and not is_up(successor):
                if self._clock() >= deadline:
                    raise AirflowFailed(
                        f"airflow {successor.kind} was not up {UP_SECONDS:g} s after its start", successor.log
                    )
                yield None
            yield f"{successor.log.stem} is up again"

    def _end(self, component: Component) -> Iterator[str | None]:
        self._airflow.begin_to_end(component)
        deadline = self._clock() + GRACE_SECONDS
        while component.exit_code is None or component.members():
            if self._clock() >= deadline:
                self._before_kill(component)
                yield f"{component.log.stem} had not ended after {GRACE_SECONDS:g} s, and is killed"
                break
            yield None
        self._airflow.kill(component)

    def _is_there(self, component: Component) -> bool:
        return any(component is each for each in self._airflow.components)
