# SPDX-License-Identifier: Apache-2.0
"""The calls of custom actions' job workers, without customers."""

from __future__ import annotations

import threading
import uuid

import pytest
from declaring import ACTION_TYPE, CUSTOM_TYPE, code

from airflow_codepipeline_partner.emulator.api.jobs import MAX_OUTPUT_VARIABLES_BYTES

ARTIFACTS = {"input_artifacts": ["In"], "output_artifacts": ["Out"], "bucket": "artifact-bucket"}


def shown(w, name="pipeline"):
    """The worker's action as ListActionExecutions shows it."""
    return w.worker.client.list_action_executions(pipelineName=name)["actionExecutionDetails"][0]


def test_a_custom_job_goes_from_queue_to_success(custom_world):
    """And its output variables are shown."""
    w = custom_world(pipeline={"stage_name": "Make", "action_name": "Do"})
    assert w.worker.poll() == []
    execution_id = w.start()
    [job] = w.worker.poll()
    assert set(job) == {"id", "nonce", "accountId", "data"}
    assert uuid.UUID(job["id"])
    assert 1 <= len(job["nonce"]) <= 50
    assert job["accountId"] == "123456789012"
    assert job["data"]["actionTypeId"] == CUSTOM_TYPE
    assert job["data"]["pipelineContext"] == {
        "pipelineName": "pipeline",
        "pipelineArn": "arn:aws:codepipeline:us-east-1:123456789012:pipeline",
        "pipelineExecutionId": execution_id,
        "stage": {"name": "Make"},
        "action": {"name": "Do", "actionExecutionId": w.emu.jobs()[0].action_execution_id},
    }
    assert w.status(job["id"]) == "Dispatched"
    assert w.worker.acknowledge(job["id"], job["nonce"]) == "InProgress"
    details = {"summary": "done", "externalExecutionId": "run-1", "percentComplete": 100}
    variables = {"Version": "1.2", "a@b-c_d": ""}
    w.worker.succeed(job["id"], executionDetails=details, outputVariables=variables)
    assert w.status(job["id"]) == "Succeeded"
    assert w.action()["status"] == "Succeeded"
    assert shown(w)["output"]["outputVariables"] == variables
    assert shown(w)["output"]["executionResult"]["externalExecutionId"] == "run-1"
    [put] = w.emu.ledger.puts()
    assert put.details == {"executionDetails": details, "outputVariables": variables}
    assert (put.job_id, put.client_id, put.pipeline_execution_id) == (job["id"], None, execution_id)


def test_a_failed_custom_job_fails_its_action(custom_world):
    """And the action can be retried."""
    w = custom_world()
    execution_id = w.start()
    w.worker.fail(w.worker.claim(), "because", "ConfigurationError", externalExecutionId="run-2")
    assert w.action()["status"] == "Failed"
    assert w.action()["errorDetails"] == {"code": "ConfigurationError", "message": "because"}
    assert "outputVariables" not in shown(w)["output"]
    w.worker.client.retry_stage_execution(
        pipelineName="pipeline",
        stageName="Partner",
        pipelineExecutionId=execution_id,
        retryMode="FAILED_ACTIONS",
    )
    w.worker.succeed(w.worker.claim())
    assert w.action()["status"] == "Succeeded"


def test_details_are_those_of_the_poll_without_the_nonce(custom_world, signed_call):
    w = custom_world(pipeline=ARTIFACTS | {"configuration": {"Host": "h"}, "encryption_key": "key-1"})
    w.start()
    [job] = w.worker.poll()
    details = w.worker.details(job["id"])
    assert set(details) == {"id", "accountId", "data"}
    # Nor is it on the wire, where boto3 would not see it.
    said = signed_call(w.emu, "GetJobDetails", {"jobId": job["id"]})[1]
    assert set(said["jobDetails"]) == set(details)
    first, later = job["data"].pop("artifactCredentials"), details["data"].pop("artifactCredentials")
    assert details == {name: job[name] for name in details}
    # Each time there are new ones, so that a long job can renew them.
    assert first["sessionToken"] != later["sessionToken"]
    assert details["data"]["actionConfiguration"]["configuration"] == {"Host": "h"}
    assert details["data"]["encryptionKey"] == {"id": "key-1", "type": "KMS"}


