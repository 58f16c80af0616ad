# SPDX-License-Identifier: Apache-2.0
"""The list of jobs: order, pages, filters, and what is odd."""

from __future__ import annotations

import html
import re

import pytest
from ui_jobs import CUSTOM_TYPE, result

from airflow_codepipeline_partner.ui import job_filter, record_queries


def ids_on(page):
    assert page.status_code == 200
    return re.findall(r'data-job-id="([^"]*)"', page.text)


def count_on(page):
    return re.search(r'id="jobs-count"[^>]*>([^<]*)', page.text)[1]


def test_the_newest_jobs_come_first(jobs, log_in):
    for name in ("one", "two", "three"):
        jobs.add_job(name)
    assert ids_on(log_in().get("/")) == ["three", "two", "one"]


def test_jobs_of_one_mapped_task_are_rows_of_their_own(jobs, log_in):
    run = jobs.add_run()
    for index in range(3):
        jobs.add_job(f"job-{index}", run=run, map_index=index, result=result(f"job-{index}"))
    assert ids_on(log_in().get("/")) == ["job-2", "job-1", "job-0"]


def test_a_row_shows_where_the_job_is_and_what_came_of_it(jobs, log_in):
    jobs.add_job("one", result=result("one", "failure"), run_state="success")
    page = log_in().get("/").text
    for text in ("shop", "Verify / scan", "Test/ThirdParty/Scan/1", "client-1", "Failed", "JobFailed"):
        assert text in page
    assert "The scan found a fault." in page


def test_progress_is_a_bar_with_a_number(jobs, log_in):
    details = {"executionDetails": {"summary": "Half way.", "percentComplete": 50}}
    jobs.add_job("one", result=result("one", "continue", continuationToken="t", **details))
    page = log_in().get("/").text
    assert '<progress max="100" value="50" aria-label="Progress of shop">' in page
    assert "Half way." in page


def test_links_to_runs_open_in_the_top_window(jobs, log_in):
    run = jobs.add_run(run_id="manual__2026-01-01T00:00:00+00:00/?#")
    jobs.add_job("one", run=run)
    page = log_in().get("/").text
    assert 'target="_top" href="/dags/scans/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00%2F%3F%23"' in page


FILTERS = [
    ({"state": "failed"}, ["b"]),
    ({"action_type": "Build/Custom/Forge/1"}, ["c"]),
    ({"pipeline": "depot"}, ["d"]),
    ({"dag": "builds"}, ["c"]),
    ({"dag": "scans", "state": "in-progress"}, ["d", "a"]),
    ({"state": "no such state"}, []),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS, ids=str)
def test_the_list_can_be_filtered(jobs, log_in, query, expected):
    jobs.add_job("a")
    jobs.add_job("b", result=result("b", "failure"))
    jobs.add_job("c", dag_id="builds", action_type=CUSTOM_TYPE, client_id=None)
    jobs.add_job("d", pipeline_name="depot")
    page = log_in().get("/", params=query)
    assert ids_on(page) == expected
    # What was chosen stays chosen.
    for name, value in query.items():
        assert re.search(rf'name="{name}".*?<option value="{value}" selected>', page.text, re.DOTALL)


def test_the_list_has_pages_that_keep_the_filter(jobs, log_in):
    jobs.add_many(job_filter.PAGE_SIZE * 2 + 5)
    browser = log_in()
    first = browser.get("/", params={"dag": "scans"})
    assert count_on(first).startswith("1–50 of 105 jobs")
    second = html.unescape(re.search(r'rel="next" href="\?([^"]*)"', first.text)[1])
    assert second == "dag=scans&page=2"
    last = browser.get(f"/?{second.replace('2', '3')}")
    assert ids_on(last) == [f"job-{number}" for number in range(5, 0, -1)]
    # No page is out of range.
    assert ids_on(browser.get("/?page=99")) == ids_on(last)
    assert ids_on(browser.get("/?page=-1")) == ids_on(first)


def test_older_jobs_are_reached_window_by_window(jobs, log_in, monkeypatch):
    jobs.add_many(12)
    run = jobs.add_run()
    for index in range(3):
        jobs.add_job(f"mapped-{index}", run=run, map_index=index)
    monkeypatch.setattr(record_queries.read_window, "__kwdefaults__", WINDOW_OF_5)
    browser, seen, address = log_in(), [], "/"
    for _ in range(9):
        page = browser.get(address)
        seen += ids_on(page)
        older = re.search(r'href="(\?[^"]*before=\d+)">Older jobs', page.text)
        if older is None:
            break
        address = "/" + older[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 15
    assert "newest" not in count_on(page)


WINDOW_OF_5 = {"before": None, "run": None, "size": 5}


def test_a_run_has_a_list_of_its_own(jobs, log_in):
    run = jobs.add_run(run_id="manual__2026-01-01T00:00:00+00:00")
    jobs.add_job("one", run=run)
    jobs.add_job("other")
    # Airflow 3.1 puts the id into the address as it is, later ones quote it.
    for written in ("manual__2026-01-01T00:00:00+00:00", "manual__2026-01-01T00%3A00%3A00%2B00%3A00"):
        assert ids_on(log_in().get(f"/runs/scans/{written}")) == ["one"]


def test_a_list_without_jobs_says_so(jobs, log_in):
    assert "has claimed a job" in log_in().get("/").text
    jobs.add_job("one")
    assert "No job fits this filter" in log_in().get("/?pipeline=other").text


def test_records_that_cannot_be_read_do_not_hide_the_others(jobs, log_in):
    jobs.add_job("good")
    for odd in ("a reference of another backend", 7, ["list"], {"state": "claimed"}):
        run = jobs.add_run()
        jobs.add_task(run)
        jobs.add_xcom(run, "codepipeline_claim", odd)
    run = jobs.add_job("odd result")
    jobs.add_xcom(run, "codepipeline_result", "no mapping")
    page = log_in().get("/")
    assert ids_on(page) == ["odd result", "", "", "", "", "good"]
    assert "4 of them cannot be filtered" in page.text
    assert page.text.count('class="fault"') == 5
    broken = re.findall(r'href="[^"]*(/jobs/\d+/-1/claim)"', page.text)
    assert all(log_in().get(address).status_code == 200 for address in broken)


def test_a_dag_that_is_gone_is_said_in_its_rows(jobs, log_in, session):
    from airflow.models.dag import DagModel
    from sqlalchemy import delete

    jobs.add_dag("old", is_stale=True)
    jobs.add_job("one", dag_id="old")
    jobs.add_job("two", dag_id="deleted")
    jobs.add_job("three")
    session.execute(delete(DagModel).where(DagModel.dag_id == "deleted"))
    session.commit()
    page = log_in().get("/")
    assert ids_on(page) == ["three", "two", "one"]
    assert page.text.count("This DAG is in no file any more.") == 2
    assert ids_on(log_in("ann").get("/")) == ["three"]
