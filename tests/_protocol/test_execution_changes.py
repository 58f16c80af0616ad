# SPDX-License-Identifier: Apache-2.0
"""Which executions have reached a state since the last look."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_codepipeline_partner._protocol import execution_changes
from airflow_codepipeline_partner._protocol.choices import EXECUTION_STATES, check_execution_states
from airflow_codepipeline_partner._protocol.execution_changes import ExecutionChanges, LastLook
from airflow_codepipeline_partner._protocol.executions import ENDED, PipelineExecution
from airflow_codepipeline_partner.exceptions import InvalidInput

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def execution(name, status="Succeeded", minutes=0):
    return PipelineExecution("shop", name, status, updated_at=at(minutes))


def found(changes, *looks):
    """Return what each look has found, as ids and statuses; a look is from the newest to the oldest."""
    return [[f"{each.execution_id} {each.status}" for each in changes.news(look)] for look in looks]


def test_what_had_ended_before_the_first_look_is_no_news():
    look = [execution("b", "Failed", 1), execution("a")]
    assert found(ExecutionChanges(ENDED), look, look) == [[], []]


@pytest.mark.parametrize("status", ENDED)
def test_each_end_is_news_once(status):
    going, ended = [execution("a", "InProgress")], [execution("a", status, 1)]
    assert found(ExecutionChanges(ENDED), going, going, ended, ended) == [[], [], [f"a {status}"], []]


@pytest.mark.parametrize("status", ENDED)
def test_only_the_states_that_somebody_named_count(status):
    changes = ExecutionChanges(("Failed", "Stopped"))
    seen = found(changes, [execution("a", "InProgress")], [execution("a", status, 1)])
    assert seen == [[], [f"a {status}"] if status in ("Failed", "Stopped") else []]


def test_what_began_and_ended_between_two_looks_is_news():
    looks = [execution("a")], [execution("c", minutes=2), execution("b", "Failed", 1), execution("a")]
    assert found(ExecutionChanges(ENDED), *looks) == [[], ["b Failed", "c Succeeded"]]


def test_what_begins_is_news_if_that_counts():
    looks = (
        [],
        [execution("a", "InProgress")],
        [execution("b", "Failed", 3), execution("a", "InProgress", 2)],
    )
    assert found(ExecutionChanges(["InProgress"]), *looks) == [[], ["a InProgress"], ["b Failed"]]


def test_a_retried_stage_ends_once_more():
    steps = [("InProgress", 0), ("Failed", 1), ("InProgress", 2), ("Succeeded", 3)]
    looks = [[execution("a", *step)] for step in steps]
    assert found(ExecutionChanges(ENDED), *looks) == [[], ["a Failed"], [], ["a Succeeded"]]
    seen = found(ExecutionChanges(EXECUTION_STATES), *looks)
    assert seen == [[], ["a Failed"], ["a InProgress"], ["a Succeeded"]]


@pytest.mark.parametrize(("status", "again"), [("Failed", True), ("Stopped", True), ("Succeeded", False)])
def test_a_retry_that_fails_between_two_looks_is_news(status, again):
    """Only its time shows it. What has succeeded cannot end again, whatever its time says."""
    looks = [[execution("a", "InProgress")], [execution("a", status, 1)], [execution("a", status, 2)]]
    assert found(ExecutionChanges(ENDED), *looks)[2] == ([f"a {status}"] if again else [])


def test_an_execution_that_was_asked_for_by_itself_has_no_time():
    alone = PipelineExecution("shop", "a", "Failed")
    looks = [execution("a", "InProgress")], [alone], [alone], [execution("a", "Failed", 1)]
    assert found(ExecutionChanges(ENDED), *looks) == [[], ["a Failed"], [], []]


def test_a_list_that_lacks_some_for_a_moment_doubles_nothing():
    whole = [execution("b", "Failed"), execution("a")]
    changes = ExecutionChanges(ENDED)
    assert found(changes, whole, [], whole[1:], whole) == [[], [], [], []]


def test_it_waits_for_what_is_on_its_way():
    changes = ExecutionChanges(ENDED)
    found(changes, [execution("c", "Stopping"), execution("b"), execution("a", "InProgress")])
    assert changes.open_ids == {"a", "c"}
    changes.forget("c")
    changes.forget("nobody's")
    assert changes.open_ids == {"a"}


def test_it_reads_on_until_something_is_known():
    changes, page = ExecutionChanges(ENDED), [execution("a")]
    assert changes.reads_on(page)
    changes.news(page)
    assert not changes.reads_on([execution("b"), *page])
    assert changes.reads_on([execution("b")])


def test_its_memory_has_a_bound(monkeypatch):
    monkeypatch.setattr(execution_changes, "MAX_KNOWN", 3)
    changes = ExecutionChanges(ENDED)
    changes.news([execution("old", "InProgress")])
    for number in range(10):
        # What is on its way is found at each look.
        changes.news([execution(f"{number}"), execution("old", "InProgress")])
        assert len(changes._known) <= 3
        assert changes.open_ids == {"old"}


# A successor.


def after(last_look, *looks, states=ENDED):
    return found(ExecutionChanges(states, LastLook.from_stored(json.loads(json.dumps(last_look)))), *looks)


@pytest.fixture
def last_look():
    changes = ExecutionChanges(ENDED)
    changes.news([execution("b", "InProgress", 5), execution("a", "Succeeded", 4)])
    return changes.last_look(at(6)).to_stored()


def test_a_successor_takes_up_where_the_watcher_was(last_look):
    look = [
        execution("d", "InProgress", 8),
        execution("c", "Failed", 7),
        execution("b", "Succeeded", 6),
        execution("a", "Succeeded", 4),
    ]
    assert after(last_look, look, look) == [["b Succeeded", "c Failed"], []]
    assert after(last_look, look, states=["InProgress"]) == [["c Failed", "d InProgress"]]


def test_a_successor_says_nothing_twice(last_look):
    look = [execution("b", "InProgress", 7), execution("a", "Succeeded", 4)]
    assert after(last_look, look, states=EXECUTION_STATES) == [[]]


def test_an_end_that_was_listed_late_is_not_lost(last_look):
    assert after(last_look, [execution("b", "Succeeded", 4.5)]) == [["b Succeeded"]]


def test_the_last_look_does_not_go_back():
    changes = ExecutionChanges(ENDED)
    changes.news([])
    assert changes.last_look(at(1)).until == changes.last_look(at(2)).until == at(1)
    changes.news([execution("a", "InProgress", 3)])
    assert changes.last_look(at(9)) == LastLook(at(3), frozenset({"a"}))
    changes.forget("a")
    assert changes.last_look(at(9)) == LastLook(at(3))


def test_a_pipeline_whose_clock_is_behind_loses_nothing():
    changes = ExecutionChanges(ENDED)
    changes.news([execution("a", "InProgress", 1)])
    assert changes.last_look(at(5)).until == at(1)


def test_what_is_stored_is_small():
    changes = ExecutionChanges(ENDED)
    changes.news([execution(f"{number:036}", "InProgress") for number in range(1000)])
    assert len(json.dumps(changes.last_look(NOON).to_stored())) < 16_000


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        7,
        "text",
        [],
        {},
        {"open": []},
        {"until": "yesterday", "open": []},
        {"until": NOON.isoformat(), "open": "a"},
        {"until": NOON.isoformat(), "open": [7]},
        {"until": None, "open": []},
    ],
)
def test_what_is_no_last_look_is_refused(rubbish):
    with pytest.raises(InvalidInput):
        LastLook.from_stored(rubbish)


def test_a_time_without_a_zone_is_utc():
    assert LastLook.from_stored({"until": "2026-01-31T12:00:00", "open": []}) == LastLook(NOON)


@pytest.mark.parametrize("wrong", [[], (), ["Stopping"], "Done", ["Succeeded", 7], [None], "succeeded"])
def test_what_is_no_state_is_refused(wrong):
    with pytest.raises(InvalidInput, match="states"):
        check_execution_states(wrong)


def test_states_are_each_named_once_and_in_order():
    assert check_execution_states(["Failed", "Succeeded", "Failed"]) == ("Succeeded", "Failed")
    assert check_execution_states("Failed") == ("Failed",)
