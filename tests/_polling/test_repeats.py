# SPDX-License-Identifier: Apache-2.0
"""Which jobs are said again, since Airflow overlooks an event that follows another too soon."""

from __future__ import annotations

import collections
import itertools
import operator

import pytest
from fake_codepipeline import jobs

from airflow_codepipeline_partner._polling import repeats
from airflow_codepipeline_partner._polling.repeats import Repeats
from airflow_codepipeline_partner.jobs import ActionType, OfferedJob

JOB_ID = operator.attrgetter("job_id")


def said_again(events, until=100):
    """Return when which jobs are said again, for events of one job each at these times."""
    order, found, names = Repeats(JOB_ID), [], itertools.chain("abcdefgh", map(str, itertools.count()))
    for now in range(until):
        if now in events:
            order.note_event(jobs(next(names)), float(now))
        elif again := order.take(float(now)):
            found.append((now, "".join(job.job_id for job in again)))
    return found


def test_an_event_by_itself_is_not_said_again():
    assert said_again([0]) == said_again([0, 30, 60]) == []


def test_an_event_soon_after_another_is_said_twice_more():
    assert said_again([0, 1]) == [(6, "b"), (21, "b")]
    assert said_again([0, 29]) == [(34, "b"), (49, "b")]


def test_further_events_say_it_as_well():
    """As long as they come, Airflow hears of those before; the last ones are said again."""
    assert said_again([0, 2, 4, 6, 8]) == [(13, "bcde"), (28, "bcde")]


@pytest.mark.parametrize("seconds", [1, 3, 6, 10, 19, 25, 29])
def test_a_job_of_a_steady_stream_is_said_twice_more_at_most(seconds):
    times = collections.Counter()
    order = Repeats(JOB_ID)
    for now in range(3700):
        if now % seconds == 0 and now < 3600:
            order.note_event(jobs(f"job-{now}"), float(now))
        else:
            again = order.take(float(now))
            assert len(again) <= 30 / seconds + 1
            times.update(job.job_id for job in again)
    assert not times or max(times.values()) <= 2


def test_a_newer_offer_is_said():
    """It may have a new nonce."""
    order = Repeats(JOB_ID)
    kind = ActionType("Build", "Own", owner="Custom")
    for now, nonce in ((0.0, "1"), (1.0, "1")):
        order.note_event([OfferedJob("a", None, kind, nonce)], now)
    order.renew([OfferedJob("a", None, kind, "2"), OfferedJob("b", None, kind, "3")])
    assert [job.nonce for job in order.take(6.0)] == ["2"]


def test_after_it_was_said_nothing_is_left():
    assert said_again([0, 1, 60], 200) == [(6, "b"), (21, "b")]
    # But a repeat may itself hide what follows.
    assert said_again([0, 1, 30], 200) == [(6, "b"), (21, "b"), (35, "c"), (50, "c")]


def test_no_more_than_so_many_are_said_again(monkeypatch):
    monkeypatch.setattr(repeats, "MAX_REPEATED", 2)
    assert said_again([0, 1, 2, 3]) == [(8, "cd"), (23, "cd")]


def test_what_was_said_often_enough_counts_as_no_event():
    order = Repeats(JOB_ID)
    for now in (0.0, 1.0):
        order.note_event(jobs("a"), now)
    order._overlooked.clear()
    assert order.take(6.0) == []
    order.note_event(jobs("b"), 32.0)
    # More than 30 s after the last event.
    assert order.seconds_left(32.0) == float("inf")


def test_the_wait_is_known():
    order = Repeats(JOB_ID)
    assert order.seconds_left(0.0) == float("inf")
    for now in (0.0, 1.0):
        order.note_event(jobs("a"), now)
    lefts = [order.seconds_left(now) for now in (1.0, 4.0, 6.0)]
    assert lefts == [5.0, 2.0, 0.0]
    assert all(later < sooner for sooner, later in itertools.pairwise(lefts))
