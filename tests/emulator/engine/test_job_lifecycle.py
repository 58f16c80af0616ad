# SPDX-License-Identifier: Apache-2.0
"""What time does to a job: leases, timeouts, retention."""

from __future__ import annotations

import pytest


def test_an_unacknowledged_job_is_handed_out_again(world):
    """Before younger jobs."""
    w = world()
    w.start()
    [old] = w.worker.poll_ids()
    w.emu.advance(59)
    assert w.worker.poll_ids() == []
    w.start()
    young = w.emu.jobs()[1].job_id
    w.emu.advance(1)
    assert w.worker.poll_ids() == [old, young]
    assert w.status(old) == "Dispatched"
    assert w.emu.jobs()[0].hand_outs == 2


def test_a_job_in_progress_is_not_handed_out_again(world):
    w = world()
    w.start()
    w.worker.claim()
    w.emu.advance(600)
    assert w.worker.poll_ids() == []


def test_a_late_acknowledge_takes_the_job_from_the_queue(world):
    """After its lease lapsed."""
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.advance(60)
    assert w.worker.acknowledge(job_id) == "InProgress"
    assert w.worker.poll_ids() == []


def test_the_end_of_a_lease_ignores_an_acknowledged_job(world):
    w = world()
    w.start()
    job_id = w.worker.claim()
    w.emu.advance(60)
    assert w.emu.ledger.where(operation="LeaseLapsed") == []
    w.emu.inject("duplicate", in_progress=True)
    assert w.worker.poll_ids() == [job_id]


def test_a_second_hand_out_starts_the_lease_anew(world):
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.advance(30)
    w.emu.inject("duplicate")
    assert w.worker.poll_ids() == [job_id]
    w.emu.advance(30)
    assert w.worker.poll_ids() == []
    w.emu.advance(30)
    assert w.worker.poll_ids() == [job_id]


def test_a_lease_of_nothing_hands_out_at_every_poll(world):
    w = world(lease_seconds=0)
    w.start()
    assert w.worker.poll_ids() == w.worker.poll_ids() != []


def test_a_redelivered_job_has_a_new_nonce(world):
    """And the old nonce is invalid."""
    w = world(lease_seconds=0)
    w.start()
    [job_id] = w.worker.poll_ids()
    old = w.worker.details(job_id)["nonce"]
    assert w.worker.details(job_id)["nonce"] == old
    w.worker.poll_ids()
    new = w.worker.details(job_id)["nonce"]
    assert new != old
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(job_id, old)
    assert w.worker.acknowledge(job_id, new) == "InProgress"


def test_a_redelivered_job_can_keep_its_nonce(world):
    w = world(lease_seconds=0, nonce_on_redelivery="same")
    w.start()
    [job_id] = w.worker.poll_ids()
    old = w.worker.details(job_id)["nonce"]
    w.worker.poll_ids()
    assert w.worker.acknowledge(job_id, old) == "InProgress"


def test_details_can_rotate_the_nonce_until_the_job_is_taken(world):
    w = world(details_rotate_nonce=True)
    w.start()
    [job_id] = w.worker.poll_ids()
    old, new = w.worker.details(job_id)["nonce"], w.worker.details(job_id)["nonce"]
    assert old != new
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(job_id, old)
    w.worker.acknowledge(job_id, new)
    assert w.worker.details(job_id)["nonce"] == new


def test_a_job_times_out_and_fails_the_action(world):
    """Its time starts with the acknowledge."""
    w = world(job_timeout=100)
    w.start()
    w.emu.advance(50)
    job_id = w.worker.claim()
    w.emu.advance(99)
    assert w.status(job_id) == "InProgress"
    w.emu.advance(1)
    assert w.status(job_id) == "TimedOut"
    assert w.action()["status"] == "Failed"
    assert "job timed out" in w.action()["errorDetails"]["message"]
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.succeed(job_id)
    assert w.worker.acknowledge(job_id) == "TimedOut"


