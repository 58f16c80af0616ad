# SPDX-License-Identifier: Apache-2.0
"""
Those who wait for the next job of an action, found by client and by the signs of a job.

A triggerer may have thousands of them, and each offered job is asked about, so nothing here looks at all.
"""

from __future__ import annotations

from typing import TypeVar

from airflow_codepipeline_partner._polling.next_job_filter import NextJobFilter, Sign, signs_of
from airflow_codepipeline_partner._polling.subscribers import JobWaiter
from airflow_codepipeline_partner._protocol.jobs import OfferedJob

K = TypeVar("K")


class NextJobWaiters:
    """The job waiters with a next-job filter, in the order in which they came."""

    def __init__(self) -> None:
        self._of_client: dict[str | None, dict[JobWaiter, None]] = {}
        self._by_sign: dict[tuple[str | None, Sign], dict[JobWaiter, None]] = {}

    def add(self, waiter: JobWaiter, next_job: NextJobFilter) -> None:
        """Add one that waits for a next job."""
        self._of_client.setdefault(next_job.client_id, {})[waiter] = None
        for sign in next_job.signs:
            self._by_sign.setdefault((next_job.client_id, sign), {})[waiter] = None

    def remove(self, waiter: JobWaiter, next_job: NextJobFilter) -> None:
        """Remove one that waits no more."""
        _take_out(self._of_client, next_job.client_id, waiter)
        for sign in next_job.signs:
            _take_out(self._by_sign, (next_job.client_id, sign), waiter)

    def of_client(self, client_id: str | None) -> list[JobWaiter]:
        """Return those who wait for a next job of a client, also those who have just got one."""
        return list(self._of_client.get(client_id, ()))

    def have_any_of(self, client_id: str | None) -> bool:
        """Return whether somebody still waits for a next job of a client."""
        return any(not waiter.offer.done() for waiter in self._of_client.get(client_id, ()))

    def concerned(self, job: OfferedJob, token: str | None) -> list[JobWaiter]:
        """Return those who get a job, by the job's continuation token, also those who have just got one."""
        found = (self._by_sign.get((job.client_id, sign), {}) for sign in signs_of(job, token))
        return list({waiter: None for some in found for waiter in some})


def _take_out(index: dict[K, dict[JobWaiter, None]], key: K, waiter: JobWaiter) -> None:
    del index[key][waiter]
    if not index[key]:
        del index[key]
