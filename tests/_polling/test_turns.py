# SPDX-License-Identifier: Apache-2.0
"""Which waiting task gets a job: nobody starves because another cannot claim it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from fake_codepipeline import jobs, outcomes, sensor

from airflow_codepipeline_partner._polling import turns
from airflow_codepipeline_partner._polling.subscribers import JobWaiter
from airflow_codepipeline_partner._polling.turns import Turns


class Offer:
    """What a future does here."""

    def __init__(self):
        self.jobs = None

    def done(self):
        return self.jobs is not None

    def set_result(self, jobs):
        self.jobs = [job.job_id for job in jobs]


def waiter(template="a", size=10, next_job=None):
    return JobWaiter(size, 30, 9e9, 300, 0, Offer(), next_job, template)


def given(order, offered, waiters):
    order.give(jobs(*offered), waiters)
    return [one.offer.jobs for one in waiters]


def test_first_come_first_served_in_batches():
    waiters = [waiter(size=2), waiter("b", size=2), waiter(size=2)]
    assert given(Turns(), "abc", waiters) == [["a", "b"], ["c"], None]


def test_what_one_could_not_claim_goes_to_the_other_and_back():
    order, seen = Turns(), []
    for _ in range(5):
        seen.append(given(order, "x", [waiter("a"), waiter("b")]))
    assert seen == [[["x"], None], [None, ["x"]], [["x"], None], [None, ["x"]], [["x"], None]]


def test_three_templates_have_it_in_turn():
    order = Turns()
    seen = [given(order, "x", [waiter("a"), waiter("b"), waiter("c")]) for _ in range(6)]
    assert [[bool(one) for one in each].index(True) for each in seen] == [0, 1, 2, 0, 1, 2]


def test_who_waits_alone_has_it_again():
    order = Turns()
    assert [given(order, "x", [waiter("a")]) for _ in range(3)] == [[["x"]]] * 3


def test_one_that_comes_later_has_its_turn():
    order = Turns()
    for _ in range(3):
        given(order, "x", [waiter("a")])
    assert given(order, "xy", [waiter("a"), waiter("b")]) == [["y"], ["x"]]


def test_only_those_who_take_any_job_and_have_none_get_some():
    busy = waiter()
    busy.offer.jobs = []
    assert given(Turns(), "x", [waiter(next_job=SimpleNamespace()), busy, waiter()]) == [None, [], ["x"]]


def test_no_more_jobs_are_remembered_than_that(monkeypatch):
    monkeypatch.setattr(turns, "MAX_REMEMBERED", 3)
    order = Turns()
    given(order, "abcde", [waiter("a")])
    assert list(order._had_by) == ["c", "d", "e"]


@pytest.mark.parametrize("templates", [("gone", "good"), ("good", "gone")])
def test_a_task_whose_connections_are_missing_starves_nobody(codepipeline, templates):
    """It takes each job that it gets, fails, and waits again."""
    codepipeline.answers = [jobs("x") if number % 3 == 0 else [] for number in range(30)]

    async def task(template):
        while True:
            [got] = await outcomes(sensor(interval=30, template=template, deadline=1300))
            if isinstance(got, TimeoutError) or template == "good":
                return got

    async def run():
        return await asyncio.gather(*(task(template) for template in templates))

    assert ["x"] in asyncio.run(run())
