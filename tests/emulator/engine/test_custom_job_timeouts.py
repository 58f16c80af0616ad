# SPDX-License-Identifier: Apache-2.0
"""The timeouts of custom actions and of their jobs."""

from __future__ import annotations

import pytest

DAY = 24 * 3600


def test_a_custom_action_times_out_after_a_day(custom_world):
    """A partner's action after an hour."""
    w = custom_world()
    customer = w.emu.add_customer()
    w.emu.add_pipeline("partner", client_id=customer.client_id, input_artifacts=())
    w.start()
    w.start("partner")
    w.emu.advance(3600)
    assert (w.action()["status"], w.action("partner")["status"]) == ("InProgress", "Failed")
    w.emu.advance(DAY - 3600 - 1)
    [job_id] = w.worker.poll_ids()
    w.worker.acknowledge(job_id)
    w.emu.advance(1)
    assert w.action()["status"] == "Failed"
    assert w.action()["errorDetails"]["message"] == "The action timed out."
    assert w.status(job_id) == "TimedOut"
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.succeed(job_id)


def test_the_day_is_for_all_jobs_of_the_action_and_can_be_set(custom_world):
    w = custom_world(custom_action_timeout=100, continuation_delay=0, action_timeout=1)
    w.start()
    w.emu.advance(60)
    w.worker.succeed(w.worker.claim(), continuationToken="t")
    w.emu.advance(39)
    assert w.action()["status"] == "InProgress"
    w.emu.advance(1)
    assert w.action()["status"] == "Failed"
    assert w.worker.poll() == []


def test_one_custom_job_has_its_own_timeout(custom_world):
    w = custom_world(pipeline={"job_timeout": 90})
    w.start()
    job_id = w.worker.claim()
    w.emu.advance(90)
    assert w.status(job_id) == "TimedOut"
    assert "job timed out" in w.action()["errorDetails"]["message"]
