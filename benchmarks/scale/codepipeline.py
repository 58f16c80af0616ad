# SPDX-License-Identifier: Apache-2.0
"""CodePipeline as the simulation has it: offers with a lease, a limit of calls, and the time of an action."""

from __future__ import annotations

import heapq
from collections import Counter, deque

from benchmarks.scale.settings import Settings


class Job:
    """
    One job.

    :param number: Its place in the order in which jobs were queued.
    :param queued_at: When, in seconds.
    :param is_slow: Whether it is the slow customer's.
    """

    __slots__ = (
        "again_at",
        "claimed_at",
        "done_at",
        "has_run",
        "is_slow",
        "lost_at",
        "number",
        "offers",
        "queued_at",
        "redelivery_wait",
        "timed_out",
    )

    def __init__(self, number: int, queued_at: float, is_slow: bool) -> None:
        self.number = number
        self.queued_at = queued_at
        self.is_slow = is_slow
        #: How often it was offered. The nonce of a custom job is that of its last offer.
        self.offers = 0
        self.claimed_at: float | None = None
        self.done_at: float | None = None
        self.timed_out = False
        #: Whether a run lives that will claim it.
        self.has_run = False
        #: When a claim lost it to a newer offer, until it comes again.
        self.lost_at: float | None = None
        #: When a watcher may deliver it again, and the wait after that (``_polling/redelivery.py``).
        self.again_at = float("-inf")
        self.redelivery_wait = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it can still be claimed or get a result."""
        return self.done_at is None and not self.timed_out


class CodePipeline:
    """
    The queue of jobs of one action type.

    :param settings: What is simulated.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: Jobs that a poll returns, the oldest first; and those that were offered, with their lease's end.
        self._waiting: list[tuple[int, Job]] = []
        self._leases: deque[tuple[float, Job]] = deque()
        self._allowance = settings.call_burst
        self._counted_at = 0.0
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        #: Calls in each second, those that were refused too.
        self.calls_in: Counter[int] = Counter()
        self.open_jobs = 0
        self.timed_out = 0

    def queue(self, job: Job) -> None:
        """Take a new job."""
        self.open_jobs += 1
        heapq.heappush(self._waiting, (job.number, job))

    def takes(self, operation: str, now: float) -> bool:
        """Return whether it takes a call now, instead of throttling it."""
        self.calls[operation] += 1
        self.calls_in[int(now)] += 1
        rate = self._settings.calls_per_second
        if not rate:
            return True
        most = self._settings.call_burst
        self._allowance = min(most, self._allowance + (now - self._counted_at) * rate)
        self._counted_at = now
        if self._allowance < 1:
            self.refused[operation] += 1
            return False
        self._allowance -= 1
        return True

    def offer(self, now: float) -> list[Job]:
        """Return the jobs of one poll. Each gets a lease."""
        while self._leases and self._leases[0][0] <= now:
            job = self._leases.popleft()[1]
            heapq.heappush(self._waiting, (job.number, job))
        jobs: list[Job] = []
        while self._waiting and len(jobs) < self._settings.max_batch_size:
            job = heapq.heappop(self._waiting)[1]
            if job.claimed_at is None and not self.is_over(job, now):
                job.offers += 1
                self._leases.append((now + self._settings.lease, job))
                jobs.append(job)
        return jobs

    def is_over(self, job: Job, now: float) -> bool:
        """Return whether a job has ended, by its result or by its action's timeout."""
        if job.is_open and now > job.queued_at + self._settings.action_timeout:
            self.timed_out += 1
            self.open_jobs -= 1
            job.timed_out = True
        return not job.is_open

    def finish(self, job: Job, now: float) -> None:
        """Take a job's result, unless it comes too late."""
        if not self.is_over(job, now):
            job.done_at = now
            self.open_jobs -= 1
