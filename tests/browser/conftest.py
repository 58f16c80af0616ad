# SPDX-License-Identifier: Apache-2.0
"""One Airflow and one Chromium for all tests here, and a window for each visitor."""

from __future__ import annotations

import os

import pytest
from browser.chromium import TIMEOUT, Visitor, a_chromium, executable
from browser.world import ADMIN, a_world
from playwright.sync_api import expect

expect.set_options(timeout=TIMEOUT)


@pytest.fixture(scope="session")
def chromium():
    if executable() is None:
        message = "Chromium is missing: make debian-browser (on Debian, as root), or CHROMIUM=/path/to/it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with a_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def world(chromium, tmp_path_factory):
    with a_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(scope="session")
def cookies(chromium, world):
    """Have each user log in once, by Airflow's own form: user → cookies."""
    found = {}
    for user, password in world.passwords.items():
        visitor = Visitor(chromium, world, user)
        visitor.log_in(password)
        found[user] = visitor.context.cookies()
        visitor.close()
    return found


@pytest.fixture
def visit(chromium, world, cookies):
    """
    Return a function that opens a window for a user.

    When the test ends, no window may have asked another origin for anything, and no page of ours complained.
    """
    visitors = []

    def open_window(user=ADMIN, **options):
        visitor = Visitor(chromium, world, user, **options)
        visitor.remember(cookies[user])
        visitors.append(visitor)
        return visitor

    yield open_window
    for visitor in visitors:
        visitor.close()
    assert [url for visitor in visitors for url in visitor.foreign_requests] == []
    assert [each for visitor in visitors for each in visitor.complaints_of()] == []
