# SPDX-License-Identifier: Apache-2.0
"""Which skips the DAG explains, and which cut the work off."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from support import ACTION_TYPE

from airflow_codepipeline_partner._worker import skips
from airflow_codepipeline_partner._worker.skips import tasks_cut_off
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

JOB = {"job_id": "j", "client_id": "c", "action_type": ACTION_TYPE}


@pytest.fixture
def records(monkeypatch):
    """What tasks have recorded: task id and key → value."""
    held = {}

    class Store:
        def __init__(self, ref):
            self.ref = ref

        def read_if_any(self, key):
            return held.get((self.ref.task_id, key))

    monkeypatch.setattr(skips, "RecordStore", Store)
    return held


def cut_off(states, rule="all_success", *, late=False):
    """Judge ``claim >> first >> [side, last]``, ``side >> last``, where ``last`` has a trigger rule."""
    with DAG("d", schedule=None) as dag:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
        first, side = EmptyOperator(task_id="first"), EmptyOperator(task_id="side")
        last = EmptyOperator(task_id="last", trigger_rule=rule)
        if late:
            finish = finish_job(claim, allow_untied_tasks=True)
            claim >> first >> side >> last >> finish
        else:
            claim >> first >> side >> last
            finish = finish_job(claim)
        first >> last
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="finish_job", map_index=-1)
    known = {"claim": ["success"], **{task_id: [state] for task_id, state in states.items()}}
    return tasks_cut_off({"dag": dag, "task": finish, "ti": ti}, known, {"first", "side", "last"}, 0)


def test_a_skip_without_a_reason_cuts_the_work_off(records):
    assert cut_off({"first": "success", "side": "success", "last": "skipped"}) == ["last"]
    assert cut_off({"first": "skipped", "side": "skipped", "last": "skipped"}) == ["first"]


def test_a_task_that_skipped_itself_has_said_so(records):
    records["side", "codepipeline_skip"] = True
    assert cut_off({"first": "success", "side": "skipped", "last": "skipped"}) == []


@pytest.mark.parametrize(
    ("rule", "first", "is_explained"),
    [
        ("all_success", "success", True),
        ("none_skipped", "success", True),
        # They would have let it run.
        ("none_failed", "success", False),
        ("all_done", "success", False),
        ("none_failed_min_one_success", "success", False),
        ("one_success", "success", False),
        ("none_failed_min_one_success", "skipped", True),
        ("one_success", "skipped", True),
    ],
)
def test_a_skip_before_it_explains_a_skip_by_the_rule_alone(records, rule, first, is_explained):
    """An optional step was skipped; then somebody ended the run while the last one waited."""
    records["side", "codepipeline_skip"] = records["first", "codepipeline_skip"] = True
    states = {"first": first, "side": "skipped", "last": "skipped"}
    assert cut_off(states, rule) == ([] if is_explained else ["last"])


@pytest.mark.parametrize("rule", ["one_failed", "all_failed", "all_skipped"])
def test_a_rule_for_other_days_explains_its_skip(records, rule):
    assert cut_off({"first": "success", "side": "success", "last": "skipped"}, rule) == []


def test_a_task_that_could_leave_no_record_is_not_judged_by_it(records):
    """It was wired after finish_job was called, in a DAG that was not parsed by Airflow."""
    assert cut_off({"first": "success", "side": "success", "last": "skipped"}, late=True) == []