def test_details_leave_the_nonce_of_a_custom_job_alone(custom_world):
    w = custom_world(details_rotate_nonce=True)
    w.start()
    [job] = w.worker.poll()
    w.worker.details(job["id"])
    assert w.worker.acknowledge(job["id"], job["nonce"]) == "InProgress"


def test_details_of_an_ended_custom_job_hold_no_credentials(custom_world):
    w = custom_world(pipeline=ARTIFACTS)
    w.start()
    job_id = w.worker.claim()
    assert "artifactCredentials" in w.worker.details(job_id)["data"]
    w.worker.succeed(job_id)
    assert "artifactCredentials" not in w.worker.details(job_id)["data"]


def test_a_redelivered_custom_job_has_a_new_nonce(custom_world):
    """And the old nonce is invalid."""
    w = custom_world()
    w.start()
    [first] = w.worker.poll()
    w.emu.advance(60)
    [second] = w.worker.poll()
    assert first["id"] == second["id"]
    assert first["nonce"] != second["nonce"]
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(first["id"], first["nonce"])
    assert w.status(first["id"]) == "Dispatched"
    assert w.worker.acknowledge(second["id"], second["nonce"]) == "InProgress"


def test_a_redelivered_custom_job_can_keep_its_nonce(custom_world):
    w = custom_world(lease_seconds=0, nonce_on_redelivery="same")
    w.start()
    nonces = {w.worker.poll()[0]["nonce"] for _ in range(3)}
    assert len(nonces) == 1
    assert w.worker.acknowledge(w.emu.jobs()[0].job_id, nonces.pop()) == "InProgress"


def test_a_custom_job_is_acknowledged_once(custom_world):
    w = custom_world()
    w.start()
    [job] = w.worker.poll()
    w.worker.acknowledge(job["id"], job["nonce"])
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(job["id"], job["nonce"])
    w.worker.succeed(job["id"])
    # A job that has ended returns its status.
    assert w.worker.acknowledge(job["id"], job["nonce"]) == "Succeeded"


