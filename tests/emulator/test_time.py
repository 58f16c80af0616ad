# SPDX-License-Identifier: Apache-2.0
"""What happens by the passing of time, and the switches for it."""

from __future__ import annotations

import contextlib

import pytest
from botocore.exceptions import ClientError

from airflow_codepipeline_partner.emulator import Clock, ControlError


def test_a_job_that_nobody_acknowledged_is_handed_out_again_before_younger_ones(world):
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


def test_a_job_acknowledged_after_its_lease_lapsed_leaves_the_queue(world):
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.advance(60)
    assert w.worker.acknowledge(job_id) == "InProgress"
    assert w.worker.poll_ids() == []


def test_the_end_of_a_lease_says_nothing_of_a_job_that_was_taken(world):
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


def test_a_redelivered_job_has_a_new_nonce_and_the_old_one_is_dead(world):
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


def test_a_job_times_out_after_its_acknowledge_and_fails_the_action(world):
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


def test_a_requeued_job_is_handed_out_once_although_it_waited_twice(world):
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


def test_the_action_timeout_reaches_a_continuation_that_is_not_there_yet(world):
    w = world(action_timeout=20, continuation_delay=30)
    w.start()
    w.worker.succeed(w.worker.claim(), continuationToken="t")
    w.emu.advance(30)
    assert w.worker.poll_ids() == []
    assert w.emu.jobs()[1].status == "TimedOut"


def test_an_ended_job_is_known_for_a_day(world):
    w = world()
    w.start()
    job_id = w.worker.claim()
    w.worker.succeed(job_id)
    w.emu.advance(24 * 3600 - 1)
    w.worker.details(job_id)
    w.emu.advance(1)
    with pytest.raises(w.worker.error.JobNotFoundException):
        w.worker.details(job_id)
    assert w.action()["status"] == "Succeeded"


def test_a_former_token_is_dead_at_once_or_after_an_overlap(world):
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    old = w.worker.token
    new = w.emu.rotate_token(w.customer.client_id, overlap=10).client_token
    assert new != old
    w.worker.details(job_id)
    w.worker.token = new
    w.worker.details(job_id)
    w.worker.token = old
    w.emu.advance(10)
    with pytest.raises(w.worker.error.InvalidClientTokenException):
        w.worker.details(job_id)
    w.worker.token = new
    w.emu.rotate_token(w.customer.client_id)
    with pytest.raises(w.worker.error.InvalidClientTokenException):
        w.worker.details(job_id)


def test_the_overlap_of_all_rotations_can_be_set(world):
    w = world(rotation_overlap=5)
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.rotate_token(w.customer.client_id, "chosen")
    w.worker.details(job_id)
    w.emu.advance(5)
    with pytest.raises(w.worker.error.InvalidClientTokenException):
        w.worker.details(job_id)
    w.worker.token = "chosen"
    w.worker.details(job_id)


def test_what_was_due_between_is_dated_by_its_own_time(world):
    w = world(job_timeout=100, continuation_delay=30)
    w.start()
    started = w.emu.now()
    w.worker.succeed(w.worker.claim(), continuationToken="t")
    w.emu.advance(1000)
    [queued] = [entry for entry in w.emu.ledger if entry.operation == "Queued"][1:]
    assert (queued.time - started).total_seconds() == 30


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


def test_the_time_of_the_ledger_does_not_go_back_with_the_machines(world):
    machine = [2000.0]
    w = world(clock=Clock(lambda: machine[0]))
    machine[0] = 1000.0
    w.start()
    w.worker.claim()
    assert [entry.time.timestamp() for entry in w.emu.ledger] == [2000.0] * len(w.emu.ledger)
    assert w.emu.now().timestamp() == 2000.0
    w.emu.advance(1500)
    assert w.emu.ledger[-1].time.timestamp() == 2500.0


def test_calls_above_a_rate_are_throttled_by_the_emulators_clock(world):
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
