# SPDX-License-Identifier: Apache-2.0
"""The jobs of custom actions: the second dialect of the protocol, without customers."""

from __future__ import annotations

import json
import sys
import threading
import uuid

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from airflow_codepipeline_partner.emulator import ControlError, cli
from airflow_codepipeline_partner.emulator.api.jobs import MAX_OUTPUT_VARIABLES_BYTES, JobsApi

CUSTOM_TYPE = {"category": "Build", "owner": "Custom", "provider": "Own", "version": "1"}
PARTNER_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
ARTIFACTS = {"input_artifacts": ["In"], "output_artifacts": ["Out"], "bucket": "artifact-bucket"}
PROJECT = {"name": "Project", "required": True, "queryable": True}
DAY = 24 * 3600


def code(call, *arguments, **options):
    with pytest.raises(ClientError) as error:
        call(*arguments, **options)
    return error.value.response["Error"]["Code"]


def shown(w, name="pipeline"):
    """The worker's action as ListActionExecutions shows it."""
    return w.worker.client.list_action_executions(pipelineName=name)["actionExecutionDetails"][0]


# The way of a job.


def test_a_custom_job_goes_from_queue_to_success_and_its_variables_are_shown(custom_world):
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


def test_a_custom_job_that_fails_fails_its_action_which_can_be_retried(custom_world):
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
    told = signed_call(w.emu, "GetJobDetails", {"jobId": job["id"]})[1]
    assert set(told["jobDetails"]) == set(details)
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


def test_a_redelivered_custom_job_has_a_new_nonce_and_the_old_one_is_dead(custom_world):
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
    # One that has ended tells its status.
    assert w.worker.acknowledge(job["id"], job["nonce"]) == "Succeeded"


def test_many_concurrent_acknowledges_of_a_custom_job_have_one_winner(custom_world, client):
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


def test_results_of_a_custom_job_are_taken_once_and_only_after_its_acknowledge(custom_world):
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


def test_the_continuation_of_a_custom_job_is_a_new_job_with_the_token_in_the_polls_data(custom_world):
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


# Two dialects beside each other.


@pytest.mark.parametrize("owner", ["AWS", "ThirdParty"])
def test_a_poll_for_jobs_of_another_owner_is_refused_in_the_words_of_aws(custom_world, owner):
    w = custom_world()
    with pytest.raises(w.worker.error.ValidationException, match=f"owner '{owner}' is not supported"):
        w.worker.poll(owner=owner)


def test_a_custom_action_type_is_not_polled_for_as_a_partners(custom_world):
    w = custom_world()
    poll = w.worker.client.poll_for_third_party_jobs
    with pytest.raises(w.worker.error.ValidationException, match="owner 'Custom' is not supported"):
        poll(actionTypeId=CUSTOM_TYPE)


def test_the_jobs_of_one_owner_are_not_found_by_the_calls_of_the_other(custom_world):
    w = custom_world()
    customer = w.emu.add_customer()
    w.emu.add_pipeline("partner", client_id=customer.client_id, input_artifacts=())
    w.start()
    w.start("partner")
    [own] = w.worker.poll()
    client, token = w.worker.client, customer.client_token
    [theirs] = client.poll_for_third_party_jobs(actionTypeId=PARTNER_TYPE)["jobs"]
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
    # Nor does what was refused tell whose job it was asked for.
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


# Polls.


def test_a_poll_for_custom_jobs_keeps_to_its_capacity_and_their_order(custom_world):
    w = custom_world(max_batch_size=3)
    for _ in range(7):
        w.start()
    order = [job.job_id for job in w.emu.jobs()]
    first = w.worker.client.poll_for_jobs(actionTypeId=CUSTOM_TYPE)["jobs"]
    assert [job["id"] for job in first] == order[:1]
    assert w.worker.poll_ids(2) == order[1:3]
    assert w.worker.poll_ids(9) == order[3:6]
    assert w.worker.poll_ids(9) == order[6:]
    assert w.worker.poll_ids(9) == []


