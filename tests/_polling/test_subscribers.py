# SPDX-License-Identifier: Apache-2.0
"""Who waits at the shared poller, and for what: watchers, and tasks that wait for a next job."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from fake_codepipeline import LATER, SILENCE, TYPE, jobs, outcomes, sensor, together

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling import poller
from airflow_codepipeline_partner._polling.next_job_filter import NextJobFilter
from airflow_codepipeline_partner._polling.poller import SharedPoller
from airflow_codepipeline_partner._polling.redelivery import MAX_REDELIVERY_WAIT
from airflow_codepipeline_partner._polling.subscribers import JobWaiter, JobWatcher
from airflow_codepipeline_partner.exceptions import (
    ActionTypeNotFound,
    RequestRefused,
)
from airflow_codepipeline_partner.jobs import ActionType, OfferedJob


def watched(codepipeline, polls, *, batch=10, interval=10, watchers=1):
    """Return when each watcher gets which jobs, in this number of polls."""
    heard = [[] for _ in range(watchers)]

    async def run():
        shared = SharedPoller.for_(TYPE, AwsParameters())

        async def watch(one):
            async for offer in shared.watch(batch, interval):
                one.append((codepipeline.now, [job.job_id for job in offer]))

        watching = [asyncio.ensure_future(watch(one)) for one in heard]
        while len(codepipeline.polls) <= polls:  # noqa: ASYNC110 - they are counted in threads
            await asyncio.sleep(0)
        for each in watching:
            each.cancel()
        await asyncio.gather(*watching, return_exceptions=True)

    asyncio.run(run())
    return heard


def test_each_watcher_gets_each_poll_that_brings_jobs(codepipeline):
    codepipeline.answers = [jobs("a", "b"), [], jobs("c")]
    one, other = watched(codepipeline, 6, watchers=2)
    assert one == other == [(1000, ["a", "b"]), (1020, ["c"]), (1025, ["c"]), (1040, ["c"])]


def test_an_unclaimed_job_is_reported_ever_less_often(codepipeline):
    codepipeline.answers = [jobs("a") for _ in range(1500)]
    [heard] = watched(codepipeline, 1400, interval=10)
    at = [moment - 1000 for moment, _ in heard]
    assert at[:5] == [0, 30, 90, 210, 450]
    gaps = [after - before for before, after in itertools.pairwise(at)]
    assert max(gaps) == MAX_REDELIVERY_WAIT
    assert {job_id for _, ids in heard for job_id in ids} == {"a"}


def test_after_a_full_batch_of_news_it_polls_at_once(codepipeline):
    codepipeline.answers = [jobs("a", "b"), jobs("c", "d"), jobs("e"), jobs("a", "b")]
    [heard] = watched(codepipeline, 6, batch=2)
    # All of it in one event: Airflow overlooks events that come close together.
    assert heard == [(1000, ["a", "b", "c", "d", "e"])]
    # What is no news is passed over, once.
    assert [at for at, _ in codepipeline.polls][:6] == [1000, 1000, 1000, 1010, 1010, 1020]


def test_a_collected_job_has_its_newest_nonce():
    kind = ActionType("Build", "Own", owner="Custom")
    watcher = JobWatcher(10, 30)
    for nonce in "12":
        watcher.collect([OfferedJob("a", None, kind, nonce)], 0.0)
    watcher.deliver(0.0)
    assert [job.nonce for job in watcher.offers.get_nowait()] == ["2"]


def test_what_is_said_again_has_its_newest_nonce():
    kind = ActionType("Build", "Own", owner="Custom")
    watcher = JobWatcher(10, 30)
    for now, job_id, nonce in ((0.0, "a", "1"), (1.0, "b", "1"), (3.0, "b", "2")):
        watcher.collect([OfferedJob(job_id, None, kind, nonce)], now)
        watcher.deliver(now)
    watcher.deliver(6.0)
    said = [[(job.job_id, job.nonce) for job in watcher.offers.get_nowait()] for _ in range(3)]
    assert said == [[("a", "1")], [("b", "1")], [("b", "2")]]


def test_a_sweep_that_takes_long_is_said_in_parts(codepipeline):
    def slowly(*job_ids):
        def answer():
            codepipeline.now += 0.9
            return jobs(*job_ids)

        return answer

    codepipeline.answers = [slowly(f"{number}a", f"{number}b") for number in range(5)]
    [heard] = watched(codepipeline, 7, batch=2)
    assert [len(ids) for _, ids in heard[:2]] == [8, 2]


def test_trouble_in_a_sweep_keeps_no_job_from_its_event(codepipeline):
    codepipeline.answers = [jobs("a", "b"), SILENCE]
    [heard] = watched(codepipeline, 3, batch=2)
    assert heard == [(1000, ["a", "b"])]


@pytest.mark.parametrize("trouble", [SILENCE, ActionTypeNotFound("unheard of"), RuntimeError("broken")])
def test_a_watcher_outlives_all_trouble(codepipeline, trouble):
    codepipeline.answers = [trouble, trouble, trouble, jobs("a")]
    [heard] = watched(codepipeline, 4)
    assert [ids for _, ids in heard] == [["a"]]
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
def test_the_connection_is_read_again_after_trouble(codepipeline, answers, hooks):
    """After a refusal, and if silence lasts."""
    codepipeline.answers = [*answers, jobs("a")]
    [heard] = watched(codepipeline, len(answers) + 1)
    assert [ids for _, ids in heard] == [["a"]]
    assert codepipeline.hooks == hooks


def test_a_job_goes_to_a_sensor_and_to_each_watcher(codepipeline):
    codepipeline.answers = [jobs("a")]

    async def run():
        shared = SharedPoller.for_(TYPE, AwsParameters())
        watching = asyncio.ensure_future(anext(shared.watch(10, 30)))
        assert await outcomes(sensor(shared), watching) == [["a"], ["a"]]

    asyncio.run(run())


class Lookup:
    """Knows the continuation tokens of jobs, and counts how often it is asked."""

    def __init__(self, **tokens):
        self.tokens = tokens
        self.asked = []

    def knows(self, job):
        return False

    async def tokens_of(self, jobs, ways):
        self.asked.append([job.job_id for job in jobs])
        return {job.job_id: self.tokens.get(job.job_id) for job in jobs}


@pytest.fixture
def lookup(monkeypatch):
    found = Lookup(next="token-1", other="token-2")
    monkeypatch.setattr(poller, "ContinuationLookup", lambda *_: found)
    return found


def next_job(which=1, client_id="client", shared=None, **more):
    shared = shared or SharedPoller.for_(TYPE, AwsParameters())
    limits = {"deadline": LATER, "retry_deadline": 300, **more}
    return shared.wait(10, 30, next_job=NextJobFilter(client_id, f"token-{which}", AwsParameters()), **limits)


def test_the_next_job_goes_to_the_task_that_waits_for_it(codepipeline, lookup):
    codepipeline.answers = [jobs("new", "other", "next")]
    assert together(lambda: [sensor(), next_job()]) == [["new", "other"], ["next"]]


def test_two_tasks_are_each_given_their_own(codepipeline, lookup):
    codepipeline.answers = [jobs("next", "other")]
    assert together(lambda: [next_job(2), next_job(1)]) == [["other"], ["next"]]


def test_a_next_job_nobody_waits_for_goes_to_any_waiter(codepipeline, lookup):
    codepipeline.answers = [jobs("other"), jobs("next")]
    assert together(lambda: [next_job(1), sensor()]) == [["next"], ["other"]]


def test_details_are_asked_only_for_clients_waited_for(codepipeline, lookup):
    strangers = [OfferedJob("new", "stranger", TYPE)]
    codepipeline.answers = [strangers, jobs("next")]
    assert together(lambda: [sensor(), next_job()]) == [["new"], ["next"]]
    assert lookup.asked == [["next"]]


def test_a_slow_look_up_holds_up_no_other_clients_jobs(codepipeline, monkeypatch):
    asked = asyncio.Event()

    class Slow(Lookup):
        async def tokens_of(self, jobs, ways):
            await asked.wait()
            return await super().tokens_of(jobs, ways)

    monkeypatch.setattr(poller, "ContinuationLookup", lambda *_: Slow(next="token-1"))
    codepipeline.answers = [[*jobs("next"), OfferedJob("new", "stranger", TYPE)]]

    async def run():
        continued = asyncio.ensure_future(next_job())
        assert [job.job_id for job in await sensor()] == ["new"]
        asked.set()
        return [job.job_id for job in await continued]

    assert asyncio.run(run()) == ["next"]


def test_there_is_one_look_up_at_a_time_for_each_client(codepipeline, monkeypatch):
    """What is offered while it is slow is looked up after it, once."""
    slow, polled_thrice = asyncio.Event(), asyncio.Event()

    class Slow(Lookup):
        async def tokens_of(self, jobs, ways):
            tokens = await super().tokens_of(jobs, ways)
            if "slow" in tokens:
                await slow.wait()
            return tokens

    lookup = Slow(next="token-1", theirs="token-2")
    monkeypatch.setattr(poller, "ContinuationLookup", lambda *_: lookup)
    theirs = OfferedJob("theirs", "other", TYPE)
    codepipeline.answers = [jobs("slow"), [*jobs("slow", "next"), theirs], jobs("slow", "next")]
    codepipeline.meanwhile = [lambda: None, lambda: None, polled_thrice.set]

    async def run():
        continued = asyncio.ensure_future(next_job())
        assert [job.job_id for job in await next_job(2, "other")] == ["theirs"]
        await polled_thrice.wait()
        asked = list(lookup.asked)
        slow.set()
        return asked, [job.job_id for job in await continued]

    asked, got = asyncio.run(run())
    assert got == ["next"]
    assert asked == [["slow"], ["theirs"]]
    assert lookup.asked == [*asked, ["slow", "next"]]


def test_a_wait_outlives_a_slow_look_up_of_earlier_jobs(codepipeline, monkeypatch):
    """Its job was polled in time, and is looked up next."""
    held = None

    class Slow(Lookup):
        async def tokens_of(self, jobs, ways):
            if "slow" in [job.job_id for job in jobs]:
                for _ in range(10_000):
                    if held._unrouted:
                        break
                    await asyncio.sleep(0)
                codepipeline.now += 2
            else:
                # A wait that is overdue is ended meanwhile.
                held._end_overdue()
            return await super().tokens_of(jobs, ways)

    monkeypatch.setattr(poller, "ContinuationLookup", lambda *_: Slow(next="token-1"))
    codepipeline.answers = [jobs("slow"), jobs("next")]

    async def run():
        nonlocal held
        held = SharedPoller.for_(TYPE, AwsParameters())
        return [job.job_id for job in await next_job(deadline=codepipeline.now + 31)]

    assert asyncio.run(run()) == ["next"]


def test_each_waiting_tasks_connection_may_give_the_answer(codepipeline, monkeypatch):
    """Two DAGs wait for jobs of one client, and find its token in connections of different names."""
    asked = []

    class Asking(Lookup):
        async def tokens_of(self, jobs, ways):
            asked.append([aws.client_conn_id_template for aws in ways])
            return await super().tokens_of(jobs, ways)

    monkeypatch.setattr(poller, "ContinuationLookup", lambda *_: Asking(next="token-1"))
    codepipeline.answers = [jobs("next")]

    def waiting(which, template):
        wanted = NextJobFilter("client", f"token-{which}", AwsParameters(client_conn_id_template=template))
        shared = SharedPoller.for_(TYPE, AwsParameters())
        return shared.wait(10, 30, next_job=wanted, deadline=codepipeline.now + 10, retry_deadline=300)

    got, other = together(lambda: [waiting(1, "good_{client_id}"), waiting(2, "gone_{client_id}")])
    assert got == ["next"]
    assert isinstance(other, TimeoutError)
    assert asked == [["good_{client_id}", "gone_{client_id}"]]


def test_a_job_polled_at_the_last_moment_is_waited_for(codepipeline, lookup):
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
    shared = SharedPoller.for_
    limits = {"deadline": LATER, "retry_deadline": 300, "next_job": CONTINUED}
    assert together(lambda: [shared(TYPE, AwsParameters()).wait(2, 30, **limits)]) == [["next"]]
    # The first time they are new, and another may be about to claim them; then they are passed over at once.
    assert [now for now, _ in codepipeline.polls] == [1000, 1030, 1060, 1090, 1090, 1090, 1090]


CONTINUED = NextJobFilter("client", "token-1", AwsParameters())


def test_a_wait_ends_once():
    """An error after the offer changes nothing."""

    async def run():
        future = asyncio.get_running_loop().create_future()
        waiter = JobWaiter(10, 30, LATER, 300, 0.0, future)
        future.set_result(jobs("a"))
        waiter.end(SILENCE)
        return await future

    assert [job.job_id for job in asyncio.run(run())] == ["a"]


def test_a_wait_for_a_custom_next_job_slows_no_backlog(codepipeline):
    """A poll for custom jobs says what they continue, so that nothing is looked up."""
    kind = ActionType("Deploy", "Example", "Custom")

    def offered(*job_ids):
        return [OfferedJob(job_id, None, kind, nonce="1", _is_token_known=True) for job_id in job_ids]

    first, second = "abcdefghij", "klmnopqrst"
    codepipeline.answers = [offered(*first), offered(*second), offered("u")]
    heard = []

    async def run():
        shared = SharedPoller.for_(kind, AwsParameters())
        waiting = asyncio.ensure_future(next_job(client_id=None, shared=shared))
        async for offer in shared.watch(10, 30):
            heard.append((codepipeline.now, [job.job_id for job in offer]))
            break
        waiting.cancel()

    asyncio.run(run())
    assert heard == [(1000.0, [*first, *second, "u"])]