def test_concurrent_custom_acknowledges_have_one_winner(custom_world, client):
    w = custom_world()
    rivals = 8
    clients = [client("codepipeline", w.emu) for _ in range(rivals)]
    for _ in range(5):
        w.start()
        [job] = w.worker.poll()
        together = threading.Barrier(rivals)
        outcomes = []

        def acknowledge(mine, job=job, together=together, outcomes=outcomes):
            together.wait()
            try:
                outcomes.append(mine.acknowledge_job(jobId=job["id"], nonce=job["nonce"])["status"])
            except mine.exceptions.InvalidNonceException:
                outcomes.append("lost")

        threads = [threading.Thread(target=acknowledge, args=(mine,)) for mine in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["InProgress"] + ["lost"] * (rivals - 1)


def test_a_custom_result_is_taken_once(custom_world):
    """And only after the acknowledge."""
    w = custom_world()
    w.start()
    [job_id] = w.worker.poll_ids()
    for put in (w.worker.succeed, w.worker.fail):
        with pytest.raises(w.worker.error.InvalidJobStateException):
            put(job_id)
    w.worker.acknowledge(job_id)
    w.worker.fail(job_id, "first")
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.succeed(job_id, outputVariables={"a": "b"})
    assert w.action()["errorDetails"]["message"] == "first"
    assert "outputVariables" not in shown(w)["output"]


def test_the_continuation_of_a_custom_job_is_a_new_job(custom_world):
    """Whose token is in the poll's data."""
    w = custom_world()
    w.start()
    [first] = w.worker.poll()
    assert "continuationToken" not in first["data"]
    w.worker.acknowledge(first["id"])
    w.worker.succeed(first["id"], continuationToken="go on", executionDetails={"percentComplete": 40})
    assert w.action()["status"] == "InProgress"
    w.emu.advance(29)
    assert w.worker.poll() == []
    w.emu.advance(1)
    [second] = w.worker.poll()
    assert second["data"]["continuationToken"] == "go on"
    assert second["id"] != first["id"]
    assert second["nonce"] != first["nonce"]
    assert second["data"]["pipelineContext"] == first["data"]["pipelineContext"]
    assert w.worker.details(second["id"])["data"]["continuationToken"] == "go on"
    w.worker.acknowledge(second["id"])
    w.worker.succeed(second["id"], outputVariables={"a": "b"})
    assert w.action()["status"] == "Succeeded"
    assert shown(w)["output"]["outputVariables"] == {"a": "b"}
    assert [entry.result for entry in w.emu.ledger.puts()] == ["continue", "success"]


def test_calls_do_not_find_jobs_of_the_other_owner(custom_world):
    w = custom_world()
    customer = w.emu.add_customer()
    w.emu.add_pipeline("partner", client_id=customer.client_id, input_artifacts=())
    w.start()
    w.start("partner")
    [own] = w.worker.poll()
    client, token = w.worker.client, customer.client_token
    [theirs] = client.poll_for_third_party_jobs(actionTypeId=ACTION_TYPE)["jobs"]
    nonce = client.get_third_party_job_details(jobId=theirs["jobId"], clientToken=token)["jobDetails"][
        "nonce"
    ]
    failed = {"failureDetails": {"type": "JobFailed", "message": "no"}}
    asked = {"jobId": own["id"], "clientToken": token}
    for call, arguments in (
        (client.get_third_party_job_details, asked),
        (client.acknowledge_third_party_job, asked | {"nonce": own["nonce"]}),
        (client.put_third_party_job_success_result, asked),
        (client.put_third_party_job_failure_result, asked | failed),
        (client.get_job_details, {"jobId": theirs["jobId"]}),
        (client.acknowledge_job, {"jobId": theirs["jobId"], "nonce": nonce}),
        (client.put_job_success_result, {"jobId": theirs["jobId"]}),
        (client.put_job_failure_result, {"jobId": theirs["jobId"]} | failed),
    ):
        assert code(call, **arguments) == "JobNotFoundException"
    assert [job.status for job in w.emu.jobs()] == ["Dispatched", "Dispatched"]
    # Nor does a refusal say whose job it was asked for.
    assert {entry.pipeline_name for entry in w.emu.ledger.where(outcome="JobNotFoundException")} == {None}


def test_whose_token_it_is_matters_to_no_custom_job(custom_world):
    w = custom_world(check_first="token")
    with pytest.raises(w.worker.error.JobNotFoundException):
        w.worker.details(str(uuid.uuid4()))


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        ("PollForJobs", {}, "Value null at 'actionTypeId'"),
        (
            "PollForJobs",
            {"queryParam": {"a": "b", "c": "d"}},
            "'queryParam' {F} Member must have length less",
        ),
        (
            "PollForJobs",
            {"queryParam": {"a": "b c"}},
            "'queryParam.a.member' {F} Member must satisfy regular",
        ),
        ("PollForJobs", {"queryParam": {"a": "b" * 51}}, "'queryParam.a.member' {F} Member must have length"),
        ("GetJobDetails", {"jobId": "j"}, "'jobId' {F} Member must satisfy regular expression pattern"),
        ("AcknowledgeJob", {"nonce": "1" * 51}, "Value at 'nonce' {F}"),
        ("PutJobSuccessResult", {"outputVariables": {"a b": "c"}}, "'outputVariables.key' {F}"),
        ("PutJobFailureResult", {"failureDetails": {"type": "Odd", "message": "m"}}, "'failureDetails.type'"),
    ],
)
def test_each_request_is_checked_against_the_model(custom_world, signed_call, operation, body, message):
    known = {"jobId": str(uuid.uuid4()), "actionTypeId": CUSTOM_TYPE} if body else {}
    status, answer, _ = signed_call(custom_world().emu, operation, known | body)
    assert (status, answer["__type"]) == (400, "ValidationException")
    assert answer["message"].startswith("1 validation error detected: ")
    assert message.replace("{F}", "failed to satisfy constraint:") in answer["message"]


def test_variables_go_with_no_continuation_token(custom_world):
    w = custom_world()
    w.start()
    job_id = w.worker.claim()
    with pytest.raises(w.worker.error.ValidationException, match="outputVariables cannot be supplied"):
        w.worker.succeed(job_id, continuationToken="t", outputVariables={"a": "b"})
    assert w.status(job_id) == "InProgress"
    w.worker.succeed(job_id, continuationToken="t", outputVariables={})
    assert w.status(job_id) == "Succeeded"


