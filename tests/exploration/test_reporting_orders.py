# SPDX-License-Identifier: Apache-2.0
"""No order of steps, deaths and lost answers leads to a wrong result, or to a run of the wrong colour."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._worker import job_life, reporting
from airflow_codepipeline_partner._worker.job_life import Known, Refusal, Step
from exploration import reporting_world
from exploration.reporting_world import Task
from exploration.scenarios import OF_UNKNOWN_CLAIMS, SCENARIOS, explore, explore_unknown_claim

#: Has as many orders as all others together. "make explore" walks it, with as many deaths as here.
LARGEST = "three sensors renew at once"


@pytest.mark.parametrize("name", sorted(SCENARIOS.keys() - {LARGEST}))
def test_no_order_of_steps_leads_to_a_wrong_end(name):
    """With one death and one lost answer; ``make explore`` has two of each."""
    explorer = explore(*SCENARIOS[name], zombies=False, deaths=1, losses=1, stops=1)
    assert explorer.faults == []
    assert explorer.ends


def test_of_healthy_sensors_that_renew_at_once_none_fails():
    explorer = explore(*(Task(name, f"continue {name}", tries=1) for name in "abc"), zombies=False)
    assert explorer.faults == []
    assert explorer.ends


@pytest.mark.parametrize("name", OF_UNKNOWN_CLAIMS)
def test_a_job_that_was_left_gets_no_result(name):
    explorer = explore_unknown_claim(*SCENARIOS[name], zombies=False, deaths=1, losses=1)
    assert explorer.faults == []
    assert explorer.ends


@pytest.fixture
def no_memory():
    """A broken package must not leave its steps behind."""
    reporting_world.next_action.cache_clear()
    yield
    reporting_world.next_action.cache_clear()


def always(refusal):
    return lambda *facts, **more: refusal


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        # A refusal counts as put, or never does.
        ("finish alone", {"meaning": always(Refusal.OURS_WAS_TAKEN)}),
        ("finish alone", {"meaning": always(Refusal.ENDED_WITHOUT_US)}),
        # What is intended is taken for done, or what is refused.
        ("a function, then finish", {"row": ((Known.NONE, Known.INTENDED), Step.NOTHING)}),
        ("finish alone", {"row": ((Known.INTENDED, Known.NONE), Step.NOTHING)}),
        ("a function, then finish", {"row": ((Known.REFUSED, Known.NONE), Step.NOTHING)}),
        ("two sensors renew at once", {"meaning": always(Refusal.ANOTHERS_WAS_TAKEN)}),
    ],
)
def test_a_broken_rule_is_found(name, broken, monkeypatch, no_memory):
    if "meaning" in broken:
        monkeypatch.setattr(
            "airflow_codepipeline_partner._worker.reporting.meaning_of_refusal", broken["meaning"]
        )
    else:
        row, step = broken["row"]
        monkeypatch.setitem(job_life.NEXT_STEP, row, step)
    try:
        found = explore(*SCENARIOS[name], zombies=False, deaths=2, losses=1, stops=1).faults
    except (IndexError, KeyError, StopIteration) as crash:
        found = [crash]
    assert found


def test_a_call_without_a_record_before_it_is_found(monkeypatch, no_memory):
    """The record of the intent is what a retry, and a task that is refused, go by."""
    written = reporting._Sender.send

    def unwritten(self, record, **known):
        return (yield from written(self, record, **{**known, "is_recorded": True}))

    monkeypatch.setattr(reporting._Sender, "send", unwritten)
    assert explore(*SCENARIOS["finish alone"], zombies=False, deaths=1).faults
