# SPDX-License-Identifier: Apache-2.0
"""Axe has nothing to say against any page, in either theme and at either width."""

from __future__ import annotations

import pytest
from browser.chromium import JOBS, NARROW, WIDE, job_rows, violations

#: What it is called → where it is; the job's own page is found in the list.
PAGES = {
    "jobs": JOBS,
    "executions": f"{JOBS}executions",
    "nothing found": f"{JOBS}?pipeline=none",
    "no such job": f"{JOBS}jobs/0/-1/claim",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_no_fault(visit, world, theme, size):
    visitor = visit(theme=theme, size=size)
    page = visitor.open()
    paths = dict(PAGES)
    for name in ("failed", "half way"):
        link = job_rows(page, world.jobs[name]).locator(".job-link")
        paths[f"job {name}"] = link.get_attribute("href")
    found = {}
    for name, path in paths.items():
        page = visitor.open(path)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        is_dark = sum(map(int, ground[4:-1].split(","))) < 3 * 128
        assert is_dark == (theme == "dark"), name
        if bad := violations(page):
            found[name] = bad
    assert found == {}
    visitor.complaints = [each for each in visitor.complaints if "404" not in each]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_fault_inside_airflow(visit, theme):
    visitor = visit(theme=theme)
    frame = visitor.open_inside()
    assert violations(frame) == []
