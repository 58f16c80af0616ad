# SPDX-License-Identifier: Apache-2.0
"""Which records of a run are found, whatever lies beside them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import record_search
from airflow_codepipeline_partner._worker.awaited_job import awaited_token
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob

ONE, TWO = OfferedJob("one", "c"), OfferedJob("two", "c")


def test_a_run_gives_each_claim_with_its_results(xcom):
    for index, job in enumerate((ONE, TWO)):
        store = RecordStore(TaskInstanceRef("d", "r", "t", index))
        store.expect_result()
        store.write_claim(ClaimRecord(ClaimState.CLAIMED, ClaimedJob(job)))
    RecordStore(TaskInstanceRef("d", "r", "t", 1)).write_result(
        ResultRecord.of_call("done", requests.success(TWO))
    )
    found = [
        (claim.job.job_id, [result.state for result in results.others])
        for claim, results in record_search.records_of_run("d", "r", "t")
    ]
    assert found == [("one", []), ("two", ["done"])]


def test_an_unreadable_record_keeps_no_other_job_from_its_end(xcom, caplog):
    for index, job in enumerate((ONE, TWO)):
        RecordStore(TaskInstanceRef("d", "r", "t", index)).write_claim(
            ClaimRecord(ClaimState.CLAIMED, ClaimedJob(job))
        )
    xcom[0, "codepipeline_claim"] = {"state": "claimed", "job_id": ["no", "id"]}
    xcom[2, "codepipeline_claim"] = "edited by hand"
    xcom[1, "codepipeline_result"] = {"job_id": "two", "state": "done"}
    [(claim, results)] = record_search.records_of_run("d", "r", "t")
    assert claim.job.job_id == "two"
    assert results.best is None
    assert caplog.text.count("A record of the task t cannot be read") == 3


def test_another_run_finds_the_newest_job_of_an_action(xcom):
    claiming, waiting = TaskInstanceRef("d", "r", "claim"), TaskInstanceRef("d", "r", "wait")
    assert record_search.find_claim_by(claiming, "one") is None
    store = RecordStore(claiming)
    store.write_claim(ClaimRecord(ClaimState.CLAIMED, ClaimedJob(ONE)))
    assert record_search.find_claim_by(claiming, "one").record.job.job_id == "one"
    assert record_search.find_claim_by(claiming, "other") is None
    # Between two jobs: the one has ended, the next is not claimed.
    store.write_result(ResultRecord.of_call("done", requests.success(ONE, continuation_token=waiting.token)))
    assert awaited_token(record_search.find_claim_by(claiming, "one")) == waiting.token
    store.write_claim(ClaimRecord(ClaimState.CLAIMED, ClaimedJob(TWO), ("one",)))
    found = record_search.find_claim_by(claiming, "one")
    assert (found.record.job.job_id, awaited_token(found)) == ("two", None)


@pytest.mark.parametrize("state", ["done", "intended", "refused"])
def test_a_token_that_a_run_put_is_its_own(xcom, state):
    """Even if a later answer was a refusal: the one before was lost, and CodePipeline had taken the call."""
    waiting = TaskInstanceRef("d", "r", "t")
    store = RecordStore(waiting)
    store.write_claim(ClaimRecord(ClaimState.UNKNOWN, ClaimedJob(ONE)))
    call = requests.success(ONE, continuation_token=waiting.token)
    store.write_result(ResultRecord.of_call(state, call))
    ti = SimpleNamespace(get_task_states=lambda dag_id, run_ids: {"r": {"t": "failed"}})
    assert record_search.has_continued(ti, waiting) is True
    # The same names in another Airflow.
    assert record_search.has_continued(ti, TaskInstanceRef("d", "r", "other")) is False
