# SPDX-License-Identifier: Apache-2.0
"""When a job that stays unclaimed is delivered to a job watcher again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from airflow_codepipeline_partner._protocol.jobs import OfferedJob

#: For how many seconds a job that stays unclaimed is not delivered again to a job watcher; doubled each time.
FIRST_REDELIVERY_WAIT = 30.0
#: A partner's action has an hour, and what keeps it from its claim may be mended in its last minutes. Each
#: offer of a custom job makes former nonces stale, so a claim that came too late needs a newer offer.
MAX_REDELIVERY_WAIT = 300.0


@dataclass(eq=False)
class Redelivery:
    """The jobs that one job watcher has got, and from when on it may get each of them again."""

    # Job id → when it may be delivered again, and the wait after that.
    _delivered: dict[str, tuple[float, float]] = field(default_factory=dict)

    def due(self, jobs: Iterable[OfferedJob], now: float) -> list[OfferedJob]:
        """
        Return the jobs to deliver now: the new ones, and those whose wait is over.

        :param jobs: The jobs that a poll offered.
        :param now: By the monotonic clock.
        """
        due = []
        for job in jobs:
            again_at, wait = self._delivered.get(job.job_id, (now, FIRST_REDELIVERY_WAIT))
            if now >= again_at:
                due.append(job)
                self._delivered[job.job_id] = now + wait, min(2 * wait, MAX_REDELIVERY_WAIT)
        if due:
            # A job that was not offered for so long is gone.
            long_ago = now - 2 * MAX_REDELIVERY_WAIT
            self._delivered = {
                job_id: entry for job_id, entry in self._delivered.items() if entry[0] > long_ago
            }
        return due
