# SPDX-License-Identifier: Apache-2.0
"""What is to happen when, in simulated seconds."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any


class Agenda:
    """Do one thing after the other, each at its time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._entries: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, what: Callable[..., None], *arguments: Any) -> None:
        """Do something after some seconds; of two at the same time, the one that was given first."""
        heapq.heappush(self._entries, (self.now + seconds, next(self._numbers), what, arguments))

    def run(self, is_over: Callable[[], bool]) -> None:
        """Go on until it is over, or until nothing is left."""
        while self._entries and not is_over():
            self.now, _, what, arguments = heapq.heappop(self._entries)
            what(*arguments)
