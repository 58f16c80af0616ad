# SPDX-License-Identifier: Apache-2.0
"""One look at a pipeline for all who wait for its executions, whatever happens to it."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from fake_pipeline import World

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling import execution_poller
from airflow_codepipeline_partner._polling.execution_poller import ExecutionPoller
from airflow_codepipeline_partner._protocol.executions import ActionExecution
from airflow_codepipeline_partner.exceptions import PipelineNotFound, RequestRefused, ServiceUnavailable

SILENCE = ServiceUnavailable("no answer")


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


async def follow(execution_id, interval=30, retry_deadline=300):
    """Return the statuses of an execution that somebody saw, and the error at the end, if any."""
    seen = []
    World.loop = asyncio.get_running_loop()
    poller = ExecutionPoller.for_("pipe", AwsParameters())
    try:
        async for look in poller.follow(execution_id, interval, retry_deadline=retry_deadline):
            seen.append(look.execution.status)
    except Exception as error:
        seen.append(type(error))
    return seen


def together(*executions, **more):
    async def run():
        return await asyncio.gather(*(follow(each, **more) for each in executions))

    return asyncio.run(run())


def test_it_looks_until_the_execution_has_ended(world):
    world.statuses = {"a": ["InProgress", "InProgress", "Succeeded"]}
    assert together("a") == [["InProgress", "InProgress", "Succeeded"]]
    assert world.looks == [1000, 1030, 1060]


def test_five_hundred_who_wait_cost_no_more_calls_than_one(world):
    one = ["InProgress"] * 9 + ["Succeeded"]
    world.statuses = {"a": list(one)}
    together("a")
    alone = list(world.calls)
    world.calls.clear()
    ids = [f"e{number}" for number in range(500)]
    world.statuses = {each: list(one) for each in ids}
    assert together(*ids) == [one] * 500
    assert world.calls == alone
    assert alone.count("ListPipelineExecutions") == alone.count("ListActionExecutions") == 10


def test_it_looks_at_the_shortest_interval_of_those_who_wait(world):
    world.statuses = {"a": ["InProgress", "Succeeded"], "b": ["InProgress"] * 3 + ["Failed"]}

    async def run():
        return await asyncio.gather(follow("a", interval=10), follow("b", interval=60))

    assert asyncio.run(run())[1][-1] == "Failed"
    # The one in a hurry leaves after the second look.
    assert world.looks == [1000, 1010, 1070, 1130]


def test_an_end_is_heard_of_only_when_airflow_knows_of_the_wait(world):
    world.statuses = {"a": ["Succeeded"]}
    assert together("a") == [["Succeeded"]]
    assert world.looks == [1000, 1010]


def test_those_who_come_later_cause_few_looks(world):
    world.statuses = {"a": ["InProgress"] * 20 + ["Succeeded"], "b": ["Succeeded"]}

    async def run():
        first, later = asyncio.create_task(follow("a")), []
        world.meanwhile = [lambda: later.append(asyncio.create_task(follow("b")))] * 30
        return [await first, *await asyncio.gather(*later)]

    assert asyncio.run(run())[1:] == [["Succeeded"]] * 30
    gaps = {later - earlier for earlier, later in pairwise(world.looks)}
    assert gaps == {10, 30}


def test_an_old_execution_is_asked_for_by_itself(world):
    assert together("old") == [["Succeeded"]]
    # Airflow may not have known at the first look that the task waits.
    assert world.calls == ["ListPipelineExecutions", "ListActionExecutions", "GetPipelineExecution"] * 2


def test_an_execution_that_is_not_there_ends_only_its_wait(world):
    world.statuses = {"a": ["InProgress"] * 3 + ["Succeeded"]}
    assert together("nobodys", "a") == [[PipelineNotFound], ["InProgress"] * 3 + ["Succeeded"]]


def test_an_execution_may_be_seen_only_after_a_while(world):
    world.meanwhile = [lambda: world.statuses.update(a=["InProgress", "Succeeded"]), lambda: None]
    assert together("a") == [["InProgress", "Succeeded"]]
    assert world.looks[-1] - world.looks[0] == 60


def test_a_refusal_of_one_execution_ends_only_its_wait(world, monkeypatch):
    world.statuses = {"a": ["InProgress", "Succeeded"]}
    world.refused = RequestRefused("may not", code="AccessDeniedException")
    assert together("another's", "a") == [[RequestRefused], ["InProgress", "Succeeded"]]


def test_silence_about_one_execution_holds_up_no_other(world):
    world.statuses = {"a": ["InProgress", "Succeeded"]}
    world.refused = SILENCE

    async def run():
        return await asyncio.gather(follow("old", retry_deadline=60), follow("a"))

    assert asyncio.run(run()) == [[ServiceUnavailable], ["InProgress", "Succeeded"]]


def test_a_fault_of_the_poller_leaves_nobody_waiting(world):
    world.statuses = {"a": ["InProgress", "Succeeded"]}
    # Nothing that can be sorted with an id.
    seen = together(None, "a")
    assert [type(each[-1]) for each in seen] == [type, type]
    assert together("a") == [["InProgress", "Succeeded"]]


def test_who_comes_during_a_look_waits_for_no_whole_interval(world):
    world.statuses = {"a": ["InProgress"] * 5 + ["Succeeded"], "b": ["Succeeded"]}
    later = []

    async def run():
        first = asyncio.create_task(follow("a", interval=120))
        world.during_a_look = lambda: later.append(asyncio.create_task(follow("b", interval=120)))
        return [await first, *await asyncio.gather(*later)]

    assert asyncio.run(run())[1:] == [["Succeeded"]]
    assert world.looks[:3] == [1000, 1010, 1130]


def test_what_codepipeline_refuses_ends_all_waits(world):
    world.troubles = [RequestRefused("may not", code="AccessDeniedException")]
    assert together("a", "b") == [[RequestRefused], [RequestRefused]]
    assert len(world.looks) == 1


def test_without_an_answer_it_backs_off_and_goes_on(world):
    world.statuses = {"a": ["Succeeded"]}
    world.troubles = [SILENCE, SILENCE]
    assert together("a", interval=5) == [["Succeeded"]]
    assert world.looks == [1000, 1010, 1030]


def test_the_last_look_says_whether_there_is_trouble(world):
    world.statuses = {"a": ["InProgress"] * 5 + ["Succeeded"]}
    world.troubles = [SILENCE]

    async def run():
        poller = ExecutionPoller.for_("pipe", AwsParameters())
        trouble = []
        world.meanwhile = [lambda: trouble.append(poller.trouble)] * 6
        await follow("a")
        return trouble

    trouble = asyncio.run(run())
    assert SILENCE in trouble
    assert trouble[-1] is None


def test_each_waits_for_an_answer_as_long_as_it_was_told_to(world):
    world.statuses = {"a": ["Succeeded"]}
    world.troubles = [SILENCE] * 4

    async def run():
        return await asyncio.gather(
            follow("a", interval=10, retry_deadline=20), follow("a", interval=10, retry_deadline=600)
        )

    assert asyncio.run(run()) == [[ServiceUnavailable], ["Succeeded"]]


def test_a_fault_of_the_look_up_is_an_answer_that_did_not_come(world):
    world.statuses = {"a": ["Succeeded"]}
    world.troubles = [KeyError("something of Airflow's")]
    assert together("a") == [["Succeeded"]]


def test_the_actions_come_with_the_look(world):
    world.statuses = {"a": ["Succeeded"]}
    world.actions = {"a": [ActionExecution("Build", "Compile", "Succeeded")], "b": []}

    async def run():
        poller = ExecutionPoller.for_("pipe", AwsParameters())
        async for look in poller.follow("a", 30, retry_deadline=300):
            return [str(each) for each in look.actions]

    assert asyncio.run(run()) == ["Build / Compile"]


def test_nobody_is_left_behind_when_the_last_one_leaves(world):
    world.statuses = {"a": ["InProgress"]}

    async def run():
        waiting = asyncio.create_task(follow("a"))
        while not world.looks:  # noqa: ASYNC110 - they are counted in threads
            await asyncio.sleep(0.001)
        looking = ExecutionPoller.for_("pipe", AwsParameters())._task
        waiting.cancel()
        # A look may still be in its thread: it is never cancelled. What starts looks has ended.
        await asyncio.gather(waiting, looking, return_exceptions=True)
        assert looking.cancelled()
        return execution_poller._pollers[asyncio.get_running_loop()]

    assert asyncio.run(run()) == {}
