# SPDX-License-Identifier: Apache-2.0
"""Who waits at a poll hub, and for what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._protocol.jobs import OfferedJob

#: For how many seconds a watcher is not told again of a job that stays unclaimed; doubled each time.
FIRST_SILENCE_ABOUT_A_JOB = 30.0
MAX_SILENCE_ABOUT_A_JOB = 3600.0
#: The same for a custom job: with each offer the nonces of the former ones have gone stale, so that a claim
#: which came too late can only be made good by a newer one. A hundred runs (``assets.MAX_ATTEMPTS``) last so
#: for the 24 hours that a custom action may take.
MAX_SILENCE_ABOUT_A_CUSTOM_JOB = 900.0


@dataclass(eq=False)
class Subscriber:
    """
    Somebody who waits for jobs.

    :param max_batch_size: Most jobs at once.
    :param poll_interval: Seconds between two polls.
    """

    max_batch_size: int
    poll_interval: float


@dataclass(frozen=True)
class NextJobFilter:
    """
    What a task waits for that goes on with the next job of an action.

    :param client_id: Whose job it will be; None for a custom job.
    :param token: The continuation token that it will carry.
    :param doubtful_job_id: The job before it, where it is in doubt whether anybody has claimed that: if it is
        offered again, nobody has.
    :param aws: How CodePipeline is asked for the job's details.
    """

    client_id: str | None
    token: str
    aws: AwsParameters = field(compare=False)
    doubtful_job_id: str | None = None

    def concerns(self, job: OfferedJob, token: str | None) -> bool:
        """Tell whether the task that waits is to have a job, by the token that this carries."""
        return token == self.token or job.job_id == self.doubtful_job_id


@dataclass(eq=False)
class JobWaiter(Subscriber):
    """
    Waits once, for some jobs of its own, until a deadline.

    :param deadline: In seconds since the epoch.
    :param retry_deadline: For how many seconds CodePipeline may fail to answer.
    :param joined_at: When it came, by the monotonic clock.
    :param offer: Where the jobs go.
    :param continuation: The one job that it waits for, where it is not any.
    :param has_seen_a_poll: Whether the deadline counts.
    """

    deadline: float
    retry_deadline: float
    joined_at: float
    offer: asyncio.Future[list[OfferedJob]]
    continuation: NextJobFilter | None = None
    has_seen_a_poll: bool = False

    def end(self, error: Exception) -> None:
        """End the wait with an error, if it has not ended."""
        if not self.offer.done():
            self.offer.set_exception(error)


@dataclass(eq=False)
class JobWatcher(Subscriber):
    """Is told of all jobs, for ever; of one that stays unclaimed again and again, but less and less often."""

    offers: asyncio.Queue[list[OfferedJob]] = field(default_factory=asyncio.Queue)
    # Job id → when it may be told of again, and how long the wait is then.
    _told: dict[str, tuple[float, float]] = field(default_factory=dict)

    def tell(self, jobs: Iterable[OfferedJob], now: float) -> bool:
        """Pass on what is not to be kept back, and return whether there was any."""
        news = []
        for job in jobs:
            again_at, wait = self._told.get(job.job_id, (now, FIRST_SILENCE_ABOUT_A_JOB))
            if now >= again_at:
                news.append(job)
                most = MAX_SILENCE_ABOUT_A_JOB if job.nonce is None else MAX_SILENCE_ABOUT_A_CUSTOM_JOB
                self._told[job.job_id] = now + wait, min(2 * wait, most)
        if news:
            self.offers.put_nowait(news)
            # What was not offered for so long is no longer there.
            long_ago = now - 2 * MAX_SILENCE_ABOUT_A_JOB
            self._told = {job_id: told for job_id, told in self._told.items() if told[0] > long_ago}
        return bool(news)
