# SPDX-License-Identifier: Apache-2.0
"""Whatever lies in the XComs of runs, each page is made, and shows the other jobs."""

from __future__ import annotations

import pytest
from ui_jobs import claim, result

#: Values that this package never writes; anybody who may write XComs can.
ODD = [
    *(None, True, 7, -1, 1.5, 10**400, float("nan"), float("inf"), float("-inf")),
    *("", "text", "null", "é" * 3000, "</script><b>", "{{ 7 * 7 }}", "\x00", "0001-01-01T00:00:00+23:59"),
    *([], [1], [[]], {}, {"x": 1}, {"job_id": "j"}, {"category": []}, {"type": 1, "message": {}}),
]
KEYS = ("codepipeline_claim", "codepipeline_result", "codepipeline_progress", "codepipeline_failure")
MEMBERS = {
    "codepipeline_claim": [*claim("j"), "former_job_ids", "former_jobs", "pipeline_arn"],
    "codepipeline_result": [*result("j"), "executionDetails", "failureDetails"],
    "codepipeline_progress": ["job_id", "percent", "summary", "at"],
    "codepipeline_failure": ["message", "type"],
}
WHOLE = {
    "codepipeline_claim": claim("j"),
    "codepipeline_result": result("j"),
    "codepipeline_progress": {"job_id": "j", "percent": 40, "summary": "Half.", "at": "2026-11-20T12:00:01"},
    "codepipeline_failure": {"message": "Why.", "type": "JobFailed"},
}


@pytest.fixture
def seen(jobs, log_in):
    """Return a function that adds runs with records, and looks at all pages: lists, then each job's own."""
    jobs.add_job("another", pipeline_name="another-pipeline")
    browser = log_in()

    def look(*runs):
        pages = ["/", "/?state=succeeded", "/executions"]
        for records in runs:
            run = jobs.add_run()
            jobs.add_task(run, state="failed")
            for key, value in records.items():
                jobs.add_xcom(run, key, value)
            pages.append(f"/jobs/{run}/-1/claim")
        found = [browser.get(page) for page in (*pages, f"/runs/scans/run-{run}")]
        assert {page.status_code for page in found} == {200}
        assert "another-pipeline" in found[0].text
        assert "</script><b>" not in "".join(page.text for page in found)
        return [page.text for page in found]

    return look


@pytest.mark.parametrize("key", KEYS)
def test_any_value_may_be_a_record(seen, key):
    seen(*({**WHOLE, key: odd} for odd in ODD))


@pytest.mark.parametrize("key", KEYS)
def test_any_value_may_be_a_member_of_a_record(seen, key):
    # Each member has each value once, and never two the same.
    records = []
    for shift in range(len(ODD)):
        odd = {name: ODD[(shift + place) % len(ODD)] for place, name in enumerate(MEMBERS[key])}
        records.append({**WHOLE, key: WHOLE[key] | odd})
    seen(*records)


def test_any_value_may_be_the_record_of_an_execution(seen):
    seen(*({**WHOLE, "pipeline_execution": odd} for odd in ODD))


def test_half_a_character_is_replaced(seen):
    details = {"summary": "Half of it: \ud83d."}
    assert "Half of it: ?." in seen({**WHOLE, KEYS[1]: result("j", executionDetails=details)})[3]


def test_what_is_no_json_is_one_row(jobs, session, log_in, seen):
    from sqlalchemy import text

    seen({**WHOLE, "pipeline_execution": {"pipeline_name": "shop", "pipeline_execution_id": "id"}})
    # Only SQLite stores it.
    session.execute(text("UPDATE xcom SET value = 'no {json'"))
    session.commit()
    jobs.add_job("third", pipeline_name="another-pipeline")
    first, _, executions, *_ = seen(WHOLE)
    assert first.count("The record is no JSON.") == 2
    assert "The record is no JSON." in executions
    assert "The record is no JSON." in log_in().get("/jobs/1/-1/claim").text
