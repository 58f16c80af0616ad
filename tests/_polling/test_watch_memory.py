# SPDX-License-Identifier: Apache-2.0
"""What a watcher of executions keeps for its successor, and what the successor makes of it."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from airflow_codepipeline_partner._polling import watch_memory
from airflow_codepipeline_partner._polling.clock import PollingClock
from airflow_codepipeline_partner._polling.execution_subscribers import Watched
from airflow_codepipeline_partner._polling.watch_memory import WatchMemory
from airflow_codepipeline_partner._protocol.execution_changes import LastLook
from airflow_codepipeline_partner._protocol.executions import PipelineExecution

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SHOP = ("shop", "aws_default", None)
ENDED = [PipelineExecution("shop", "a", "Failed")]


class Clock(PollingClock):
    now = NOON.timestamp()

    def time(self):
        return self.now

    monotonic = time


class Store:
    """Airflow's store for one asset; it fails as long as there are errors."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.held = {}
        self.writes = []

    async def aget(self, key):
        if self.errors:
            raise self.errors.pop(0)
        return json.loads(self.held[key]) if key in self.held else None

    async def aset(self, key, value):
        if self.errors:
            raise self.errors.pop(0)
        self.held[key] = json.dumps(value)
        self.writes.append(value)


@pytest.fixture
def clock():
    return Clock()


def look(minutes, executions=()):
    return Watched(executions, LastLook(NOON + timedelta(minutes=minutes)))


def memory(store, clock, pipeline=SHOP, look_back=600):
    return WatchMemory(store, pipeline, look_back, clock)


def recalled(store, clock, **more):
    return asyncio.run(memory(store, clock, **more).recall())


def noted(store, clock, *looks):
    """Have a watcher note looks, each some seconds after the one before."""

    async def run():
        watcher = memory(store, clock)
        for seconds, each in looks:
            clock.now += seconds
            await watcher.note(each)

    asyncio.run(run())


def test_nothing_is_done_that_is_still_to_be_said_again(clock):
    store, last = Store(), look(1).last_look
    noted(store, clock, (0, look(0)), (30, look(1, ENDED)), (30, Watched((), last, is_over=False)))
    assert recalled(store, clock) == look(0).last_look
    noted(store, clock, (0, look(0)), (30, look(1, ENDED)), (30, Watched((), last)))
    assert recalled(store, clock) == last


def test_the_first_watcher_recalls_nothing(clock):
    assert recalled(Store(), clock) is None


def test_a_successor_recalls_the_last_look(clock):
    store = Store()
    noted(store, clock, (0, look(0)), (30, look(1)))
    assert recalled(store, clock) == look(1).last_look
    # Another pipeline's watcher, or one by another connection, has a memory of its own.
    assert recalled(store, clock, pipeline=("other", "aws_default", None)) is None
    assert recalled(store, clock, pipeline=("shop", "other", None)) is None


def test_an_event_is_done_only_when_airflow_has_it(clock):
    """If the triggerer dies just after it, the event is made again."""
    store = Store()
    noted(store, clock, (0, look(0)), (30, look(1, ENDED)))
    assert recalled(store, clock) == look(0).last_look
    noted(store, clock, (0, look(0)), (30, look(1, ENDED)), (1, look(1)))
    assert recalled(store, clock) == look(0).last_look
    noted(store, clock, (0, look(0)), (30, look(1, ENDED)), (30, look(1)))
    assert recalled(store, clock) == look(1).last_look


def test_a_pipeline_that_is_never_quiet_is_noted_too(clock):
    store = Store()
    noted(store, clock, *((30, look(minutes, ENDED)) for minutes in range(5)))
    assert recalled(store, clock) == look(3).last_look


def test_what_has_not_changed_is_not_written_again(clock):
    store = Store()
    noted(store, clock, *((30, look(0)) for _ in range(20)))
    assert len(store.writes) == 1


def test_nobody_goes_back_longer_than_a_day(clock):
    store = Store()
    noted(store, clock, (0, Watched((), LastLook(NOON, frozenset({"a"})))))
    clock.now += 3 * 86_400
    assert recalled(store, clock) == LastLook(NOON + timedelta(days=2), frozenset({"a"}))


def test_without_a_store_each_start_goes_back_a_little(clock, caplog):
    noted(None, clock, (0, look(0)), (30, look(1)))
    assert recalled(None, clock) == LastLook(NOON + timedelta(seconds=30 - 600))
    assert recalled(None, clock, look_back=60) == LastLook(NOON + timedelta(seconds=30 - 60))
    assert recalled(None, clock, look_back=0) is None
    assert caplog.text == ""


@pytest.mark.parametrize("error", [ValueError("several assets"), RuntimeError("secret")])
def test_a_store_that_fails_is_as_none(clock, caplog, error, monkeypatch):
    monkeypatch.setattr(watch_memory, "_READ_AGAIN_AFTER", ())
    with caplog.at_level(logging.WARNING):
        assert recalled(Store(error), clock) == LastLook(NOON - timedelta(seconds=600))
    assert f"cannot be kept in Airflow's store: {type(error).__name__}." in caplog.text
    assert "secret" not in caplog.text


def test_a_store_that_fails_for_a_moment_is_read_again(clock, monkeypatch):
    monkeypatch.setattr(watch_memory, "_READ_AGAIN_AFTER", (0.0, 0.0))
    store = Store()
    noted(store, clock, (0, look(0)))
    store.errors = [RuntimeError("away")] * 2
    assert recalled(store, clock) == look(0).last_look


def test_a_fault_that_passes_is_said_once_and_tried_again(clock, caplog):
    store = Store(*[RuntimeError("secret")] * 3)
    noted(store, clock, *((30, look(minutes)) for minutes in range(5)))
    assert recalled(store, clock) == look(4).last_look
    assert len(caplog.records) == 1


def test_several_assets_have_no_store_in_common(clock, caplog):
    """Airflow refuses; it is not asked again."""
    store = Store(ValueError("use context['asset_state_store'][MY_ASSET]"))
    noted(store, clock, (0, look(0)), (30, look(1)))
    assert store.writes == []
    assert len(caplog.records) == 1


@pytest.mark.parametrize("rubbish", ["text", 7, {}, {"until": "x", "open": []}, {"until": None}])
def test_rubbish_in_the_store_is_as_no_store(clock, caplog, rubbish):
    store = Store()
    noted(store, clock, (0, look(0)))
    store.held = {key: json.dumps(rubbish) for key in store.held}
    watcher = memory(store, clock)
    assert asyncio.run(watcher.recall()) == LastLook(NOON - timedelta(seconds=600))
    # The next look puts it right.
    asyncio.run(watcher.note(look(1)))
    assert recalled(store, clock) == look(1).last_look
