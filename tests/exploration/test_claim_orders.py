# SPDX-License-Identifier: Apache-2.0
"""No order of steps, deaths and lost answers leads to a wrong claim."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_codepipeline_partner._protocol.claims import Acknowledged, ClaimState
from airflow_codepipeline_partner._worker import awaited_job, claiming, job_life
from airflow_codepipeline_partner._worker.claiming import Earlier, Recall, Write
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner.exceptions import InvalidNonce
from airflow_codepipeline_partner.jobs import ClaimedJob
from exploration import claim_world
from exploration.claim_scenarios import SCENARIOS
from exploration.claim_world import PARTNER

ONE, LEAVE, RIVAL = "one run", "one run that leaves unknown claims", "a rival"
NEXT_CUSTOM = "a task claims the next job, which is a custom one"
LEFT_RIVAL, NEXT = "a rival, and unknown claims are left", "two tasks claim the next job"


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_order_of_steps_leads_to_a_wrong_claim(name):
    """With one death or one lost answer; ``make explore`` has more."""
    count = len(SCENARIOS[name].processes)
    few = count < 3
    for budget in ({"deaths": few, "offers": count < 4}, {"losses": few, "stops": 1, "offers": few}):
        explorer = SCENARIOS[name].explore(**budget)
        assert explorer.faults == []
        assert explorer.ends


@pytest.mark.parametrize("name", [ONE, LEAVE, "one run that forgets", "a custom job"])
def test_no_users_clear_leads_to_a_wrong_claim(name):
    assert SCENARIOS[name].explore(deaths=1, losses=1, offers=1, stops=1, clears=1).faults == []


@pytest.mark.parametrize("name", [ONE, LEAVE])
@pytest.mark.parametrize("budget", [{"deaths": 1}, {"losses": 1}], ids=["death", "loss"])
def test_no_users_mark_leads_to_a_wrong_claim(name, budget):
    """Its process goes on for a moment, while the finishing task looks for its claim."""
    assert SCENARIOS[name].explore(**budget, offers=1, marks=1).faults == []


@pytest.mark.parametrize("name", [ONE, LEAVE])
def test_a_last_look_that_is_not_said_is_found(name, monkeypatch):
    monkeypatch.setattr(claim_world, "may_be_written", lambda states: False)
    assert SCENARIOS[name].explore(marks=1).faults


def altered(steps, skips=lambda step: False, answer=lambda step, answer: answer):
    """Yield the steps without some, and change the answers to others."""
    heard = None
    while True:
        try:
            step = steps.send(heard)
        except StopIteration as end:
            return end.value
        heard = None if skips(step) else answer(step, (yield step))


def alter(monkeypatch, name, **how):
    original = getattr(claiming, name)
    monkeypatch.setattr(claiming, name, lambda *args, **more: altered(original(*args, **more), **how))


def is_intent(step):
    return isinstance(step, Write) and step.state is ClaimState.INTENT


def without_doubt(step, answer):
    """Forget that an answer was lost before this one."""
    if isinstance(answer, Acknowledged):
        return replace(answer, in_doubt=False)
    return InvalidNonce("m") if isinstance(answer, InvalidNonce) else answer


def certain(step, answer):
    """Forget that an answer was lost before the job's status was known."""
    return replace(answer, in_doubt=False) if isinstance(answer, Acknowledged) else answer


def record(state):
    return ClaimRecord(state, ClaimedJob(PARTNER, certain=state is not ClaimState.UNKNOWN))


def doubting(step, answer):
    """Take that there is no record for doubt."""
    return Earlier(record(ClaimState.UNKNOWN)) if isinstance(step, Recall) and not answer.record else answer


def weaker(step, answer):
    """After a user's clear, take a certain claim for an unknown one."""
    if isinstance(step, Recall) and answer.was_cleared:
        return replace(answer, record=record(ClaimState.UNKNOWN))
    return answer


@pytest.mark.parametrize(
    ("name", "broken", "how", "budget"),
    [
        pytest.param(ONE, "claiming", {"skips": is_intent}, {"deaths": 1}, id="no intent is written"),
        pytest.param(NEXT, "claiming_next", {"skips": is_intent}, {"deaths": 2}, id="nor for a next job"),
        pytest.param(ONE, "acknowledging", {"answer": without_doubt}, {"losses": 1}, id="a lost answer"),
        pytest.param(
            ONE,
            "acknowledging",
            {"answer": certain},
            {"losses": 1, "stops": 1},
            id="a lost answer before an end",
        ),
        pytest.param(ONE, "claiming", {"answer": doubting}, {"losses": 2}, id="no record is doubt"),
        pytest.param(LEAVE, "claiming", {"answer": weaker}, {"clears": 1}, id="a certain claim is forgotten"),
    ],
)
def test_a_broken_step_is_found(name, broken, how, budget, monkeypatch):
    alter(monkeypatch, broken, **how)
    assert SCENARIOS[name].explore(**budget).faults


def test_a_next_job_that_is_given_up_is_found(monkeypatch):
    monkeypatch.setattr(awaited_job, "takes_no_result", lambda claim: False)
    assert SCENARIOS[NEXT_CUSTOM].explore(losses=2, offers=1).faults


def test_a_siblings_weaker_record_that_counts_is_found(monkeypatch):
    monkeypatch.setattr(job_life, "newest_claim", lambda records: list(records)[-1])
    assert SCENARIOS[NEXT].explore(deaths=0).faults


@pytest.mark.parametrize(
    ("name", "state"),
    [(RIVAL, ClaimState.LOST), (RIVAL, ClaimState.REFUSED), (LEFT_RIVAL, ClaimState.UNKNOWN)],
)
def test_a_state_that_wrongly_counts_as_ours_is_found(name, state, monkeypatch):
    counts = ClaimState.counts_as_ours
    monkeypatch.setattr(
        ClaimState, "counts_as_ours", lambda self, choice: self is state or counts(self, choice)
    )
    assert SCENARIOS[name].explore(deaths=0, losses=1).faults
