# SPDX-License-Identifier: Apache-2.0
"""One poll for all who wait, whatever happens to it, and only while somebody waits."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from fake_codepipeline import SILENCE, TYPE, jobs, outcomes, sensor, together

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.poll_notes import PollOutcome
from airflow_codepipeline_partner._polling.poller import SharedPoller
from airflow_codepipeline_partner.exceptions import (
    ActionTypeNotFound,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import ActionType


def test_five_hundred_that_wait_cost_no_more_polls_than_one(codepipeline):
    ended = together(lambda: [sensor(deadline=1295) for _ in range(500)])
    assert {type(one) for one in ended} == {TimeoutError}
    many = len(codepipeline.polls)
    codepipeline.polls.clear()
    codepipeline.now = 1000.0
    together(lambda: [sensor(deadline=1295)])
    assert many == len(codepipeline.polls) == 10
    assert codepipeline.hooks == 2  # one for each loop


def test_each_job_goes_to_one_waiter_first_come_first_served(codepipeline):
    codepipeline.answers = [jobs("a", "b", "c"), jobs("d")]
    ended = together(
        lambda: [sensor(batch=2), sensor(batch=2), sensor(batch=2), sensor(batch=2, deadline=1040)]
    )
    assert ended[:3] == [["a", "b"], ["c"], ["d"]]
    assert isinstance(ended[3], TimeoutError)


def test_it_polls_at_the_shortest_interval_and_largest_batch(codepipeline):
    together(
        lambda: [
            sensor(interval=60, batch=1, deadline=1100),
            sensor(interval=20, batch=5, deadline=1050),
            sensor(interval=30, batch=2, deadline=1100),
        ]
    )
    # The one in a hurry leaves after 50 s.
    assert codepipeline.polls == [(1000, 5), (1020, 5), (1040, 5), (1060, 2), (1090, 2)]


@pytest.mark.parametrize("when", ["during a poll", "between polls"])
def test_a_newcomer_causes_no_poll_and_waits_no_longer(codepipeline, when):
    """Than its own interval."""

    async def run():
        shared, loop, later = SharedPoller.for_(TYPE, AwsParameters()), asyncio.get_running_loop(), []

        def come_later():
            later.append(asyncio.ensure_future(sensor(shared, interval=40, deadline=1150)))

        if when == "during a poll":
            codepipeline.answers = [lambda: [loop.call_soon_threadsafe(come_later), []][1]]
        else:
            codepipeline.meanwhile = [come_later]
        await outcomes(sensor(shared, interval=100, deadline=1150))
        await outcomes(*later)

    asyncio.run(run())
    assert [at for at, _ in codepipeline.polls] == [1000, 1040, 1080, 1120]


def test_each_connection_and_action_type_has_its_poller():
    """Client tokens do not matter."""

    async def run():
        shared = SharedPoller.for_(TYPE, AwsParameters())
        assert SharedPoller.for_(TYPE, AwsParameters(client_conn_id_template="other_{client_id}")) is shared
        others = [
            SharedPoller.for_(ActionType("Test", "Example"), AwsParameters()),
            SharedPoller.for_(TYPE, AwsParameters(aws_conn_id="other")),
            SharedPoller.for_(TYPE, AwsParameters(region_name="eu-west-1")),
            SharedPoller.for_(TYPE, AwsParameters(verify=False)),
            SharedPoller.for_(TYPE, AwsParameters(botocore_config={"read_timeout": 5})),
            SharedPoller.for_(TYPE, AwsParameters(), {"Project": "shop"}),
            SharedPoller.for_(TYPE, AwsParameters(), {"Project": "mill"}),
        ]
        assert len({id(other) for other in [shared, *others]}) == 8
        return shared

    # Another loop is another triggerer's.
    assert asyncio.run(run()) is not asyncio.run(run())


def test_it_ends_with_the_last_who_waits_and_begins_again(codepipeline):
    async def run():
        shared = SharedPoller.for_(TYPE, AwsParameters())
        await outcomes(sensor(shared, deadline=1010))
        await asyncio.sleep(0)
        assert shared._task.done()
        again = SharedPoller.for_(TYPE, AwsParameters())
        assert again is not shared
        codepipeline.answers = [jobs("a")]
        assert await outcomes(sensor(again)) == [["a"]]

    asyncio.run(run())
    # A new client would hold the loop up.
    assert codepipeline.hooks == 1


def test_all_pollers_of_a_connection_share_its_client(codepipeline):
    async def run():
        kinds = [ActionType("Deploy", f"Example-{number}") for number in range(100)]
        pollers = [SharedPoller.for_(kind, AwsParameters()) for kind in kinds]
        other = SharedPoller.for_(TYPE, AwsParameters("another"))
        await outcomes(*(sensor(each, deadline=1010) for each in (*pollers, other)))

    asyncio.run(run())
    assert codepipeline.hooks == 2


def test_one_who_is_cancelled_leaves_the_others_waiting(codepipeline):
    async def run():
        shared = SharedPoller.for_(TYPE, AwsParameters())
        killed = asyncio.ensure_future(sensor(shared))
        other = asyncio.ensure_future(sensor(shared))
        await asyncio.sleep(0)
        killed.cancel()
        codepipeline.answers = [[], jobs("a")]
        assert await outcomes(other) == [["a"]]
        assert killed.cancelled()

    asyncio.run(run())


def test_it_runs_in_a_context_of_its_own(codepipeline):
    whose = contextvars.ContextVar("whose", default="nobody's")
    seen = []

    def answer():
        seen.append(whose.get())
        return jobs("a")

    codepipeline.answers = [answer]

    async def run():
        whose.set("the first trigger's")
        await outcomes(sensor())

    asyncio.run(run())
    assert seen == ["nobody's"]


def test_silence_ends_each_wait_by_its_own_patience(codepipeline):
    codepipeline.answers = [SILENCE] * 99
    ended = together(lambda: [sensor(retry_deadline=100), sensor(retry_deadline=1000), sensor(deadline=1200)])
    assert [type(one) for one in ended] == [ServiceUnavailable] * 3
    assert [str(one) for one in ended] == [
        "No poll was answered in 120 s. no answer",
        "No poll was answered in 1020 s. no answer",
        "no answer",
    ]
    # 60 s at most between two polls.
    assert codepipeline.pauses[:3] == [60, 60, 60]
    assert codepipeline.now >= 2000


def test_silence_that_ends_leaves_no_trace(codepipeline):
    codepipeline.answers = [SILENCE, SILENCE, [], jobs("a")]
    assert together(lambda: [sensor(interval=10)]) == [["a"]]
    assert codepipeline.pauses == [20, 40, 10]


@pytest.mark.parametrize("error", [ActionTypeNotFound("unheard of"), RequestRefused("expired")])
def test_a_refusal_ends_all_waits(codepipeline, error):
    """And the connection is read again."""

    async def run():
        codepipeline.answers = [error]
        shared = SharedPoller.for_(TYPE, AwsParameters())
        assert await outcomes(sensor(shared), sensor(shared)) == [error, error]
        # At once it would be the same.
        codepipeline.now += 31
        codepipeline.answers = [jobs("a")]
        assert await outcomes(sensor()) == [["a"]]

    asyncio.run(run())
    assert codepipeline.hooks == 2


def test_what_airflow_raises_is_transient_and_not_quoted(codepipeline, caplog):
    codepipeline.answers = [RuntimeError("planted text"), jobs("a")]
    assert together(lambda: [sensor()]) == [["a"]]
    assert "RuntimeError" in caplog.text
    assert "planted" not in caplog.text


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (jobs("a"), None),
        ([], None),
        (RequestRefused("No permission."), "RequestRefused: No permission."),
        (ServiceUnavailable("No answer."), "ServiceUnavailable: No answer."),
        (RuntimeError("planted text"), "ServiceUnavailable: The poll could not be made: RuntimeError."),
    ],
)
def test_how_the_newest_poll_ended_is_known(codepipeline, answer, error):
    codepipeline.answers = [answer]

    async def run():
        shared = SharedPoller.for_(TYPE, AwsParameters())
        assert shared.last_poll is None
        await outcomes(sensor(shared, deadline=1005))
        return shared.last_poll

    assert asyncio.run(run()) == PollOutcome(1000, error)


def test_a_mistake_of_ours_ends_the_waits_and_no_watch(codepipeline, monkeypatch):
    hand_out = SharedPoller._deliver
    mistakes = [ZeroDivisionError()]

    def broken(self, found):
        if mistakes:
            raise mistakes.pop()
        return hand_out(self, found)

    monkeypatch.setattr(SharedPoller, "_deliver", broken)
    codepipeline.answers = [[], jobs("a")]

    async def run():
        shared = SharedPoller.for_(TYPE, AwsParameters())
        ended = await outcomes(sensor(shared), anext(shared.watch(10, 30)))
        assert isinstance(ended[0], ZeroDivisionError)
        assert ended[1] == ["a"]

    asyncio.run(run())


@pytest.mark.parametrize("late", [-50, 0, 5])
def test_a_late_waiter_gets_its_poll_and_no_busy_loop(codepipeline, late):
    async def run():
        shared, later = SharedPoller.for_(TYPE, AwsParameters()), []
        hurried = sensor(shared, interval=300, deadline=1000 + late)
        codepipeline.meanwhile = [lambda: later.append(asyncio.ensure_future(hurried))]
        await outcomes(sensor(shared, interval=300, deadline=1400))
        return await outcomes(*later)

    [ended] = asyncio.run(run())
    assert isinstance(ended, TimeoutError)
    assert [at for at, _ in codepipeline.polls][:2] == [1000, 1000 + max(late, 0)]
    assert len(codepipeline.pauses) < 10


def test_a_newcomer_does_not_cut_the_back_off_short(codepipeline):
    async def run():
        shared, later = SharedPoller.for_(TYPE, AwsParameters()), []
        eager = sensor(shared, interval=1, deadline=1200)
        codepipeline.meanwhile = [
            lambda: None,
            lambda: later.append(asyncio.ensure_future(eager)),
        ]
        codepipeline.answers = [SILENCE, SILENCE]
        await outcomes(sensor(shared, interval=20, deadline=1105))
        await outcomes(*later)

    asyncio.run(run())
    # 40 s after the first silence, 60 s after the second, although somebody wants to poll each second.
    assert [at for at, _ in codepipeline.polls][:4] == [1000, 1040, 1100, 1101]


def test_a_poll_that_nobody_waits_for_any_more_is_not_cancelled(codepipeline):
    let_go = threading.Event()

    async def run():
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def slow():
            loop.call_soon_threadsafe(begun.set)
            assert let_go.wait(30)
            return jobs("a")

        codepipeline.answers = [slow]
        killed = asyncio.ensure_future(sensor())
        await begun.wait()
        [poll] = [task for task in asyncio.all_tasks() if "SyncToAsync" in repr(task.get_coro())]
        killed.cancel()
        try:
            await asyncio.wait({killed})
            # For all who wait for the shared's end, too.
            for _ in range(5):
                await asyncio.sleep(0)
            assert not poll.done()
            assert not poll.cancelling()
        finally:
            let_go.set()
        assert [job.job_id for job in await poll] == ["a"]

    asyncio.run(run())


def test_a_slow_poll_keeps_nobody_beyond_the_deadline(codepipeline):
    let_go = threading.Event()

    def slow():
        codepipeline.now = 1030.0
        assert let_go.wait(30)
        return jobs("late")

    codepipeline.answers = [[], slow]

    async def run():
        shared = SharedPoller.for_(TYPE, AwsParameters())
        patient = asyncio.ensure_future(sensor(shared, interval=10))
        ended = await outcomes(sensor(shared, interval=10, deadline=1010.05))
        assert isinstance(ended[0], TimeoutError)
        assert not patient.done()
        let_go.set()
        assert await outcomes(patient) == [["late"]]

    asyncio.run(run())
