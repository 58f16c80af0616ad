# SPDX-License-Identifier: Apache-2.0
"""The list of jobs."""

from __future__ import annotations

import re

from ui_jobs import claim, result


def ids_on(page):
    return re.findall(r'data-job-id="([^"]*)"', page.text)


def test_the_newest_jobs_come_first(jobs, log_in):
    for name in ("one", "two", "three"):
        jobs.add_job(name)
    page = log_in().get("/")
    assert page.status_code == 200
    assert ids_on(page) == ["three", "two", "one"]


def test_a_job_has_a_page_with_its_timeline(jobs, log_in):
    run = jobs.add_job("one", result=result("one"))
    page = log_in().get(f"/jobs/{run}/-1/claim")
    assert page.status_code == 200
    assert "Success was reported" in page.text
    assert "All is well." in page.text
