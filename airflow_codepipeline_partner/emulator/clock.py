# SPDX-License-Identifier: Apache-2.0
"""The emulator's time, and what is due when."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable

from airflow_codepipeline_partner.emulator.errors import ControlError

END_OF_TIME = 253_402_300_800  # the year 10000, in seconds since the epoch; datetime goes no further


class Clock:
    """
    A clock that can be moved forward without waiting.

    :param wall: What the clock follows, in seconds since the epoch. Defaults to the machine's time; a
        constant function gives a clock that only :meth:`advance` moves.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._offset = 0.0

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return self._wall() + self._offset

    def advance(self, seconds: float) -> float:
        """
        Move the clock forward.

        :param seconds: Seconds, ≥ 0.
        :return: The new time in seconds since the epoch.
        :raises ControlError: The seconds are negative, or lead past the year 9999.
        """
        if seconds < 0:
            raise ControlError(f"a clock moves forward only, not by {seconds} seconds")
        if seconds >= END_OF_TIME - self.now():
            raise ControlError(f"time ends with the year 9999, before {seconds} seconds have passed")
        self._offset += seconds
        return self.now()


class Timers:
    """Keep what is due by its time, so that no call searches through all jobs."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()

    def at(self, due: float, action: Callable[[float], None]) -> None:
        """
        Note that something is due.

        :param due: When, in seconds since the epoch.
        :param action: What to do, called with ``due``. It must check whether it still applies: timers are
            never cancelled.
        """
        heapq.heappush(self._heap, (due, next(self._order), action))

    def run(self, now: float) -> None:
        """Do all that is due by now, in the order of time; also what this itself makes due."""
        while self._heap and self._heap[0][0] <= now:
            due, _, action = heapq.heappop(self._heap)
            action(due)