def test_a_poll_for_custom_jobs_costs_the_same_with_few_and_with_many_of_them(custom_world):
    def steps_of_a_poll(queued):
        w = custom_world()
        for _ in range(queued):
            w.start()
        calls = JobsApi(w.emu.state, w.emu.runner, w.emu.store)
        asked = {"actionTypeId": CUSTOM_TYPE, "maxBatchSize": 2}
        # Once before, so that the model of the calls is read.
        calls.answer("PollForJobs", asked)
        steps = []
        before = sys.getprofile()
        sys.setprofile(lambda frame, event, _: steps.append(event))
        try:
            answer = calls.answer("PollForJobs", asked)
        finally:
            sys.setprofile(before)
        assert len(answer["jobs"]) == 2
        return len(steps)

    assert steps_of_a_poll(10) == steps_of_a_poll(10_000)


def test_a_poll_for_a_custom_action_type_that_nobody_registered_is_an_error(custom_world):
    w = custom_world()
    with pytest.raises(w.worker.error.ActionTypeNotFoundException):
        w.worker.poll(provider="Other")
    w.emu.add_action_type(CUSTOM_TYPE | {"provider": "Other"})
    assert w.worker.poll(provider="Other") == []


def test_region_of_the_signature_matters_to_custom_polls_too(custom_world):
    w = custom_world(region="eu-west-1")
    with pytest.raises(w.worker.error.ActionTypeNotFoundException):
        w.worker.poll()
    w.emu.configure(region="us-east-1")
    w.start()
    [job] = w.worker.poll()
    assert job["data"]["pipelineContext"]["pipelineArn"].startswith("arn:aws:codepipeline:us-east-1:")


def test_jobs_of_a_deleted_action_type_wait_until_it_is_there_again(custom_world):
    w = custom_world(pipeline=False)
    w.create()
    w.emu.add_pipeline("pipeline", action_type=CUSTOM_TYPE, input_artifacts=())
    w.start()
    w.start()
    taken = w.worker.claim()
    w.worker.client.delete_custom_action_type(category="Build", provider="Own", version="1")
    with pytest.raises(w.worker.error.ActionTypeNotFoundException):
        w.worker.poll()
    # What is worked at can be ended all the same.
    w.worker.succeed(taken)
    w.create()
    assert len(w.worker.poll()) == 1


@pytest.mark.parametrize("query", [None, {}, {"Other": "shop"}, {"project": "shop"}])
def test_an_action_type_with_a_queryable_property_needs_its_query(custom_world, query):
    w = custom_world(pipeline=False)
    w.create(PROJECT, {"name": "Other"})
    with pytest.raises(w.worker.error.ValidationException, match="queryParam must have the key Project"):
        w.worker.poll(query=query)


@pytest.mark.parametrize("properties", [(), ({"name": "Project", "required": True},)])
def test_a_query_is_refused_where_nothing_is_queryable(custom_world, properties):
    w = custom_world(pipeline=False)
    w.create(*properties)
    with pytest.raises(w.worker.error.ValidationException, match="queryParam must be empty"):
        w.worker.poll(query={"Project": "shop"})
    assert w.worker.poll(query={}) == w.worker.poll() == []


def test_a_query_gives_only_the_jobs_with_its_value_and_each_value_has_a_queue(custom_world):
    w = custom_world(pipeline=False, continuation_delay=0)
    w.create(PROJECT)
    for project in ("shop", "mill"):
        configuration = {"Project": project}
        w.emu.add_pipeline(project, action_type=CUSTOM_TYPE, configuration=configuration, input_artifacts=())
    for project in ("shop", "shop", "mill", "shop"):
        w.start(project)
    by_project = {
        project: [job.job_id for job in w.emu.jobs() if job.pipeline_name == project]
        for project in ("shop", "mill")
    }
    assert w.worker.poll(query={"Project": "none"}) == []
    [mill] = w.worker.poll(query={"Project": "mill"})
    assert [mill["id"]] == by_project["mill"]
    assert mill["data"]["actionConfiguration"]["configuration"] == {"Project": "mill"}
    assert w.worker.poll(query={"Project": "mill"}) == []
    assert [job["id"] for job in w.worker.poll(query={"Project": "shop"})] == by_project["shop"]
    # A continuation, a redelivery and a duplicate come to the same queue.
    w.worker.acknowledge(mill["id"])
    w.worker.succeed(mill["id"], continuationToken="t")
    assert w.worker.poll(query={"Project": "shop"}) == []
    [second] = w.worker.poll(query={"Project": "mill"})
    w.emu.inject("duplicate", "PollForJobs")
    assert [job["id"] for job in w.worker.poll(query={"Project": "mill"})] == [second["id"]]
    w.emu.advance(60)
    assert [job["id"] for job in w.worker.poll(query={"Project": "mill"})] == [second["id"]]
    assert [job["id"] for job in w.worker.poll(query={"Project": "shop"})] == by_project["shop"]


