# SPDX-License-Identifier: Apache-2.0
"""Those who wait for next jobs: found by what a job carries, at a cost that does not grow with them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fake_codepipeline import LATER, TYPE, together
from step_count import Steps

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.next_job_filter import NextJobFilter
from airflow_codepipeline_partner._polling.next_job_waiters import NextJobWaiters
from airflow_codepipeline_partner._polling.poller import SharedPoller
from airflow_codepipeline_partner._polling.subscribers import JobWaiter
from airflow_codepipeline_partner.jobs import OfferedJob


def filter_of(client_id="client", token="token", **more):  # noqa: S107 - no secret
    return NextJobFilter(client_id, token, AwsParameters(), **more)


@pytest.fixture
def waiters():
    """Return a function that adds one that waits, to those whom it also returns."""
    loop = asyncio.new_event_loop()
    known = NextJobWaiters()

    def add(next_job):
        waiter = JobWaiter(1, 1, LATER, 1, 0, loop.create_future(), next_job)
        known.add(waiter, next_job)
        return waiter

    yield known, add
    loop.close()


def job(job_id="job", client_id="client"):
    return OfferedJob(job_id, client_id, TYPE)


def test_who_gets_a_job_is_found_by_token_or_job(waiters):
    known, add = waiters
    first, second = add(filter_of()), add(filter_of(other_tokens=("other", "third")))
    doubtful = add(filter_of(token="fourth", doubtful_job_id="doubted"))
    add(filter_of(client_id="another"))
    assert known.concerned(job(), "token") == [first, second]
    assert known.concerned(job(), "third") == [second]
    assert known.concerned(job("doubted"), None) == [doubtful]
    assert known.concerned(job("doubted"), "token") == [first, second, doubtful]
    # A token is no id of a job.
    assert known.concerned(job("token"), "doubted") == []
    assert known.concerned(job(), None) == known.concerned(job(client_id=None), "token") == []


def test_who_is_found_is_who_the_filter_says(waiters):
    known, add = waiters
    all_of_them = [
        add(filter_of(token=token, doubtful_job_id=doubtful, other_tokens=others))
        for token in ("a", "b")
        for doubtful in (None, "a", "j1")
        for others in ((), ("b",), ("c", "a"))
    ]
    for job_id in ("a", "j1", "j2"):
        for token in (None, "a", "b", "c", "d"):
            one = job(job_id)
            expected = [each for each in all_of_them if each.next_job.concerns(one, token)]
            assert set(known.concerned(one, token)) == set(expected)


def test_who_has_gone_is_not_found(waiters):
    known, add = waiters
    first, second = add(filter_of()), add(filter_of())
    known.remove(first, first.next_job)
    assert known.concerned(job(), "token") == known.of_client("client") == [second]
    known.remove(second, second.next_job)
    assert known.concerned(job(), "token") == known.of_client("client") == []
    assert not known.have_any_of("client")
    assert known._by_sign == known._of_client == {}


def test_who_has_got_a_job_waits_no_more(waiters):
    known, add = waiters
    waiter = add(filter_of())
    assert known.have_any_of("client")
    waiter.offer.set_result([])
    assert not known.have_any_of("client")
    # Another offer of the job is theirs all the same, until they have gone.
    assert known.concerned(job(), "token") == [waiter]


def steps_a_job(codepipeline, number, client_id):
    """Return what it costs to give each of a number of tasks its next job, all offered by one poll."""

    def wait(which):
        shared = SharedPoller.for_(TYPE, AwsParameters())
        wanted = filter_of(client_id and f"{client_id}-{which}", f"token-{which}")
        return shared.wait(number, 30, next_job=wanted, deadline=LATER, retry_deadline=300)

    def offered(which):
        plain = job(f"job-{which}", client_id and f"{client_id}-{which}")
        return replace(plain, _is_token_known=True, continuation_token=f"token-{which}")

    codepipeline.answers = [[offered(which) for which in range(number)]]
    with Steps() as steps:
        ended = together(lambda: [wait(which) for which in range(number)])
    assert ended == [[f"job-{which}"] for which in range(number)]
    return steps.count / number


@pytest.mark.parametrize("client_id", [None, "client"])
def test_a_job_costs_no_more_if_more_wait(codepipeline, client_id):
    steps_a_job(codepipeline, 10, client_id)
    few, many = (steps_a_job(codepipeline, number, client_id) for number in (20, 400))
    assert many <= 1.2 * few
