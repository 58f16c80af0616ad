# SPDX-License-Identifier: Apache-2.0
"""What the page shows of a job, from its records alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ui_jobs import CUSTOM_TYPE, NOW, claim, result

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner.ui.activity import activities
from airflow_codepipeline_partner.ui.job_row import JobState, Place, job_row
from airflow_codepipeline_partner.ui.rendering import duration, iso, moment
from airflow_codepipeline_partner.ui.timeline import timeline

ALIVE = Place(7, "scans", "run-7", "claim", run_state="running")
ENDED = Place(7, "scans", "run-7", "claim", run_state="success")
OURS = TaskInstanceRef("scans", "run-7", "next").token
ELSEWHERE = TaskInstanceRef("scans", "run-8", "next").token

STATES = [
    (ALIVE, "intent", None, JobState.CLAIMING),
    (ALIVE, "claimed", None, JobState.IN_PROGRESS),
    (ALIVE, "unknown", None, JobState.UNKNOWN),
    (ALIVE, "of a later version", None, JobState.UNKNOWN),
    (ALIVE, "lost", None, JobState.LOST),
    (ENDED, "lost", None, JobState.LOST),
    (ENDED, "refused", None, JobState.REFUSED),
    (ENDED, "claimed", None, JobState.NO_RESULT),
    (ALIVE, "claimed", result("j", state="intended"), JobState.REPORTING),
    (ENDED, "claimed", result("j", state="intended"), JobState.NO_RESULT),
    (ALIVE, "claimed", result("j", state="of a later version"), JobState.REPORTING),
    (ENDED, "claimed", result("j"), JobState.SUCCEEDED),
    (ENDED, "claimed", result("j", "failure"), JobState.FAILED),
    (ENDED, "claimed", result("j", state="refused"), JobState.NOT_TAKEN),
    (ENDED, "unknown", result("j", state="left"), JobState.NOT_TAKEN),
    (ALIVE, "claimed", result("j", "continue", continuationToken=OURS), JobState.NEXT_JOB),
    (ENDED, "claimed", result("j", "continue", continuationToken=OURS), JobState.CONTINUED),
    (ALIVE, "claimed", result("j", "continue", continuationToken=ELSEWHERE), JobState.CONTINUED),
    (ALIVE, "claimed", result("j", "continue", continuationToken="a user's"), JobState.CONTINUED),
    (ALIVE, "claimed", result("another"), JobState.IN_PROGRESS),
    (ALIVE, "claimed", {"job_id": None}, JobState.IN_PROGRESS),
]


@pytest.mark.parametrize(("place", "claimed", "ended", "state"), STATES)
def test_the_state_of_a_job_follows_from_its_records(place, claimed, ended, state):
    assert job_row(place, claim("j", state=claimed), ended).state is state


def test_each_state_has_a_name_a_sign_and_an_explanation():
    assert len({state.label for state in JobState}) == len(JobState)
    for state in JobState:
        assert state.symbol
        assert state.tone in ("good", "bad", "busy", "quiet")
        assert state.explanation.endswith(".")


@pytest.mark.parametrize("value", [None, "text", [], {}, {"job_id": 7}, {"job_id": None}])
def test_a_record_that_names_no_job_makes_a_row_that_says_so(value):
    row = job_row(ALIVE, value)
    assert row.state is JobState.UNREADABLE
    assert row.fault == "The record of the claim names no job."


ODD = [None, 7, "text", [], [1], {"x": 1}, True, float("nan")]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_members_of_a_record_do_no_harm(odd):
    broken = {name: odd for name in claim("j") if name not in ("job_id", "state")}
    details = {"executionDetails": {"percentComplete": odd, "summary": odd}}
    row = job_row(ALIVE, claim("j") | broken | {"former_job_ids": odd}, result("j", **details))
    assert row.job_id == "j"
    assert row.percent in (None, 7)


def test_percent_stays_between_0_and_100():
    def percent(value):
        ended = result("j", executionDetails={"percentComplete": value})
        return job_row(ALIVE, claim("j"), ended).percent

    values = (-5, 0, 40, 99.9, 250, 10**400, float("inf"), float("-inf"))
    assert [percent(value) for value in values] == [0, 0, 40, 99, 100, 100, 100, 0]


@pytest.mark.parametrize(
    "odd",
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31", "0001-01-01", "24:00", "x"],
)
def test_a_page_is_made_whatever_time_a_record_bears(odd):
    row = job_row(ALIVE, claim("j", at=odd), result("j") | {"at": odd})
    now = datetime.now(UTC)
    former = {"former_job_ids": ["i"], "former_jobs": [{"job_id": "i", "claimed_at": odd, "ended_at": odd}]}
    for entry in timeline(row, claim("j", at=odd) | former):
        assert entry.at is None or (moment(entry.at) and iso(entry.at))
    assert activities([row], {}, now)[0].jobs == 0
    assert row.age(now) is None
    assert duration(job_row(ALIVE, claim("j", at=odd)).age(now))


def test_only_a_custom_job_links_to_the_console():
    arn = "arn:aws-us-gov:codepipeline:us-gov-west-1:111122223333:shop"
    custom = claim("j", action_type=CUSTOM_TYPE, pipeline_arn=arn, pipeline_execution_id="exec-1")
    url = job_row(ALIVE, custom).console_url
    assert url is not None
    assert url.startswith(
        "https://console.amazonaws-us-gov.com/codesuite/codepipeline/pipelines/shop/executions/"
    )
    assert job_row(ALIVE, claim("j")).console_url is None
    for odd in ("arn", "arn:aws:codepipeline", "arn:elsewhere:codepipeline:x:1:shop", "javascript:alert(1)"):
        assert job_row(ALIVE, custom | {"pipeline_arn": odd}).console_url is None
    for region in ("evil.example/", "evil.example#", "user@evil.example", "x y", "us_east", "ÜS"):
        found = job_row(ALIVE, custom | {"pipeline_arn": f"arn:aws:codepipeline:{region}:1:shop"})
        assert found.console_url is None


PROGRESS = {"job_id": "j", "percent": 40, "summary": "Half.", "at": NOW.isoformat()}


@pytest.mark.parametrize(
    ("ended", "shown"),
    [
        (None, (40, "Half.")),
        (result("j"), (100, "All is well.")),
        (result("j", "failure"), (None, "The scan found a fault.")),
        (result("j", executionDetails={"summary": "Done."}), (None, "Done.")),
        (result("j", state="intended", executionDetails={"summary": "Done."}), (40, "Done.")),
        (result("another"), (40, "Half.")),
    ],
)
def test_the_works_progress_counts_until_the_result_says_more(ended, shown):
    row = job_row(ALIVE, claim("j"), ended, progress=PROGRESS)
    assert (row.percent, row.text, row.progress_at) == (*shown, NOW)
    other = job_row(ALIVE, claim("j"), ended, progress=PROGRESS | {"job_id": "another"})
    assert other.progress_at is None
    [entry] = [entry for entry in timeline(row, claim("j"), progress=PROGRESS) if entry.kind == "progress"]
    assert (entry.percent, entry.text, entry.at) == (40, "Half.", NOW)


def test_a_job_that_is_older_than_any_timeout_is_overdue():
    row = job_row(ALIVE, claim("j"))
    assert row.age(NOW + timedelta(hours=1)) == timedelta(hours=1)
    assert not row.is_overdue(NOW + timedelta(hours=12))
    assert row.is_overdue(NOW + timedelta(hours=12, seconds=1))
    assert job_row(ENDED, claim("j"), result("j")).age(NOW) is None


def test_the_wait_for_a_claim_is_known_of_runs_for_jobs_only():
    def wait(**changed):
        values = {"run_type": "manual", "queued_at": NOW - timedelta(seconds=9), **changed}
        place = Place(7, "scans", values.pop("run_id", "run-7"), "claim", **values)
        return job_row(place, claim("j")).wait_for_claim

    assert wait() is None
    assert wait(run_type="asset_triggered") == timedelta(seconds=9)
    assert wait(run_id="codepipeline__j") == timedelta(seconds=9)
    assert wait(run_type="asset_triggered", queued_at=None) is None