def test_the_time_of_a_job_can_start_with_its_hand_out(world):
    w = world(job_timeout=100, job_timeout_from="hand_out", lease_seconds=80)
    w.start()
    w.emu.advance(50)
    [job_id] = w.worker.poll_ids()
    w.emu.advance(90)
    assert w.worker.poll_ids() == [job_id]
    w.worker.acknowledge(job_id)
    w.emu.advance(10)
    assert w.status(job_id) == "TimedOut"


def test_a_pipeline_may_have_a_job_timeout_of_its_own(world):
    w = world(pipeline={"job_timeout": 10})
    w.start()
    job_id = w.worker.claim()
    w.emu.advance(10)
    assert w.status(job_id) == "TimedOut"


def test_a_result_in_time_outlives_the_timeout(world):
    w = world(job_timeout=100)
    w.start()
    job_id = w.worker.claim()
    w.worker.succeed(job_id)
    w.emu.advance(200)
    assert w.status(job_id) == "Succeeded"
    assert w.action()["status"] == "Succeeded"


def test_a_timed_out_job_can_be_queued_again(world):
    w = world(job_timeout=100, job_timeout_effect="requeue")
    w.start()
    job_id = w.worker.claim()
    w.emu.advance(100)
    assert w.status(job_id) == "Queued"
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.succeed(job_id)
    assert w.worker.claim() == job_id
    w.emu.advance(99)
    assert w.status(job_id) == "InProgress"
    w.worker.succeed(job_id)
    assert w.action()["status"] == "Succeeded"


def test_a_timeout_of_a_turn_that_is_over_does_nothing(world):
    w = world(job_timeout=100, job_timeout_effect="requeue", job_timeout_from="hand_out")
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.advance(50)
    # From here on the acknowledge sets a second timeout, for which the job is no longer there.
    w.emu.configure(job_timeout_from="acknowledge")
    w.worker.acknowledge(job_id)
    w.emu.advance(50)
    assert w.worker.claim() == job_id
    w.emu.advance(50)
    assert w.status(job_id) == "InProgress"


def test_a_requeued_job_is_handed_out_once(world):
    """Although it waited twice."""
    w = world(job_timeout=100, job_timeout_effect="requeue")
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.advance(60)
    w.worker.acknowledge(job_id)
    w.emu.advance(100)
    assert w.worker.poll_ids() == [job_id]
    assert w.worker.poll_ids() == []


def test_the_action_times_out_with_all_its_jobs(world):
    w = world(action_timeout=200, job_timeout=150)
    w.start()
    w.worker.succeed(w.worker.claim(), continuationToken="t")
    w.emu.advance(30)
    second = w.worker.claim()
    w.emu.advance(149)
    assert w.status(second) == "InProgress"
    w.emu.advance(21)
    assert w.status(second) == "TimedOut"
    assert w.action()["status"] == "Failed"


def test_the_action_timeout_reaches_a_job_that_nobody_polled(world):
    w = world(action_timeout=200)
    w.start()
    w.emu.advance(200)
    assert w.worker.poll_ids() == []
    assert w.emu.jobs()[0].status == "TimedOut"
    assert "action timed out" in w.action()["errorDetails"]["message"]


def test_the_action_timeout_ends_a_future_continuation(world):
    w = world(action_timeout=20, continuation_delay=30)
    w.start()
    w.worker.succeed(w.worker.claim(), continuationToken="t")
    w.emu.advance(30)
    assert w.worker.poll_ids() == []
    assert w.emu.jobs()[1].status == "TimedOut"


def test_an_ended_job_is_known_for_five_minutes(world):
    w = world()
    w.start()
    job_id = w.worker.claim()
    w.worker.succeed(job_id)
    w.emu.advance(300 - 1)
    w.worker.details(job_id)
    w.emu.advance(1)
    with pytest.raises(w.worker.error.JobNotFoundException):
        w.worker.details(job_id)
    assert w.action()["status"] == "Succeeded"
