# SPDX-License-Identifier: Apache-2.0
"""When an unclaimed job is delivered again: ever less often, but never not at all."""

from __future__ import annotations

import itertools

import pytest

from airflow_codepipeline_partner._polling.redelivery import (
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


@pytest.mark.parametrize("job", [PARTNERS, CUSTOM], ids=["partner", "custom"])
def test_the_wait_doubles_up_to_five_minutes(job):
    assert waits(job, 1_100) == [30, 60, 120, 240, MAX_REDELIVERY_WAIT, MAX_REDELIVERY_WAIT]


def test_a_partners_job_is_delivered_late_in_its_hour():
    assert sum(waits(PARTNERS, 3600)) > 3600 - MAX_REDELIVERY_WAIT


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
