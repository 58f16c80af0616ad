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
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
    RequestRefused,
    ServiceUnavailable,
)

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)

#: How long one answer may take, in seconds, unless ``botocore_config`` says otherwise: the jobs of the same
#: client wait meanwhile.
LOOKUP_TIMEOUTS = {"connect_timeout": 5, "read_timeout": 10}
#: For how long a throttled or lost look-up is retried, in seconds. Otherwise the task would wait until the
#: job is offered again.
LOOKUP_RETRY_DEADLINE = 5.0
MAX_KNOWN_TOKENS = 10_000
#: A few threads of their own: slow answers of one customer must not hold up the polls.
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="codepipeline-details")


class ContinuationLookup:
    """Ask for the continuation tokens of jobs, and remember them: a job keeps what it was made with."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}
        self._hooks: dict[str, CodePipelineHook] = {}

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
        unknown = [job for job in jobs if job.job_id not in self._known]
        if unknown:
            self._known |= await sync_to_async(self._ask, thread_sensitive=False, executor=_THREADS)(
                unknown, ways
            )
        tokens = {job.job_id: self._known.get(job.job_id) for job in jobs}
        for job_id in list(self._known)[:-MAX_KNOWN_TOKENS]:
            del self._known[job_id]
        return tokens

    def _ask(self, jobs: list[OfferedJob], ways: Sequence[AwsParameters]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for job, aws in itertools.product(jobs, ways):
            if job.job_id in found:
                continue
            try:
                found[job.job_id] = self._hook(aws).continuation_token(job)
            except CodePipelineProviderError as error:
                # Another task may get the job instead. If the job is not for that task, its claim leaves it.
                if isinstance(error, RequestRefused | ServiceUnavailable):
                    self._forget(aws)
                log.warning("The continuation token of job %s could not be looked up. %s", job.job_id, error)
            except Exception as error:
                # For instance from Airflow's own look-up of a connection. Its text may hold a secret.
                name = type(error).__name__
                self._forget(aws)
                log.warning("The continuation token of job %s could not be looked up: %s.", job.job_id, name)
        return found

    def _forget(self, aws: AwsParameters) -> None:
        """Make a new hook for the next look-up: the connection may be corrected meanwhile."""
        self._hooks.pop(aws.client_conn_id_template, None)

    def _hook(self, aws: AwsParameters) -> CodePipelineHook:
        template = aws.client_conn_id_template
        if template not in self._hooks:
            in_time = aws.with_config_defaults(**LOOKUP_TIMEOUTS)
            self._hooks[template] = in_time.hook(retry_deadline=LOOKUP_RETRY_DEADLINE)
        return self._hooks[template]
