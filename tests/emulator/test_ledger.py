# SPDX-License-Identifier: Apache-2.0
"""The ledger: what is recorded, and how it is queried."""

from __future__ import annotations

import dataclasses
import json

import pytest
from declaring import code

ARTIFACTS = {"input_artifacts": ["In"], "output_artifacts": ["Out"]}


def test_a_jobs_life_can_be_read(world):
    w = world(lease_seconds=10)
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.advance(10)
    w.worker.claim()
    w.worker.fail(job_id, "because", "RevisionUnavailable", externalExecutionId="x")
    said = [(e.operation, e.status_before, e.status_after) for e in w.emu.ledger.where(job_id=job_id)]
    assert said == [
        ("Queued", "Created", "Queued"),
        ("HandedOut", "Queued", "Dispatched"),
        ("LeaseLapsed", "Dispatched", "Dispatched"),
        ("HandedOut", "Dispatched", "Dispatched"),
        ("GetThirdPartyJobDetails", "Dispatched", "Dispatched"),
        ("AcknowledgeThirdPartyJob", "Dispatched", "InProgress"),
        ("PutThirdPartyJobFailureResult", "InProgress", "Failed"),
    ]
    [put] = w.emu.ledger.terminal_results(job_id)
    assert put.result == "failure"
    assert put.details == {
        "failureDetails": {"type": "RevisionUnavailable", "message": "because", "externalExecutionId": "x"}
    }
    assert put.client_id == w.customer.client_id
    assert put.pipeline_name == "pipeline"
    assert put.time == w.emu.now()
    assert len(w.emu.ledger.polls()) == 2
    assert w.emu.ledger.polls()[0].details["jobs"] == [job_id]


POLL = "PollForThirdPartyJobs"


@pytest.mark.parametrize(
    ("operation", "body", "headers", "outcome"),
    [
        (POLL, b"{", {}, "SerializationException"),
        (POLL, {"actionTypeId": []}, {}, "SerializationException"),
        (
            "GetThirdPartyJobDetails",
            {"jobId": "j"},
            {"Authorization": ""},
            "MissingAuthenticationTokenException",
        ),
        ("PutThirdPartyJobSuccessResult", {"jobId": "j"}, {"service": "s3"}, "InvalidSignatureException"),
        ("PutWebhook", {}, {}, "ValidationException"),
        ("GetActionType", {}, {}, "ValidationException"),
        ("GetPipelineState", {"name": "none"}, {}, "PipelineNotFoundException"),
        ("Nonsense", {}, {}, "UnknownOperationException"),
    ],
)
def test_a_refused_call_is_recorded(world, signed_call, operation, body, headers, outcome):
    w = world()
    assert signed_call(w.emu, operation, body, **headers)[1]["__type"] == outcome
    said = w.emu.ledger[-1]
    assert (said.kind, said.outcome) == ("call", outcome)
    assert said.operation in (operation, f"CodePipeline_20150709.{operation}")
    assert said.job_id == (body.get("jobId") if isinstance(body, dict) else None)


@pytest.mark.parametrize("abandon", [True, False])
def test_stops_retries_and_ends_of_actions_are_recorded(world, abandon):
    w = world()
    ids = {"pipelineName": "pipeline", "pipelineExecutionId": w.start()}
    w.worker.client.stop_pipeline_execution(**ids, abandon=abandon, reason="enough")
    if not abandon:
        w.worker.fail(w.worker.claim(), "no")
    w.worker.client.retry_stage_execution(**ids, stageName="Partner", retryMode="FAILED_ACTIONS")
    w.worker.succeed(w.worker.claim())
    w.start()
    w.emu.advance(3600)
    stop, retry = (
        w.emu.ledger.where(kind="call", operation=operation)[0]
        for operation in ("StopPipelineExecution", "RetryStageExecution")
    )
    assert dict(stop.details) == {"abandon": abandon, "reason": "enough"}
    assert stop.pipeline_execution_id == retry.pipeline_execution_id == ids["pipelineExecutionId"]
    ends = [end for end in w.emu.ledger.where(kind="action") if end.details["actionName"] == "Partner"]
    assert [end.operation for end in ends] == ["Abandoned" if abandon else "Failed", "Succeeded", "Failed"]
    assert ends[2].details["message"] == "The action timed out."
    assert len({end.action_execution_id for end in ends}) == 3


def test_what_the_test_does_is_recorded(world):
    w = world()
    action_type = {"category": "Test", "owner": "ThirdParty", "provider": "P", "version": "1"}
    w.emu.add_action_type(action_type)
    w.emu.configure(lease_seconds=5, connect_members="a,b,c")
    w.emu.inject("replace", members={"nonce": "a-secret"}, times=None)
    w.emu.clear_faults()
    w.emu.advance(7)
    assert [(entry.operation, dict(entry.details)) for entry in w.emu.ledger.where(kind="control")[2:]] == [
        ("AddActionType", {"actionTypeId": action_type}),
        ("Configure", {"lease_seconds": 5, "connect_members": ["a", "b", "c"]}),
        ("Inject", {"kind": "replace", "operation": None, "times": None}),
        ("ClearFaults", {}),
        ("Advance", {"seconds": 7}),
    ]


