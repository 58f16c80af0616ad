# SPDX-License-Identifier: Apache-2.0
"""
Which jobs a watcher's event says once more.

Airflow starts one run for events of an asset that come close together. That run has only the first of them:
the others wait for the next event, however long that takes. So the jobs of an event that came soon after
another one are said again, unless further events come anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_codepipeline_partner._protocol.jobs import OfferedJob

#: Within this time after an event another one may be overlooked, in seconds: Airflow's scheduler has made the
#: first one's run by then.
CLOSE = 30.0
#: When the jobs are said again, in seconds after the last event.
REPEAT_AFTER = (5.0, 20.0)
#: Of how many jobs at most.
MAX_REPEATED = 1000


@dataclass
class Overlooked:
    """A job that Airflow may have overlooked: since when, and how often it was said again."""

    job: OfferedJob
    since: float
    times: int = 0


class Repeats:
    """The jobs of one watcher that Airflow may have overlooked."""

    def __init__(self) -> None:
        self._last_event = float("-inf")
        self._overlooked: dict[str, Overlooked] = {}
        self._due: list[float] = []

    def note_event(self, jobs: Iterable[OfferedJob], now: float) -> None:
        """
        Note an event.

        :param jobs: Its jobs.
        :param now: By the monotonic clock.
        """
        if now - self._last_event < CLOSE:
            self._overlooked |= {job.job_id: Overlooked(job, now) for job in jobs}
            self._due = [now + seconds for seconds in REPEAT_AFTER]
        self._last_event = now
        self._forget(now)

    def renew(self, jobs: Iterable[OfferedJob]) -> None:
        """Take over what is new in a newer offer, such as the nonce."""
        for job in jobs:
            if job.job_id in self._overlooked:
                self._overlooked[job.job_id].job = job

    def seconds_left(self, now: float) -> float:
        """Return the seconds until jobs are said again; infinite if there are none."""
        return self._due[0] - now if self._due else float("inf")

    def take(self, now: float) -> list[OfferedJob]:
        """Return the jobs to say again now, if it is time."""
        if not self._due or now < self._due[0]:
            return []
        self._due.pop(0)
        self._forget(now)
        jobs = [each.job for each in self._overlooked.values()]
        for each in self._overlooked.values():
            each.times += 1
        if jobs:
            self._last_event = now
        return jobs

    def _forget(self, now: float) -> None:
        """Forget what was said often enough, or so long ago that later events were heard of since."""
        kept = {
            job_id: each
            for job_id, each in self._overlooked.items()
            if now - each.since <= CLOSE and each.times < len(REPEAT_AFTER)
        }
        self._overlooked = dict(list(kept.items())[-MAX_REPEATED:])
        if not kept:
            self._due = []
