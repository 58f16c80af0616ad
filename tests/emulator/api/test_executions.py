# SPDX-License-Identifier: Apache-2.0
"""The calls that start, stop, retry and show executions."""

from __future__ import annotations

import datetime
import uuid

import pytest
from declaring import CODE_DEPLOY, S3, TRUST, action, code, stage

URL = "https://partner.example/{Config:Project}/{ExternalExecutionId}"
PIPELINE = {
    "configuration": {"Project": "p1", "Password": "hush"},
    "secret_configuration_keys": ["Password"],
    "execution_url_template": URL,
    "output_artifacts": ["Built"],
    "input_artifacts": ["Source"],
}


def test_progress_shows_while_the_action_runs(world):
    w = world(pipeline=PIPELINE)
    w.start()
    assert w.action()["status"] == "InProgress"
    assert "externalExecutionUrl" not in w.action()
    details = {"summary": "half", "externalExecutionId": "run-1", "percentComplete": 50}
    w.worker.succeed(w.worker.claim(), continuationToken="t", executionDetails=details)
    shown = w.action()
    assert shown["status"] == "InProgress"
    assert shown["summary"] == "half"
    assert shown["externalExecutionId"] == "run-1"
    assert shown["externalExecutionUrl"] == "https://partner.example/p1/run-1"
    assert shown["percentComplete"] == 50


def test_what_a_later_result_does_not_say_stays(world):
    w = world(pipeline=PIPELINE, continuation_delay=0)
    w.start()
    details = {"summary": "half", "externalExecutionId": "run-1", "percentComplete": 50}
    w.worker.succeed(w.worker.claim(), continuationToken="t", executionDetails=details)
    w.worker.succeed(w.worker.claim(), executionDetails={"percentComplete": 100})
    shown = w.action()
    assert (shown["summary"], shown["externalExecutionId"]) == ("half", "run-1")
    assert (shown["status"], shown["percentComplete"]) == ("Succeeded", 100)


def test_the_current_revision_is_shown_with_its_time(world):
    """The worker's, or when it came."""
    w = world()
    w.start()
    revision = {"revision": "r1", "changeIdentifier": "c1"}
    created = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    w.worker.succeed(w.worker.claim(), currentRevision=revision | {"created": created})
    state = w.worker.client.get_pipeline_state(name="pipeline")["stageStates"][1]["actionStates"][0]
    assert state["currentRevision"] == {"revisionId": "r1", "revisionChangeId": "c1", "created": created}
    w.start()
    w.worker.succeed(w.worker.claim(), currentRevision=revision)
    state = w.worker.client.get_pipeline_state(name="pipeline")["stageStates"][1]["actionStates"][0]
    assert state["currentRevision"]["created"] == w.emu.now()


def test_a_failure_shows_its_type_and_message(world):
    """And fails the pipeline."""
    w = world(pipeline=PIPELINE)
    execution_id = w.start()
    w.worker.fail(w.worker.claim(), "because", "PermissionError", externalExecutionId="run-2")
    assert w.action()["errorDetails"] == {"code": "PermissionError", "message": "because"}
    assert w.action()["externalExecutionUrl"] == "https://partner.example/p1/run-2"
    shown = w.worker.client.get_pipeline_execution(pipelineName="pipeline", pipelineExecutionId=execution_id)[
        "pipelineExecution"
    ]
    assert shown["status"] == "Failed"
    assert shown["artifactRevisions"][0]["name"] == "Source"


def test_action_executions_hold_the_result_and_hide_secrets(world):
    w = world(pipeline=PIPELINE)
    execution_id = w.start()
    w.worker.fail(w.worker.claim(), "because", externalExecutionId="run-2")
    actions = w.worker.client.list_action_executions(pipelineName="pipeline")["actionExecutionDetails"]
    partner, source = actions
    assert partner["pipelineExecutionId"] == execution_id
    assert partner["input"]["configuration"] == {"Project": "p1", "Password": "****"}
    assert partner["input"]["inputArtifacts"][0]["name"] == "Source"
    assert partner["output"]["outputArtifacts"][0]["name"] == "Built"
    assert partner["output"]["executionResult"] == {
        "externalExecutionId": "run-2",
        "externalExecutionUrl": "https://partner.example/p1/run-2",
        "errorDetails": {"code": "JobFailed", "message": "because"},
    }
    assert (source["actionName"], source["status"]) == ("Source", "Succeeded")


def test_secrets_are_masked_everywhere_except_in_details(world, http):
    w = world(pipeline=PIPELINE)
    w.start()
    client = w.worker.client
    assert "hush" in str(w.worker.details(w.worker.claim()))
    for shown in (
        client.get_pipeline(name="pipeline"),
        client.get_pipeline_state(name="pipeline"),
        client.list_action_executions(pipelineName="pipeline"),
        [entry.as_dict() for entry in w.emu.ledger],
        w.emu.jobs(),
        w.emu.state.pipelines,
        http(f"{w.emu.url}/_emu/jobs")[1],
    ):
        assert "hush" not in str(shown)


