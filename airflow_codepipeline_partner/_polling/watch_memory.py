# SPDX-License-Identifier: Apache-2.0
"""
What a watcher of executions keeps for its successor, after a restart of the triggerer for instance.

Airflow's store for the state of an asset holds it. Without a store, a watcher cannot know whether it is the
first one, or how long its predecessor has been away.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from datetime import UTC, datetime, timedelta

from airflow_codepipeline_partner._compat import AssetStateStore
from airflow_codepipeline_partner._polling.clock import SYSTEM_CLOCK, PollingClock
from airflow_codepipeline_partner._polling.execution_subscribers import Watched
from airflow_codepipeline_partner._protocol.execution_changes import LastLook
from airflow_codepipeline_partner.exceptions import InvalidInput

log = logging.getLogger(__name__)

#: What ended longer ago than this, in seconds, while nobody watched, is no news.
LONGEST_ABSENCE = 86_400.0
#: After this many seconds an event is in Airflow's database. Only then, and when it was said again if need
#: be, it is noted that it was made: if the triggerer dies before, it is made again.
STORED_AFTER = 5.0
#: Seconds between attempts to read the store.
_READ_AGAIN_AFTER = (1.0, 2.0)


class WatchMemory:
    """
    The memory of one watcher.

    :param store: Airflow's store for the watched asset, or None.
    :param pipeline: What is watched: the pipeline's name, the connection, the region and the states.
    :param look_back: Without a store, or with one that cannot be read: for how many seconds before its start
        the watcher looks back.
    :param clock: The time.
    """

    def __init__(
        self,
        store: AssetStateStore | None,
        pipeline: tuple[str | None, ...],
        look_back: float,
        clock: PollingClock = SYSTEM_CLOCK,
    ) -> None:
        self._store = store
        # Two pipelines may be watched for one asset.
        self._key = f"codepipeline_executions:{hashlib.sha256(json.dumps(pipeline).encode()).hexdigest()}"
        self._look_back = look_back
        self._clock = clock
        self._noted: LastLook | None = None
        self._stored: LastLook | None = None
        self._said_at = float("-inf")
        self._has_warned = False

    async def recall(self) -> LastLook | None:
        """Return the last look of the predecessor; None if there was none: what has ended is no news then."""
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        if self._store is not None:
            try:
                stored = await self._read(self._store)
                if stored is None:
                    return None
                return self._within_reach(LastLook.from_stored(stored), now)
            except Exception as error:
                self._do_without(error)
        return LastLook(now - timedelta(seconds=self._look_back)) if self._look_back else None

    async def _read(self, store: AssetStateStore) -> object:
        for pause in _READ_AGAIN_AFTER:
            try:
                return await store.aget(self._key)
            except ValueError:
                raise
            except Exception:
                # What it holds is lost if a fault that passes is taken for an answer.
                await asyncio.sleep(pause)
        return await store.aget(self._key)

    async def note(self, watched: Watched) -> None:
        """
        Note a look for the successor, before the event that it makes.

        :param watched: What the watcher hears of the look.
        """
        now = self._clock.monotonic()
        # What it has to say is not stored in Airflow yet.
        done = self._noted if watched.executions else watched.last_look
        if (
            self._store is not None
            and watched.is_over
            and now - self._said_at >= STORED_AFTER
            and done not in (None, self._stored)
        ):
            try:
                await self._store.aset(self._key, done.to_stored())
                self._stored = done
            except Exception as error:
                self._do_without(error)
        self._noted = watched.last_look
        if watched.executions:
            self._said_at = now

    def _within_reach(self, last: LastLook, now: datetime) -> LastLook:
        earliest = now - timedelta(seconds=LONGEST_ABSENCE)
        if last.until >= earliest:
            return last
        return LastLook(earliest, last.open_ids)

    def _do_without(self, error: Exception) -> None:
        """Say once why the store is of no use; a fault that passes is tried again at the next look."""
        if isinstance(error, ValueError) and not isinstance(error, InvalidInput):
            # Airflow's answer if several assets have this watcher.
            self._store = None
        if not self._has_warned:
            self._has_warned = True
            why = str(error) if isinstance(error, InvalidInput) else f"{type(error).__name__}."
            log.warning("What the watcher of a pipeline knows cannot be kept in Airflow's store: %s", why)
