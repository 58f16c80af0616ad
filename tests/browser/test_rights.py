# SPDX-License-Identifier: Apache-2.0
"""Who may not see a DAG sees nothing of its jobs; and nobody sees a secret."""

from __future__ import annotations

import pytest
from browser.chromium import JOBS, job_rows
from browser.world import ADMIN, BUILDER, CUSTOM_DAG, PARTNERS_DAG, STARTING_DAG
from playwright.sync_api import expect

EXECUTIONS = f"{JOBS}executions"


def addresses(page):
    """Return the addresses of the jobs' own pages."""
    return [each.get_attribute("href") for each in page.locator("#jobs tbody .job-link").all()]


def test_a_user_sees_only_jobs_of_dags_that_they_may_read(visit, world):
    page = visit(BUILDER).open()
    mine = [shown for shown in world.jobs.values() if shown.dag_id == CUSTOM_DAG]
    expect(job_rows(page)).to_have_count(len(mine))
    html = page.content()
    for shown in world.jobs.values():
        assert (shown.pipeline in html) == (shown in mine)
        assert shown.client_id is None or shown.client_id not in html
    assert PARTNERS_DAG not in html
    assert "ThirdParty" not in html


def test_a_filter_finds_nothing_of_the_others(visit, world):
    page = visit(BUILDER).open(f"{JOBS}?pipeline=checkout&dag={PARTNERS_DAG}")
    expect(job_rows(page)).to_have_count(0)
    expect(page.get_by_text("No job fits this filter")).to_be_visible()


def test_a_job_that_may_not_be_seen_looks_like_none(visit):
    hidden = next(url for url in addresses(visit(ADMIN).open()) if PARTNERS_DAG in url or "/jobs/" in url)
    visitor = visit(BUILDER)
    texts = []
    for url in (hidden, hidden.replace("claim", "another")):
        page = visitor.open(url)
        texts.append((visitor.status, page.locator("main").inner_text()))
    assert texts[0] == texts[1]
    assert texts[0][0] == 404
    # Chromium itself notes that the page was not there.
    visitor.complaints = [each for each in visitor.complaints if "404" not in each]


def test_a_run_that_may_not_be_seen_looks_like_none(visit, world):
    visitor = visit(BUILDER)
    visitor.open(f"{JOBS}runs/{PARTNERS_DAG}/{world.jobs['failed'].run_id}")
    assert visitor.status == 404
    visitor.complaints = [each for each in visitor.complaints if "404" not in each]


def test_a_user_sees_no_execution_of_a_hidden_dag(visit, world):
    page = visit(BUILDER).open(EXECUTIONS)
    html = page.content()
    assert STARTING_DAG not in html
    assert [shown.pipeline for shown in world.executions.values() if shown.pipeline in html] == []


@pytest.mark.parametrize("path", [JOBS, EXECUTIONS])
def test_who_has_not_logged_in_sees_nothing(chromium, world, path):
    context = chromium.new_context(base_url=world.url)
    answer = context.request.get(path, max_redirects=0)
    text = answer.text()
    context.close()
    assert answer.status in (302, 303, 307, 401)
    assert [shown.pipeline for shown in world.jobs.values() if shown.pipeline in text] == []


def test_no_page_shows_a_secret(visit, world):
    page = visit().open()
    pages = [JOBS, EXECUTIONS, *addresses(page)]
    assert len(pages) == 2 + len(world.jobs)
    for path in pages:
        html = page.request.get(path).text()
        assert [secret for secret in world.secrets if secret in html] == [], path
