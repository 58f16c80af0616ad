# SPDX-License-Identifier: Apache-2.0
"""
When a watcher last polled, and what went wrong last, for the page that shows jobs.

Only the triggerer's process knows that. Airflow's store for the state of an asset, which the page can read,
holds it from Airflow 3.3.2 on. Nothing is decided by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_codepipeline_partner._compat import AssetStateStore
from airflow_codepipeline_partner._polling.clock import SYSTEM_CLOCK, PollingClock

log = logging.getLogger(__name__)

#: What the keys in the store begin with; the action type follows.
POLLS_KEY = "codepipeline_polls:"
#: Seconds between two looks at what the poller did, and between two notes if nothing else is to be said.
LOOK_INTERVAL, NOTE_INTERVAL = 5.0, 60.0
#: Characters of an error that are kept.
MAX_ERROR = 300


@dataclass(frozen=True)
class PollOutcome:
    """
    How the newest poll ended.

    :param at: When, in seconds since the epoch.
    :param error: What went wrong, or None. It holds no secret.
    """

    at: float
    error: str | None = None


class PollNotes:
    """
    Notes the outcome of polls in the store of a watched asset.

    :param store: The store.
    :param action_type: What is polled for, as ``category/owner/provider/version``.
    :param outcome: Returns how the newest poll ended; None if there was none.
    :param clock: The time.
    """

    def __init__(
        self,
        store: AssetStateStore,
        action_type: str,
        outcome: Callable[[], PollOutcome | None],
        clock: PollingClock = SYSTEM_CLOCK,
    ) -> None:
        self._store = store
        self._key = f"{POLLS_KEY}{action_type}"
        self._outcome = outcome
        self._clock = clock
        self._noted: PollOutcome | None = None
        self._noted_at = float("-inf")
        self._trouble: dict[str, Any] = {"error": None, "error_at": None}

    async def keep(self) -> None:
        """Note each outcome, until this is cancelled or the store is of no use."""
        while await self.look():
            await self._clock.pause(asyncio.Event(), LOOK_INTERVAL)

    async def look(self) -> bool:
        """Note the newest outcome, if it is time; return whether the store can be used again."""
        newest = self._outcome()
        now = self._clock.monotonic()
        if newest is None or newest == self._noted:
            return True
        at = datetime.fromtimestamp(newest.at, UTC).isoformat()
        if newest.error is not None:
            self._trouble = {"error": newest.error[:MAX_ERROR], "error_at": at}
        has_changed = self._noted is None or self._noted.error != newest.error
        if not has_changed and now - self._noted_at < NOTE_INTERVAL:
            return True
        try:
            await self._store.aset(self._key, {"polled_at": at, **self._trouble})
        except ValueError:
            # Airflow's answer if several assets have this watcher.
            return False
        except Exception as error:
            # Of whatever kind. The next note is tried when it is due, as if this one had been written.
            log.debug("The outcome of a poll is not noted: %s.", type(error).__name__)
        self._noted, self._noted_at = newest, now
        return True


@asynccontextmanager
async def noting(
    store: AssetStateStore | None, action_type: str, outcome: Callable[[], PollOutcome | None]
) -> AsyncIterator[None]:
    """
    Note the outcomes of polls meanwhile; without a store, do nothing.

    :param store: The store of the watched asset, or None.
    :param action_type: What is polled for, as ``category/owner/provider/version``.
    :param outcome: Returns how the newest poll ended.
    """
    keeping = None
    if store is not None:
        keeping = asyncio.create_task(PollNotes(store, action_type, outcome).keep())
    try:
        yield
    finally:
        if keeping is not None:
            keeping.cancel()