# Variables, secrets, artifacts, time.


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
def test_variables_may_have_122880_bytes_with_their_names_and_not_one_more(custom_world, letter):
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


def test_secret_configuration_is_clear_for_the_worker_and_masked_for_everybody_else(custom_world, http):
    w = custom_world(pipeline=False)
    w.create({"name": "Host", "required": True}, {"name": "Password", "secret": True})
    configuration = {"Host": "h", "Password": "hush"}
    # The action type says what is secret.
    w.emu.add_pipeline("pipeline", action_type=CUSTOM_TYPE, configuration=configuration, input_artifacts=())
    w.start()
    [job] = w.worker.poll()
    for told in (job, w.worker.details(job["id"])):
        assert told["data"]["actionConfiguration"]["configuration"] == configuration
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
def test_the_credentials_of_a_custom_job_open_its_artifacts_and_nothing_else(custom_world, client, source):
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
    told = w.emu.ledger.where(kind="artifact", outcome="ok")
    assert [(entry.operation, entry.job_id, entry.client_id) for entry in told] == [
        ("GetObject", job["id"], None),
        ("PutObject", job["id"], None),
    ]
    w.emu.advance(15 * 60)
    assert code(s3.get_object, **came) == "ExpiredToken"


def test_a_custom_action_times_out_after_a_day_and_a_partners_after_an_hour(custom_world):
    w = custom_world()
    customer = w.emu.add_customer()
    w.emu.add_pipeline("partner", client_id=customer.client_id, input_artifacts=())
    w.start()
    w.start("partner")
    w.emu.advance(3600)
    assert (w.action()["status"], w.action("partner")["status"]) == ("InProgress", "Failed")
    w.emu.advance(DAY - 3600 - 1)
    [job_id] = w.worker.poll_ids()
    w.worker.acknowledge(job_id)
    w.emu.advance(1)
    assert w.action()["status"] == "Failed"
    assert w.action()["errorDetails"]["message"] == "The action timed out."
    assert w.status(job_id) == "TimedOut"
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.succeed(job_id)


def test_the_day_is_for_all_jobs_of_the_action_and_can_be_set(custom_world):
    w = custom_world(custom_action_timeout=100, continuation_delay=0, action_timeout=1)
    w.start()
    w.emu.advance(60)
    w.worker.succeed(w.worker.claim(), continuationToken="t")
    w.emu.advance(39)
    assert w.action()["status"] == "InProgress"
    w.emu.advance(1)
    assert w.action()["status"] == "Failed"
    assert w.worker.poll() == []


def test_one_custom_job_has_its_own_timeout(custom_world):
    w = custom_world(pipeline={"job_timeout": 90})
    w.start()
    job_id = w.worker.claim()
    w.emu.advance(90)
    assert w.status(job_id) == "TimedOut"
    assert "job timed out" in w.action()["errorDetails"]["message"]


# What goes wrong on demand.

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
    told = w.emu.ledger.where(operation=operation)[-1]
    assert (told.faults, told.outcome) == ((kind,), answer or ("ok" if kind == "drop_response" else kind))
    assert w.emu.faults() == []


def test_a_slow_custom_call_is_done_when_the_time_is_over(custom_world, monkeypatch):
    w = custom_world()
    w.start()
    waited = []
    monkeypatch.setattr(w.emu.state.faults.cleared, "wait", waited.append)
    w.emu.inject("slow", "PollForJobs", seconds=7)
    assert len(w.worker.poll()) == 1
    assert waited == [7]


def test_a_fault_for_any_call_befalls_those_of_both_owners(custom_world):
    w = custom_world()
    w.emu.add_action_type(PARTNER_TYPE)
    fault = w.emu.inject("throttle", times=None)
    assert fault.operation is None
    assert code(w.worker.poll) == THROTTLED
    assert code(w.worker.client.poll_for_third_party_jobs, actionTypeId=PARTNER_TYPE) == THROTTLED
    w.emu.clear_faults()
    # And one for a call befalls no other.
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


