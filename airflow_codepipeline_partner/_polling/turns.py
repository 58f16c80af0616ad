# SPDX-License-Identifier: Apache-2.0
"""
Which waiting task gets a job: the first, unless one that finds clients' tokens by the same template had it.

A job that is offered again was claimed by nobody. Perhaps the task that had it looks for its client's token
in a connection that does not exist, and a task with another template would find one.
"""

from __future__ import annotations

from collections.abc import Iterable

from airflow_codepipeline_partner._polling.subscribers import JobWaiter
from airflow_codepipeline_partner._protocol.jobs import OfferedJob

#: Of how many jobs it is remembered who had them.
MAX_REMEMBERED = 10_000


class Turns:
    """Give jobs to those who wait for any job."""

    def __init__(self) -> None:
        #: Job id → the templates of those who had the job since each had it.
        self._had_by: dict[str, set[str]] = {}

    def give(self, jobs: Iterable[OfferedJob], waiters: Iterable[JobWaiter]) -> None:
        """Give each job to one waiter, as long as there are any; each takes one batch at most."""
        left = {job.job_id: job for job in jobs}
        if not left:
            return
        waiting = [waiter for waiter in waiters if waiter.next_job is None and not waiter.offer.done()]
        templates = {waiter.template for waiter in waiting}
        for waiter in waiting:
            mine = [job for job in left.values() if self._is_turn_of(waiter.template, job, templates)]
            mine = mine[: waiter.max_batch_size]
            if mine:
                waiter.offer.set_result(mine)
                self._remember(mine, waiter.template, templates)
            for job in mine:
                del left[job.job_id]
            if not left:
                break

    def _is_turn_of(self, template: str, job: OfferedJob, templates: set[str]) -> bool:
        had_by = self._had_by.get(job.job_id, set())
        return template not in had_by or had_by >= templates

    def _remember(self, jobs: list[OfferedJob], template: str, templates: set[str]) -> None:
        for job in jobs:
            had_by = self._had_by.pop(job.job_id, set())
            self._had_by[job.job_id] = {template} if had_by >= templates else had_by | {template}
        while len(self._had_by) > MAX_REMEMBERED:
            del self._had_by[next(iter(self._had_by))]
