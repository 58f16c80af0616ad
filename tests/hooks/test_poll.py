# SPDX-License-Identifier: Apache-2.0
"""How the hook polls over real HTTP, against the emulator."""

from __future__ import annotations

import pytest
from hook_calls import POLL, outcomes, status
from support import ACTION_TYPE

from airflow_codepipeline_partner.exceptions import (
    ActionTypeNotFound,
    InvalidInput,
    LimitExceeded,
)
from airflow_codepipeline_partner.jobs import ActionType, OfferedJob

pytestmark = pytest.mark.usefixtures("quick_clients", "customer")


@pytest.mark.parametrize(
    "given",
    [ACTION_TYPE, ActionType("Deploy", "Example"), {"category": "Deploy", "provider": "Example"}],
    ids=["aws", "ours", "with-defaults"],
)
def test_a_poll_offers_the_jobs_that_wait_and_claims_none(emulator, customer, hook, given):
    assert hook.poll(given) == []
    emulator.start_execution("pipe")
    [job] = hook.poll(given)
    assert job == OfferedJob(emulator.jobs()[0].job_id, customer.client_id, ActionType("Deploy", "Example"))
    assert status(emulator) == "Dispatched"


def test_a_poll_asks_for_ten_jobs_or_for_the_number_given(emulator, hook):
    for _ in range(12):
        emulator.start_execution("pipe")
    assert len(hook.poll(ACTION_TYPE)) == 10
    assert len(hook.poll(ACTION_TYPE, 1)) == 1
    assert [poll.details["maxBatchSize"] for poll in emulator.ledger.polls()] == [10, 1]


def test_what_is_not_claimed_is_offered_again(emulator, hook, offered):
    assert hook.poll(ACTION_TYPE) == []
    emulator.advance(61)
    assert hook.poll(ACTION_TYPE) == [offered]


def test_a_job_offered_twice_at_once_is_one_job(hook, emulator, monkeypatch):
    """What is no job is passed over."""
    offered = {"jobId": "j", "clientId": "c"}
    strange = [{}, None, {"jobId": "without-client"}, {"jobId": "", "clientId": "c"}]
    monkeypatch.setattr(hook, "_send", lambda call: {"jobs": [offered, *strange, offered]})
    assert [job.job_id for job in hook.poll(ACTION_TYPE)] == ["j"]


def test_a_lost_poll_loses_no_job(emulator, hook):
    emulator.start_execution("pipe")
    emulator.inject("drop_response", POLL)
    assert hook.poll(ACTION_TYPE) == []
    emulator.advance(61)
    assert len(hook.poll(ACTION_TYPE)) == 1
    assert outcomes(emulator, POLL) == ["ok", "ok", "ok"]


def test_an_offer_without_its_ids_is_passed_over(hook, monkeypatch):
    """Without a job id, or a client id."""
    # The emulator never gives one; the model says that both members are optional.
    answer = {"jobs": [{"clientId": "c"}, {"jobId": "j"}, {"jobId": "k", "clientId": "c"}]}
    monkeypatch.setattr(hook, "_send", lambda call: answer)
    assert [(job.job_id, job.client_id) for job in hook.poll(ACTION_TYPE)] == [("k", "c")]
    monkeypatch.setattr(hook, "_send", lambda call: {})
    assert hook.poll(ACTION_TYPE) == []


@pytest.mark.parametrize(
    ("asked", "settings", "region"),
    [
        ({**ACTION_TYPE, "provider": "Nobody"}, {}, "us-east-1"),
        ({**ACTION_TYPE, "version": "9"}, {}, "us-east-1"),
        (ACTION_TYPE, {"region": "eu-west-1"}, "us-east-1"),
    ],
    ids=["provider", "version", "region"],
)
def test_an_unknown_action_type_is_named_in_full(emulator, hook, asked, settings, region):
    """With all its parts and the region."""
    emulator.configure(**settings)
    with pytest.raises(ActionTypeNotFound) as refusal:
        hook.poll(asked)
    text = str(refusal.value)
    assert f"the poll for {'/'.join(asked.values())}, region {region}" in text
    assert not refusal.value.retryable
    assert outcomes(emulator, POLL) == ["ActionTypeNotFoundException"]


def test_awss_own_actions_are_refused_before_any_call(emulator, hook):
    with pytest.raises(InvalidInput, match="owner AWS are not served"):
        hook.poll({**ACTION_TYPE, "owner": "AWS"})
    assert emulator.ledger.polls() == []


@pytest.mark.parametrize("size", [0, -1, "many", None])
def test_a_wrong_batch_size_is_refused_before_any_call(emulator, hook, size):
    with pytest.raises(LimitExceeded):
        hook.poll(ACTION_TYPE, size)
    assert emulator.ledger.polls() == []
