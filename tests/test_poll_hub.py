# SPDX-License-Identifier: Apache-2.0
"""The hub: one poll for all who wait, whatever happens to it, and only while somebody waits."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading

import pytest

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling import poller
from airflow_codepipeline_partner._polling.poller import SharedPoller
from airflow_codepipeline_partner._polling.subscribers import (
    MAX_SILENCE_ABOUT_A_JOB,
    JobWatcher,
    NextJobFilter,
)
from airflow_codepipeline_partner.exceptions import (
    ActionTypeNotFound,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import ActionType, OfferedJob

TYPE = ActionType("Deploy", "Example")
LATER = 4_000_000_000.0
SILENCE = ServiceUnavailable("no answer")


def jobs(*job_ids):
    return [OfferedJob(job_id, "client", TYPE) for job_id in job_ids]


class CodePipeline:
    """Answers polls from a list, then for ever with nothing; time passes only while the hub waits."""

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

        async def pause(hub, seconds):
            if world.meanwhile:
                world.meanwhile.pop(0)()
            for _ in range(5):
                await asyncio.sleep(0)
            if hub._changed.is_set() or not hub._waiters:
                hub._changed.clear()
                return
            assert len(world.pauses) < 2000, "it waits for ever"
            world.pauses.append(seconds)
            world.now += seconds

        monkeypatch.setattr(AwsParameters, "hook", make_hook)
        monkeypatch.setattr(poller, "with_jitter", lambda seconds: seconds)
        monkeypatch.setattr(poller.time, "time", lambda: self.now)
        monkeypatch.setattr(poller.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(SharedPoller, "_pause", pause)


@pytest.fixture
def codepipeline(monkeypatch):
    return CodePipeline(monkeypatch)


def sensor(hub=None, *, batch=10, interval=30, deadline=LATER, retry_deadline=300):
    hub = hub or SharedPoller.for_(TYPE, AwsParameters())
    return hub.wait(batch, interval, deadline=deadline, retry_deadline=retry_deadline)


async def outcomes(*waits):
    """Return what each wait comes to: job ids, or the error."""
    found = await asyncio.gather(*waits, return_exceptions=True)
    return [one if isinstance(one, Exception) else [job.job_id for job in one] for one in found]


def together(make_waits):
    """Run waits that are made in one loop, and return their outcomes."""

    async def run():
        return await outcomes(*make_waits())

    return asyncio.run(run())


def test_five_hundred_that_wait_cost_no_more_polls_than_one(codepipeline):
    ended = together(lambda: [sensor(deadline=1295) for _ in range(500)])
    assert {type(one) for one in ended} == {TimeoutError}
    many = len(codepipeline.polls)
    codepipeline.polls.clear()
    codepipeline.now = 1000.0
    together(lambda: [sensor(deadline=1295)])
    assert many == len(codepipeline.polls) == 10
    assert codepipeline.hooks == 2  # one for each loop


def test_each_job_goes_to_one_who_waits_and_the_first_come_is_the_first_served(codepipeline):
    codepipeline.answers = [jobs("a", "b", "c"), jobs("d")]
    ended = together(
        lambda: [sensor(batch=2), sensor(batch=2), sensor(batch=2), sensor(batch=2, deadline=1040)]
    )
    assert ended[:3] == [["a", "b"], ["c"], ["d"]]
    assert isinstance(ended[3], TimeoutError)


def test_it_polls_at_the_shortest_interval_for_the_largest_batch(codepipeline):
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
def test_one_who_comes_later_causes_no_poll_but_is_not_kept_longer_than_wanted(codepipeline, when):
    async def run():
        hub, loop, later = SharedPoller.for_(TYPE, AwsParameters()), asyncio.get_running_loop(), []

        def come_later():
            later.append(asyncio.ensure_future(sensor(hub, interval=40, deadline=1150)))

        if when == "during a poll":
            codepipeline.answers = [lambda: [loop.call_soon_threadsafe(come_later), []][1]]
        else:
            codepipeline.meanwhile = [come_later]
        await outcomes(sensor(hub, interval=100, deadline=1150))
        await outcomes(*later)

    asyncio.run(run())
    assert [at for at, _ in codepipeline.polls] == [1000, 1040, 1080, 1120]


def test_connections_and_action_types_have_hubs_of_their_own_and_tokens_do_not_matter():
    async def run():
        hub = SharedPoller.for_(TYPE, AwsParameters())
        assert SharedPoller.for_(TYPE, AwsParameters(client_conn_id_template="other_{client_id}")) is hub
        others = [
            SharedPoller.for_(ActionType("Test", "Example"), AwsParameters()),
            SharedPoller.for_(TYPE, AwsParameters(aws_conn_id="other")),
            SharedPoller.for_(TYPE, AwsParameters(region_name="eu-west-1")),
            SharedPoller.for_(TYPE, AwsParameters(verify=False)),
            SharedPoller.for_(TYPE, AwsParameters(botocore_config={"read_timeout": 5})),
            SharedPoller.for_(TYPE, AwsParameters(), {"Project": "shop"}),
            SharedPoller.for_(TYPE, AwsParameters(), {"Project": "mill"}),
        ]
        assert len({id(other) for other in [hub, *others]}) == 8
        return hub

    # Another loop is another triggerer's.
    assert asyncio.run(run()) is not asyncio.run(run())


def test_it_ends_with_the_last_who_waits_and_begins_anew(codepipeline):
    async def run():
        hub = SharedPoller.for_(TYPE, AwsParameters())
        await outcomes(sensor(hub, deadline=1010))
        await asyncio.sleep(0)
        assert hub._task.done()
        again = SharedPoller.for_(TYPE, AwsParameters())
        assert again is not hub
        codepipeline.answers = [jobs("a")]
        assert await outcomes(sensor(again)) == [["a"]]

    asyncio.run(run())
    assert codepipeline.hooks == 2


def test_one_who_is_cancelled_leaves_the_others_waiting(codepipeline):
    async def run():
        hub = SharedPoller.for_(TYPE, AwsParameters())
        killed = asyncio.ensure_future(sensor(hub))
        other = asyncio.ensure_future(sensor(hub))
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


# Trouble.


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
def test_a_refusal_ends_all_waits_and_the_connection_is_read_anew(codepipeline, error):
    async def run():
        codepipeline.answers = [error]
        hub = SharedPoller.for_(TYPE, AwsParameters())
        assert await outcomes(sensor(hub), sensor(hub)) == [error, error]
        codepipeline.answers = [jobs("a")]
        assert await outcomes(sensor()) == [["a"]]

    asyncio.run(run())
    assert codepipeline.hooks == 2


def test_what_airflow_raises_is_trouble_that_may_pass_and_is_not_quoted(codepipeline, caplog):
    codepipeline.answers = [RuntimeError("planted text"), jobs("a")]
    assert together(lambda: [sensor()]) == [["a"]]
    assert "RuntimeError" in caplog.text
    assert "planted" not in caplog.text


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
        hub = SharedPoller.for_(TYPE, AwsParameters())
        ended = await outcomes(sensor(hub), anext(hub.watch(10, 30)))
        assert isinstance(ended[0], ZeroDivisionError)
        assert ended[1] == ["a"]

    asyncio.run(run())


@pytest.mark.parametrize("late", [-50, 0, 5])
def test_one_whose_time_is_nearly_over_gets_its_poll_and_spins_nowhere(codepipeline, late):
    async def run():
        hub, later = SharedPoller.for_(TYPE, AwsParameters()), []
        hurried = sensor(hub, interval=300, deadline=1000 + late)
        codepipeline.meanwhile = [lambda: later.append(asyncio.ensure_future(hurried))]
        await outcomes(sensor(hub, interval=300, deadline=1400))
        return await outcomes(*later)

    [ended] = asyncio.run(run())
    assert isinstance(ended, TimeoutError)
    assert [at for at, _ in codepipeline.polls][:2] == [1000, 1000 + max(late, 0)]
    assert len(codepipeline.pauses) < 10


def test_a_newcomer_does_not_cut_the_back_off_short(codepipeline):
    async def run():
        hub, later = SharedPoller.for_(TYPE, AwsParameters()), []
        eager = sensor(hub, interval=1, deadline=1200)
        codepipeline.meanwhile = [
            lambda: None,
            lambda: later.append(asyncio.ensure_future(eager)),
        ]
        codepipeline.answers = [SILENCE, SILENCE]
        await outcomes(sensor(hub, interval=20, deadline=1105))
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
            # For all who wait for the hub's end, too.
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
        hub = SharedPoller.for_(TYPE, AwsParameters())
        patient = asyncio.ensure_future(sensor(hub, interval=10))
        ended = await outcomes(sensor(hub, interval=10, deadline=1010.05))
        assert isinstance(ended[0], TimeoutError)
        assert not patient.done()
        let_go.set()
        assert await outcomes(patient) == [["late"]]

    asyncio.run(run())


# Watchers.


def watched(codepipeline, polls, *, batch=10, interval=10, watchers=1):
    """Return when each watcher is told of which jobs, in so many polls."""
    told = [[] for _ in range(watchers)]

    async def run():
        hub = SharedPoller.for_(TYPE, AwsParameters())

        async def watch(heard):
            async for offer in hub.watch(batch, interval):
                heard.append((codepipeline.now, [job.job_id for job in offer]))

        watching = [asyncio.ensure_future(watch(heard)) for heard in told]
        while len(codepipeline.polls) <= polls:  # noqa: ASYNC110 - they are counted in threads
            await asyncio.sleep(0)
        for each in watching:
            each.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    asyncio.run(run())
    return told


def test_each_watcher_is_told_of_each_poll_that_brings_jobs(codepipeline):
    codepipeline.answers = [jobs("a", "b"), [], jobs("c")]
    one, other = watched(codepipeline, 4, watchers=2)
    assert one == other == [(1000, ["a", "b"]), (1020, ["c"])]


def test_a_job_that_stays_unclaimed_is_told_again_less_and_less_often(codepipeline):
    codepipeline.answers = [jobs("a") for _ in range(1500)]
    [told] = watched(codepipeline, 1400, interval=10)
    at = [moment - 1000 for moment, _ in told]
    assert at[:5] == [0, 30, 90, 210, 450]
    gaps = [after - before for before, after in itertools.pairwise(at)]
    assert max(gaps) == MAX_SILENCE_ABOUT_A_JOB
    assert {job_id for _, ids in told for job_id in ids} == {"a"}


def test_of_a_custom_job_it_is_told_more_often_since_former_offers_go_stale(codepipeline):
    kind = ActionType("Build", "Own", owner="Custom")
    codepipeline.answers = [[OfferedJob("a", None, kind, str(number))] for number in range(500)]
    [told] = watched(codepipeline, 490, interval=10)
    at = [moment - 1000 for moment, _ in told]
    assert at[:8] == [0, 30, 90, 210, 450, 930, 1830, 2730]


def test_a_full_batch_of_news_is_followed_by_another_poll_at_once(codepipeline):
    codepipeline.answers = [jobs("a", "b"), jobs("c", "d"), jobs("e"), jobs("a", "b")]
    [told] = watched(codepipeline, 6, batch=2)
    assert told == [(1000, ["a", "b"]), (1000, ["c", "d"]), (1000, ["e"])]
    # What is no news is passed over, once.
    assert [at for at, _ in codepipeline.polls][:6] == [1000, 1000, 1000, 1010, 1010, 1020]


@pytest.mark.parametrize("trouble", [SILENCE, ActionTypeNotFound("unheard of"), RuntimeError("broken")])
def test_a_watcher_outlives_all_trouble(codepipeline, trouble):
    codepipeline.answers = [trouble, trouble, trouble, jobs("a")]
    [told] = watched(codepipeline, 4)
    assert [ids for _, ids in told] == [["a"]]
    assert codepipeline.pauses[:3] == [20, 40, 60]


@pytest.mark.parametrize(
    ("answers", "hooks"),
    [
        # Throttled now and then: a new client each time would cost more than the poll.
        ([SILENCE, [], SILENCE, []], 1),
        ([SILENCE, SILENCE], 2),
        ([RequestRefused("expired")], 2),
    ],
)
def test_the_connection_is_read_anew_after_a_refusal_and_where_silence_lasts(codepipeline, answers, hooks):
    codepipeline.answers = [*answers, jobs("a")]
    [told] = watched(codepipeline, len(answers) + 1)
    assert [ids for _, ids in told] == [["a"]]
    assert codepipeline.hooks == hooks


def test_a_job_goes_to_a_sensor_and_to_each_watcher(codepipeline):
    codepipeline.answers = [jobs("a")]

    async def run():
        hub = SharedPoller.for_(TYPE, AwsParameters())
        watching = asyncio.ensure_future(anext(hub.watch(10, 30)))
        assert await outcomes(sensor(hub), watching) == [["a"], ["a"]]

    asyncio.run(run())


def test_what_was_not_offered_for_long_is_forgotten():
    watcher = JobWatcher(10, 30)
    watcher.tell(jobs("a"), 0.0)
    watcher.tell(jobs("b"), 30.0 + 2 * MAX_SILENCE_ABOUT_A_JOB)
    assert list(watcher._told) == ["b"]


class Lookup:
    """Knows the continuation tokens of jobs, and counts how often it is asked."""

    def __init__(self, **tokens):
        self.tokens = tokens
        self.asked = []

    async def tokens_of(self, jobs, holder):
        self.asked.append([job.job_id for job in jobs])
        return {job.job_id: self.tokens.get(job.job_id) for job in jobs}


@pytest.fixture
def lookup(monkeypatch):
    found = Lookup(next="token-1", other="token-2")
    monkeypatch.setattr(poller, "TokenLookup", lambda: found)
    return found


def next_job(which=1, client_id="client", **more):
    hub = SharedPoller.for_(TYPE, AwsParameters())
    limits = {"deadline": LATER, "retry_deadline": 300, **more}
    return hub.wait(
        10, 30, continuation=NextJobFilter(client_id, f"token-{which}", AwsParameters()), **limits
    )


def test_the_job_that_continues_goes_to_the_task_that_waits_for_it(codepipeline, lookup):
    codepipeline.answers = [jobs("new", "other", "next")]
    assert together(lambda: [sensor(), next_job()]) == [["new", "other"], ["next"]]


def test_two_tasks_are_each_given_their_own(codepipeline, lookup):
    codepipeline.answers = [jobs("next", "other")]
    assert together(lambda: [next_job(2), next_job(1)]) == [["other"], ["next"]]


def test_a_continuation_that_nobody_waits_for_here_goes_to_whoever_waits(codepipeline, lookup):
    codepipeline.answers = [jobs("other"), jobs("next")]
    assert together(lambda: [next_job(1), sensor()]) == [["next"], ["other"]]


def test_details_are_asked_for_only_where_a_job_of_that_client_is_waited_for(codepipeline, lookup):
    strangers = [OfferedJob("new", "stranger", TYPE)]
    codepipeline.answers = [strangers, jobs("next")]
    assert together(lambda: [sensor(), next_job()]) == [["new"], ["next"]]
    assert lookup.asked == [["next"]]


def test_a_slow_look_up_holds_up_no_other_clients_jobs(codepipeline, monkeypatch):
    asked = asyncio.Event()

    class Slow(Lookup):
        async def tokens_of(self, jobs, holder):
            await asked.wait()
            return await super().tokens_of(jobs, holder)

    monkeypatch.setattr(poller, "TokenLookup", lambda: Slow(next="token-1"))
    codepipeline.answers = [[*jobs("next"), OfferedJob("new", "stranger", TYPE)]]

    async def run():
        continued = asyncio.ensure_future(next_job())
        assert [job.job_id for job in await sensor()] == ["new"]
        asked.set()
        return [job.job_id for job in await continued]

    assert asyncio.run(run()) == ["next"]


def test_a_poll_that_brought_the_job_at_the_last_moment_is_waited_for(codepipeline, lookup):
    codepipeline.answers = [jobs("next")]
    assert together(lambda: [next_job(deadline=codepipeline.now - 1)]) == [["next"]]


def test_a_continuation_that_never_comes_ends_at_its_deadline(codepipeline, lookup):
    [outcome] = together(lambda: [next_job(deadline=codepipeline.now + 100)])
    assert isinstance(outcome, TimeoutError)


def test_500_waiting_tasks_share_one_poll(codepipeline, lookup):
    lookup.tokens = {f"job-{n}": f"token-{n}" for n in range(250)}
    polled = [OfferedJob(f"job-{n}", f"client-{n}", TYPE) for n in range(500)]
    codepipeline.answers = [[], [], polled]
    waits = together(
        lambda: [
            *(next_job(n, f"client-{n}") for n in range(250)),
            *(sensor(batch=1) for n in range(250, 500)),
        ]
    )
    assert waits == [[f"job-{n}"] for n in range(500)]
    assert len(codepipeline.polls) == 3
    assert sorted(lookup.asked) == sorted([f"job-{n}"] for n in range(250))


def test_jobs_that_nobody_claims_do_not_hide_the_others(codepipeline, lookup):
    """The oldest are offered first, and of these there are more than a poll and a lease can hold."""
    stale = [jobs("a", "b"), jobs("c", "d"), jobs("e", "f")]
    codepipeline.answers = [*stale, *stale, jobs("next")]
    hub = SharedPoller.for_
    limits = {"deadline": LATER, "retry_deadline": 300, "continuation": CONTINUED}
    assert together(lambda: [hub(TYPE, AwsParameters()).wait(2, 30, **limits)]) == [["next"]]
    # The first time they are new, and another may be about to claim them; then they are passed over at once.
    assert [now for now, _ in codepipeline.polls] == [1000, 1030, 1060, 1090, 1090, 1090, 1090]


CONTINUED = NextJobFilter("client", "token-1", AwsParameters())
