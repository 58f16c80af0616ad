# SPDX-License-Identifier: Apache-2.0
"""
How many computations in threads begin at once.

The threads of an event loop's process take turns with the loop, each for 5 ms. A look-up computes for 2 ms,
and waits for the network else. So few of them may be young at the same time, but one that gets no answer
holds up nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

#: How many may be young at once, and for how long one is, in seconds.
MOST_YOUNG = 4
YOUNG_FOR = 0.05


class YoungTurns:
    """
    Let computations begin in the order in which they came, some at a time.

    :param most: How many may be young at once.
    :param seconds: For how long one is.
    """

    def __init__(self, most: int = MOST_YOUNG, seconds: float = YOUNG_FOR) -> None:
        self._places = asyncio.Semaphore(most)
        self._seconds = seconds

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn. It ends with the block, or when it is no longer young."""
        await self._places.acquire()
        is_young = True

        def grow_old() -> None:
            nonlocal is_young
            if is_young:
                is_young = False
                self._places.release()

        timer = asyncio.get_running_loop().call_later(self._seconds, grow_old)
        try:
            yield
        finally:
            timer.cancel()
            grow_old()
