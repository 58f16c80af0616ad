# SPDX-License-Identifier: Apache-2.0
"""The list of the executions that Airflow has started."""

from __future__ import annotations

import re

import pytest
from browser.chromium import JOBS, NARROW, WIDE, overflow
from browser.world import NO_HOSTS, STARTING_DAG
from playwright.sync_api import expect

EXECUTIONS = f"{JOBS}executions"


def rows(page, shown=None):
    found = page.locator("#executions tbody tr")
    return found if shown is None else found.filter(has_text=shown.pipeline)


def test_the_tab_leads_to_the_executions(visit, world):
    page = visit().open()
    page.get_by_role("link", name="Executions").click()
    page.wait_for_url(re.compile("/executions"))
    expect(page.get_by_role("link", name="Executions")).to_have_attribute("aria-current", "page")
    expect(rows(page)).to_have_count(len(world.executions))


def test_an_execution_is_shown_with_its_state(visit, world):
    page = visit().open(EXECUTIONS)
    for shown in world.executions.values():
        for part in (shown.execution_id, shown.run_id, STARTING_DAG):
            expect(rows(page, shown)).to_contain_text(part)
    expect(rows(page, world.executions["failed"])).to_contain_text(NO_HOSTS)


def test_its_link_leads_to_the_execution_in_the_console(visit, world):
    shown = world.executions["ended"]
    link = rows(visit().open(EXECUTIONS), shown).locator(".console-link")
    pattern = rf"^https://[a-z0-9-]+\.console\.aws\.amazon\.com/.*{shown.pipeline}.*{shown.execution_id}"
    expect(link).to_have_attribute("href", re.compile(pattern))


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_the_executions_are_no_wider_than_the_window(visit, size):
    assert overflow(visit(size=size).open(EXECUTIONS)) == 0
