# SPDX-License-Identifier: Apache-2.0
"""The emulator's time."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner.emulator import Clock, ControlError


def test_the_clock_follows_the_machine_and_only_goes_forward():
    clock = Clock()
    before = clock.now()
    assert clock.advance(3600) >= before + 3600
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)


def test_time_ends_with_the_year_9999_and_goes_on_before_it(world):
    w = world()
    end = 253_402_300_800
    for seconds in (1e12, 10**400):
        with pytest.raises(ControlError, match="at most 10000000000"):
            w.emu.advance(seconds)
    for _ in range(25):
        w.emu.advance(10_000_000_000)
    with pytest.raises(ControlError, match="year 9999"):
        w.emu.advance(end - w.emu.now().timestamp())
    assert w.emu.advance(end - w.emu.now().timestamp() - 1).year == 9999
    w.start()
    assert len(w.worker.poll()) == 1
