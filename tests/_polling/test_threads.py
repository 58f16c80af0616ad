# SPDX-License-Identifier: Apache-2.0
"""Connections that hang hold up nobody else's polls."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from types import SimpleNamespace

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.poller import SharedPoller
from airflow_codepipeline_partner._polling.threads import POLLS
from airflow_codepipeline_partner.exceptions import ServiceUnavailable
from airflow_codepipeline_partner.jobs import ActionType, OfferedJob

KIND = ActionType.from_value("Build/ThirdParty/Example/1")
JOB = OfferedJob("the-job", "the-client", KIND)


class Hooks:
    """Makes hooks of connections that answer, refuse, or hang until they are let go."""

    def __init__(self, patch):
        self.let_go = threading.Event()
        #: The names of the threads that ask for a connection without an answer.
        self.threads = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        patch.setattr(AwsParameters, "hook", lambda aws, **_: SimpleNamespace(poll=partial(self._poll, aws)))

    def _poll(self, aws, *_):
        if aws.aws_conn_id == "answers":
            return [JOB]
        self._loop.call_soon_threadsafe(self.threads.put_nowait, threading.current_thread().name)
        if aws.aws_conn_id != "refuses":
            self.let_go.wait(30)
        raise ServiceUnavailable("no answer")


def wait_at(conn_id, interval=30.0):
    poller = SharedPoller.for_(KIND, AwsParameters(conn_id))
    return asyncio.ensure_future(poller.wait(1, interval, deadline=time.time() + 30, retry_deadline=30))


def test_twenty_that_hang_hold_up_nobody(monkeypatch):
    async def main():
        hooks = Hooks(monkeypatch)
        hanging = [wait_at(f"hangs-{number}") for number in range(20)]
        try:
            async with asyncio.timeout(10):
                for _ in hanging:
                    await hooks.threads.get()
                return await wait_at("answers")
        finally:
            hooks.let_go.set()
            for each in hanging:
                each.cancel()

    assert asyncio.run(main()) == [JOB]


def test_who_got_no_answer_asks_in_other_threads(monkeypatch):
    async def main():
        hooks = Hooks(monkeypatch)
        waiting = wait_at("refuses", 0.01)
        threads = [await hooks.threads.get(), await hooks.threads.get()]
        waiting.cancel()
        return threads

    first, second = asyncio.run(main())
    assert first.startswith("codepipeline-poll")
    assert second.startswith("codepipeline-trouble")


def test_no_poller_waits_for_the_start_of_a_thread():
    """With many that compute, each start would hold the loop up."""

    async def run():
        SharedPoller.for_(KIND, AwsParameters())

    asyncio.run(run())
    assert len(POLLS._threads) == POLLS._max_workers
