# SPDX-License-Identifier: Apache-2.0
"""The trigger that waits for jobs. It only polls: a job is claimed by a task, never in the triggerer."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_codepipeline_partner.client_tokens import DEFAULT_TEMPLATE
from airflow_codepipeline_partner.exceptions import (
    CodePipelinePartnerError,
    ServiceUnavailable,
    described,
)
from airflow_codepipeline_partner.hook_parameters import aws_parameters_of, make_hook
from airflow_codepipeline_partner.jobs import ActionType, OfferedJob

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelinePartnerHook

#: Longest wait between two polls while CodePipeline throttles or cannot be reached, in seconds; a longer
#: poll interval is kept.
MAX_POLL_BACKOFF = 60.0
#: An interval is varied by this part, so that many pollers do not ask at the same moment.
JITTER = 0.1


def with_jitter(seconds: float) -> float:
    """Return an interval of about as many seconds."""
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing


def event(status: str, jobs: list[OfferedJob] | None = None, error: str | None = None) -> TriggerEvent:
    """
    Return a trigger's event. Airflow logs and stores it, so it names jobs and holds no secret.

    :param status: ``offered``, ``timeout`` or ``error``.
    :param jobs: The offered jobs.
    :param error: What went wrong.
    """
    return TriggerEvent(  # type: ignore[no-untyped-call]
        {"status": status, "jobs": [job.to_xcom() for job in jobs or ()], "error": error}
    )


class CodePipelineJobTrigger(BaseTrigger):
    """
    Wait until CodePipeline offers jobs of an action type.

    :param action_type: What to poll for, one of ours or AWS's mapping.
    :param max_batch_size: Most jobs to be offered at once, at least 1.
    :param poll_interval: Seconds between two polls, varied by a tenth.
    :param timeout_deadline: Until when to wait, in seconds since the epoch, so that it survives a restart
        of the triggerer; None waits for ever.
    :param retry_deadline: For how many seconds CodePipeline may fail to answer before the wait ends in an
        error; the polls back off meanwhile, up to a minute.
    :param aws_conn_id: The ``aws`` connection, or None for boto3's default credentials.
    :param region_name: The region of the jobs; None takes the connection's.
    :param verify: Whether to verify TLS certificates, or the path of a CA bundle.
    :param botocore_config: A mapping of arguments of botocore's Config, or None.
    :param client_conn_id_template: How a client's connection id is made from its client id.

    Source: PollForThirdPartyJobs, CodePipeline API 2015-07-09.
    """

    def __init__(
        self,
        action_type: ActionType | dict[str, str],
        max_batch_size: int = 10,
        poll_interval: float = 30,
        timeout_deadline: float | None = None,
        retry_deadline: float = 300,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        client_conn_id_template: str = DEFAULT_TEMPLATE,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.action_type = ActionType.from_value(action_type)
        self.max_batch_size = max_batch_size
        self.poll_interval = poll_interval
        self.timeout_deadline = timeout_deadline
        self.retry_deadline = retry_deadline
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.client_conn_id_template = client_conn_id_template

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, as they lie in Airflow's database."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "action_type": self.action_type.to_api(),
                "max_batch_size": self.max_batch_size,
                "poll_interval": self.poll_interval,
                "timeout_deadline": self.timeout_deadline,
                "retry_deadline": self.retry_deadline,
                **aws_parameters_of(self),
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until jobs are offered, the deadline has passed, or an error ends the wait."""
        hook: Any = None
        silence: ServiceUnavailable | None = None
        silent_since = 0.0
        delay = self.poll_interval
        while True:
            try:
                # boto3 and Airflow's look-up of connections block, so both run in a thread; asgiref's, since
                # Airflow 3.1 asks the triggerer's own loop from it.
                if hook is None:
                    hook = await sync_to_async(self._hook, thread_sensitive=False)()
                jobs = await sync_to_async(hook.poll, thread_sensitive=False)(
                    self.action_type, self.max_batch_size
                )
            except ServiceUnavailable as error:
                if silence is None:
                    silent_since = time.time()
                silence = error
                if time.time() - silent_since >= self.retry_deadline:
                    yield event("error", error=described(silence))
                    return
                delay = max(self.poll_interval, min(delay * 2 or 1.0, MAX_POLL_BACKOFF))
                self.log.warning("%s Polling again in about %.0f s.", silence, delay)
            except CodePipelinePartnerError as error:
                yield event("error", error=described(error))
                return
            else:
                if jobs:
                    yield event("offered", jobs)
                    return
                silence, delay = None, self.poll_interval
            left = float("inf") if self.timeout_deadline is None else self.timeout_deadline - time.time()
            if left <= 0:
                # Whoever could not ask does not know that there was nothing.
                yield event("error", error=described(silence)) if silence else event("timeout")
                return
            await asyncio.sleep(min(with_jitter(delay), left))

    def _hook(self) -> CodePipelinePartnerHook:
        # One attempt a poll: the wait in between belongs to the loop, not to a thread.
        return make_hook(self, retry_deadline=0)
