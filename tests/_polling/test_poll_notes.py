# SPDX-License-Identifier: Apache-2.0
"""What a watcher's polls came to is noted for the page, seldom, and whatever the store does."""

from __future__ import annotations

import asyncio

import pytest

from airflow_codepipeline_partner._polling import poll_notes
from airflow_codepipeline_partner._polling.poll_notes import (
    LOOK_INTERVAL,
    MAX_ERROR,
    NOTE_INTERVAL,
    PollNotes,
    PollOutcome,
    noting,
)

NAME = "Build/Custom/Airflow/1"
AT = "2026-11-20T12:00:00+00:00"
SECONDS = 1795176000.0


class World:
    """A store, a clock and the outcome of the newest poll."""

    def __init__(self):
        self.written = []
        self.error = None
        self.now = 0.0
        self.newest = None
        self.has_noted = asyncio.Event()

    async def aget(self, key):
        raise AssertionError("nothing is decided by what is noted")

    async def aset(self, key, value):
        assert key == f"codepipeline_polls:{NAME}"
        if self.error is not None:
            raise self.error
        self.written.append(value)
        self.has_noted.set()

    def monotonic(self):
        return self.now

    async def pause(self, changed, seconds):
        self.now += seconds
        if self.now > 1000:
            raise asyncio.CancelledError


@pytest.fixture
def world():
    return World()


@pytest.fixture
def look(world):
    notes = PollNotes(world, NAME, lambda: world.newest, world)
    return lambda: asyncio.run(notes.look())


def test_before_the_first_poll_there_is_nothing_to_note(world, look):
    assert look()
    assert world.written == []


def test_an_outcome_is_noted_once_then_a_minute_later(world, look):
    world.newest = PollOutcome(SECONDS)
    assert look()
    assert world.written == [{"polled_at": AT, "error": None, "error_at": None}]
    for number in range(int(NOTE_INTERVAL)):
        world.now, world.newest = number, PollOutcome(SECONDS + number)
        assert look()
    assert len(world.written) == 1
    world.now = NOTE_INTERVAL
    assert look()
    assert len(world.written) == 2
    # The same one is no news.
    world.now = 10 * NOTE_INTERVAL
    assert look()
    assert len(world.written) == 2


def test_an_error_is_noted_at_once_and_kept(world, look):
    for error in (None, "x" * 1000, None):
        world.newest = PollOutcome(SECONDS, error)
        assert look()
    kept = {"error": "x" * MAX_ERROR, "error_at": AT}
    assert world.written == [
        {"polled_at": AT, "error": None, "error_at": None},
        *[{"polled_at": AT} | kept] * 2,
    ]


def test_what_the_store_refuses_for_a_while_is_tried_again(world, look):
    world.newest, world.error = PollOutcome(SECONDS), RuntimeError("secret-text")
    assert look()
    world.error, world.now, world.newest = None, NOTE_INTERVAL, PollOutcome(SECONDS + 1)
    assert look()
    assert len(world.written) == 1


def test_a_store_that_is_of_no_use_is_not_asked_again(world):
    world.newest, world.error = PollOutcome(SECONDS), ValueError("several assets")
    asyncio.run(PollNotes(world, NAME, lambda: world.newest, world).keep())
    assert world.now == 0


def test_it_looks_until_it_is_cancelled(world):
    world.newest = PollOutcome(SECONDS)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(PollNotes(world, NAME, lambda: world.newest, world).keep())
    assert world.now == 1000 + LOOK_INTERVAL
    assert len(world.written) == 1


def test_nothing_is_left_behind(world, monkeypatch):
    monkeypatch.setattr(poll_notes, "LOOK_INTERVAL", 0.001)
    world.newest = PollOutcome(SECONDS)

    async def run():
        async with noting(world, NAME, lambda: world.newest):
            await world.has_noted.wait()
        async with noting(None, NAME, lambda: world.newest):
            pass
        for _ in range(20):
            await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
