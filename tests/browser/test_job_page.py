# SPDX-License-Identifier: Apache-2.0
"""A job's own page: the facts, and what happened in order."""

from __future__ import annotations

import re

import pytest
from browser.chromium import JOBS, NARROW, WIDE, job_rows, overflow
from browser.world import LONG, PARTNERS_DAG
from playwright.sync_api import expect

#: What it is called → what its timeline says, in order.
TIMELINES = {
    "succeeded": ["claimed", "progress was reported", "claimed", "success was reported"],
    "failed": ["claimed", "failure was reported"],
    "custom": ["claimed", "success was reported"],
    "half way": ["claimed", "progress was reported"],
}


@pytest.fixture
def open_job(visit, world):
    """Return a function that opens a job's page, from the list, as a user does."""

    def open_page(name, **options):
        page = visit(**options).open()
        job_rows(page, world.jobs[name]).locator(".job-link").click()
        expect(page.locator("#timeline")).to_be_visible()
        return page

    return open_page


def entries(page):
    return page.locator("#timeline > li")


@pytest.mark.parametrize("name", TIMELINES)
def test_the_timeline_says_what_happened_in_order(open_job, name):
    page = open_job(name)
    said = entries(page).all_inner_texts()
    at = 0
    for word in TIMELINES[name]:
        at = next((n + 1 for n, text in enumerate(said) if n >= at and word in text.lower()), None)
        assert at is not None, (word, said)
    times = page.locator("#timeline time").evaluate_all("all => all.map(each => each.dateTime)")
    assert times
    assert times == sorted(times)


def test_the_facts_are_those_of_the_job(open_job, world):
    shown = world.jobs["failed"]
    page = open_job("failed")
    facts = page.locator("#job-facts")
    for text in (shown.job_id, shown.client_id, "Deploy/ThirdParty/Edge/1", shown.run_id, "Failed"):
        expect(facts).to_contain_text(text)
    expect(page.get_by_role("heading", level=1)).to_have_text("checkout / Deploy / PublishToEdge")


def test_a_long_message_is_there_in_full_and_as_text(open_job):
    page = open_job("failed")
    expect(page.locator("#result-text")).to_have_text(LONG)
    expect(page).not_to_have_title("owned")


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["failed", "succeeded"])
def test_a_jobs_page_is_no_wider_than_its_window(open_job, name, size):
    page = open_job(name)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    assert overflow(page) == 0


def test_the_links_lead_to_the_run_and_the_task_in_airflow(visit, world):
    shown = world.jobs["failed"]
    visitor = visit()
    frame = visitor.open_inside()
    job_rows(frame, shown).locator(".job-link").click()
    run = f"/dags/{PARTNERS_DAG}/runs/{shown.run_id}"
    expect(frame.locator("#run-link")).to_have_attribute("href", run)
    frame.locator("#task-link").click()
    visitor.page.wait_for_url(re.compile(rf"{re.escape(run)}/tasks/claim(/|\?|$)"))
    expect(visitor.page.get_by_text(shown.run_id).first).to_be_visible()


def test_a_partners_job_has_no_link_to_its_customers_console(open_job):
    assert open_job("succeeded").locator("#console-link").count() == 0


def test_a_custom_job_has_a_link_to_the_accounts_console(open_job):
    link = open_job("custom").locator("#console-link")
    expect(link).to_have_attribute(
        "href", re.compile(r"^https://[a-z0-9-]+\.console\.aws\.amazon\.com/.*mobile-backend")
    )
    expect(link).to_have_attribute("rel", re.compile("noopener"))


def test_the_way_back_leads_to_the_list(open_job, world):
    page = open_job("half way")
    page.get_by_role("link", name="All jobs").click()
    page.wait_for_url(re.compile(f"{JOBS}$"))
    expect(job_rows(page)).to_have_count(len(world.jobs))


def test_a_jobs_page_shows_a_new_result_without_a_reload(visit, world):
    visitor = visit()
    page = visitor.open()
    path = job_rows(page, world.jobs["working"]).locator(".job-link").get_attribute("href")
    page.clock.install()
    page.goto(path)
    page.evaluate("window.stayed = true")
    before = entries(page).count()
    world.jobs["working"].release.touch()
    world.wait_for_task(world.jobs["working"], "half_way", "deferred")
    page.clock.fast_forward("01:00")
    expect(page.locator("#job-facts")).to_contain_text("Waits for next job")
    assert entries(page).count() > before
    assert page.evaluate("window.stayed")
