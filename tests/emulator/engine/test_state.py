# SPDX-License-Identifier: Apache-2.0
"""The state: its time, and its limit of calls."""

from __future__ import annotations

import contextlib

import pytest
from botocore.exceptions import ClientError

from airflow_codepipeline_partner.emulator import Clock


def test_what_was_due_between_is_dated_by_its_own_time(world):
    w = world(job_timeout=100, continuation_delay=30)
    w.start()
    started = w.emu.now()
    w.worker.succeed(w.worker.claim(), continuationToken="t")
    w.emu.advance(1000)
    [queued] = [entry for entry in w.emu.ledger if entry.operation == "Queued"][1:]
    assert (queued.time - started).total_seconds() == 30


def test_the_ledgers_time_never_goes_back(world):
    """Even if the machine's does."""
    machine = [2000.0]
    w = world(clock=Clock(lambda: machine[0]))
    machine[0] = 1000.0
    w.start()
    w.worker.claim()
    assert [entry.time.timestamp() for entry in w.emu.ledger] == [2000.0] * len(w.emu.ledger)
    assert w.emu.now().timestamp() == 2000.0
    w.emu.advance(1500)
    assert w.emu.ledger[-1].time.timestamp() == 2500.0


def test_calls_above_a_rate_are_throttled(world):
    """By the emulator's clock."""
    w = world(max_requests_per_second=2)

    def outcomes(calls):
        first = len(w.emu.ledger.polls())
        for _ in range(calls):
            with contextlib.suppress(ClientError):
                w.worker.poll()
        return [entry.outcome for entry in w.emu.ledger.polls()[first:]]

    assert outcomes(3) == ["ok", "ok", "ThrottlingException"]
    with pytest.raises(w.worker.error.JobNotFoundException):
        w.worker.details("another operation has a rate of its own")
    w.emu.advance(0.5)
    assert outcomes(2) == ["ok", "ThrottlingException"]
    w.emu.advance(60)
    assert outcomes(3) == ["ok", "ok", "ThrottlingException"]
    with pytest.raises(ClientError, match="Rate exceeded"):
        w.worker.poll()
    w.emu.configure(max_requests_per_second=0.1)
    w.emu.advance(10)
    assert outcomes(2) == ["ok", "ThrottlingException"]
    w.emu.configure(max_requests_per_second=None)
    assert outcomes(9) == ["ok"] * 9