def test_executions_are_listed_newest_first_in_pages(world):
    w = world()
    started = [w.start() for _ in range(5)]
    listed = []
    token = {}
    for _ in range(3):
        page = w.worker.client.list_pipeline_executions(pipelineName="pipeline", maxResults=2, **token)
        listed += [shown["pipelineExecutionId"] for shown in page["pipelineExecutionSummaries"]]
        token = {"nextToken": page.get("nextToken", "")}
    assert listed == started[::-1]
    assert token == {"nextToken": ""}
    for wrong in ("nonsense", "99"):
        assert (
            code(w.worker.client.list_pipeline_executions, pipelineName="pipeline", nextToken=wrong)
            == "InvalidNextTokenException"
        )


def test_executions_can_be_filtered(world):
    w = world()
    first, second = w.start(), w.start()
    w.worker.succeed(w.worker.claim())
    listed = w.worker.client.list_pipeline_executions(
        pipelineName="pipeline", filter={"succeededInStage": {"stageName": "Partner"}}
    )["pipelineExecutionSummaries"]
    assert [shown["pipelineExecutionId"] for shown in listed] == [first]
    for asked in (
        {"pipelineExecutionId": second},
        {"latestInPipelineExecution": {"pipelineExecutionId": second, "startTimeRange": "All"}},
    ):
        actions = w.worker.client.list_action_executions(pipelineName="pipeline", filter=asked)
        assert {each["pipelineExecutionId"] for each in actions["actionExecutionDetails"]} == {second}


def test_get_pipeline_tells_a_source_and_the_partner_action(world):
    w = world(pipeline=PIPELINE | {"encryption_key": "key-1", "bucket": "some-bucket"})
    shown = w.worker.client.get_pipeline(name="pipeline", version=1)["pipeline"]
    source, partner = (stage["actions"][0] for stage in shown["stages"])
    assert source["outputArtifacts"] == partner["inputArtifacts"] == [{"name": "Source"}]
    assert partner["actionTypeId"]["owner"] == "ThirdParty"
    assert shown["artifactStore"]["encryptionKey"] == {"id": "key-1", "type": "KMS"}
    assert (
        code(w.worker.client.get_pipeline, name="pipeline", version=2) == "PipelineVersionNotFoundException"
    )


def test_a_start_happens_once_for_each_request_token(world):
    w = world()
    first = w.worker.client.start_pipeline_execution(name="pipeline", clientRequestToken="a")
    again = w.worker.client.start_pipeline_execution(name="pipeline", clientRequestToken="a")
    other = w.worker.client.start_pipeline_execution(name="pipeline", clientRequestToken="b")
    assert first["pipelineExecutionId"] == again["pipelineExecutionId"] != other["pipelineExecutionId"]
    assert len(w.worker.poll_ids()) == 2


def test_start_over_the_wire_works_without_a_request_token(world, signed_call):
    w = world()
    ids = {
        signed_call(w.emu, "StartPipelineExecution", {"name": "pipeline"})[1]["pipelineExecutionId"]
        for _ in "ab"
    }
    assert len(ids) == 2


def test_unknown_pipelines_and_executions_are_not_found(world):
    w = world()
    client = w.worker.client
    assert code(client.get_pipeline_state, name="other") == "PipelineNotFoundException"
    assert code(client.get_pipeline, name="other") == "PipelineNotFoundException"
    assert (
        code(client.get_pipeline_execution, pipelineName="pipeline", pipelineExecutionId=str(uuid.uuid4()))
        == "PipelineExecutionNotFoundException"
    )


def test_state_before_any_execution_has_no_latest_one(world):
    w = world()
    source, partner = w.emu.pipeline_state("pipeline")["stageStates"]
    assert "latestExecution" not in source
    assert "latestExecution" not in partner["actionStates"][0]


def test_abandoning_withdraws_the_job(world):
    """The worker learns it when it puts its result."""
    w = world()
    execution_id = w.start()
    job_id = w.worker.claim()
    stop = w.worker.client.stop_pipeline_execution
    stop(pipelineName="pipeline", pipelineExecutionId=execution_id, abandon=True, reason="enough")
    assert w.action()["status"] == "Abandoned"
    assert w.status(job_id) == "Withdrawn"
    with pytest.raises(w.worker.error.InvalidJobStateException):
        w.worker.succeed(job_id)
    assert w.worker.acknowledge(job_id) == "Failed"
    [shown] = w.worker.client.list_pipeline_executions(pipelineName="pipeline")["pipelineExecutionSummaries"]
    assert (shown["status"], shown["stopTrigger"]["reason"]) == ("Stopped", "enough")
    assert (
        code(stop, pipelineName="pipeline", pipelineExecutionId=execution_id)
        == "PipelineExecutionNotStoppableException"
    )


