# SPDX-License-Identifier: Apache-2.0
"""The progress of a function's work is recorded for the page, and never holds the work up."""

from __future__ import annotations

from datetime import datetime

import pytest

from airflow_codepipeline_partner._masking import mask_secret
from airflow_codepipeline_partner._protocol.results import ExecutionDetails
from airflow_codepipeline_partner._worker import progress_record
from airflow_codepipeline_partner._worker.progress_record import BURST, INTERVAL, MAX_SECONDS, ProgressRecord


class Store:
    """Keeps what is written; may take its time, or raise an error."""

    def __init__(self):
        self.time = 0.0
        self.takes = 0.0
        self.error = None
        self.written = []

    def write(self, key, value):
        assert key == "codepipeline_progress"
        self.time += self.takes
        if self.error is not None:
            raise self.error
        self.written.append(value)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def record(store):
    return ProgressRecord(store, lambda: store.time)


def work(record, percent):
    record.write("j", ExecutionDetails("So far.", None, percent))


def test_it_says_of_which_job_how_far_and_when(store, record):
    work(record, 40)
    [held] = store.written
    assert datetime.fromisoformat(held.pop("at")).tzinfo is not None
    assert held == {"job_id": "j", "percent": 40, "summary": "So far."}


def test_a_loop_writes_a_few_then_one_at_times(store, record):
    for percent in range(100):
        work(record, percent)
    assert [held["percent"] for held in store.written] == [*range(BURST)]
    for _ in range(50):
        store.time += INTERVAL / 10
        work(record, 100)
    assert len(store.written) == BURST + 5


@pytest.mark.parametrize("error", [RuntimeError("secret-text"), OSError("secret-text"), MemoryError()])
def test_what_goes_wrong_ends_the_record_not_the_work(store, record, caplog, error):
    store.error = error
    work(record, 40)
    store.error = None
    work(record, 50)
    assert store.written == []
    assert [line.getMessage().endswith(f"{type(error).__name__}.") for line in caplog.records] == [True]
    assert "secret-text" not in caplog.text


def test_if_airflow_is_slow_it_is_asked_once(store, record):
    store.takes = MAX_SECONDS + 0.1
    work(record, 40)
    work(record, 50)
    assert [held["percent"] for held in store.written] == [40]


def test_a_process_that_the_work_has_forked_writes_nothing(store, record, monkeypatch):
    monkeypatch.setattr(progress_record.os, "getpid", lambda: -1)
    work(record, 40)
    assert store.written == []


def test_what_the_log_masks_is_masked(store, record):
    mask_secret("planted-secret-of-the-record")
    record.write("j", ExecutionDetails("With planted-secret-of-the-record.", None, 40))
    record.write("j", ExecutionDetails(None, None, 50))
    assert [held["summary"] for held in store.written] == ["With ***.", None]
