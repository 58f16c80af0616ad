# SPDX-License-Identifier: Apache-2.0
"""The trigger: it only polls, holds up nobody, and its deadline survives a restart."""

from __future__ import annotations

import asyncio
import importlib
import json
import threading
from contextlib import aclosing

import pytest
from support import ACTION_TYPE

from airflow_codepipeline_partner._polling import poll_notes, poller
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.triggers import CodePipelineContinuationTrigger, CodePipelineJobTrigger

#: A time that no test comes to.
LATER = 4_000_000_000.0


class Clock:
    """Time passes only in the waits between polls, which take none."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.waits = []

    def time(self):
        return 1_000_000.0 + sum(self.waits)

    monotonic = time

    def vary(self, seconds):
        return seconds

    async def pause(self, changed, seconds):
        changed.clear()
        # Whoever was given something goes first.
        for _ in range(3):
            await asyncio.sleep(0)
        self.waits.append(seconds)
        # A poll whose answer was lost has handed its job out: it is offered again after a lease.
        self.emulator.advance(seconds)
        if len(self.waits) > 200:
            raise AssertionError("the trigger waits for ever")


@pytest.fixture
def waits(monkeypatch, emulator):
    """Waiting takes no time; the waits between polls are noted, and time.time() follows them."""
    clock = Clock(emulator)
    monkeypatch.setattr(poller, "SYSTEM_CLOCK", clock)
    return clock.waits


def run(trigger):
    """Return the first event, and check that it is the last."""

    async def events():
        return [event.payload async for event in trigger.run()]

    [event] = asyncio.run(events())
    json.dumps(event)
    return event


def polls(emulator):
    return [entry for entry in emulator.ledger if entry.operation == "PollForThirdPartyJobs"]


def test_the_poller_knows_where_each_task_looks_for_tokens(monkeypatch):
    """A job that one of them could not claim is for the other."""
    known = []

    async def wait(shared, *given, template, **more):
        known.append(template)
        raise TimeoutError

    monkeypatch.setattr(poller.SharedPoller, "wait", wait)
    for template in ("a_{client_id}", "b_{client_id}"):
        trigger = CodePipelineJobTrigger(
            ACTION_TYPE, timeout_deadline=LATER, client_conn_id_template=template
        )
        assert run(trigger)["status"] == "timeout"
    assert known == ["a_{client_id}", "b_{client_id}"]


def test_offered_jobs_are_its_event(emulator, customer):
    emulator.start_execution("pipe")
    event = run(CodePipelineJobTrigger(ACTION_TYPE, timeout_deadline=LATER))
    [job] = emulator.jobs()
    assert event == {
        "status": "offered",
        "jobs": [{"job_id": job.job_id, "client_id": customer.client_id, "action_type": ACTION_TYPE}],
        "error": None,
    }
    # It neither asked for details nor for a token, nor claimed.
    assert {entry.operation for entry in emulator.ledger if entry.kind == "call"} == {"PollForThirdPartyJobs"}


def test_it_polls_each_interval_until_its_deadline(emulator, customer, waits):
    event = run(CodePipelineJobTrigger(ACTION_TYPE, poll_interval=30, timeout_deadline=1_000_100.0))
    assert event == {"status": "timeout", "jobs": [], "error": None}
    assert waits == [30, 30, 30, 10]
    assert len(polls(emulator)) == 4


def test_a_deadline_passed_while_away_gives_one_more_poll(emulator, customer, waits):
    emulator.start_execution("pipe")
    assert run(CodePipelineJobTrigger(ACTION_TYPE, timeout_deadline=1.0))["status"] == "offered"
    assert run(CodePipelineJobTrigger(ACTION_TYPE, timeout_deadline=1.0))["status"] == "timeout"
    assert waits == []


@pytest.mark.parametrize("fault", ["throttle", "server_error", "drop_response"])
def test_it_backs_off_in_trouble_and_goes_on(emulator, customer, waits, fault):
    emulator.start_execution("pipe")
    emulator.inject(fault, operation="PollForThirdPartyJobs", times=3)
    event = run(
        CodePipelineJobTrigger(ACTION_TYPE, poll_interval=10, retry_deadline=1000, timeout_deadline=LATER)
    )
    assert event["status"] == "offered"
    assert waits[:3] == [20, 40, 60]


def test_trouble_makes_no_poller_faster(emulator, customer, waits):
    emulator.inject("throttle", operation="PollForThirdPartyJobs", times=2)
    run(
        CodePipelineJobTrigger(
            ACTION_TYPE, poll_interval=300, retry_deadline=1000, timeout_deadline=1_000_700.0
        )
    )
    assert waits[0] == waits[1] == 300


def test_trouble_beyond_the_deadline_is_an_error_with_cause(emulator, customer, waits):
    emulator.inject("throttle", operation="PollForThirdPartyJobs", times=None)
    event = run(
        CodePipelineJobTrigger(ACTION_TYPE, poll_interval=10, retry_deadline=100, timeout_deadline=LATER)
    )
    assert event["status"] == "error"
    assert "ServiceUnavailable" in event["error"]
    assert "ThrottlingException" in event["error"]
    assert sum(waits) >= 100


def test_trouble_at_the_deadline_is_an_error_and_no_timeout(emulator, customer, waits):
    emulator.inject("throttle", operation="PollForThirdPartyJobs", times=None)
    event = run(CodePipelineJobTrigger(ACTION_TYPE, poll_interval=10, timeout_deadline=1_000_060.0))
    assert event["status"] == "error"
    assert "Rate exceeded" in event["error"]


def test_trouble_that_ends_does_not_count_later(emulator, customer, waits):
    emulator.inject("throttle", operation="PollForThirdPartyJobs", times=2)
    trigger = CodePipelineJobTrigger(
        ACTION_TYPE, poll_interval=10, retry_deadline=60, timeout_deadline=1_000_200.0
    )
    assert run(trigger)["status"] == "timeout"
    assert waits[:4] == [20, 40, 10, 10]


def test_what_codepipeline_does_not_know_is_an_error_at_once(customer, waits):
    event = run(CodePipelineJobTrigger({**ACTION_TYPE, "provider": "Unheard"}, timeout_deadline=LATER))
    assert event["status"] == "error"
    assert "Deploy/ThirdParty/Unheard/1" in event["error"]
    assert waits == []


def test_the_loop_is_free_while_a_poll_is_slow(emulator, customer, monkeypatch):
    emulator.start_execution("pipe")
    loop_turned = threading.Event()
    poll = CodePipelineHook.poll

    def slow_poll(self, *args):
        # In vain, if the loop waited for this poll meanwhile.
        assert loop_turned.wait(timeout=30)
        return poll(self, *args)

    monkeypatch.setattr(CodePipelineHook, "poll", slow_poll)

    trigger = CodePipelineJobTrigger(ACTION_TYPE, timeout_deadline=LATER)

    async def poll_and_turn_the_loop():
        asyncio.get_running_loop().call_later(0, loop_turned.set)
        return [event.payload async for event in trigger.run()]

    [event] = asyncio.run(poll_and_turn_the_loop())
    assert event["status"] == "offered"


def test_without_a_deadline_it_watches_for_ever(emulator, customer, waits):
    async def three_events():
        found = []
        async with aclosing(CodePipelineJobTrigger(ACTION_TYPE, poll_interval=30).run()) as events:
            for _ in range(3):
                emulator.start_execution("pipe")
                found.append((await anext(events)).payload)
        return found

    sent = asyncio.run(three_events())
    assert [event["status"] for event in sent] == ["offered"] * 3
    assert {job["job_id"] for event in sent for job in event["jobs"]} == {
        job.job_id for job in emulator.jobs()
    }


def test_a_watcher_notes_its_polls_for_the_page(emulator, customer, waits, monkeypatch):
    class Store:
        def __init__(self):
            self.held = {}
            self.has_noted = asyncio.Event()

        async def aget(self, key):
            raise AssertionError("nothing is decided by it")

        async def aset(self, key, value):
            self.held[key] = value
            self.has_noted.set()

    async def one_event():
        trigger = CodePipelineJobTrigger(ACTION_TYPE, poll_interval=30)
        trigger.asset_state_store = Store()
        emulator.start_execution("pipe")
        async with aclosing(trigger.run()) as events:
            await anext(events)
            await trigger.asset_state_store.has_noted.wait()
        return trigger.asset_state_store.held

    monkeypatch.setattr(poll_notes, "LOOK_INTERVAL", 0.001)
    [(key, noted)] = asyncio.run(one_event()).items()
    assert key == "codepipeline_polls:" + "/".join(ACTION_TYPE.values())
    assert noted["polled_at"].startswith("1970-01-12T")
    assert (noted["error"], noted["error_at"]) == (None, None)


def test_it_comes_back_from_the_database_as_it_was():
    given = {
        "action_type": {**ACTION_TYPE, "owner": "Custom"},
        "max_batch_size": 3,
        "poll_interval": 7,
        "timeout_deadline": 1.5,
        "retry_deadline": 60,
        "query_param": {"Project": "shop"},
        "aws_conn_id": "mine",
        "region_name": "eu-west-1",
        "verify": False,
        "botocore_config": {"read_timeout": 5},
        "client_conn_id_template": "c_{client_id}",
    }
    path, kwargs = CodePipelineJobTrigger(**given).serialize()
    assert kwargs == given
    assert json.loads(json.dumps(kwargs)) == kwargs
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name)(**kwargs).serialize() == (path, kwargs)


def test_500_waiting_tasks_are_counted_as_one_at_the_server(emulator, customer, waits):
    ours = TaskInstanceRef("dag", "run", "task").token

    async def wait_all():
        sensors = [CodePipelineJobTrigger(ACTION_TYPE, timeout_deadline=1_000_100.0) for _ in range(250)]
        others = [
            CodePipelineContinuationTrigger(
                action_type=ACTION_TYPE,
                client_id=f"client-{number}",
                continuation_token=ours,
                timeout_deadline=1_000_100.0,
            )
            for number in range(250)
        ]
        return await asyncio.gather(*(anext(aiter(trigger.run())) for trigger in [*sensors, *others]))

    events = asyncio.run(wait_all())
    assert [event.payload["status"] for event in events] == ["timeout"] * 500
    # As for one: at once, and each 30 s.
    assert len(polls(emulator)) == 4
    assert {entry.operation for entry in emulator.ledger if entry.kind == "call"} == {"PollForThirdPartyJobs"}


def test_the_next_job_of_an_action_is_known_by_its_token(emulator, customer, make_hook, offer):
    emulator.configure(continuation_delay=0)
    token = TaskInstanceRef("dag", "run", "task").token
    hook, job = make_hook(), offer()
    hook.claim(job)
    hook.succeed(job, continuation_token=token)
    emulator.start_execution("pipe")
    event = run(
        CodePipelineContinuationTrigger(
            action_type=ACTION_TYPE,
            client_id=customer.client_id,
            continuation_token=token,
            timeout_deadline=LATER,
        )
    )
    _, following, fresh = emulator.jobs()
    assert event["status"] == "offered"
    [sent] = event["jobs"]
    assert sent["job_id"] in (following.job_id, fresh.job_id)
    [found] = [job for job in emulator.jobs() if job.job_id == sent["job_id"]]
    assert found.action_execution_id == emulator.jobs()[0].action_execution_id
    assert customer.client_token not in json.dumps(event)
