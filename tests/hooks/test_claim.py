# SPDX-License-Identifier: Apache-2.0
"""How the hook claims a job, also if answers are lost or another worker is faster."""

from __future__ import annotations

import dataclasses

import pytest
from hook_calls import ACKNOWLEDGE, DETAILS, outcomes, status
from support import ACTION_TYPE

from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner.exceptions import (
    InvalidInput,
    ServiceUnavailable,
)

pytestmark = pytest.mark.usefixtures("quick_clients", "customer")


def test_a_lost_answer_makes_a_claim_unknown(emulator, hook, offered):
    emulator.inject("drop_response", ACKNOWLEDGE)
    claim = hook.try_claim(offered)
    assert claim.state is ClaimState.UNKNOWN
    assert claim.job.pipeline_name == "pipe"
    # The same nonce again, and no other; the details are asked whether it still is the job's.
    assert outcomes(emulator, DETAILS) == ["ok"] * 2
    assert outcomes(emulator, ACKNOWLEDGE) == ["ok", "InvalidNonceException"]


def test_a_refusal_whose_answer_was_lost_is_no_claim(emulator, hook, offered, rival):
    def hand_out_again(job):
        emulator.advance(61)
        assert rival.poll() == [job.job_id]

    emulator.inject("drop_response", ACKNOWLEDGE)
    assert hook.try_claim(offered, before_acknowledge=hand_out_again).state is ClaimState.LOST
    assert outcomes(emulator, ACKNOWLEDGE) == ["InvalidNonceException"] * 2
    # It is offered again, and then it can be claimed.
    emulator.advance(61)
    assert hook.claim(hook.poll(ACTION_TYPE)[0]) is not None


def test_a_claim_whose_job_ended_before_its_answer_is_unknown(emulator, hook, offered):
    """So the task that claims does not take the job for another worker's."""
    emulator.inject("drop_response", ACKNOWLEDGE)
    hook._transport._sleep = lambda seconds: emulator.advance(emulator.settings.job_timeout + 1)
    claim = hook.try_claim(offered)
    assert (claim.state, claim.status) == (ClaimState.UNKNOWN, "TimedOut")
    assert not claim.counts_as_ours("assume_ours")


def test_a_claim_stays_unknown_if_details_change_the_nonce(emulator, hook, offered, monkeypatch):
    details = hook.ask_details
    numbers = iter(range(100))
    monkeypatch.setattr(
        hook, "ask_details", lambda job: dataclasses.replace(details(job), nonce=f"nonce-{next(numbers)}")
    )
    assert hook.try_claim(offered, in_doubt=True).state is ClaimState.UNKNOWN


@pytest.mark.parametrize("nonce", [None, ""])
def test_a_claim_stays_unknown_if_details_lose_the_nonce(hook, offered, claimed, monkeypatch, nonce):
    details = hook.ask_details
    answers = iter([{}, {"nonce": nonce}, {"nonce": nonce}])
    monkeypatch.setattr(hook, "ask_details", lambda job: dataclasses.replace(details(job), **next(answers)))
    assert hook.try_claim(offered, in_doubt=True).state is ClaimState.UNKNOWN


def test_a_claim_stays_unknown_if_the_details_fail(emulator, hook, offered):
    emulator.inject("drop_response", ACKNOWLEDGE)

    def no_more_details(job):
        emulator.inject("error", operation=DETAILS, code="AccessDeniedException", status=400)

    assert hook.try_claim(offered, before_acknowledge=no_more_details).state is ClaimState.UNKNOWN


@pytest.mark.parametrize("choice", ["assume_ours", "leave"])
def test_an_unknown_claim_is_taken_or_left_as_chosen(emulator, hook, offered, choice):
    emulator.inject("drop_response", ACKNOWLEDGE)
    claimed = hook.claim(offered, unknown_claim=choice)
    assert (claimed is not None) is (choice == "assume_ours")
    assert status(emulator) == "InProgress"
    assert emulator.ledger.puts() == []


def test_a_repeated_in_progress_makes_the_claim_certain(emulator, hook, offered):
    """Although the first answer was lost."""
    emulator.configure(repeated_acknowledge="in_progress")
    emulator.inject("drop_response", ACKNOWLEDGE)
    assert hook.try_claim(offered).state is ClaimState.CLAIMED


