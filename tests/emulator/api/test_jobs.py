# SPDX-License-Identifier: Apache-2.0
"""The calls of partners' job workers."""

from __future__ import annotations

import threading
import uuid

import pytest


def test_a_job_goes_from_queue_to_success(world):
    w = world()
    assert w.worker.poll() == []
    w.start()
    [job] = w.worker.poll()
    assert job["clientId"] == w.customer.client_id
    assert w.status(job["jobId"]) == "Dispatched"
    assert w.worker.acknowledge(job["jobId"]) == "InProgress"
    w.worker.succeed(job["jobId"])
    assert w.status(job["jobId"]) == "Succeeded"
    assert w.action()["status"] == "Succeeded"


def test_jobs_come_first_in_first_out(world):
    """One to a poll by default."""
    w = world()
    started = [w.start() for _ in range(4)]
    order = [job.job_id for job in w.emu.jobs()]
    assert [job.pipeline_execution_id for job in w.emu.jobs()] == started
    first = w.worker.client.poll_for_third_party_jobs(
        actionTypeId={"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
    )
    assert [job["jobId"] for job in first["jobs"]] == order[:1]
    assert w.worker.poll_ids(2) == order[1:3]
    assert w.worker.poll_ids(9) == order[3:]
    assert w.worker.poll_ids(9) == []


def test_default_and_cap_of_the_batch_can_be_set(world):
    w = world(default_batch_size=2, max_batch_size=3)
    for _ in range(9):
        w.start()
    action_type = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
    assert len(w.worker.client.poll_for_third_party_jobs(actionTypeId=action_type)["jobs"]) == 2
    assert len(w.worker.poll(8)) == 3


def test_a_poll_for_an_unknown_action_type_is_refused(world):
    w = world()
    with pytest.raises(w.worker.error.ActionTypeNotFoundException):
        w.worker.poll(provider="Other")
    w.emu.add_action_type({"category": "Deploy", "owner": "ThirdParty", "provider": "Other", "version": "1"})
    assert w.worker.poll(provider="Other") == []


@pytest.mark.parametrize("owner", ["AWS", "Custom"])
def test_poll_for_another_owner_is_refused_in_the_words_of_aws(world, owner):
    w = world()
    with pytest.raises(w.worker.error.ValidationException, match=f"owner '{owner}' is not supported"):
        w.worker.poll(owner=owner)


def test_action_types_of_two_providers_have_queues_of_their_own(world):
    w = world()
    other = {"category": "Test", "owner": "ThirdParty", "provider": "Other", "version": "2"}
    w.emu.add_pipeline("second", client_id=w.customer.client_id, action_type=other, input_artifacts=())
    w.start()
    w.start("second")
    first, second = [job.job_id for job in w.emu.jobs()]
    assert [job["jobId"] for job in w.worker.poll(**other)] == [second]
    assert w.worker.poll_ids() == [first]


def test_the_signed_region_matters_only_if_a_region_is_set(world, aws):
    w = world(region="eu-west-1")
    with pytest.raises(w.worker.error.ActionTypeNotFoundException):
        w.worker.poll()
    w.emu.configure(region="us-east-1")
    assert w.worker.poll() == []


def test_details_leave_out_what_third_parties_do_not_get(world):
    w = world(
        pipeline={
            "configuration": {"Host": "h", "Password": "p"},
            "secret_configuration_keys": ["Password"],
            "input_artifacts": ["Source"],
            "output_artifacts": ["Built"],
            "stage_name": "Ship",
            "action_name": "Do",
            "encryption_key": "key-1",
            "bucket": "some-bucket",
        }
    )
    w.start()
    [job_id] = w.worker.poll_ids()
    details = w.worker.details(job_id)
    data = details["data"]
    assert details["id"] == job_id
    assert 1 <= len(details["nonce"]) <= 50
    assert data["actionTypeId"]["provider"] == "Example"
    assert data["actionConfiguration"]["configuration"] == {"Host": "h", "Password": "p"}
    action_execution_id = w.emu.jobs()[0].action_execution_id
    assert data["pipelineContext"] == {
        "pipelineName": "pipeline",
        "stage": {"name": "Ship"},
        "action": {"name": "Do", "actionExecutionId": action_execution_id},
    }
    [source], [built] = data["inputArtifacts"], data["outputArtifacts"]
    assert source["name"] == "Source"
    assert source["revision"]
    assert built["name"] == "Built"
    assert built["location"]["s3Location"]["bucketName"] == "some-bucket"
    assert set(data["artifactCredentials"]) == {"accessKeyId", "secretAccessKey", "sessionToken"}
    assert data["encryptionKey"] == {"id": "key-1", "type": "KMS"}
    assert "continuationToken" not in data


@pytest.mark.parametrize(
    ("artifacts", "there"),
    [({}, False), ({"input_artifacts": ["In"]}, True), ({"output_artifacts": ["Out"]}, True)],
)
def test_there_are_credentials_only_where_there_are_artifacts(world, artifacts, there):
    w = world(pipeline=artifacts)
    w.start()
    assert ("artifactCredentials" in w.worker.details(w.worker.claim())["data"]) is there


def test_details_of_an_ended_job_hold_no_credentials(world):
    w = world(pipeline={"input_artifacts": ["In"]})
    w.start()
    job_id = w.worker.claim()
    assert "artifactCredentials" in w.worker.details(job_id)["data"]
    w.worker.succeed(job_id)
    assert "artifactCredentials" not in w.worker.details(job_id)["data"]


def test_a_second_acknowledge_is_an_invalid_nonce(world):
    """Also with the winning nonce."""
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    nonce = w.worker.details(job_id)["nonce"]
    w.worker.acknowledge(job_id, nonce)
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(job_id, nonce)
    assert w.status(job_id) == "InProgress"


def test_a_repeated_acknowledge_can_be_idempotent(world):
    """For the winner only."""
    w = world(repeated_acknowledge="in_progress")
    w.start()
    [job_id] = w.worker.poll_ids()
    nonce = w.worker.details(job_id)["nonce"]
    assert w.worker.acknowledge(job_id, nonce) == "InProgress"
    assert w.worker.acknowledge(job_id, nonce) == "InProgress"
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(job_id, "1")


def test_a_wrong_nonce_does_not_claim(world):
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(job_id, "1")
    assert w.status(job_id) == "Dispatched"


def test_a_job_that_was_never_handed_out_cannot_be_acknowledged(world):
    w = world()
    w.start()
    job_id = w.emu.jobs()[0].job_id
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(job_id)


@pytest.mark.parametrize(("setting", "answer"), [("status", "Succeeded"), ("error", None)])
def test_acknowledging_an_ended_job_returns_its_status(world, setting, answer):
    """Or is an error, by the setting."""
    w = world(acknowledge_ended_job=setting)
    w.start()
    job_id = w.worker.claim()
    w.worker.succeed(job_id)
    if answer is None:
        with pytest.raises(w.worker.error.InvalidNonceException):
            w.worker.acknowledge(job_id)
    else:
        assert w.worker.acknowledge(job_id) == answer


def test_many_concurrent_acknowledges_have_one_winner(world, client):
    w = world()
    rivals = 8
    clients = [client("codepipeline", w.emu) for _ in range(rivals)]
    for _ in range(5):
        w.start()
        [job_id] = w.worker.poll_ids()
        nonce = w.worker.details(job_id)["nonce"]
        together = threading.Barrier(rivals)
        outcomes = []

        def acknowledge(mine, job_id=job_id, nonce=nonce, together=together, outcomes=outcomes):
            together.wait()
            try:
                mine.acknowledge_third_party_job(
                    jobId=job_id, nonce=nonce, clientToken=w.customer.client_token
                )
                outcomes.append("won")
            except mine.exceptions.InvalidNonceException:
                outcomes.append("lost")

        threads = [threading.Thread(target=acknowledge, args=(mine,)) for mine in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["lost"] * (rivals - 1) + ["won"]


def test_results_before_acknowledge_are_refused(world):
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.succeed(job_id)
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.fail(job_id)
    assert w.status(job_id) == "Dispatched"


def test_results_before_acknowledge_can_be_taken(world):
    w = world(put_before_acknowledge="accept")
    w.start()
    w.start()
    one, two = w.worker.poll_ids()
    w.worker.succeed(one)
    w.worker.fail(two)
    assert (w.status(one), w.status(two)) == ("Succeeded", "Failed")


def test_a_second_result_never_changes_the_first(world):
    w = world()
    w.start()
    job_id = w.worker.claim()
    w.worker.fail(job_id, "first")
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.succeed(job_id)
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.fail(job_id, "second")
    assert w.action()["errorDetails"]["message"] == "first"
    assert len(w.emu.ledger.puts(job_id)) == 3
    assert len(w.emu.ledger.terminal_results(job_id)) == 1


def test_a_continuation_is_a_new_job_of_the_same_action(world):
    w = world()
    w.start()
    first = w.worker.claim()
    first_nonce = w.worker.details(first)["nonce"]
    w.worker.succeed(first, continuationToken="go on", executionDetails={"percentComplete": 40})
    assert w.status(first) == "Succeeded"
    assert w.action()["status"] == "InProgress"
    assert w.worker.poll_ids() == []
    w.emu.advance(29)
    assert w.worker.poll_ids() == []
    w.emu.advance(1)
    [job] = w.worker.poll()
    second = job["jobId"]
    assert second != first
    assert job["clientId"] == w.customer.client_id
    details = w.worker.details(second)
    assert details["data"]["continuationToken"] == "go on"
    assert details["nonce"] != first_nonce
    one, two = w.emu.jobs()
    assert one.action_execution_id == two.action_execution_id
    assert (one.continuation_token, two.continuation_token) == (None, "go on")
    w.worker.acknowledge(second)
    w.worker.succeed(second)
    assert w.action()["status"] == "Succeeded"
    assert [entry.result for entry in w.emu.ledger.puts()] == ["continue", "success"]


def test_a_continuation_can_come_at_once(world):
    w = world(continuation_delay=0)
    w.start()
    w.worker.succeed(w.worker.claim(), continuationToken="t")
    assert len(w.worker.poll()) == 1


def test_a_failed_continuation_fails_the_action(world):
    w = world(continuation_delay=0)
    w.start()
    w.worker.succeed(w.worker.claim(), continuationToken="t")
    w.worker.fail(w.worker.claim(), "late", "SystemUnavailable")
    assert w.action()["status"] == "Failed"
    assert w.action()["errorDetails"] == {"code": "SystemUnavailable", "message": "late"}


def test_unknown_jobs_are_not_found(world):
    w = world()
    missing = str(uuid.uuid4())
    for call in (w.worker.details, w.worker.succeed, w.worker.fail, lambda j: w.worker.acknowledge(j, "1")):
        with pytest.raises(w.worker.error.JobNotFoundException):
            call(missing)


def test_a_wrong_token_opens_nothing(world):
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    nonce = w.worker.details(job_id)["nonce"]
    w.worker.token = w.emu.add_customer().client_token
    for call in (
        w.worker.details,
        w.worker.succeed,
        w.worker.fail,
        lambda j: w.worker.acknowledge(j, nonce),
    ):
        with pytest.raises(w.worker.error.InvalidClientTokenException):
            call(job_id)
    assert w.status(job_id) == "Dispatched"


def test_an_unknown_job_and_token_can_be_an_invalid_token(world):
    w = world(check_first="token")
    missing = str(uuid.uuid4())
    with pytest.raises(w.worker.error.JobNotFoundException):
        w.worker.details(missing)
    w.worker.token = "nobody's"
    with pytest.raises(w.worker.error.InvalidClientTokenException):
        w.worker.details(missing)
