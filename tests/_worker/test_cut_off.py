# SPDX-License-Identifier: Apache-2.0
"""Whether Airflow holds the running task for ended."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._worker import cut_off, next_job
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    made = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


with DAG("dag", schedule=None) as dag:
    claiming = CodePipelineClaimJobOperator(task_id="claim", job={"job_id": "j", "client_id": "c"})
    finish_job(claiming)


def task_that_reads(*answers, finish=None):
    """Return a running task instance whose looks at its own state are answered like this."""
    left = list(answers)

    def get_task_states(task_ids, **about):
        if task_ids == ["finish_job"]:
            return {"run": {"finish_job": finish}}
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"run": {"claim": answer}}

    names = {"dag_id": "dag", "run_id": "run", "task_id": "claim", "map_index": -1}
    return SimpleNamespace(**names, task=claiming, get_task_states=get_task_states)


@pytest.mark.parametrize(
    ("state", "is_cut_off"),
    [("running", False), ("success", False), ("failed", True), ("skipped", True), ("restarting", False)],
)
def test_a_task_that_has_ended_without_success_is_cut_off(state, is_cut_off):
    assert cut_off.is_cut_off(task_that_reads(state)) is is_cut_off


@pytest.mark.parametrize("state", ["success", "running"])
@pytest.mark.parametrize(
    ("finish", "says", "is_cut_off"),
    [
        ("running", False, False),
        ("running", True, True),
        ("skipped", False, True),
        ("failed", False, True),
        # It has said so before a user cleared it.
        (None, True, False),
        ("up_for_retry", True, False),
    ],
)
def test_a_task_is_cut_off_if_nothing_ends_its_job(monkeypatch, state, finish, says, is_cut_off):
    """A user has marked the run as a success, or begun it anew with this task alone."""
    monkeypatch.setattr(cut_off, "is_last_look_said", lambda ref: says)
    assert cut_off.is_cut_off(task_that_reads(state, finish=finish)) is is_cut_off


def test_a_function_that_is_marked_as_a_success_is_cut_off():
    """It has not claimed yet, and the finishing task may have ended without a job."""
    assert cut_off.is_cut_off(task_that_reads("success"), reports_itself=True)
    assert not cut_off.is_cut_off(task_that_reads("running"), reports_itself=True)


def test_a_look_that_fails_is_repeated(pauses):
    """Such a task has no other try."""
    assert cut_off.is_cut_off(task_that_reads(OSError("away"), OSError("away"), "skipped"))
    assert pauses == [cut_off.PAUSE] * 2


def test_looks_that_all_fail_are_an_error():
    with pytest.raises(OSError, match="third"):
        cut_off.is_cut_off(task_that_reads(OSError("first"), OSError("second"), OSError("third")))


def claimed(job_id, state=ClaimState.CLAIMED):
    return ClaimRecord(state, ClaimedJob(OfferedJob(job_id, "client")))


@pytest.mark.parametrize(
    ("own", "is_ended"),
    [
        (claimed("two"), True),
        # Another task of the run has claimed it, and works.
        (None, False),
        (claimed("one"), False),
        (claimed("two", ClaimState.LOST), False),
    ],
)
def test_only_the_tasks_own_claim_is_ended(monkeypatch, own, is_ended):
    ended = []
    monkeypatch.setattr(next_job, "end_cut_off", lambda *about: ended.append(about[-1].job_id))
    store = SimpleNamespace(read_own_claim=lambda: own)
    before = SimpleNamespace(record=claimed("one"))
    claim = SimpleNamespace(store=store, record=claimed("two"), unknown_claim="assume_ours")
    next_job.end_if_cut_off(None, task_that_reads("skipped"), claim, before)
    assert ended == ["two"] * is_ended
    # Nothing new was claimed.
    next_job.end_if_cut_off(None, task_that_reads(), before, before)


def test_what_ends_another_claims_job_does_not_count(monkeypatch):
    """The task that ends this one's job has ended, and the other's has not."""
    with DAG("two", schedule=None) as two:
        first = CodePipelineClaimJobOperator(task_id="first", job={"job_id": "j", "client_id": "c"})
        second = CodePipelineClaimJobOperator(task_id="second", job={"job_id": "k", "client_id": "c"})
        first >> second
        finish_job(second, task_id="finish_second")
        finish_job(first, task_id="finish_first")
    states = {"first": "success", "finish_first": "failed", "finish_second": None}
    names = {"dag_id": "two", "run_id": "run", "task_id": "first", "map_index": -1}
    ti = SimpleNamespace(
        **names,
        task=two.get_task("first"),
        get_task_states=lambda task_ids, **about: {"run": {name: states[name] for name in task_ids}},
    )
    assert cut_off.is_cut_off(ti)


@pytest.mark.parametrize(
    ("state", "finish", "is_left"),
    [
        ("running", None, False),
        ("success", None, True),
        ("failed", "running", True),
        ("restarting", None, True),
        # Nobody else ends the job any more.
        ("skipped", "skipped", False),
        (None, None, False),
    ],
)
def test_a_try_that_a_user_ended_leaves_the_job_to_what_comes(state, finish, is_left):
    assert cut_off.is_ended_for_others(task_that_reads(state, finish=finish)) is is_left
