# SPDX-License-Identifier: Apache-2.0
"""The ledger tells what happened, in order, and no secret."""

from __future__ import annotations

import dataclasses
import json

import pytest

ARTIFACTS = {"input_artifacts": ["In"], "output_artifacts": ["Out"]}


def test_a_jobs_life_can_be_read(world):
    w = world(lease_seconds=10)
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.advance(10)
    w.worker.claim()
    w.worker.fail(job_id, "because", "RevisionUnavailable", externalExecutionId="x")
    told = [(e.operation, e.status_before, e.status_after) for e in w.emu.ledger.where(job_id=job_id)]
    assert told == [
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


def test_every_attempt_at_a_result_is_told_with_its_outcome(world):
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
    told = json.dumps([entry.as_dict() for entry in w.emu.ledger])
    assert len(secrets) == 8
    assert [secret for secret in secrets if secret in told] == []
    assert w.customer.client_token not in repr(w.customer)
    assert w.customer.client_token not in repr(w.emu.core.customers)
    [job] = w.emu.core.jobs.values()
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
