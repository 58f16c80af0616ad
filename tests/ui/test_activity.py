# SPDX-License-Identifier: Apache-2.0
"""What happens with each action type, from its jobs alone; and the bars of its plots."""

from __future__ import annotations

from datetime import timedelta

from ui_jobs import CUSTOM_TYPE, NOW, claim, result

from airflow_codepipeline_partner.ui.activity import HOURS, Polling, activities
from airflow_codepipeline_partner.ui.charts import HEIGHT, WIDTH, bars
from airflow_codepipeline_partner.ui.job_row import Place, job_row

SCAN, FORGE = "Test/ThirdParty/Scan/1", "Build/Custom/Forge/1"


def row(hours_ago, *, wait=3, ended=None, run_state="running", **changed):
    at = NOW - timedelta(hours=hours_ago)
    queued_at = at - timedelta(seconds=wait)
    place = Place(1, "d", "codepipeline__j", "claim", run_state=run_state, queued_at=queued_at)
    return job_row(place, claim("j", at=at.isoformat(), **changed), ended)


def test_jobs_are_counted_by_action_type_and_hour():
    rows = [
        row(0),
        row(0.5),
        row(1.5),
        row(23.5),
        row(30),
        row(2, action_type=CUSTOM_TYPE),
        row(3, state="lost"),
    ]
    scan, forge = activities(rows, {}, NOW)
    assert (scan.action_type, forge.action_type) == (SCAN, FORGE)
    assert scan.jobs == 4
    assert (scan.jobs_by_hour[-1], scan.jobs_by_hour[-2], scan.jobs_by_hour[0]) == (2, 1, 1)
    assert forge.jobs == 1


def test_the_wait_of_an_hour_is_the_median():
    [scan] = activities([row(0.1, wait=2), row(0.2, wait=4), row(0.3, wait=90)], {}, NOW)
    assert scan.waits_by_hour == (None,) * (HOURS - 1) + (4.0,)
    assert scan.wait == timedelta(seconds=4)


def test_an_action_type_that_is_only_polled_for_is_there_too():
    [forge] = activities([], {FORGE: Polling(waiting_tasks=2)}, NOW)
    assert (forge.jobs, forge.polling.waiting_tasks, forge.last_claim_at) == (0, 2, None)


def test_the_last_failure_is_the_newest():
    first, second = row(1, ended=result("j", "failure")), row(2, ended=result("j", "failure"))
    [scan] = activities([row(0.5), first, second], {}, NOW)
    assert scan.last_failure is first
    assert scan.in_progress == 1


def test_a_job_without_a_recorded_result_is_no_failure():
    """A callback, or code of the author's, may have ended it well."""
    [scan] = activities([row(0.5, run_state="success")], {}, NOW)
    assert scan.last_failure is None


def test_the_bars_of_a_chart_fill_it():
    shown = bars([None, 0, 1, 1000])
    assert [bar.height for bar in shown] == [0, 0, 2, HEIGHT]
    assert shown[-1].x + shown[-1].width <= WIDTH
    assert all(bar.y + bar.height == HEIGHT for bar in shown)
    assert bars([]) == []
