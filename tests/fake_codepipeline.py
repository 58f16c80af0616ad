# SPDX-License-Identifier: Apache-2.0
"""What the tests of the shared poller share."""

from __future__ import annotations

import asyncio

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling import poller
from airflow_codepipeline_partner._polling.poller import SharedPoller
from airflow_codepipeline_partner.exceptions import (
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import ActionType, OfferedJob

TYPE = ActionType("Deploy", "Example")
LATER = 4_000_000_000.0
SILENCE = ServiceUnavailable("no answer")


def jobs(*job_ids):
    return [OfferedJob(job_id, "client", TYPE) for job_id in job_ids]


class CodePipeline:
    """Answers polls from a list, then for ever with nothing. Also the clock: time passes only in a pause."""

    def __init__(self, monkeypatch):
        self.answers = []
        self.polls = []
        self.pauses = []
        self.hooks = 0
        #: What happens in the pause after each poll, in order.
        self.meanwhile = []
        self.now = 1000.0
        world = self

        class Hook:
            def poll(self, action_type, batch, query_param):
                world.polls.append((world.now, batch))
                answer = world.answers.pop(0) if world.answers else []
                if callable(answer):
                    answer = answer()
                if isinstance(answer, Exception):
                    raise answer
                return answer

        def make_hook(parameters, **more):
            world.hooks += 1
            assert more == {"retry_deadline": 0}
            return Hook()

        monkeypatch.setattr(AwsParameters, "hook", make_hook)
        monkeypatch.setattr(poller, "SYSTEM_CLOCK", self)

    def time(self):
        return self.now

    monotonic = time

    def vary(self, seconds):
        return seconds

    async def pause(self, changed, seconds):
        if self.meanwhile:
            self.meanwhile.pop(0)()
        for _ in range(5):
            await asyncio.sleep(0)
        if changed.is_set():
            changed.clear()
            return
        assert len(self.pauses) < 2000, "it waits for ever"
        self.pauses.append(seconds)
        self.now += seconds


def sensor(shared=None, *, batch=10, interval=30, deadline=LATER, retry_deadline=300, **more):
    shared = shared or SharedPoller.for_(TYPE, AwsParameters())
    return shared.wait(batch, interval, deadline=deadline, retry_deadline=retry_deadline, **more)


async def outcomes(*waits):
    """Return what each wait comes to: job ids, or the error."""
    found = await asyncio.gather(*waits, return_exceptions=True)
    return [one if isinstance(one, Exception) else [job.job_id for job in one] for one in found]


def together(make_waits):
    """Run waits that are made in one loop, and return their outcomes."""

    async def run():
        return await outcomes(*make_waits())

    return asyncio.run(run())