def test_every_attempt_at_a_result_is_recorded(world):
    """With its outcome."""
    w = world()
    w.start()
    w.start()
    one = w.worker.claim()
    w.worker.claim()
    w.worker.succeed(one, executionDetails={"summary": "s"})
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.fail(one)
    with pytest.raises(w.worker.error.JobNotFoundException):
        w.worker.succeed("unknown")
    with pytest.raises(w.worker.error.ValidationException):
        w.worker.succeed(one, continuationToken="x" * 3000)
    assert [entry.outcome for entry in w.emu.ledger.puts(one)] == [
        "ok",
        "InvalidJobStateException",
        "ValidationException",
    ]
    assert [entry.outcome for entry in w.emu.ledger.puts("unknown")] == ["JobNotFoundException"]
    assert len(w.emu.ledger.puts()) == 4
    assert len(w.emu.ledger.terminal_results()) == 1
    assert len(w.emu.ledger.where(outcome=["ok", "nonsense"]).puts()) == 1


def test_the_ledger_holds_no_secret(world):
    w = world(pipeline=ARTIFACTS, details_rotate_nonce=True, lease_seconds=0)
    w.start()
    secrets = [w.customer.client_token]
    for _ in range(2):
        [job_id] = w.worker.poll_ids()
        details = w.worker.details(job_id)
        keys = details["data"]["artifactCredentials"]
        secrets += [details["nonce"], keys["secretAccessKey"], keys["sessionToken"]]
    s3 = w.make_client(
        "s3",
        w.emu,
        aws_access_key_id=keys["accessKeyId"],
        aws_secret_access_key=keys["secretAccessKey"],
        aws_session_token=keys["sessionToken"],
    )
    place = details["data"]["inputArtifacts"][0]["location"]["s3Location"]
    s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])
    w.worker.acknowledge(job_id)
    w.worker.succeed(job_id)
    secrets.append(w.emu.rotate_token(w.customer.client_id).client_token)
    w.emu.connect_request(w.customer.client_id, "https://partner.example/connect")
    said = json.dumps([entry.as_dict() for entry in w.emu.ledger])
    assert len(secrets) == 8
    assert [secret for secret in secrets if secret in said] == []
    assert w.customer.client_token not in repr(w.customer)
    assert w.customer.client_token not in repr(w.emu.state.customers)
    [job] = w.emu.state.jobs.values()
    assert job.nonce not in repr(job)


def test_entries_are_frozen_and_the_list_is_a_copy(world):
    w = world()
    ledger = w.emu.ledger
    with pytest.raises(dataclasses.FrozenInstanceError):
        ledger[0].outcome = "changed"
    ledger.clear()
    assert len(w.emu.ledger) == 2
    assert [entry.number for entry in w.emu.ledger] == [1, 2]


def test_a_question_about_nothing_is_an_error(world):
    with pytest.raises(ValueError, match="no nonsense"):
        world().emu.ledger.where(nonsense=1)


def test_the_ledgers_questions_count_the_calls_of_custom_jobs(custom_world):
    w = custom_world(continuation_delay=0)
    w.start()
    first = w.worker.claim()
    w.worker.succeed(first, continuationToken="t")
    second = w.worker.claim()
    w.worker.fail(second)
    assert code(w.worker.fail, second) == "InvalidJobStateException"
    assert code(w.worker.poll, provider="Other") == "ActionTypeNotFoundException"
    ledger = w.emu.ledger
    assert [entry.details.get("jobs") for entry in ledger.polls()] == [[first], [second], None]
    assert [(entry.operation, entry.result) for entry in ledger.puts()] == [
        ("PutJobSuccessResult", "continue"),
        ("PutJobFailureResult", "failure"),
        ("PutJobFailureResult", None),
    ]
    assert [entry.job_id for entry in ledger.terminal_results()] == [second]
    assert ledger.terminal_results(first) == []
    assert len(ledger.puts(second)) == 2


def test_the_ledger_holds_no_secret_of_a_custom_job(custom_world):
    secret = {"configuration": {"Password": "hush"}, "secret_configuration_keys": ["Password"]}
    w = custom_world(pipeline=ARTIFACTS | secret, lease_seconds=0)
    w.start()
    secrets = ["hush"]
    for _ in range(2):
        [job] = w.worker.poll()
        for said in (job, w.worker.details(job["id"])):
            keys = said["data"]["artifactCredentials"]
            secrets += [keys["secretAccessKey"], keys["sessionToken"]]
        secrets.append(job["nonce"])
    assert code(w.worker.acknowledge, job["id"], secrets[5]) == "InvalidNonceException"
    w.worker.acknowledge(job["id"])
    w.worker.succeed(job["id"])
    said = (
        json.dumps([entry.as_dict() for entry in w.emu.ledger]) + repr(w.emu.jobs()) + repr(w.emu.state.jobs)
    )
    assert len(set(secrets)) == 11
    assert [secret for secret in secrets if secret in said] == []
