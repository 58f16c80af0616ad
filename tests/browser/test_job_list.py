# SPDX-License-Identifier: Apache-2.0
"""The list of jobs, as a user sees it in Airflow and alone."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from browser.chromium import JOBS, NARROW, WIDE, job_rows, overflow
from playwright.sync_api import expect

#: What it is called → its state, its progress, the beginning of its text.
SHOWN = {
    "succeeded": ("Succeeded", "100 %", "Live in 14 locations."),
    "failed": ("Failed", None, "JobFailed Two of fourteen locations refused"),
    "custom": ("Succeeded", "100 %", "Image built and scanned."),
    "working": ("In progress", None, ""),
    "custom working": ("In progress", None, ""),
    "half way": ("Waits for next job", "50 %", "Built; deploying to 14 locations."),
}


#: Of what has the focus: what it is, whether it is in the window, whether it is marked.
FOCUSED = """() => {
    const it = document.activeElement, box = it.getBoundingClientRect();
    if (it === document.body) return null;
    const isSeen = box.width > 1 && box.height > 1 && box.bottom > 0 && box.top < innerHeight;
    return [it.outerHTML.slice(0, 80), isSeen, getComputedStyle(it).outlineStyle !== "none"];
}"""


def shown_pipelines(page):
    return [each.strip() for each in job_rows(page).locator(".job-link").all_inner_texts()]


def test_airflows_navigation_leads_to_the_list(visit, world):
    frame = visit().open_inside()
    expect(frame.get_by_role("heading", level=1, name="CodePipeline jobs")).to_be_visible()
    expect(job_rows(frame)).to_have_count(len(world.jobs))


def test_a_job_is_shown_with_its_state(visit, world):
    page = visit().open()
    for name, (state, percent, text) in SHOWN.items():
        shown = world.jobs[name]
        found = job_rows(page, shown)
        expect(found.locator(".badge")).to_contain_text(state)
        expect(found.get_by_role("progressbar")).to_have_count(0 if percent is None else 1)
        action = "Deploy / PublishToEdge" if shown.client_id else "Build / Image"
        for part in (percent or "", text, shown.run_id, shown.client_id or "account", action):
            expect(found).to_contain_text(part)


def test_the_newest_run_comes_first(visit, world):
    newest_first = [shown.pipeline for shown in reversed(world.jobs.values())]
    assert shown_pipelines(visit().open()) == newest_first


def test_a_filter_works_by_keyboard(visit, world):
    page = visit().open()
    page.get_by_label("State", exact=True).focus()
    page.keyboard.type("Failed")
    page.keyboard.press("Tab")
    for _ in range(5):
        if page.evaluate("document.activeElement.matches('button[type=submit]')"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"[?&]state=failed\b"))
    assert shown_pipelines(page) == [world.jobs["failed"].pipeline]
    page.get_by_role("link", name="Clear").press("Enter")
    expect(job_rows(page)).to_have_count(len(world.jobs))


def test_the_first_tab_leads_past_the_head_to_the_content(visit):
    page = visit().open()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_each_thing_that_has_the_focus_is_in_the_window(visit):
    page = visit(size=NARROW).open()
    unseen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:
            break
        if not all(focused):
            unseen.append(focused)
    assert unseen == []


def test_filter_and_list_work_without_scripts(visit, world):
    page = visit(script=False).open()
    expect(job_rows(page)).to_have_count(len(world.jobs))
    page.get_by_label("Pipeline", exact=True).select_option("checkout")
    page.get_by_role("button", name="Filter").click()
    expect(job_rows(page)).to_have_count(1)


def test_what_others_wrote_is_shown_as_text(visit, world):
    page = visit().open()
    expect(job_rows(page, world.jobs["failed"])).to_contain_text(
        "<script>document.title = 'owned'</script> &"
    )
    expect(page).to_have_title(re.compile("CodePipeline jobs"))


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_the_page_is_no_wider_than_its_window(visit, size):
    assert overflow(visit(size=size).open()) == 0


def test_a_link_in_the_frame_leads_to_the_run(visit, world):
    visitor = visit()
    frame = visitor.open_inside()
    shown = world.jobs["custom"]
    assert "+" in shown.run_id
    assert ":" in shown.run_id
    job_rows(frame, world.jobs["custom"]).locator(".run-link").click()
    visitor.page.wait_for_url(re.compile(rf"/dags/{shown.dag_id}/runs/"))
    expect(visitor.page.get_by_text(shown.run_id).first).to_be_visible()


def test_a_run_has_a_tab_with_its_own_jobs(visit, world):
    shown = world.jobs["custom"]
    visitor = visit()
    visitor.page.goto(f"/dags/{shown.dag_id}/runs/{quote(shown.run_id, safe='')}")
    visitor.page.get_by_role("link", name="CodePipeline jobs").click()
    frame = visitor.page.frame_locator("iframe")
    expect(frame.locator("#jobs tbody tr")).to_have_count(1)
    expect(frame.locator("#jobs tbody tr")).to_contain_text(shown.pipeline)


def test_a_new_state_comes_without_a_reload(visit, world):
    page = visit().page
    page.clock.install()
    page.goto(JOBS)
    page.evaluate("window.stayed = true")
    expect(job_rows(page, world.jobs["custom working"]).locator(".badge")).to_contain_text("In progress")
    world.jobs["custom working"].release.touch()
    world.wait_for_run(world.jobs["custom working"], "success")
    page.clock.fast_forward("01:00")
    expect(job_rows(page, world.jobs["custom working"]).locator(".badge")).to_contain_text("Succeeded")
    assert page.evaluate("window.stayed")


def test_a_paused_page_asks_for_nothing(visit):
    visitor = visit()
    page = visitor.page
    page.clock.install()
    page.goto(JOBS)
    page.get_by_role("button", name="Pause refresh").press("Enter")
    asked = len(visitor.requests)
    page.clock.fast_forward("05:00")
    assert page.evaluate("document.visibilityState") == "visible"
    assert visitor.requests[asked:] == []
    page.get_by_role("button", name="Pause refresh").press("Enter")
    with page.expect_request(lambda request: request.url.endswith(JOBS)):
        page.clock.fast_forward("01:00")
