# SPDX-License-Identifier: Apache-2.0
"""
Which task gets a job that continues an action: the one that waits for the job's continuation token.

If the claim of the job before is unknown, the task gets that job, too, when it is offered again. The shared
poller asks the filters of the tasks that wait for a job of the same client. A job that concerns none of them
goes to a waiter that takes any job.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._protocol.jobs import OfferedJob

#: What a job is known by: its continuation token, or its id.
Sign = tuple[Literal["token", "job"], str]


@dataclass(frozen=True)
class NextJobFilter:
    """
    The next job of an action, for which a task waits.

    :param client_id: The client id of that job; None for a custom job.
    :param token: The continuation token that it will most likely carry.
    :param doubtful_job_id: The job before it, if its claim is unknown: if that job is offered again, nobody
        has claimed it.
    :param other_tokens: Other tokens that it may carry instead.
    :param aws: How CodePipeline is asked for the job's details.
    """

    client_id: str | None
    token: str
    aws: AwsParameters = field(compare=False)
    doubtful_job_id: str | None = None
    other_tokens: tuple[str, ...] = ()

    @property
    def signs(self) -> set[Sign]:
        """The signs of the jobs that the waiting task gets."""
        doubtful: set[Sign] = set() if self.doubtful_job_id is None else {("job", self.doubtful_job_id)}
        return {("token", token) for token in (self.token, *self.other_tokens)} | doubtful

    def concerns(self, job: OfferedJob, token: str | None) -> bool:
        """Return whether the waiting task gets a job, by the job's continuation token."""
        return not self.signs.isdisjoint(signs_of(job, token))


def signs_of(job: OfferedJob, token: str | None) -> list[Sign]:
    """
    Return the signs by which it is known who gets a job.

    :param job: The job.
    :param token: Its continuation token, or None.
    """
    return [("job", job.job_id)] if token is None else [("token", token), ("job", job.job_id)]
