# SPDX-License-Identifier: Apache-2.0
"""
Look up the continuation tokens of offered jobs, for the shared poller.

A poll for custom jobs returns their tokens. A poll for partner jobs does not: the token is in the job's
details. They are asked for only if a task here waits for a job of the same client, off the event loop, and
only the token is kept. Which task then gets the job is decided in ``next_job_filter``.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence

from asgiref.sync import sync_to_async

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._job_log import job_fields, name_of
from airflow_codepipeline_partner._polling.shared_hooks import LookupHooks
from airflow_codepipeline_partner._polling.threads import LOOKUPS, LOOKUPS_IN_TROUBLE
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
    RequestRefused,
    ServiceUnavailable,
)

log = logging.getLogger(__name__)

MAX_KNOWN_TOKENS = 10_000
#: For how long a job whose look-up failed is not looked up again, in seconds.
PAUSE_AFTER_FAILURE = 30.0


class ContinuationLookup:
    """
    Ask for the continuation tokens of jobs, and remember them: a job keeps what it was made with.

    :param hooks: The hooks of the loop that look jobs up.
    :param clock: Returns the time in seconds; it never goes back.
    """

    def __init__(self, hooks: LookupHooks, clock: Callable[[], float]) -> None:
        self._hooks = hooks
        self._clock = clock
        self._known: dict[str, str | None] = {}
        #: Job id → when its look-up failed.
        self._failed: dict[str, float] = {}

    def knows(self, job: OfferedJob) -> bool:
        """Return whether a job's token is known: by its offer, or by a look-up."""
        return job._is_token_known or job.job_id in self._known

    def token_of(self, job: OfferedJob) -> str | None:
        """Return the token of a job of which it is known."""
        return job.continuation_token if job._is_token_known else self._known[job.job_id]

    async def tokens_of(
        self, jobs: Iterable[OfferedJob], ways: Sequence[AwsParameters]
    ) -> dict[str, str | None]:
        """
        Return the continuation token of each job; None if it has none, or if that could not be found out.

        :param jobs: The jobs.
        :param ways: How CodePipeline may be asked. They differ in where the client token is looked up; the
            first one that gives an answer is enough.
        """
        jobs = list(jobs)
        self._known |= {job.job_id: job.continuation_token for job in jobs if job._is_token_known}
        for job in jobs:
            if job.job_id in self._known or self._has_just_failed(job):
                continue
            # One job at a time, so that a client with many has no more of the threads than one with few.
            troubled = self._hooks.troubled_clients
            pool = LOOKUPS_IN_TROUBLE if job.client_id in troubled else LOOKUPS
            async with self._hooks.turns.turn():
                found = await sync_to_async(self._ask, thread_sensitive=False, executor=pool)([job], ways)
            self._known |= found
            if found:
                troubled.discard(job.client_id)
            else:
                self._failed[job.job_id] = self._clock()
                troubled.add(job.client_id)
        tokens = {job.job_id: self._known.get(job.job_id) for job in jobs}
        while len(self._known) > MAX_KNOWN_TOKENS:
            del self._known[next(iter(self._known))]
        return tokens

    def _has_just_failed(self, job: OfferedJob) -> bool:
        since = self._clock() - PAUSE_AFTER_FAILURE
        # In the order of time.
        for job_id in list(itertools.takewhile(lambda job_id: self._failed[job_id] < since, self._failed)):
            del self._failed[job_id]
        return job.job_id in self._failed

    def _ask(self, jobs: list[OfferedJob], ways: Sequence[AwsParameters]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for job, aws in itertools.product(jobs, ways):
            if job.job_id in found:
                continue
            try:
                found[job.job_id] = self._hooks.get(aws).continuation_token(job)
            except CodePipelineProviderError as error:
                # Another task may get the job instead. If the job is not for that task, its claim leaves it.
                if isinstance(error, RequestRefused | ServiceUnavailable):
                    self._hooks.replace(aws)
                with job_fields(job):
                    log.warning("Continuation token not looked up: %s. %s", name_of(job), error)
            except Exception as error:
                # For instance from Airflow's own look-up of a connection. Its text may hold a secret.
                name = type(error).__name__
                self._hooks.replace(aws)
                with job_fields(job):
                    log.warning("Continuation token not looked up: %s. %s.", name_of(job), name)
        return found