@pytest.mark.parametrize("letter", ["x", "é"])
def test_variables_may_have_122880_bytes_and_no_more(custom_world, letter):
    """Their names count."""
    w = custom_world()
    w.start()
    job_id = w.worker.claim()
    room = 122_880 - len("one") - len("other") - len("x")
    most = {"one": letter * (room // len(letter.encode())), "other": "x" * (1 + room % len(letter.encode()))}
    assert MAX_OUTPUT_VARIABLES_BYTES == 122_880
    with pytest.raises(w.worker.error.OutputVariablesSizeExceededException):
        w.worker.succeed(job_id, outputVariables=most | {"other": most["other"] + "x"})
    assert w.status(job_id) == "InProgress"
    w.worker.succeed(job_id, outputVariables=most)
    assert shown(w)["output"]["outputVariables"] == most


def test_only_the_worker_sees_a_custom_secret(custom_world, http):
    """It is masked for everybody else."""
    w = custom_world(pipeline=False)
    w.create({"name": "Host", "required": True}, {"name": "Password", "secret": True})
    configuration = {"Host": "h", "Password": "hush"}
    # The action type says what is secret.
    w.emu.add_pipeline("pipeline", action_type=CUSTOM_TYPE, configuration=configuration, input_artifacts=())
    w.start()
    [job] = w.worker.poll()
    for said in (job, w.worker.details(job["id"])):
        assert said["data"]["actionConfiguration"]["configuration"] == configuration
    client = w.worker.client
    action = client.get_pipeline(name="pipeline")["pipeline"]["stages"][1]["actions"][0]
    assert action["configuration"] == {"Host": "h", "Password": "****"}
    assert action["actionTypeId"] == CUSTOM_TYPE
    assert shown(w)["input"]["configuration"] == {"Host": "h", "Password": "****"}
    for others in (
        client.get_pipeline_state(name="pipeline"),
        [entry.as_dict() for entry in w.emu.ledger],
        w.emu.jobs(),
        w.emu.state.pipelines,
        http(f"{w.emu.url}/_emu/jobs")[1],
    ):
        assert "hush" not in str(others)


@pytest.mark.parametrize("source", ["poll", "details"])
def test_custom_credentials_open_only_the_jobs_artifacts(custom_world, client, source):
    w = custom_world(pipeline=ARTIFACTS)
    w.emu.start_execution("pipeline", artifacts={"In": b"source"})
    [job] = w.worker.poll()
    w.worker.acknowledge(job["id"])
    data = job["data"] if source == "poll" else w.worker.details(job["id"])["data"]
    keys = data["artifactCredentials"]
    s3 = client(
        "s3",
        w.emu,
        aws_access_key_id=keys["accessKeyId"],
        aws_secret_access_key=keys["secretAccessKey"],
        aws_session_token=keys["sessionToken"],
    )
    [came], [goes] = data["inputArtifacts"], data["outputArtifacts"]
    assert came["revision"]
    came, goes = (
        {"Bucket": place["bucketName"], "Key": place["objectKey"]}
        for place in (came["location"]["s3Location"], goes["location"]["s3Location"])
    )
    assert s3.get_object(**came)["Body"].read() == b"source"
    s3.put_object(**goes, Body=b"built")
    assert client("s3", w.emu).get_object(**goes)["Body"].read() == b"built"
    assert code(s3.put_object, **came, Body=b"x") == "AccessDenied"
    assert code(s3.get_object, **(came | {"Key": "other"})) == "AccessDenied"
    assert code(s3.list_objects_v2, Bucket=came["Bucket"]) == "AccessDenied"
    said = w.emu.ledger.where(kind="artifact", outcome="ok")
    assert [(entry.operation, entry.job_id, entry.client_id) for entry in said] == [
        ("GetObject", job["id"], None),
        ("PutObject", job["id"], None),
    ]
    w.emu.advance(15 * 60)
    assert code(s3.get_object, **came) == "ExpiredToken"
