# SPDX-License-Identifier: Apache-2.0
"""The time that a poller lives by, and its waits between two polls; tests have one of their own."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

#: The part by which an interval is varied, so that many pollers do not poll at the same moment.
JITTER = 0.1


class PollingClock:
    """The clocks of this machine."""

    def time(self) -> float:
        """Return the seconds since the epoch; deadlines that survive a restart are of this clock."""
        return time.time()

    def monotonic(self) -> float:
        """Return the seconds since some time, by a clock that nobody sets."""
        return time.monotonic()

    def vary(self, seconds: float) -> float:
        """Return an interval varied by a tenth."""
        return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing

    async def pause(self, changed: asyncio.Event, seconds: float) -> None:
        """
        Wait until something has changed, or until the time is over.

        :param changed: Set if a subscriber has joined. It is cleared.
        :param seconds: How long to wait; less than 0 is 0.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), max(seconds, 0.0))
        changed.clear()


SYSTEM_CLOCK = PollingClock()
