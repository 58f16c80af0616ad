# SPDX-License-Identifier: Apache-2.0
"""With ten thousand jobs the list is paged, and as usable as with ten."""

from __future__ import annotations

import re

import pytest
from browser.chromium import JOBS, job_rows, violations
from browser.many_jobs import PREFIX, many_jobs
from playwright.sync_api import expect

COUNT = 10_000
#: Of a page's HTML: what a slow connection takes in a few seconds.
MAX_BYTES = 300_000


@pytest.fixture(scope="module")
def crowd(world):
    with many_jobs(world, "succeeded", COUNT):
        yield


def run_ids(page):
    return [each.inner_text() for each in page.locator("#jobs tbody .run-link + .where").all()]


def test_a_page_holds_few_of_ten_thousand_jobs(crowd, visit):
    page = visit().open()
    assert 10 <= len(run_ids(page)) <= 100
    assert len(page.content().encode()) < MAX_BYTES
    assert violations(page) == []


def test_all_of_them_can_be_come_by(crowd, visit, world):
    """Read the first and the last page of each part of the list, and how many jobs it says that it has."""
    page = visit(script=False).open()
    total, seen = 0, []
    while True:
        seen += run_ids(page)
        count = page.locator("#jobs-count").inner_text()
        total += int(re.search(r"of ([\d,]+) jobs", count)[1].replace(",", ""))
        pages = page.get_by_role("link", name="Older", exact=True)
        if pages.count():
            last = re.search(r"Page 1 of (\d+)", page.get_by_label("Pages").inner_text())[1]
            page.goto(f"{page.url}{'&' if '?' in page.url else '?'}page={last}")
            seen += run_ids(page)
        older = page.get_by_role("link", name=re.compile("^Older jobs"))
        if not older.count():
            break
        with page.expect_navigation():
            older.click()
    assert total == COUNT + len(world.jobs)
    assert len(seen) == len(set(seen))
    assert {shown.run_id for shown in world.jobs.values()} <= set(seen)


def test_an_old_job_is_found_by_a_filter(crowd, visit):
    """The copies are newer than all jobs of other pipelines. A part of the list says so, and leads on."""
    page = visit().open(f"{JOBS}?pipeline=checkout")
    while not job_rows(page).count():
        expect(page.locator("#jobs-count")).to_contain_text("among the")
        with page.expect_navigation():
            page.get_by_role("link", name=re.compile("^Older jobs")).click()
    expect(job_rows(page)).to_have_count(1)
    assert PREFIX not in page.locator("#jobs").inner_text()
