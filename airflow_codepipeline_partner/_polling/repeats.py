# SPDX-License-Identifier: Apache-2.0
"""
What a watcher's event says once more: jobs, or executions that have ended.

Airflow starts one run for events of an asset that come close together. That run has only the first of them:
the others wait for the next event, however long that takes. So what an event said that came soon after
another one is said again, unless further events come anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

#: Within this time after an event another one may be overlooked, in seconds: Airflow's scheduler has made the
#: first one's run by then.
CLOSE = 30.0
#: When it is said again, in seconds after the last event.
REPEAT_AFTER = (5.0, 20.0)
#: Of how many jobs or executions at most.
MAX_REPEATED = 1000


@dataclass
class Overlooked(Generic[T]):
    """What Airflow may have overlooked: since when, and how often it was said again."""

    item: T
    since: float
    times: int = 0


class Repeats(Generic[T]):
    """
    What of one watcher's events Airflow may have overlooked.

    :param id_of: Returns the id of a job, or of an execution.
    """

    def __init__(self, id_of: Callable[[T], str]) -> None:
        self._id_of = id_of
        self._last_event = float("-inf")
        self._overlooked: dict[str, Overlooked[T]] = {}
        self._due: list[float] = []

    def note_event(self, items: Iterable[T], now: float) -> None:
        """
        Note an event.

        :param items: Its jobs or executions.
        :param now: By the monotonic clock.
        """
        if now - self._last_event < CLOSE:
            self._overlooked |= {self._id_of(item): Overlooked(item, now) for item in items}
            self._due = [now + seconds for seconds in REPEAT_AFTER]
        self._last_event = now
        self._forget(now)

    def renew(self, items: Iterable[T]) -> None:
        """Take over what is new in a newer offer, such as the nonce."""
        for item in items:
            if (known := self._overlooked.get(self._id_of(item))) is not None:
                known.item = item

    def seconds_left(self, now: float) -> float:
        """Return the seconds until something is said again; infinite if there is nothing."""
        return self._due[0] - now if self._due else float("inf")

    def take(self, now: float) -> list[T]:
        """Return what to say again now, if it is time."""
        if not self._due or now < self._due[0]:
            return []
        self._due.pop(0)
        self._forget(now)
        items = [each.item for each in self._overlooked.values()]
        for each in self._overlooked.values():
            each.times += 1
        if items:
            self._last_event = now
        return items

    def _forget(self, now: float) -> None:
        """Forget what was said often enough, or so long ago that later events were heard of since."""
        kept = {
            item_id: each
            for item_id, each in self._overlooked.items()
            if now - each.since <= CLOSE and each.times < len(REPEAT_AFTER)
        }
        self._overlooked = dict(list(kept.items())[-MAX_REPEATED:])
        if not kept:
            self._due = []
