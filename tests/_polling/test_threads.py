# SPDX-License-Identifier: Apache-2.0
"""Connections that hang hold up nobody else's polls."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.poller import SharedPoller
from airflow_codepipeline_partner.exceptions import ServiceUnavailable
from airflow_codepipeline_partner.jobs import ActionType, OfferedJob

KIND = ActionType.from_value("Build/ThirdParty/Example/1")
JOB = OfferedJob("the-job", "the-client", KIND)


class Hook:
    """A hook of a connection that answers, or hangs until it is let go."""

    def __init__(self, conn_id, let_go, threads):
        self.conn_id, self.let_go, self.threads = conn_id, let_go, threads

    def poll(self, *_):
        if self.conn_id == "answers":
            return [JOB]
        self.threads.append(threading.current_thread().name)
        if self.conn_id != "refuses":
            self.let_go.wait(30)
        raise ServiceUnavailable("no answer")


@pytest.fixture
def threads(monkeypatch):
    """The names of the threads that ask for a connection without an answer."""
    let_go, names = threading.Event(), []
    monkeypatch.setattr(AwsParameters, "hook", lambda self, **_: Hook(self.aws_conn_id, let_go, names))
    yield names
    let_go.set()


def wait_at(conn_id, interval=30.0):
    poller = SharedPoller.for_(KIND, AwsParameters(conn_id))
    return poller.wait(1, interval, deadline=time.time() + 30, retry_deadline=30)


def test_twenty_that_hang_hold_up_nobody(threads):
    async def main():
        hanging = [asyncio.ensure_future(wait_at(f"hangs-{number}")) for number in range(20)]
        while len(threads) < len(hanging):
            await asyncio.sleep(0.01)
        jobs = await asyncio.wait_for(wait_at("answers"), 10)
        for each in hanging:
            each.cancel()
        return jobs

    assert asyncio.run(main()) == [JOB]


def test_who_got_no_answer_asks_in_other_threads(threads):
    async def main():
        waiting = asyncio.ensure_future(wait_at("refuses", 0.01))
        while len(threads) < 2:
            await asyncio.sleep(0.01)
        waiting.cancel()

    asyncio.run(main())
    assert threads[0].startswith("codepipeline-poll")
    assert threads[1].startswith("codepipeline-trouble")
