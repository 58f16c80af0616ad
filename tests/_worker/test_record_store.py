# SPDX-License-Identifier: Apache-2.0
"""Where records lie in XCom: under one key, or under a key for each job if the task instance is shared."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import record_store
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import NO_RESULT, ClaimRecord, ResultRecord
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob

ONE, TWO = OfferedJob("one", "c"), OfferedJob("two", "c")
REF = TaskInstanceRef("d", "r", "t")


def recorded(state, call):
    return ResultRecord.of_call(state, call)


@pytest.mark.parametrize("map_index", [-1, 2])
def test_what_is_written_is_read_and_withdrawn(xcom, map_index):
    store = RecordStore(TaskInstanceRef("d", "r", "t", map_index))
    assert store.read_claim() is None
    store.write_claim(ClaimRecord(ClaimState.CLAIMED, ClaimedJob(ONE)))
    store.write_result(recorded("intended", requests.success(ONE)))
    assert store.read_claim().job.job_id == "one"
    assert store.read_result("one").state == "intended"
    assert store.read_result("two") is None
    store.withdraw_result("one")
    assert store.read_result("one") is None


def test_a_shared_store_keeps_the_results_of_several_jobs(xcom):
    store = RecordStore(REF, shared=True)
    store.write_result(recorded("done", requests.success(ONE)))
    store.write_result(recorded("intended", requests.failure(TWO, message="m")))
    assert store.read_result("one").state == "done"
    assert store.read_result("two").result == "failure"
    assert {key for _, key in xcom} == {"codepipeline_result_one", "codepipeline_result_two"}


def test_only_a_mapped_task_says_that_there_is_no_result_yet(xcom):
    RecordStore(REF).expect_result()
    assert xcom == {}
    RecordStore(TaskInstanceRef("d", "r", "t", 1)).expect_result()
    assert xcom == {(1, "codepipeline_result"): NO_RESULT}


class Dag:
    """A DAG of tasks that only have ids and marks, as far as a store asks for them."""

    def __init__(self, *tasks):
        self.tasks = {task.task_id: task for task in tasks}

    def get_task(self, task_id):
        return self.tasks[task_id]


def a_task(task_id, *, after=(), mapped=False, **marks):
    kind = type("Operator", (), marks)
    task = kind()
    task.task_id, task.is_mapped, task.operator_class = task_id, mapped, kind
    task.get_closest_mapped_task_group = lambda: None
    task.get_flat_relative_ids = lambda upstream: set(after)
    return task


REPORTS = {"puts_result": True}
GOES_ON = {"puts_result": True, "claims_next_job": True}
CLAIM_REF = TaskInstanceRef("d", "r", "claim")


def store_of(me, *others, **marks):
    claim = a_task("claim", after=[task.task_id for task in others], **marks)
    dag = Dag(claim, *others)
    return RecordStore.of_claim(CLAIM_REF, claim, dag, None if me is None else TaskInstanceRef("d", "r", me))


def test_the_only_reporting_task_has_the_plain_keys(xcom):
    finish = store_of("finish", a_task("finish", **REPORTS), a_task("work"))
    finish.write_result(recorded("intended", requests.success(ONE)))
    assert [key for _, key in xcom] == ["codepipeline_result"]


def test_each_of_several_reporting_tasks_has_keys_of_its_own(xcom):
    tasks = (a_task("watch", **GOES_ON), a_task("finish", **REPORTS))
    watch, finish = (store_of(task.task_id, *tasks) for task in tasks)
    token = TaskInstanceRef("d", "r", "watch").token
    watch.write_result(recorded("intended", requests.success(ONE, continuation_token=token)))
    finish.write_result(recorded("intended", requests.success(ONE)))
    assert watch.read_results("one").own.result == "continue"
    assert [other.result for other in watch.read_results("one").others] == ["success"]
    assert finish.read_results("one").own.result == "success"
    # Nobody has overwritten anything, and only what is done is shown under the plain key.
    assert (-1, "codepipeline_result") not in xcom
    watch.write_result(recorded("done", requests.success(ONE, continuation_token=token)))
    assert xcom[-1, "codepipeline_result"]["state"] == "done"
    assert store_of(None, *tasks).read_result("one").state == "done"


def test_a_function_that_reports_shares_with_the_finishing_task(xcom):
    finish = a_task("finish", **REPORTS)
    function, finishing = store_of("claim", finish, **REPORTS), store_of("finish", finish, **REPORTS)
    function.write_result(recorded("intended", requests.success(ONE)))
    assert [key for _, key in xcom] == ["codepipeline_result"]
    assert finishing.read_results("one").others[0].state == "intended"
    assert finishing.read_results("one").own is None


@pytest.mark.parametrize("late", list(ClaimState))
def test_a_certain_claim_is_never_lost_to_another_tasks(xcom, late):
    tasks = (a_task("one", **GOES_ON), a_task("two", **GOES_ON))
    one, two = (store_of(task.task_id, *tasks) for task in tasks)
    one.write_claim(ClaimRecord(ClaimState.CLAIMED, ClaimedJob(TWO), ("one",)))
    two.write_claim(ClaimRecord(late, ClaimedJob(TWO), ("one",)))
    for store in (one, two, store_of(None, *tasks)):
        assert store.read_claim().state is ClaimState.CLAIMED
    assert xcom[-1, "codepipeline_claim"]["state"] == "claimed"


def test_the_newest_job_counts_even_if_its_claim_is_weak(xcom):
    tasks = (a_task("one", **GOES_ON), a_task("finish", **REPORTS))
    store_of("claim", *tasks).write_claim(ClaimRecord(ClaimState.CLAIMED, ClaimedJob(ONE)))
    store_of("one", *tasks).write_claim(ClaimRecord(ClaimState.INTENT, ClaimedJob(TWO), ("one",)))
    found = store_of("finish", *tasks).read_claim()
    assert (found.job.job_id, found.state) == ("two", ClaimState.INTENT)


def test_what_an_earlier_version_left_is_anothers_record(xcom):
    """It kept all under the plain keys, no matter which task wrote it."""
    tasks = (a_task("watch", **GOES_ON), a_task("finish", **REPORTS))
    RecordStore(CLAIM_REF).write_result(recorded("intended", requests.success(ONE)))
    results = store_of("finish", *tasks).read_results("one")
    assert results.own is None
    assert results.others[0].state == "intended"


def test_a_mapped_sensor_of_one_job_has_a_key_for_each_instance(xcom, monkeypatch):
    monkeypatch.setattr(record_store, "count_instances", lambda *names: 3)
    tasks = (a_task("watch", mapped=True, **GOES_ON), a_task("finish", **REPORTS))
    claim = a_task("claim", after=["watch", "finish"])
    me = TaskInstanceRef("d", "r", "watch", 2)
    store = RecordStore.of_claim(CLAIM_REF, claim, Dag(claim, *tasks), me)
    assert store.writer == "watch_2"
    assert store.writers == ("finish", "watch_0", "watch_1", "watch_2")


def test_a_job_claimed_anew_has_no_result_of_anybody(xcom):
    tasks = (a_task("one", **GOES_ON), a_task("two", **GOES_ON), a_task("three", **GOES_ON))
    for task in tasks:
        store_of(task.task_id, *tasks).write_result(recorded("refused", requests.success(ONE)))
    known = store_of("one", *tasks).read_each_result("one")
    # But if a task has put its own since, that was taken.
    put = recorded("done", requests.success(ONE))
    store_of("two", *tasks).write_result(put)
    store_of("one", *tasks).withdraw_results(known)
    assert store_of(None, *tasks).read_each_result("one") == {"": put, "two": put}


def test_an_older_try_cannot_hide_a_certain_claim(xcom, monkeypatch):
    """Before Airflow 3.3 it can still write the plain record, but nothing to the other key."""
    monkeypatch.setattr(record_store, "OUTDATED_TRIES_WRITE", True)
    store = RecordStore(CLAIM_REF)
    store.write_claim(ClaimRecord(ClaimState.CLAIMED, ClaimedJob(ONE)))
    store.write_claim(ClaimRecord(ClaimState.LOST, ClaimedJob(ONE)))
    assert store.read_claim().is_certain
    store.withdraw_certain_claim()
    assert store.read_claim().state is ClaimState.LOST
