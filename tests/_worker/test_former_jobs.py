# SPDX-License-Identifier: Apache-2.0
"""What a claim's record keeps of earlier jobs, and that no record needs it."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._worker.former_jobs import (
    MAX_FORMER_JOBS,
    MAX_SUMMARY_CHARS,
    FormerJob,
    former_jobs_from_xcom,
)
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.jobs import ExecutionDetails

JOB = OfferedJob("job-1", "client-1")


def ended_with(**details):
    call = requests.success(JOB, continuation_token="t", execution_details=ExecutionDetails(**details))
    return ResultRecord.of_call("done", call)


def test_a_summary_is_cut_and_nothing_else_is_kept():
    claim = ClaimRecord(ClaimState.CLAIMED, ClaimedJob(JOB))
    result = ended_with(summary="x" * 2000, percent_complete=40, external_execution_id="elsewhere")
    kept = FormerJob.of(claim, result).to_xcom()
    assert kept == {
        "job_id": "job-1",
        "claimed_at": claim.at.isoformat(),
        "ended_at": result.at.isoformat(),
        "percent": 40,
        "summary": "x" * MAX_SUMMARY_CHARS,
    }


def test_a_result_that_is_not_known_leaves_a_gap():
    claim = ClaimRecord(ClaimState.CLAIMED, ClaimedJob(JOB))
    assert set(FormerJob.of(claim, None).to_xcom()) == {"job_id", "claimed_at"}


def test_a_record_keeps_them_through_xcom():
    kept = ({"job_id": "job-0", "claimed_at": "2026-01-01T00:00:00+00:00"},)
    record = ClaimRecord(ClaimState.CLAIMED, ClaimedJob(JOB), ("job-0",), former_jobs=kept)
    assert ClaimRecord.from_xcom(record.to_xcom()).former_jobs == kept
    # Nothing is decided by them.
    assert ClaimRecord.from_xcom(record.to_xcom()) == ClaimRecord(record.state, record.job, ("job-0",))
    assert "former_jobs" not in ClaimRecord(record.state, record.job, ("job-0",)).to_xcom()


@pytest.mark.parametrize("odd", [None, 7, "text", {}, [7], [[]]], ids=repr)
def test_odd_ones_are_left_out(odd):
    assert former_jobs_from_xcom(odd) == ()


def test_an_action_of_many_jobs_keeps_the_newest():
    many = [{"job_id": str(number)} for number in range(3 * MAX_FORMER_JOBS)]
    assert former_jobs_from_xcom(many)[0]["job_id"] == str(2 * MAX_FORMER_JOBS)
