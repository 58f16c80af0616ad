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
    """Answers polls from a list, then for ever with nothing; time passes only while the shared waits."""

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

        async def pause(shared, seconds):
            if world.meanwhile:
                world.meanwhile.pop(0)()
            for _ in range(5):
                await asyncio.sleep(0)
            if shared._changed.is_set() or not shared._waiters:
                shared._changed.clear()
                return
            assert len(world.pauses) < 2000, "it waits for ever"
            world.pauses.append(seconds)
            world.now += seconds

        monkeypatch.setattr(AwsParameters, "hook", make_hook)
        monkeypatch.setattr(poller, "with_jitter", lambda seconds: seconds)
        monkeypatch.setattr(poller.time, "time", lambda: self.now)
        monkeypatch.setattr(poller.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(SharedPoller, "_pause", pause)


def sensor(shared=None, *, batch=10, interval=30, deadline=LATER, retry_deadline=300):
    shared = shared or SharedPoller.for_(TYPE, AwsParameters())
    return shared.wait(batch, interval, deadline=deadline, retry_deadline=retry_deadline)


async def outcomes(*waits):
    """Return what each wait comes to: job ids, or the error."""
    found = await asyncio.gather(*waits, return_exceptions=True)
    return [one if isinstance(one, Exception) else [job.job_id for job in one] for one in found]


def together(make_waits):
    """Run waits that are made in one loop, and return their outcomes."""

    async def run():
        return await outcomes(*make_waits())

    return asyncio.run(run())
