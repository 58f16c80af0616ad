# SPDX-License-Identifier: Apache-2.0
"""Where records lie in XCom: under one key, or under a key for each job if the task instance is shared."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import record_store
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import NO_RESULT, ClaimRecord
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob

ONE, TWO = OfferedJob("one", "c"), OfferedJob("two", "c")
REF = TaskInstanceRef("d", "r", "t")


@pytest.fixture
def xcom(monkeypatch):
    """Airflow's XCom, as a mapping of map index and key to value."""
    held = {}

    class XCom:
        @staticmethod
        def set(key, value, map_index, **names):
            held[map_index, key] = value

        @staticmethod
        def get_one(key, map_index, **names):
            return held.get((map_index, key))

        @staticmethod
        def get_all(key, **names):
            return [value for (_, found), value in sorted(held.items()) if found == key]

        @staticmethod
        def delete(key, map_index, **names):
            held.pop((map_index, key), None)

    monkeypatch.setattr(record_store, "XCom", XCom)
    return held


@pytest.mark.parametrize("map_index", [-1, 2])
def test_what_is_written_is_read_and_withdrawn(xcom, map_index):
    store = RecordStore(TaskInstanceRef("d", "r", "t", map_index))
    assert store.read_claim() is None
    store.write_claim(ClaimRecord(ClaimState.CLAIMED, ClaimedJob(ONE)))
    store.write_result("intended", requests.success(ONE))
    assert store.read_claim().job.job_id == "one"
    assert store.read_result("one").state == "intended"
    assert store.read_result("two") is None
    store.withdraw_result("one")
    assert store.read_result("one") is None


def test_a_shared_store_keeps_the_results_of_several_jobs(xcom):
    store = RecordStore(REF, shared=True)
    store.write_result("done", requests.success(ONE))
    store.write_result("intended", requests.failure(TWO, message="m"))
    assert store.read_result("one").state == "done"
    assert store.read_result("two").result == "failure"
    assert {key for _, key in xcom} == {"codepipeline_result_one", "codepipeline_result_two"}


def test_only_a_mapped_task_says_that_there_is_no_result_yet(xcom):
    RecordStore(REF).expect_result()
    assert xcom == {}
    RecordStore(TaskInstanceRef("d", "r", "t", 1)).expect_result()
    assert xcom == {(1, "codepipeline_result"): NO_RESULT}


def test_a_run_gives_each_claim_with_its_results(xcom):
    for index, job in enumerate((ONE, TWO)):
        store = RecordStore(TaskInstanceRef("d", "r", "t", index))
        store.expect_result()
        store.write_claim(ClaimRecord(ClaimState.CLAIMED, ClaimedJob(job)))
    RecordStore(TaskInstanceRef("d", "r", "t", 1)).write_result("done", requests.success(TWO))
    found = [
        (claim.job.job_id, [result.state for result in results.others])
        for claim, results in record_store.records_of_run("d", "r", "t")
    ]
    assert found == [("one", []), ("two", ["done"])]
