# SPDX-License-Identifier: Apache-2.0
"""The history of an action, from its records alone."""

from __future__ import annotations

from datetime import timedelta

from ui_jobs import NOW, claim, result

from airflow_codepipeline_partner.ui.job_row import Place, job_row
from airflow_codepipeline_partner.ui.timeline import TaskEnd, timeline

QUEUED = NOW - timedelta(seconds=20)
PLACE = Place(7, "scans", "codepipeline__a", "claim", run_state="success", queued_at=QUEUED)


def shown(held, ended=None, **known):
    row = job_row(PLACE, held, ended)
    return [(entry.kind, entry.job_id, entry.percent) for entry in timeline(row, held, **known)]


def test_one_job_from_offer_to_result():
    offered_at = NOW - timedelta(seconds=30)
    found = timeline(job_row(PLACE, claim("a"), result("a")), claim("a"), offered_at=offered_at)
    assert [(entry.kind, entry.at) for entry in found] == [
        ("offered", offered_at),
        ("offered", QUEUED),
        ("claimed", NOW),
        ("result", NOW + timedelta(minutes=5)),
    ]
    assert found[-1].text == "All is well."


def test_job_after_job_is_one_action():
    def before(minutes):
        return (NOW - timedelta(minutes=minutes)).isoformat()

    kept = [
        {"job_id": "a", "claimed_at": before(40), "ended_at": before(30), "percent": 20, "summary": "One."},
        {"job_id": "b", "claimed_at": before(25), "ended_at": before(15), "percent": 60, "summary": "Two."},
    ]
    held = claim("c", former_job_ids=["a", "b"], former_jobs=kept)
    # The run was queued just before the last of these claims, by the clock of this test.
    assert [each for each in shown(held, result("c")) if each[0] != "offered"] == [
        ("claimed", "a", None),
        ("progress", "a", 20),
        ("claimed", "b", None),
        ("progress", "b", 60),
        ("claimed", "c", None),
        ("result", "c", 100),
    ]


def test_an_earlier_version_recorded_no_times():
    held = claim("c", former_job_ids=["a", "b"])
    entries = [entry for entry in timeline(job_row(PLACE, held), held) if entry.job_id in ("a", "b")]
    assert [entry.at for entry in entries] == [None] * 4
    assert "not recorded" in entries[1].title


def test_odd_lists_of_former_jobs_do_no_harm():
    odd_job = {"job_id": "a", "claimed_at": 7, "percent": "much"}
    for odd in (7, "text", [7], [{}], [{"job_id": 7}], [odd_job]):
        held = claim("c", former_job_ids=["a"], former_jobs=odd)
        assert shown(held, result("c"))[-1] == ("result", "c", 100)
        assert shown(claim("c", former_job_ids=odd, former_jobs=odd))


def test_the_tasks_show_why_it_failed():
    failure = {"message": "The disk is full.", "type": "SystemUnavailable"}
    tasks = [
        TaskEnd("scan", -1, "failed", NOW + timedelta(minutes=1), failure),
        TaskEnd("tidy", 2, "failed", None),
    ]
    held = claim("a")
    found = timeline(job_row(PLACE, held, result("a", "failure")), held, tasks=tasks)
    found_there = [entry for entry in found if entry.kind in ("failure", "task")]
    assert [(entry.task_id, entry.text) for entry in found_there] == [
        ("scan", "SystemUnavailable: The disk is full."),
        ("tidy", None),
    ]
    assert [entry.text for entry in found if entry.kind == "result"] == ["JobFailed: The scan found a fault."]
