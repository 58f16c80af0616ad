# SPDX-License-Identifier: Apache-2.0
"""One look at a pipeline for all who watch it, whatever happens to it."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import pytest
from fake_pipeline import World

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling import execution_poller
from airflow_codepipeline_partner._polling.execution_poller import ExecutionPoller
from airflow_codepipeline_partner._polling.wake_queue import WakeQueue
from airflow_codepipeline_partner._protocol.execution_changes import ExecutionChanges, LastLook
from airflow_codepipeline_partner._protocol.executions import ENDED, PipelineExecution
from airflow_codepipeline_partner._protocol.state_changes import ChangedPipeline
from airflow_codepipeline_partner.exceptions import PipelineNotFound, RequestRefused, ServiceUnavailable
from airflow_codepipeline_partner.jobs import ActionType

SILENCE = ServiceUnavailable("no answer")
DENIED = RequestRefused("may not", code="AccessDeniedException")
GONE = PipelineNotFound("no such pipeline")
URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/changed"


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


def page(*texts):
    """Return a page of executions, from texts such as ``a Failed``."""
    return [
        PipelineExecution("pipe", name, status, updated_at=datetime(2026, 1, 1, tzinfo=UTC))
        for name, status in (text.split() for text in texts)
    ]


def poller():
    return ExecutionPoller.for_("pipe", AwsParameters())


def watched(world, looks, *, watchers=1, interval=30, states=ENDED, **more):
    """Return when each watcher hears of which ends, in this number of looks."""
    heard = [[] for _ in range(watchers)]

    async def watch(one):
        async for look in poller().watch(ExecutionChanges(states), interval, **more):
            if look.executions:
                ends = [f"{each.execution_id} {each.status}" for each in look.executions]
                one.append((world.now, ends))

    async def run():
        World.loop = asyncio.get_running_loop()
        watching = [asyncio.ensure_future(watch(one)) for one in heard]
        while len(world.looks) < looks:  # noqa: ASYNC110 - they are counted in threads
            await asyncio.sleep(0)
        for each in watching:
            each.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        assert execution_poller._pollers[asyncio.get_running_loop()] == {}

    asyncio.run(run())
    return heard


def test_each_end_is_heard_of_by_each_watcher(world):
    world.histories = [page("a InProgress"), page("a InProgress"), page("a Failed")]
    one, other = watched(world, 5, watchers=2)
    assert one == other == [(1060, ["a Failed"])]


def test_several_ends_between_two_looks_are_one_event(world):
    world.histories = [page("b InProgress", "a InProgress"), page("c Failed", "b Stopped", "a Succeeded")]
    assert watched(world, 4) == [[(1030, ["a Succeeded", "b Stopped", "c Failed"])]]


def test_an_end_soon_after_another_is_said_again(world):
    """Airflow may overlook its event."""
    world.histories = [page(), page("a Failed"), page("b Failed", "a Failed")]
    [heard] = watched(world, 12, interval=10)
    assert heard == [
        (1010, ["a Failed"]),
        (1020, ["b Failed"]),
        (1025, ["b Failed"]),
        (1040, ["b Failed"]),
    ]


def test_a_watcher_says_what_is_still_to_be_said_again(world):
    world.histories = [page("a InProgress"), page("a Failed")]
    last, seen = LastLook(datetime(2025, 12, 31, tzinfo=UTC), frozenset({"a"})), []

    async def run():
        World.loop = asyncio.get_running_loop()
        async for look in poller().watch(ExecutionChanges(ENDED, last), 10):
            seen.append((len(look.executions), look.is_over))
            if len(seen) == 7:
                break

    asyncio.run(asyncio.wait_for(run(), 20))
    # A look, the event, said again, two looks, said again, and a look after that.
    assert seen == [(0, True), (1, True), (1, False), (0, False), (0, False), (1, False), (0, True)]


def test_five_hundred_watchers_cost_no_more_calls_than_one(world):
    world.histories = [page("a InProgress"), page("a Failed")]
    watched(world, 10)
    alone = list(world.calls)
    world.calls.clear()
    world.looks.clear()
    world.histories = [page("a InProgress"), page("a Failed")]
    assert [len(heard) for heard in watched(world, 10, watchers=500)] == [1] * 500
    # Nobody waits for one of them, so nobody asks what the actions do.
    assert set(alone) == set(world.calls) == {"ListPipelineExecutions"}
    assert len(world.calls) == len(alone) == 10


def test_who_watches_and_who_waits_share_a_look(world):
    world.histories = [page("a InProgress"), page("a Succeeded")]

    async def run():
        World.loop = asyncio.get_running_loop()
        shared = poller()
        changes = ExecutionChanges(ENDED)

        async def first_end():
            async for look in shared.watch(changes, 30):
                if look.executions:
                    return look.executions

        async def follow():
            return [look.execution.status async for look in shared.follow("a", 30, retry_deadline=300)]

        return await asyncio.gather(first_end(), follow())

    [ended], statuses = asyncio.run(run())
    assert (ended.execution_id, statuses) == ("a", ["InProgress", "Succeeded"])
    assert world.calls == ["ListPipelineExecutions", "ListActionExecutions"] * 2


def test_a_watcher_needs_no_actions(world):
    """The policy of those who only watch does not allow ListActionExecutions."""
    world.no_actions = DENIED
    world.statuses = {"a": ["InProgress"], "b": ["InProgress", "InProgress", "Failed"]}
    refused, heard = [], []

    async def wait():
        try:
            async for _ in poller().follow("a", 30, retry_deadline=300):
                pass
        except RequestRefused as error:
            refused.append(error)

    async def run():
        World.loop = asyncio.get_running_loop()
        waiting = asyncio.ensure_future(wait())
        async for look in poller().watch(ExecutionChanges(ENDED), 30):
            heard.extend(look.executions)
            if heard:
                break
        await waiting

    asyncio.run(asyncio.wait_for(run(), 20))
    assert (refused, [each.execution_id for each in heard]) == ([DENIED], ["b"])
    # No look was lost, and none came late.
    assert world.looks == [1000, 1010, 1040]


def test_what_a_predecessor_may_have_said_is_said_again(world):
    world.histories = [page("a InProgress"), page("a Failed")]
    heard = []

    async def run():
        World.loop = asyncio.get_running_loop()
        last = LastLook(datetime(2025, 12, 31, tzinfo=UTC), frozenset({"a"}))
        async for look in poller().watch(ExecutionChanges(ENDED, last), 10):
            heard.extend((world.now, each.execution_id) for each in look.executions)
            if len(heard) == 3:
                break

    asyncio.run(asyncio.wait_for(run(), 20))
    assert [name for _, name in heard] == ["a"] * 3
    assert [at - heard[0][0] for at, _ in heard] == [0, 5, 20]


def test_who_watches_goes_on_when_nobody_waits_any_more(world):
    world.histories = [page("b InProgress", "a Succeeded")] * 2 + [page("b Failed", "a Succeeded")]

    async def run():
        World.loop = asyncio.get_running_loop()
        shared = poller()

        async def first_end():
            async for look in shared.watch(ExecutionChanges(ENDED), 30):
                if look.executions:
                    return look.executions[0].execution_id

        watching = asyncio.ensure_future(first_end())
        async for look in shared.follow("a", 30, retry_deadline=300):
            assert look.execution.is_ended
        return await asyncio.wait_for(watching, 20)

    assert asyncio.run(run()) == "b"


def test_the_first_look_reads_all_pages_and_the_next_ones_one(world):
    """What is on its way may have begun long ago."""
    world.histories = [page("b Succeeded")]
    world.older_pages = [page("old InProgress"), page("older Succeeded")]
    watched(world, 3)
    assert world.calls == ["ListPipelineExecutions"] * (3 + 2 + 2)


def test_it_reads_on_if_many_have_begun(world):
    world.histories = [page("a Succeeded"), page("c Failed"), page("d Failed", "c Failed")]
    older = [page("b Failed", "a Succeeded"), page("older Failed")]
    world.meanwhile = [lambda: world.older_pages.extend(older)]
    [heard] = watched(world, 4)
    assert heard[0] == (1030, ["b Failed", "c Failed"])
    assert len(world.calls) == 1 + 2 + 1 + 1


def test_an_execution_on_two_pages_is_one(world):
    """More have begun while it read; what it has read later counts."""
    world.histories = [page("a InProgress"), page("b InProgress"), page("b Failed", "a Succeeded")]
    older = [page("b Failed", "a Succeeded")]
    world.meanwhile = [lambda: world.older_pages.extend(older)]
    [heard] = watched(world, 5)
    assert [ends for _, ends in heard] == [["a Succeeded", "b Failed"]]


def test_an_old_execution_is_asked_for_by_itself(world):
    world.histories = [page("old InProgress"), page("new Succeeded")]
    [heard] = watched(world, 3)
    assert heard == [(1030, ["old Succeeded", "new Succeeded"])]
    assert world.calls.count("GetPipelineExecution") == 1


def test_an_execution_that_is_gone_is_waited_for_no_more(world):
    world.histories = [page("gone InProgress"), page("new InProgress")]
    assert watched(world, 5) == [[]]
    assert world.calls.count("GetPipelineExecution") == 1


def test_a_refusal_of_one_execution_holds_up_no_other(world):
    world.refused = DENIED
    world.histories = [page("theirs InProgress"), page("new Succeeded")]
    assert watched(world, 3) == [[(1030, ["new Succeeded"])]]


@pytest.mark.parametrize("trouble", [SILENCE, DENIED, GONE, KeyError("secret")])
def test_a_watcher_outlives_all_trouble(world, trouble, caplog):
    """And what ends meanwhile is heard of."""
    world.histories = [page("a InProgress"), page("a Succeeded")]
    world.troubles = [None, trouble, trouble, trouble]
    with caplog.at_level(logging.WARNING):
        [heard] = watched(world, 6, interval=10)
    assert [ends for _, ends in heard] == [["a Succeeded"]]
    # It looks ever less often, and logs each time.
    assert world.looks[:6] == [1000, 1010, 1030, 1070, 1130, 1140]
    assert len(caplog.records) == 3
    assert "secret" not in caplog.text


def test_a_fault_of_the_watcher_is_logged_and_it_goes_on(world, caplog):
    rubbish = PipelineExecution("pipe", "a", "Failed", updated_at="yesterday")
    world.histories = [page("a Failed"), [rubbish], page("b Failed", "a Failed")]
    [heard] = watched(world, 5)
    assert heard[0] == (1060, ["b Failed"])
    assert "What a look at pipeline pipe found could not be compared." in caplog.text


def test_who_waits_for_an_old_execution_makes_no_event_of_it(world):
    """The watcher has never seen it on its way."""
    world.histories = [page("new InProgress"), page("new InProgress"), page("new Failed")]

    async def run():
        World.loop = asyncio.get_running_loop()
        shared, heard = poller(), []

        async def first_end():
            async for look in shared.watch(ExecutionChanges(ENDED), 30):
                heard.extend(each.execution_id for each in look.executions)
                if heard:
                    return

        watching = asyncio.ensure_future(first_end())
        while not world.looks:  # noqa: ASYNC110 - they are counted in threads
            await asyncio.sleep(0)
        assert [look.execution.status async for look in shared.follow("old", 30, retry_deadline=300)]
        await asyncio.wait_for(watching, 20)
        return heard

    assert asyncio.run(run()) == ["new"]


def test_a_newcomer_hears_only_of_what_comes(world):
    world.histories = [page("a InProgress"), page("a Failed"), page("a Failed"), page("b Failed", "a Failed")]
    heard = []

    async def watch():
        async for look in poller().watch(ExecutionChanges(ENDED), 30):
            heard.extend(each.execution_id for each in look.executions)

    async def run():
        World.loop = asyncio.get_running_loop()
        watching = [asyncio.ensure_future(watch())]
        world.meanwhile = [
            lambda: watching.append(asyncio.ensure_future(watch())),
            lambda: None,
            lambda: None,
        ]
        while len(world.looks) < 8:  # noqa: ASYNC110 - they are counted in threads
            await asyncio.sleep(0)
        for each in watching:
            each.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    asyncio.run(run())
    assert heard == ["a", "b", "b"]


# The queue that says when to look.


def test_a_woken_watcher_looks_at_once_and_twice_more(world):
    world.histories = [page("a InProgress"), page("a InProgress"), page("a Succeeded")]
    world.meanwhile = [lambda: poller().wake(ChangedPipeline("pipe"))]
    [heard] = watched(world, 5, interval=300)
    assert world.looks == [1000, 1001, 1002, 1005, 1305]
    assert heard == [(1002, ["a Succeeded"])]


@pytest.mark.parametrize("subject", [ChangedPipeline("other"), ActionType("Build", "pipe")])
def test_an_event_about_something_else_wakes_nobody(world, subject):
    world.histories = [page()]
    world.meanwhile = [lambda: poller().wake(subject)]
    watched(world, 3)
    assert world.looks == [1000, 1030, 1060]


def test_while_codepipeline_is_in_trouble_no_event_counts(world):
    world.histories = [page()]
    world.troubles = [SILENCE] * 3
    world.meanwhile = [lambda: poller().wake(ChangedPipeline("pipe"))] * 3
    watched(world, 3, interval=10)
    assert world.looks == [1000, 1020, 1060]


def test_a_queue_is_read_as_long_as_somebody_names_it(world, monkeypatch):
    listening = set()
    monkeypatch.setattr(WakeQueue, "add", lambda queue, listener: listening.add(listener))
    monkeypatch.setattr(WakeQueue, "remove", lambda queue, listener: listening.remove(listener))
    world.histories = [page()]

    async def run():
        World.loop = asyncio.get_running_loop()
        shared = poller()

        async def watch(queue):
            async for _ in shared.watch(ExecutionChanges(ENDED), 30, queue):
                pass

        first, second, without = (asyncio.create_task(watch(queue)) for queue in (URL, URL, None))
        await asyncio.sleep(0)
        for task, left in ((first, {shared}), (second, set()), (without, set())):
            assert listening == ({shared} if task is not without else set())
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert listening == left

    asyncio.run(run())