def test_a_nonce_spent_by_an_earlier_process_is_unknown(hook, offered, claimed):
    assert hook.try_claim(offered, in_doubt=True).state is ClaimState.UNKNOWN
    assert hook.try_claim(offered).state is ClaimState.LOST


@pytest.mark.parametrize(
    "fault", [{"kind": "throttle"}, {"kind": "error", "code": "SlowDown", "status": 429}], ids=str
)
def test_a_race_lost_while_throttled_is_lost_for_certain(emulator, hook, offered, rival, fault):
    emulator.inject(operation=ACKNOWLEDGE, **fault)
    hook._transport._sleep = lambda seconds: rival.acknowledge(offered.job_id) and None
    claim = hook.try_claim(offered)
    assert claim.state is ClaimState.LOST
    assert outcomes(emulator, ACKNOWLEDGE)[1:] == ["ok", "InvalidNonceException"]


def test_a_lost_race_is_an_outcome(emulator, hook, offered, rival):
    """Nothing is acknowledged again."""
    claim = hook.try_claim(offered, before_acknowledge=lambda job: rival.acknowledge(job.job_id) and None)
    assert claim.state is ClaimState.LOST
    assert outcomes(emulator, ACKNOWLEDGE) == ["ok", "InvalidNonceException"]


@pytest.mark.parametrize("choice", ["assume_ours", "leave"])
def test_a_job_that_another_worker_has_is_none_of_ours(emulator, hook, offered, rival, choice):
    assert rival.acknowledge(offered.job_id) == "InProgress"
    assert hook.claim(offered, unknown_claim=choice) is None
    assert outcomes(emulator, ACKNOWLEDGE) == ["ok", "InvalidNonceException"]
    assert emulator.ledger.puts() == []
    rival.succeed(offered.job_id)
    assert status(emulator) == "Succeeded"


def test_a_job_that_is_offered_twice_is_claimed_once(emulator, hook, claimed):
    emulator.inject("duplicate", in_progress=True)
    [again] = hook.poll(ACTION_TYPE)
    assert again.job_id == claimed.job_id
    assert hook.claim(again) is None
    assert status(emulator) == "InProgress"


def test_a_stale_nonce_loses_the_claim(emulator, hook, offered, rival):
    """The job is offered again."""

    def hand_out_again(job):
        emulator.advance(61)
        assert rival.poll() == [job.job_id]

    assert hook.try_claim(offered, before_acknowledge=hand_out_again).state is ClaimState.LOST
    assert outcomes(emulator, ACKNOWLEDGE) == ["InvalidNonceException"]
    assert status(emulator) == "Dispatched"
    emulator.advance(61)
    [again] = hook.poll(ACTION_TYPE)
    assert again == offered
    assert hook.claim(again) is not None


@pytest.mark.parametrize("answer", ["status", "error"])
def test_a_job_that_has_ended_is_lost(emulator, hook, offered, rival, answer):
    emulator.configure(acknowledge_ended_job=answer)
    rival.acknowledge(offered.job_id)
    rival.succeed(offered.job_id)
    assert hook.try_claim(offered).state is ClaimState.LOST
    assert hook.claim(offered) is None


def test_the_intent_comes_before_the_acknowledge(emulator, hook, offered):
    """With the job's data."""
    seen = []

    def note(job):
        seen.append((job, outcomes(emulator, DETAILS), outcomes(emulator, ACKNOWLEDGE)))

    claim = hook.try_claim(offered, before_acknowledge=note)
    assert seen == [(claim.job, ["ok"], [])]


def test_an_intent_that_cannot_be_recorded_stops_the_claim(emulator, hook, offered):
    def fail(job):
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        hook.try_claim(offered, before_acknowledge=fail)
    assert outcomes(emulator, ACKNOWLEDGE) == []


def test_an_acknowledge_without_an_answer_is_an_error(emulator, hook, offered):
    emulator.inject("drop_response", ACKNOWLEDGE, times=1)
    emulator.inject("drop_request", ACKNOWLEDGE, times=None)
    with pytest.raises(ServiceUnavailable) as silence:
        hook.claim(offered)
    assert silence.value.in_doubt
    assert silence.value.job_id == offered.job_id


@pytest.mark.parametrize("choice", ["planted", "", None])
def test_a_wrong_unknown_claim_is_refused_before_any_call(emulator, hook, offered, choice):
    with pytest.raises(InvalidInput):
        hook.claim(offered, unknown_claim=choice)
    assert outcomes(emulator, DETAILS) == []