def test_members_of_a_custom_jobs_details_can_be_missing_or_wrong(custom_world):
    w = custom_world(pipeline=ARTIFACTS)
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.inject("omit", "GetJobDetails", members=["data.pipelineContext.pipelineArn", "accountId"])
    w.emu.inject("replace", members={"data.inputArtifacts.0.name": "../../etc"})
    told = w.worker.details(job_id)
    assert "pipelineArn" not in told["data"]["pipelineContext"]
    assert "accountId" not in told
    assert told["data"]["inputArtifacts"][0]["name"] == "../../etc"
    told = w.worker.details(job_id)
    assert "pipelineArn" in told["data"]["pipelineContext"]
    assert told["data"]["inputArtifacts"][0]["name"] == "In"


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


# The ledger and the control interface.


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
        for told in (job, w.worker.details(job["id"])):
            keys = told["data"]["artifactCredentials"]
            secrets += [keys["secretAccessKey"], keys["sessionToken"]]
        secrets.append(job["nonce"])
    assert code(w.worker.acknowledge, job["id"], secrets[5]) == "InvalidNonceException"
    w.worker.acknowledge(job["id"])
    w.worker.succeed(job["id"])
    told = (
        json.dumps([entry.as_dict() for entry in w.emu.ledger]) + repr(w.emu.jobs()) + repr(w.emu.state.jobs)
    )
    assert len(set(secrets)) == 11
    assert [secret for secret in secrets if secret in told] == []


def test_a_custom_pipeline_can_be_added_over_http_without_a_customer(custom_world, http):
    w = custom_world()
    w.emu.add_customer("11111111-2222-3333-4444-555555555555")
    body = {
        "name": "over-http",
        "action_type": CUSTOM_TYPE,
        "configuration": {"k": "v"},
        "input_artifacts": [],
    }
    url = f"{w.emu.url}/_emu/pipelines"
    assert http(url, body)[:2] == (200, {"name": "over-http"})
    assert http(url)[1]["pipelines"] == ["over-http", "pipeline"]
    assert http(f"{w.emu.url}/_emu/executions", {"name": "over-http"})[0] == 200
    [job] = http(f"{w.emu.url}/_emu/jobs")[1]["jobs"]
    assert (job["client_id"], job["status"], job["pipeline_name"]) == (None, "Queued", "over-http")
    refused = body | {"name": "refused"}
    for change in (
        {"client_id": "11111111-2222-3333-4444-555555555555"},
        {"action_type": PARTNER_TYPE},
        {"action_type": CUSTOM_TYPE | {"owner": "AWS"}},
    ):
        status, answer, _ = http(url, refused | change)
        assert status == 400
        assert "a custom one has none" in answer["error"] or "owner ThirdParty or Custom" in answer["error"]
    assert "refused" not in w.emu.state.pipelines


def test_a_custom_pipeline_can_be_added_from_the_command_line_without_a_customer(custom_world, capsys):
    w = custom_world(pipeline=False)

    def add(name, *arguments, code=0):
        assert cli.main(["add-pipeline", "--url", w.emu.url, name, *arguments]) == code
        return capsys.readouterr().err

    custom = ("--action-type", "Build/Custom/Own/1")
    add("told", *custom, "--secret-configuration", "Password=hush", "--no-input-artifacts")
    [_, action] = w.emu.state.pipelines["told"].actions()
    assert action.action_type.as_dict() == CUSTOM_TYPE
    assert (action.client_id, action.input_artifacts) == (None, ())
    w.start("told")
    [job] = w.worker.poll()
    assert job["data"]["actionConfiguration"]["configuration"] == {"Password": "hush"}
    add("plain", *custom)
    [_, action] = w.emu.state.pipelines["plain"].actions()
    assert action.input_artifacts == ("SourceOutput",)
    assert "a custom one has none" in add("p", *custom, "--client-id", w.emu.add_customer().client_id, code=1)
    assert "needs client_id" in add("p", code=1)
    assert "needs client_id" in add("p", "--action-type", "Test/ThirdParty/New/1", code=1)
    assert sorted(w.emu.state.pipelines) == ["plain", "told"]
