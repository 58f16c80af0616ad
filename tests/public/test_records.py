# SPDX-License-Identifier: Apache-2.0
"""The names that users depend on, frozen: what lies in the XCom of running DAGs."""

from __future__ import annotations

from typing import Any

import pytest
from public_surface import OFFERED, OFFERED_XCOM

from airflow_codepipeline_partner import (
    jobs,
)
from airflow_codepipeline_partner._protocol import claims, requests
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import record_store, records


def test_the_keys_of_the_records_are_as_they_were():
    assert records.CLAIM_KEY == "codepipeline_claim"
    assert records.RESULT_KEY == "codepipeline_result"


@pytest.mark.parametrize("state", ["intent", "claimed", "unknown", "lost", "refused"])
def test_a_claim_is_recorded_as_it_was(state):
    record = records.ClaimRecord(claims.ClaimState(state), jobs.ClaimedJob(OFFERED))
    written = record.to_xcom()
    assert written.pop("at")
    assert written == {
        **OFFERED_XCOM,
        "certain": True,
        "continuation_token": None,
        "pipeline_name": None,
        "stage_name": None,
        "action_name": None,
        "action_execution_id": None,
        "input_artifacts": [],
        "output_artifacts": [],
        "state": state,
    }
    assert records.ClaimRecord.from_xcom(record.to_xcom()) == record


def test_a_custom_jobs_claim_is_recorded_as_it_was():
    kind = jobs.ActionType("Build", "Own", owner="Custom")
    job = jobs.OfferedJob("j", None, kind, "3", {"Project": "shop"})
    claimed = jobs.ClaimedJob(job, account_id="1", pipeline_arn="arn", pipeline_execution_id="e")
    written = records.ClaimRecord(claims.ClaimState.CLAIMED, claimed).to_xcom()
    assert {
        name: written[name] for name in ("job_id", "client_id", "action_type", "nonce", "query_param")
    } == {
        "job_id": "j",
        "client_id": None,
        "action_type": {"category": "Build", "owner": "Custom", "provider": "Own", "version": "1"},
        "nonce": "3",
        "query_param": {"Project": "shop"},
    }
    assert (written["account_id"], written["pipeline_arn"], written["pipeline_execution_id"]) == (
        "1",
        "arn",
        "e",
    )
    assert records.ClaimRecord.from_xcom(written).job == claimed


def test_these_are_all_the_states_of_a_claim():
    assert [str(state) for state in claims.ClaimState] == [
        "intent",
        "claimed",
        "unknown",
        "lost",
        "refused",
    ]


@pytest.mark.parametrize("state", ["intended", "done"])
@pytest.mark.parametrize(
    ("call", "result"),
    [
        (requests.success(OFFERED), "success"),
        (requests.success(OFFERED, continuation_token="t"), "continue"),
        (requests.failure(OFFERED, message="m"), "failure"),
    ],
    ids=["success", "continue", "failure"],
)
def test_a_result_is_recorded_as_it_was(monkeypatch, state, call, result):
    written: dict[str, Any] = {}
    monkeypatch.setattr(
        record_store.RecordStore, "write", lambda self, key, value: written.update({key: value})
    )
    monkeypatch.setattr(record_store.RecordStore, "read", lambda self, key: written.get(key))
    place = record_store.RecordStore(TaskInstanceRef("dag", "run", "task"))
    place.write_result(records.ResultRecord.of_call(state, call))
    record = written["codepipeline_result"]
    assert record["at"]
    assert {key: value for key, value in record.items() if key != "at"} == {
        "state": state,
        "result": result,
        "job_id": "j",
        "call": call.arguments,
    }
    assert place.read_result("j").call(OFFERED) == call
    assert place.read_result("another") is None
