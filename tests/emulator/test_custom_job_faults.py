# SPDX-License-Identifier: Apache-2.0
"""Faults in the calls of custom jobs."""

from __future__ import annotations

import uuid

import pytest
from botocore.exceptions import ConnectionClosedError
from declaring import ACTION_TYPE, code

from airflow_codepipeline_partner.emulator import ControlError

ARTIFACTS = {"input_artifacts": ["In"], "output_artifacts": ["Out"], "bucket": "artifact-bucket"}


# By call, the job's status before and after it.
STEPS = {
    "PollForJobs": ("Queued", "Dispatched"),
    "GetJobDetails": ("Dispatched", "Dispatched"),
    "AcknowledgeJob": ("Dispatched", "InProgress"),
    "PutJobSuccessResult": ("InProgress", "Succeeded"),
    "PutJobFailureResult": ("InProgress", "Failed"),
}
THROTTLED, BROKEN, ODD = "ThrottlingException", "InternalFailure", "OddException"


@pytest.mark.parametrize("operation", STEPS)
@pytest.mark.parametrize(
    ("kind", "params", "answer"),
    [
        ("throttle", {}, THROTTLED),
        ("server_error", {"status": 503}, BROKEN),
        ("error", {"code": ODD, "message": "odd"}, ODD),
        ("drop_request", {}, None),
        ("drop_response", {}, None),
    ],
)
def test_each_call_of_a_custom_job_can_go_wrong(custom_world, operation, kind, params, answer):
    w = custom_world()
    w.start()
    [job] = w.emu.jobs()
    before, after = STEPS[operation]
    if before != "Queued":
        w.worker.poll()
    if before == "InProgress":
        w.worker.acknowledge(job.job_id)
    calls = {
        "PollForJobs": w.worker.poll,
        "GetJobDetails": lambda: w.worker.details(job.job_id),
        "AcknowledgeJob": lambda: w.worker.acknowledge(job.job_id),
        "PutJobSuccessResult": lambda: w.worker.succeed(job.job_id),
        "PutJobFailureResult": lambda: w.worker.fail(job.job_id),
    }
    w.emu.inject(kind, operation, **params)
    if answer is None:
        with pytest.raises(ConnectionClosedError):
            calls[operation]()
    else:
        assert code(calls[operation]) == answer
    assert w.status(job.job_id) == (after if kind == "drop_response" else before)
    said = w.emu.ledger.where(operation=operation)[-1]
    assert (said.faults, said.outcome) == ((kind,), answer or ("ok" if kind == "drop_response" else kind))
    assert w.emu.faults() == []


def test_a_slow_custom_call_is_done_when_the_time_is_over(custom_world, monkeypatch):
    w = custom_world()
    w.start()
    waited = []
    monkeypatch.setattr(w.emu.state.faults.cleared, "wait", waited.append)
    w.emu.inject("slow", "PollForJobs", seconds=7)
    assert len(w.worker.poll()) == 1
    assert waited == [7]


def test_a_fault_for_any_call_hits_those_of_both_owners(custom_world):
    w = custom_world()
    w.emu.add_action_type(ACTION_TYPE)
    fault = w.emu.inject("throttle", times=None)
    assert fault.operation is None
    assert code(w.worker.poll) == THROTTLED
    assert code(w.worker.client.poll_for_third_party_jobs, actionTypeId=ACTION_TYPE) == THROTTLED
    w.emu.clear_faults()
    # And one for an operation hits no other.
    w.emu.inject("throttle", "PollForThirdPartyJobs")
    assert w.worker.poll() == []


def test_a_fault_can_be_for_one_custom_job_only(custom_world):
    w = custom_world()
    w.start()
    w.start()
    one, two = w.worker.poll_ids()
    w.emu.inject("throttle", "GetJobDetails", job_id=one)
    assert w.worker.details(two)["id"] == two
    assert code(w.worker.details, one) == THROTTLED
    w.emu.inject("throttle", times=None, client_id=str(uuid.uuid4()))
    assert w.worker.details(one)["id"] == one


def test_custom_jobs_can_be_handed_out_twice_and_have_one_owner(custom_world):
    w = custom_world()
    w.start()
    w.start()
    [first] = w.worker.poll(1)
    w.emu.inject("duplicate")
    again, other = w.worker.poll()
    assert (again["id"], other["id"] != first["id"]) == (first["id"], True)
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(first["id"], first["nonce"])
    assert w.worker.acknowledge(first["id"], again["nonce"]) == "InProgress"
    w.emu.inject("duplicate", "PollForJobs", in_progress=True)
    taken = next(job for job in w.worker.poll() if job["id"] == first["id"])
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(taken["id"], taken["nonce"])
    w.worker.succeed(first["id"])


def test_custom_details_can_lack_or_change_members(custom_world):
    w = custom_world(pipeline=ARTIFACTS)
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.inject("omit", "GetJobDetails", members=["data.pipelineContext.pipelineArn", "accountId"])
    w.emu.inject("replace", members={"data.inputArtifacts.0.name": "../../etc"})
    said = w.worker.details(job_id)
    assert "pipelineArn" not in said["data"]["pipelineContext"]
    assert "accountId" not in said
    assert said["data"]["inputArtifacts"][0]["name"] == "../../etc"
    said = w.worker.details(job_id)
    assert "pipelineArn" in said["data"]["pipelineContext"]
    assert said["data"]["inputArtifacts"][0]["name"] == "In"


@pytest.mark.parametrize(
    ("kind", "operation", "params", "message"),
    [
        ("duplicate", "AcknowledgeJob", {}, "applies to PollForThirdPartyJobs and PollForJobs only"),
        ("omit", "PollForJobs", {"members": ["data"]}, "GetThirdPartyJobDetails and GetJobDetails only"),
        ("cut_body", "GetJobDetails", {"after_bytes": 1}, "applies to GetObject only"),
        ("throttle", "ListActionTypes", {}, "no faults at 'ListActionTypes'"),
    ],
)
def test_kinds_of_faults_are_bound_to_their_calls(custom_world, kind, operation, params, message):
    w = custom_world()
    with pytest.raises(ControlError, match=message):
        w.emu.inject(kind, operation, **params)
