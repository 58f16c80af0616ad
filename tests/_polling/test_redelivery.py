# SPDX-License-Identifier: Apache-2.0
"""When an unclaimed job is delivered again: ever less often, but never not at all."""

from __future__ import annotations

import itertools

from airflow_codepipeline_partner._polling.redelivery import (
    MAX_CUSTOM_REDELIVERY_WAIT,
    MAX_REDELIVERY_WAIT,
    Redelivery,
)
from airflow_codepipeline_partner.jobs import ActionType, OfferedJob

PARTNERS = OfferedJob("a", "client", ActionType("Deploy", "Example"))
CUSTOM = OfferedJob("a", None, ActionType("Build", "Own", owner="Custom"), "1")


def waits(job, until):
    """Return the seconds between the deliveries of a job that is offered each second."""
    redelivery = Redelivery()
    at = [now for now in range(until) if redelivery.due([job], float(now))]
    return [after - before for before, after in itertools.pairwise(at)]


def test_the_wait_doubles_up_to_an_hour():
    assert waits(PARTNERS, 12_000) == [
        30,
        60,
        120,
        240,
        480,
        960,
        1920,
        MAX_REDELIVERY_WAIT,
        MAX_REDELIVERY_WAIT,
    ]


def test_the_wait_of_a_custom_job_doubles_up_to_15_minutes():
    """Since the nonces of former offers go stale."""
    assert waits(CUSTOM, 2_500) == [30, 60, 120, 240, 480, MAX_CUSTOM_REDELIVERY_WAIT]


def test_a_hundred_attempts_last_a_day():
    assert sum(waits(CUSTOM, 24 * 3600)) > 23 * 3600
    assert len(waits(CUSTOM, 24 * 3600)) < 100


def test_jobs_wait_each_for_itself():
    redelivery = Redelivery()
    other = OfferedJob("b", "client", PARTNERS.action_type)
    assert redelivery.due([PARTNERS], 0.0) == [PARTNERS]
    assert redelivery.due([PARTNERS, other], 10.0) == [other]
    assert redelivery.due([PARTNERS, other], 30.0) == [PARTNERS]


def test_what_was_not_offered_for_long_is_forgotten():
    redelivery = Redelivery()
    redelivery.due([PARTNERS], 0.0)
    redelivery.due([OfferedJob("b", "client", PARTNERS.action_type)], 30.0 + 2 * MAX_REDELIVERY_WAIT)
    assert list(redelivery._delivered) == ["b"]