def test_abandoning_takes_a_waiting_job_out_of_the_queue(world):
    w = world()
    execution_id = w.start()
    w.worker.client.stop_pipeline_execution(
        pipelineName="pipeline", pipelineExecutionId=execution_id, abandon=True
    )
    assert w.worker.poll_ids() == []
    w.emu.advance(4000)
    assert w.action()["status"] == "Abandoned"


def test_stopping_waits_for_the_action(world):
    w = world()
    execution_id = w.start()
    job_id = w.worker.claim()
    stop = w.worker.client.stop_pipeline_execution
    stop(pipelineName="pipeline", pipelineExecutionId=execution_id)
    assert w.action()["status"] == "InProgress"
    assert (
        code(stop, pipelineName="pipeline", pipelineExecutionId=execution_id)
        == "DuplicatedStopRequestException"
    )
    w.worker.succeed(job_id)
    assert w.action()["status"] == "Succeeded"
    shown = w.worker.client.get_pipeline_execution(pipelineName="pipeline", pipelineExecutionId=execution_id)
    assert shown["pipelineExecution"]["status"] == "Stopped"


def test_a_failed_action_can_be_retried_in_the_same_execution(world):
    w = world()
    execution_id = w.start()
    retry = w.worker.client.retry_stage_execution
    again = {
        "pipelineName": "pipeline",
        "stageName": "Partner",
        "pipelineExecutionId": execution_id,
        "retryMode": "FAILED_ACTIONS",
    }
    assert code(retry, **again) == "StageNotRetryableException"
    w.worker.fail(w.worker.claim())
    assert code(retry, **(again | {"stageName": "Other"})) == "StageNotFoundException"
    assert retry(**again)["pipelineExecutionId"] == execution_id
    assert w.action()["status"] == "InProgress"
    w.worker.succeed(w.worker.claim())
    actions = w.worker.client.list_action_executions(pipelineName="pipeline")["actionExecutionDetails"]
    assert [each["status"] for each in actions] == ["Succeeded", "Failed", "Succeeded"]
    shown = w.worker.client.get_pipeline_execution(pipelineName="pipeline", pipelineExecutionId=execution_id)
    assert shown["pipelineExecution"]["status"] == "Succeeded"


def test_pipelines_of_motos_stand_beside_ours(world, client):
    w = world()
    role = client("iam", w.emu).create_role(RoleName=f"r-{uuid.uuid4().hex}", AssumeRolePolicyDocument=TRUST)
    name = f"moto-{uuid.uuid4().hex}"
    declared = {
        "name": name,
        "roleArn": role["Role"]["Arn"],
        "artifactStore": {"type": "S3", "location": "some-bucket"},
        "stages": [stage("Source", action("Fetch", S3)), stage("Deploy", action("Roll", CODE_DEPLOY))],
    }
    w.worker.client.create_pipeline(pipeline=declared)
    assert w.worker.client.get_pipeline(name=name)["pipeline"]["name"] == name
    listed = [shown["name"] for shown in w.worker.client.list_pipelines()["pipelines"]]
    assert {"pipeline", name} <= set(listed)
    w.worker.client.delete_pipeline(name=name)
    assert (
        code(w.worker.client.create_pipeline, pipeline=declared | {"name": "pipeline"})
        == "PipelineNameInUseException"
    )
    assert code(w.worker.client.delete_pipeline, name="pipeline") == "NotImplementedException"


def test_the_state_shows_the_execution_that_was_started_last(made):
    """Even if an older one comes to the stage later."""
    m = made()
    stages = m.source, stage("Build", action("Do")), stage("Ship", action("Out"))
    m.create(*stages, executionMode="PARALLEL", pipelineType="V2")
    first, second = m.start(), m.start()
    jobs = {job["data"]["pipelineContext"]["pipelineExecutionId"]: job["id"] for job in m.w.worker.poll()}
    for execution_id in (second, first):
        m.w.worker.acknowledge(jobs[execution_id])
        m.w.worker.succeed(jobs[execution_id])
    ship = m.client.get_pipeline_state(name="made")["stageStates"][2]
    assert ship["latestExecution"]["pipelineExecutionId"] == second
    [out] = (run for run in m.runs(second) if run["actionName"] == "Out")
    shown = ship["actionStates"][0]["latestExecution"]
    assert shown["actionExecutionId"] == out["actionExecutionId"]


def test_a_pipeline_that_is_made_again_has_no_latest_execution(made):
    m = made()
    stages = m.source, stage("Build", action("Roll", CODE_DEPLOY))
    m.create(*stages)
    m.start()
    m.client.delete_pipeline(name="made")
    m.create(*stages)
    assert m.actions() == {"Fetch": None, "Roll": None}
    assert m.stages() == {"Source": None, "Build": None}
