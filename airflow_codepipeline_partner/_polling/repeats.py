# SPDX-License-Identifier: Apache-2.0
"""
Which jobs a watcher's event says once more.

Airflow starts one run for events of an asset that come close together. That run has only the first of them:
the others wait for the next event, however long that takes. So the jobs of an event that came soon after
another one are said again, unless further events come anyway.
"""

from __future__ import annotations

from collections.abc import Iterable

from airflow_codepipeline_partner._protocol.jobs import OfferedJob

#: Within this time after an event another one may be overlooked, in seconds: Airflow's scheduler has made the
#: first one's run by then.
CLOSE = 30.0
#: When the jobs are said again, in seconds after the last event.
REPEAT_AFTER = (5.0, 20.0)
#: Of how many jobs at most.
MAX_REPEATED = 1000


class Repeats:
    """The jobs of one watcher that Airflow may have overlooked."""

    def __init__(self) -> None:
        self._last_event = float("-inf")
        self._overlooked: dict[str, OfferedJob] = {}
        self._due: list[float] = []

    def note_event(self, jobs: Iterable[OfferedJob], now: float) -> None:
        """
        Note an event.

        :param jobs: Its jobs.
        :param now: By the monotonic clock.
        """
        if now - self._last_event < CLOSE:
            self._overlooked |= {job.job_id: job for job in jobs}
            for job_id in list(self._overlooked)[:-MAX_REPEATED]:
                del self._overlooked[job_id]
            self._due = [now + seconds for seconds in REPEAT_AFTER]
        self._last_event = now

    def seconds_left(self, now: float) -> float:
        """Return the seconds until jobs are said again; infinite if there are none."""
        return self._due[0] - now if self._due else float("inf")

    def take(self, now: float) -> list[OfferedJob]:
        """Return the jobs to say again now, if it is time."""
        if not self._due or now < self._due[0]:
            return []
        self._due.pop(0)
        jobs = list(self._overlooked.values())
        if not self._due:
            self._overlooked = {}
        self._last_event = now
        return jobs
