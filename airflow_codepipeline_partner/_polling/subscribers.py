# SPDX-License-Identifier: Apache-2.0
"""The subscribers of a shared poller: who waits, and for what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from airflow_codepipeline_partner._client_conn_ids import DEFAULT_TEMPLATE
from airflow_codepipeline_partner._polling.next_job_filter import NextJobFilter
from airflow_codepipeline_partner._polling.redelivery import Redelivery
from airflow_codepipeline_partner._polling.repeats import Repeats
from airflow_codepipeline_partner._protocol.jobs import OfferedJob


@dataclass(eq=False)
class Subscriber:
    """
    One that waits for jobs.

    :param max_batch_size: Most jobs at once.
    :param poll_interval: Seconds between two polls.
    :param wake_queue: The URL of an SQS queue that says when to poll besides.
    """

    max_batch_size: int
    poll_interval: float
    wake_queue: str | None = field(default=None, kw_only=True)


@dataclass(eq=False)
class JobWaiter(Subscriber):
    """
    Waits for jobs once, until a deadline.

    :param deadline: In seconds since the epoch.
    :param retry_deadline: For how many seconds CodePipeline may fail to answer.
    :param joined_at: When it subscribed, by the monotonic clock.
    :param offer: The jobs, when they come.
    :param next_job: The next job that it waits for; None if it takes any job.
    :param template: The template of the connections in which it looks for clients' tokens.
    :param has_seen_a_poll: Whether the deadline counts.
    """

    deadline: float
    retry_deadline: float
    joined_at: float
    offer: asyncio.Future[list[OfferedJob]]
    next_job: NextJobFilter | None = None
    template: str = DEFAULT_TEMPLATE
    has_seen_a_poll: bool = False

    def end(self, error: Exception) -> None:
        """End the wait with an error, if it has not ended."""
        if not self.offer.done():
            self.offer.set_exception(error)


@dataclass(eq=False)
class JobWatcher(Subscriber):
    """
    Gets all jobs, for ever. A job that stays unclaimed is delivered again, less and less often.

    :param offers: The jobs of each event.
    """

    offers: asyncio.Queue[list[OfferedJob]] = field(default_factory=asyncio.Queue)
    _collected: dict[str, OfferedJob] = field(default_factory=dict)
    _redelivery: Redelivery = field(default_factory=Redelivery)
    _repeats: Repeats[OfferedJob] = field(default_factory=lambda: Repeats(lambda job: job.job_id))

    def collect(self, jobs: Iterable[OfferedJob], now: float) -> bool:
        """Collect the jobs that are not held back, and return whether there were any."""
        offered = {job.job_id: job for job in jobs}
        due = self._redelivery.due(offered.values(), now)
        # A newer offer of a custom job may have made the nonce of the last one stale.
        self._repeats.renew(offered.values())
        known = {job_id: offered[job_id] for job_id in offered.keys() & self._collected.keys()}
        self._collected |= known | {job.job_id: job for job in due}
        return bool(due)

    def deliver(self, now: float) -> None:
        """Make an event of the collected jobs, or of those that Airflow may have overlooked if it is time."""
        if self._collected:
            jobs, self._collected = list(self._collected.values()), {}
            self._repeats.note_event(jobs, now)
            self.offers.put_nowait(jobs)
        elif jobs := self._repeats.take(now):
            self.offers.put_nowait(jobs)

    def seconds_left(self, now: float) -> float:
        """Return the seconds until jobs are delivered that Airflow may have overlooked; infinite without."""
        return self._repeats.seconds_left(now)
