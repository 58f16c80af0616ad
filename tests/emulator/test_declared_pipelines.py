# SPDX-License-Identifier: Apache-2.0
"""Pipelines that are made by CreatePipeline, and run from stage to stage."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.exceptions import ClientError

ACTION_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
CUSTOM_TYPE = {"category": "Build", "owner": "Custom", "provider": "Own", "version": "1"}
S3 = {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}
CODE_DEPLOY = {"category": "Deploy", "owner": "AWS", "provider": "CodeDeploy", "version": "1"}
SECRET = {"name": "Password", "secret": True}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "codepipeline.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


def code(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def message(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Message"]


def action(name, action_type=CUSTOM_TYPE, inputs=(), outputs=(), **more):
    return {
        "name": name,
        "actionTypeId": action_type,
        "inputArtifacts": [{"name": each} for each in inputs],
        "outputArtifacts": [{"name": each} for each in outputs],
        **more,
    }


def stage(name, *actions):
    return {"name": name, "actions": list(actions)}


class Declaring:
    """Make pipelines as a user of boto3 does."""

    def __init__(self, w, client):
        self.w, self.client = w, w.worker.client
        self.s3 = client("s3", w.emu)
        iam = client("iam", w.emu)
        self.role = iam.create_role(RoleName=f"r-{uuid.uuid4().hex}", AssumeRolePolicyDocument=TRUST)["Role"]
        self.s3.create_bucket(Bucket="sources")
        self.s3.put_bucket_versioning(Bucket="sources", VersioningConfiguration={"Status": "Enabled"})
        self.s3.create_bucket(Bucket="artifacts")

    @property
    def source(self):
        configuration = {"S3Bucket": "sources", "S3ObjectKey": "app.zip"}
        return stage(
            "Source", action("Fetch", S3, outputs=["App"], configuration=configuration, namespace="Src")
        )

    def declared(self, *stages, name="made", **more):
        return {
            "name": name,
            "roleArn": self.role["Arn"],
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "stages": list(stages),
            **more,
        }

    def create(self, *stages, **more):
        return self.client.create_pipeline(pipeline=self.declared(*stages, **more))["pipeline"]

    def update(self, *stages, **more):
        return self.client.update_pipeline(pipeline=self.declared(*stages, **more))["pipeline"]

    def put_source(self, body=b"zip", key="app.zip"):
        return self.s3.put_object(Bucket="sources", Key=key, Body=body)

    def start(self, name="made", **more):
        return self.client.start_pipeline_execution(name=name, **more)["pipelineExecutionId"]

    def status(self, execution_id, name="made"):
        return self.client.get_pipeline_execution(pipelineName=name, pipelineExecutionId=execution_id)[
            "pipelineExecution"
        ]["status"]

    def stages(self, name="made"):
        """Return the status of each stage's latest execution."""
        return {
            each["stageName"]: each.get("latestExecution", {}).get("status")
            for each in self.client.get_pipeline_state(name=name)["stageStates"]
        }

    def actions(self, name="made"):
        """Return the status of each action's latest execution."""
        return {
            state["actionName"]: state.get("latestExecution", {}).get("status")
            for each in self.client.get_pipeline_state(name=name)["stageStates"]
            for state in each["actionStates"]
        }

    def runs(self, execution_id=None, name="made"):
        """Return the executions of actions, the oldest first."""
        asked = {} if execution_id is None else {"filter": {"pipelineExecutionId": execution_id}}
        listed = self.client.list_action_executions(pipelineName=name, **asked)
        return listed["actionExecutionDetails"][::-1]

    def claim(self, **poll):
        [job] = self.w.worker.poll(1, **poll)
        assert self.w.worker.acknowledge(job["id"]) == "InProgress"
        return job

    def named(self, job):
        return job["data"]["pipelineContext"]["action"]["name"]


@pytest.fixture
def made(custom_world, client):
    """An emulator with one custom action type, an object to begin with, and no pipeline."""

    def make(*properties, **settings):
        w = custom_world(pipeline=False, **settings)
        # moto, which keeps the pipelines too, is one for all tests of the process.
        w.emu.reset()
        w.create(*properties)
        declaring = Declaring(w, client)
        declaring.put_source()
        return declaring

    return make


def test_stages_run_in_order_and_actions_by_run_order(made):
    m = made()
    m.create(
        m.source,
        stage("Build", action("One"), action("Two"), action("Last", runOrder=2)),
        stage("Ship", action("Out")),
    )
    execution_id = m.start()
    together = {m.named(job): job["id"] for job in m.w.worker.poll()}
    assert sorted(together) == ["One", "Two"]
    for job_id in together.values():
        m.w.worker.acknowledge(job_id)
    m.w.worker.succeed(together["Two"])
    assert m.w.worker.poll() == []
    assert m.actions() == {
        "Fetch": "Succeeded",
        "One": "InProgress",
        "Two": "Succeeded",
        "Last": None,
        "Out": None,
    }
    m.w.worker.succeed(together["One"])
    last = m.claim()
    assert m.named(last) == "Last"
    assert m.stages() == {"Source": "Succeeded", "Build": "InProgress", "Ship": None}
    m.w.worker.succeed(last["id"])
    out = m.claim()
    assert m.named(out) == "Out"
    assert m.status(execution_id) == "InProgress"
    m.w.worker.succeed(out["id"])
    assert m.status(execution_id) == "Succeeded"
    assert m.stages() == {"Source": "Succeeded", "Build": "Succeeded", "Ship": "Succeeded"}
    assert [run["actionName"] for run in m.runs()] == ["Fetch", "One", "Two", "Last", "Out"]


def test_run_orders_need_not_follow_each_other_nor_the_order_of_the_declaration(made):
    m = made()
    m.create(m.source, stage("Build", action("B", runOrder=7), action("A", runOrder=3)))
    m.start()
    first = m.claim()
    assert m.named(first) == "A"
    m.w.worker.succeed(first["id"])
    assert m.named(m.claim()) == "B"


def test_the_object_of_an_s3_source_is_the_first_artifact(made):
    m = made()
    told = m.put_source(b"the source")
    m.create(m.source, stage("Build", action("Do", inputs=["App"])))
    execution_id = m.start()
    job = m.claim()
    [artifact] = job["data"]["inputArtifacts"]
    place = artifact["location"]["s3Location"]
    assert artifact["revision"] == told["VersionId"]
    assert place["bucketName"] == "artifacts"
    got = m.s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])
    assert got["Body"].read() == b"the source"
    [fetch, _] = m.runs(execution_id)
    assert fetch["output"]["outputVariables"] == {
        "BucketName": "sources",
        "ETag": told["ETag"].strip('"'),
        "ObjectKey": "app.zip",
        "VersionId": told["VersionId"],
    }
    shown = m.client.get_pipeline_execution(pipelineName="made", pipelineExecutionId=execution_id)
    [revision] = shown["pipelineExecution"]["artifactRevisions"]
    assert (revision["name"], revision["revisionId"]) == ("App", told["VersionId"])
    [listed] = m.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"]
    assert listed["sourceRevisions"] == [{"actionName": "Fetch", "revisionId": told["VersionId"]}]


def test_a_start_may_ask_for_a_version_of_the_source(made):
    m = made()
    old = m.put_source(b"old")["VersionId"]
    m.put_source(b"new")
    m.create(m.source, stage("Build", action("Do", inputs=["App"])))
    asked = {"actionName": "Fetch", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": old}
    m.start(sourceRevisions=[asked])
    [artifact] = m.claim()["data"]["inputArtifacts"]
    assert artifact["revision"] == old
    place = artifact["location"]["s3Location"]
    got = m.s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])
    assert got["Body"].read() == b"old"
    other = asked | {"revisionType": "COMMIT_ID"}
    assert code(m.client.start_pipeline_execution, name="made", sourceRevisions=[other]) == (
        "ValidationException"
    )


def test_a_bucket_without_versions_serves_as_a_source_too(made):
    m = made()
    m.s3.create_bucket(Bucket="plain")
    etag = m.s3.put_object(Bucket="plain", Key="a b/ü?.zip", Body=b"x")["ETag"].strip('"')
    configuration = {"S3Bucket": "plain", "S3ObjectKey": "a b/ü?.zip"}
    m.create(
        stage("Source", action("Fetch", S3, outputs=["App"], configuration=configuration)),
        stage("Build", action("Do", inputs=["App"])),
    )
    m.start()
    [artifact] = m.claim()["data"]["inputArtifacts"]
    assert artifact["revision"] == etag
    assert m.runs()[0]["output"]["outputVariables"]["VersionId"] == "null"


def test_a_source_whose_object_is_not_there_fails_and_can_be_retried(made):
    m = made()
    m.s3.delete_object(Bucket="sources", Key="app.zip")
    m.create(m.source, stage("Build", action("Do", inputs=["App"])))
    execution_id = m.start()
    assert m.status(execution_id) == "Failed"
    assert m.stages() == {"Source": "Failed", "Build": None}
    [fetch] = m.runs()
    error = fetch["output"]["executionResult"]["errorDetails"]
    assert error["code"] == "ConfigurationError"
    assert "no object app.zip in the bucket sources" in error["message"]
    m.put_source()
    m.client.retry_stage_execution(
        pipelineName="made",
        stageName="Source",
        pipelineExecutionId=execution_id,
        retryMode="FAILED_ACTIONS",
    )
    assert m.named(m.claim()) == "Do"


def test_an_action_that_the_emulator_does_not_know_succeeds_and_says_so(made):
    m = made()
    m.create(
        m.source,
        stage("Build", action("Own", inputs=["App"])),
        stage("Deploy", action("Roll", CODE_DEPLOY, inputs=["App"], outputs=["Log"])),
        stage("Check", action("See", inputs=["Log"])),
    )
    m.start()
    m.w.worker.succeed(m.claim()["id"])
    roll = m.runs()[2]
    assert (roll["actionName"], roll["status"]) == ("Roll", "Succeeded")
    assert (
        "does not do Deploy/AWS/CodeDeploy/1" in roll["output"]["executionResult"]["externalExecutionSummary"]
    )
    [log] = m.claim()["data"]["inputArtifacts"]
    place = log["location"]["s3Location"]
    got = m.s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])
    assert got["Body"].read().startswith(b"PK")


def test_a_pipeline_of_hundreds_of_actions_that_aws_does_ends_at_once(made):
    m = made()
    actions = [action(f"A{order}", CODE_DEPLOY, runOrder=order) for order in range(1, 900)]
    m.create(m.source, stage("Deploy", *actions))
    assert m.status(m.start()) == "Succeeded"


def test_output_artifacts_of_one_action_are_the_input_of_the_next(made):
    m = made()
    m.create(
        m.source,
        stage(
            "Build",
            action("Do", inputs=["App"], outputs=["Built"]),
            action("Test", inputs=["Built"], runOrder=2),
        ),
    )
    m.start()
    job = m.claim()
    [goes] = job["data"]["outputArtifacts"]
    m.w.worker.succeed(job["id"])
    [came] = m.claim()["data"]["inputArtifacts"]
    assert came["location"] == goes["location"]
    assert came["name"] == "Built"


PROJECT = {"name": "Project", "required": True, "queryable": True}


def test_variables_reach_the_configuration_of_later_actions(made):
    m = made({"name": "Image"}, {"name": "Run"}, {"name": "Stage"}, SECRET)
    configuration = {
        "Image": "#{Built.name}:#{Built.tag}",
        "Run": "#{codepipeline.PipelineExecutionId}",
        "Stage": "#{variables.Stage} of #{Src.VersionId}",
        "Password": "#{Built.secret}",
    }
    m.create(
        m.source,
        stage("Build", action("Do", namespace="Built")),
        stage("Deploy", action("Ship", configuration=configuration)),
        pipelineType="V2",
        variables=[{"name": "Stage", "defaultValue": "test"}],
    )
    execution_id = m.start(variables=[{"name": "Stage", "value": "live"}])
    m.w.worker.succeed(m.claim()["id"], outputVariables={"name": "app", "tag": "1", "secret": "hush"})
    version = m.runs()[0]["output"]["outputVariables"]["VersionId"]
    resolved = {
        "Image": "app:1",
        "Run": execution_id,
        "Stage": f"live of {version}",
        "Password": "hush",
    }
    assert m.claim()["data"]["actionConfiguration"]["configuration"] == resolved
    told = m.runs()[2]["input"]
    assert told["configuration"] == configuration | {"Password": "****"}
    assert told["resolvedConfiguration"] == resolved | {"Password": "****"}
    assert m.runs()[1]["input"]["namespace"] == "Built"
    shown = m.client.get_pipeline_execution(pipelineName="made", pipelineExecutionId=execution_id)
    assert shown["pipelineExecution"]["variables"] == [{"name": "Stage", "resolvedValue": "live"}]


@pytest.mark.parametrize("reference", ["#{Built.other}", "#{Other.name}", "#{variables.none}"])
def test_an_action_with_a_variable_that_is_not_there_fails(made, reference):
    m = made({"name": "Image"})
    m.create(
        m.source,
        stage("Build", action("Do", namespace="Built")),
        stage("Deploy", action("Ship", configuration={"Image": reference})),
    )
    execution_id = m.start()
    m.w.worker.succeed(m.claim()["id"], outputVariables={"name": "app"})
    assert m.status(execution_id) == "Failed"
    assert m.actions()["Ship"] == "Failed"
    assert "no variable" in m.runs()[2]["output"]["executionResult"]["errorDetails"]["message"]
    assert m.w.worker.poll() == []


def test_variables_of_a_pipeline_need_a_value_and_a_name_that_is_declared(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")), variables=[{"name": "Stage"}], pipelineType="V2")
    start = m.client.start_pipeline_execution
    assert "Stage has no value" in message(start, name="made")
    other = [{"name": "Stage", "value": "x"}, {"name": "Other", "value": "x"}]
    assert "no variable Other" in message(start, name="made", variables=other)
    assert m.w.emu.jobs() == []


def test_a_queryable_value_may_come_from_a_variable_and_must_be_one_then(made):
    m = made(PROJECT)
    m.create(
        m.source,
        stage("Build", action("Do", namespace="Built", configuration={"Project": "first"})),
        stage("Deploy", action("Ship", configuration={"Project": "#{Built.next}"})),
    )
    m.start()
    m.w.worker.succeed(m.claim(query={"Project": "first"})["id"], outputVariables={"next": "second"})
    assert m.w.worker.poll(query={"Project": "first"}) == []
    ship = m.claim(query={"Project": "second"})
    assert m.named(ship) == "Ship"
    m.w.worker.succeed(ship["id"])
    m.start()
    m.w.worker.succeed(m.claim(query={"Project": "first"})["id"], outputVariables={"next": "not one"})
    assert m.actions()["Ship"] == "Failed"
    assert "queryable" in m.runs()[-1]["output"]["executionResult"]["errorDetails"]["message"]


def test_variables_without_a_namespace_reach_nobody(made):
    m = made({"name": "Image"})
    m.create(
        m.source,
        stage("Build", action("Do")),
        stage("Deploy", action("Ship", configuration={"Image": "#{Do.a}"})),
    )
    m.start()
    m.w.worker.succeed(m.claim()["id"], outputVariables={"a": "1"})
    assert m.actions()["Ship"] == "Failed"


def test_a_failure_ends_the_execution_when_those_beside_it_have_ended(made):
    m = made()
    m.create(m.source, stage("Build", action("One"), action("Two"), action("Last", runOrder=2)))
    execution_id = m.start()
    jobs = {m.named(job): job["id"] for job in m.w.worker.poll()}
    for job_id in jobs.values():
        m.w.worker.acknowledge(job_id)
    m.w.worker.fail(jobs["One"])
    assert m.status(execution_id) == "InProgress"
    retry = {
        "pipelineName": "made",
        "stageName": "Build",
        "pipelineExecutionId": execution_id,
        "retryMode": "FAILED_ACTIONS",
    }
    assert code(m.client.retry_stage_execution, **retry) == "StageNotRetryableException"
    m.w.worker.succeed(jobs["Two"])
    assert m.status(execution_id) == "Failed"
    assert m.w.worker.poll() == []
    wrong = retry | {"stageName": "Source"}
    assert code(m.client.retry_stage_execution, **wrong) == "StageNotRetryableException"
    m.client.retry_stage_execution(**retry)
    again = m.claim()
    assert m.named(again) == "One"
    assert m.w.worker.poll() == []
    m.w.worker.succeed(again["id"])
    assert m.named(m.claim()) == "Last"


def test_a_retry_of_all_actions_begins_the_stage_anew(made):
    m = made()
    m.create(m.source, stage("Build", action("One"), action("Last", runOrder=2)))
    execution_id = m.start()
    m.w.worker.succeed(m.claim()["id"])
    m.w.worker.fail(m.claim()["id"])
    m.client.retry_stage_execution(
        pipelineName="made",
        stageName="Build",
        pipelineExecutionId=execution_id,
        retryMode="ALL_ACTIONS",
    )
    assert m.named(m.claim()) == "One"


def test_a_pipeline_that_was_changed_is_not_retried(made):
    m = made()
    stages = (m.source, stage("Build", action("Do")))
    m.create(*stages)
    execution_id = m.start()
    m.w.worker.fail(m.claim()["id"])
    m.update(*stages)
    assert (
        code(
            m.client.retry_stage_execution,
            pipelineName="made",
            stageName="Build",
            pipelineExecutionId=execution_id,
            retryMode="ALL_ACTIONS",
        )
        == "StageNotRetryableException"
    )


@pytest.mark.parametrize("abandon", [True, False])
def test_a_stop_keeps_the_stages_from_going_on(made, abandon):
    m = made()
    m.create(m.source, stage("Build", action("One"), action("Two")), stage("Ship", action("Out")))
    execution_id = m.start()
    first, second = (job["id"] for job in m.w.worker.poll())
    m.w.worker.acknowledge(first)
    m.client.stop_pipeline_execution(pipelineName="made", pipelineExecutionId=execution_id, abandon=abandon)
    if abandon:
        assert m.actions() | {"Fetch": None} == {
            "Fetch": None,
            "One": "Abandoned",
            "Two": "Abandoned",
            "Out": None,
        }
        assert code(m.w.worker.succeed, job_id=first) == "InvalidJobStateException"
        assert m.w.worker.acknowledge(second) == "Failed"
    else:
        assert (m.status(execution_id), m.stages()["Build"]) == ("Stopping", "Stopping")
        m.w.worker.succeed(first)
        assert m.status(execution_id) == "Stopping"
        m.w.worker.acknowledge(second)
        m.w.worker.succeed(second)
    assert (m.status(execution_id), m.stages()["Build"]) == ("Stopped", "Stopped")
    assert m.w.worker.poll() == []
    assert m.stages()["Ship"] is None


def test_an_execution_waits_for_the_stage_and_a_newer_one_takes_its_place(made):
    m = made()
    m.create(m.source, stage("Build", action("Do", inputs=["App"])))
    first, second, third = m.start(), m.start(), m.start()
    job = m.claim()
    assert m.w.worker.poll() == []
    assert [m.status(each) for each in (first, second, third)] == ["InProgress", "Superseded", "InProgress"]
    build = m.client.get_pipeline_state(name="made")["stageStates"][1]
    assert build["latestExecution"]["pipelineExecutionId"] == first
    assert [each["pipelineExecutionId"] for each in build["inboundExecutions"]] == [third]
    m.w.worker.succeed(job["id"])
    following = m.claim()
    assert following["data"]["pipelineContext"]["pipelineExecutionId"] == third
    m.w.worker.fail(following["id"])
    assert [m.status(each) for each in (first, second, third)] == ["Succeeded", "Superseded", "Failed"]


def test_queued_executions_follow_each_other(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")), executionMode="QUEUED", pipelineType="V2")
    started = [m.start() for _ in range(4)]
    m.client.stop_pipeline_execution(pipelineName="made", pipelineExecutionId=started[1])
    assert m.status(started[1]) == "Stopped"
    done = []
    while jobs := m.w.worker.poll():
        [job] = jobs
        m.w.worker.acknowledge(job["id"])
        done.append(job["data"]["pipelineContext"]["pipelineExecutionId"])
        m.w.worker.succeed(job["id"])
    assert done == [started[0], *started[2:]]
    assert [m.status(each) for each in started] == ["Succeeded", "Stopped", "Succeeded", "Succeeded"]


def test_many_that_wait_for_what_aws_does_all_come_through(made):
    m = made()
    m.create(
        m.source,
        stage("Build", action("Do")),
        stage("Deploy", action("Roll", CODE_DEPLOY)),
        executionMode="QUEUED",
        pipelineType="V2",
    )
    started = [m.start() for _ in range(3)]
    for _ in started:
        m.w.worker.succeed(m.claim()["id"])
    assert [m.status(each) for each in started] == ["Succeeded"] * 3


def test_parallel_executions_do_not_wait(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")), executionMode="PARALLEL", pipelineType="V2")
    started = [m.start() for _ in range(3)]
    jobs = m.w.worker.poll()
    assert [job["data"]["pipelineContext"]["pipelineExecutionId"] for job in jobs] == started


def test_a_timeout_fails_its_action_and_lets_the_next_execution_in(made):
    m = made(custom_action_timeout=100)
    m.create(m.source, stage("Build", action("Do")))
    first, second = m.start(), m.start()
    m.w.emu.advance(101)
    assert (m.status(first), m.status(second)) == ("Failed", "InProgress")
    [job] = m.w.worker.poll()
    assert job["data"]["pipelineContext"]["pipelineExecutionId"] == second


def test_secrets_are_masked_and_stay_when_they_come_back_masked(made, http):
    m = made({"name": "Host"}, SECRET)
    configuration = {"Host": "h", "Password": "hush"}
    stages = (m.source, stage("Build", action("Do", configuration=configuration)))
    answers = [m.create(*stages), m.update(*stages), m.client.get_pipeline(name="made")]
    read = m.client.get_pipeline(name="made")["pipeline"]
    shown = read["stages"][1]["actions"][0]["configuration"]
    assert shown == {"Host": "h", "Password": "****"}
    shown["Host"] = "other"
    answers.append(m.client.update_pipeline(pipeline=read))
    m.start()
    job = m.claim()
    assert job["data"]["actionConfiguration"]["configuration"] == {"Host": "other", "Password": "hush"}
    answers += [
        m.client.get_pipeline_state(name="made"),
        m.runs(),
        [entry.as_dict() for entry in m.w.emu.ledger],
        m.w.emu.core.pipelines,
        m.w.emu.core.executions,
        http(f"{m.w.emu.url}/moto-api/data.json")[1],
    ]
    assert [answer for answer in answers if "hush" in str(answer)] == []
    configuration["Password"] = "changed"
    m.update(*stages)
    m.w.worker.succeed(job["id"])
    m.start()
    assert m.claim()["data"]["actionConfiguration"]["configuration"]["Password"] == "changed"


def test_a_secret_that_is_too_long_is_not_told(made):
    m = made(SECRET)
    long = {"Password": "hush" * 300}
    with pytest.raises(ClientError) as error:
        m.create(m.source, stage("Build", action("Do", configuration=long)))
    said = str(error.value)
    assert "length less than or equal to 1000" in said
    assert "hush" not in said
    assert "hush" not in str([entry.as_dict() for entry in m.w.emu.ledger])


def test_an_update_counts_versions_and_what_runs_goes_on_as_it_was(made):
    m = made()
    assert m.create(m.source, stage("Build", action("Old")))["version"] == 1
    m.start()
    changed = m.update(m.source, stage("Build", action("New")), stage("More", action("Then")))
    assert changed["version"] == 2
    old = m.claim()
    assert m.named(old) == "Old"
    m.w.worker.succeed(old["id"])
    assert m.w.worker.poll() == []
    m.start()
    assert m.named(m.claim()) == "New"
    assert m.runs()[-1]["pipelineVersion"] == 2


def test_a_pipeline_that_is_deleted_is_gone_with_its_jobs(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    m.start()
    m.start()
    job_id = m.claim()["id"]
    m.client.delete_pipeline(name="made")
    assert code(m.w.worker.succeed, job_id=job_id) == "InvalidJobStateException"
    assert code(m.client.get_pipeline, name="made") == "PipelineNotFoundException"
    assert code(m.client.start_pipeline_execution, name="made") == "PipelineNotFoundException"
    m.client.delete_pipeline(name="made")
    m.create(m.source, stage("Build", action("Do")))
    assert m.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"] == []
    m.start()
    assert m.named(m.claim()) == "Do"
    m.w.emu.advance(90_000)


@pytest.mark.parametrize(
    ("stages", "error", "said"),
    [
        (
            [stage("Build", action("Do", CUSTOM_TYPE | {"provider": "Typo"}))],
            "InvalidAction",
            "is not available",
        ),
        (
            [stage("Build", action("Do", configuration={"Typo": "x"}))],
            "InvalidAction",
            "no configuration property",
        ),
        ([stage("Build", action("Do", configuration={}))], "InvalidAction", "Project is required"),
        ([stage("Build", action("Do", inputs="ABCDEF"))], "InvalidAction", "0 to 5 input artifacts"),
        ([stage("Build", action("Do", inputs=["None"]))], "InvalidStructure", "makes its input None"),
        ([stage("Build", action("Do"), action("Do"))], "InvalidStage", "a name of its own"),
        ([stage("Build", action("Do")), stage("Empty")], "InvalidStage", "one action or more"),
        ([stage("Source", action("Do"))], "InvalidStructure", "name of its own"),
        ([stage("Build", action("Do", outputs=["App"]))], "InvalidStructure", "makes the artifact App"),
        (
            [stage("Build", action("Do", outputs=["Out"]), action("Too", inputs=["Out"]))],
            "InvalidStructure",
            "makes its input Out",
        ),
        ([stage("Build", action("Do"), action("Get", S3))], "InvalidStructure", "source actions only"),
    ],
)
def test_a_declaration_that_aws_would_refuse_is_refused_and_nothing_is_made(made, stages, error, said):
    m = made(PROJECT)
    for each in stages:
        for declared in each["actions"]:
            if declared["actionTypeId"] != S3:
                declared.setdefault("configuration", {"Project": "shop"})
    declared = m.declared(m.source, *stages)
    with pytest.raises(ClientError, match=said) as refused:
        m.client.create_pipeline(pipeline=declared)
    assert refused.value.response["Error"]["Code"].startswith(error)
    assert code(m.client.get_pipeline, name="made") == "PipelineNotFoundException"
    assert m.client.list_pipelines()["pipelines"] == []


def test_what_moto_refuses_is_made_by_nobody(made):
    m = made()
    wrong = m.declared(m.source, stage("Build", action("Do"))) | {
        "roleArn": "arn:aws:iam::123456789012:role/no"
    }
    assert code(m.client.create_pipeline, pipeline=wrong) == "InvalidStructureException"
    assert code(m.client.start_pipeline_execution, name="made") == "PipelineNotFoundException"
    assert code(m.client.update_pipeline, pipeline=wrong) == "ResourceNotFoundException"
    m.create(m.source, stage("Build", action("Do")))
    before = m.client.get_pipeline(name="made")["pipeline"]
    again = m.declared(m.source, stage("Other", action("Do")))
    assert code(m.client.create_pipeline, pipeline=again) == "InvalidStructureException"
    assert m.client.get_pipeline(name="made")["pipeline"] == before
    assert list(m.stages()) == ["Source", "Build"]


def test_what_moto_takes_without_a_worker_is_taken(made):
    m = made()
    odd = [
        stage("Source"),
        stage("Same", action("A", CODE_DEPLOY, inputs=["Nobodys"])),
        stage("Same", action("B", CODE_DEPLOY)),
    ]
    assert m.create(*odd)["version"] == 1
    execution_id = m.start()
    assert m.status(execution_id) == "Failed"
    assert "has made the artifact Nobodys" in str(m.runs())


def test_a_pipeline_is_of_the_region_in_which_it_was_made(made, client):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    other = client("codepipeline", m.w.emu, region_name="eu-west-1")
    other.delete_pipeline(name="made")
    assert code(other.update_pipeline, pipeline=m.declared(m.source, stage("Build", action("Do")))) == (
        "NotImplementedException"
    )
    m.start()
    job = m.claim()
    assert job["data"]["pipelineContext"]["pipelineArn"] == "arn:aws:codepipeline:us-east-1:123456789012:made"
    assert m.runs()[0]["input"]["region"] == "us-east-1"


def test_tags_and_the_list_are_motos(made):
    m = made()
    declared = m.declared(m.source, stage("Build", action("Do")))
    m.client.create_pipeline(pipeline=declared, tags=[{"key": "a", "value": "b"}])
    arn = m.client.get_pipeline(name="made")["metadata"]["pipelineArn"]
    assert m.client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "b"}]
    assert [each["name"] for each in m.client.list_pipelines()["pipelines"]] == ["made"]


def partner_pipeline(m):
    return m.declared(m.source, stage("Deploy", action("Partner", ACTION_TYPE, inputs=["App"])))


def test_a_partners_action_makes_a_job_of_the_customer(made):
    m = made()
    m.w.emu.add_action_type(ACTION_TYPE)
    assert "0 customers" in message(m.client.create_pipeline, pipeline=partner_pipeline(m))
    customer = m.w.emu.add_customer()
    m.client.create_pipeline(pipeline=partner_pipeline(m))
    m.start()
    [job] = m.client.poll_for_third_party_jobs(actionTypeId=ACTION_TYPE)["jobs"]
    assert job["clientId"] == customer.client_id
    asked = {"jobId": job["jobId"], "clientToken": customer.client_token}
    details = m.client.get_third_party_job_details(**asked)["jobDetails"]
    assert "pipelineExecutionId" not in details["data"]["pipelineContext"]
    m.client.acknowledge_third_party_job(**asked, nonce=details["nonce"])
    m.client.put_third_party_job_success_result(**asked)
    assert m.actions() == {"Fetch": "Succeeded", "Partner": "Succeeded"}


def test_of_several_customers_a_setting_chooses_one_who_stays(made):
    m = made()
    m.w.emu.add_action_type(ACTION_TYPE)
    first, second = m.w.emu.add_customer(), m.w.emu.add_customer()
    assert "2 customers" in message(m.client.create_pipeline, pipeline=partner_pipeline(m))
    m.w.emu.configure(connected_client_id=str(uuid.uuid4()))
    assert "2 customers" in message(m.client.create_pipeline, pipeline=partner_pipeline(m))
    m.w.emu.configure(connected_client_id=second.client_id)
    m.client.create_pipeline(pipeline=partner_pipeline(m))
    m.w.emu.configure(connected_client_id=first.client_id)
    m.client.update_pipeline(pipeline=partner_pipeline(m))
    m.start()
    [job] = m.w.emu.jobs()
    assert job.client_id == second.client_id


def test_aws_own_action_of_a_third_party_is_no_partners(made):
    m = made()
    github = {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"}
    m.create(
        stage("Source", action("Clone", github, outputs=["App"])),
        stage("Build", action("Do", inputs=["App"])),
    )
    m.start()
    assert m.named(m.claim()) == "Do"
    assert m.actions()["Clone"] == "Succeeded"


def test_a_source_action_of_a_workers_own_begins_the_pipeline(made):
    m = made()
    own = {"category": "Source", "owner": "Custom", "provider": "Svn", "version": "1"}
    m.w.create(category="Source", provider="Svn")
    m.create(
        stage("Source", action("Out", own, outputs=["App"])), stage("Build", action("Do", inputs=["App"]))
    )
    execution_id = m.start()
    job = m.claim(**own)
    [goes] = job["data"]["outputArtifacts"]
    revision = {"revision": "r7", "changeIdentifier": "c7"}
    m.w.worker.succeed(job["id"], currentRevision=revision)
    [came] = m.claim()["data"]["inputArtifacts"]
    assert (came["location"], came["revision"]) == (goes["location"], "r7")
    shown = m.client.get_pipeline_execution(pipelineName="made", pipelineExecutionId=execution_id)
    assert [each["revisionId"] for each in shown["pipelineExecution"]["artifactRevisions"]] == ["r7"]


def test_artifacts_that_a_test_gives_come_before_the_source(made):
    m = made()
    m.create(m.source, stage("Build", action("Do", inputs=["App"])))
    m.w.emu.start_execution("made", artifacts={"App": b"given"})
    place = m.claim()["data"]["inputArtifacts"][0]["location"]["s3Location"]
    got = m.s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])
    assert got["Body"].read() == b"given"


def test_a_reset_forgets_declared_pipelines_here_and_in_moto(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    m.start()
    m.w.emu.reset()
    assert m.client.list_pipelines()["pipelines"] == []
    assert code(m.client.start_pipeline_execution, name="made") == "PipelineNotFoundException"


def test_a_pipeline_of_the_emulators_own_is_not_made_again(made):
    m = made()
    m.w.emu.add_pipeline("own", action_type=CUSTOM_TYPE, input_artifacts=())
    declared = m.declared(m.source, stage("Build", action("Do")), name="own")
    assert code(m.client.create_pipeline, pipeline=declared) == "PipelineNameInUseException"
    assert code(m.client.update_pipeline, pipeline=declared) == "NotImplementedException"
    assert code(m.client.delete_pipeline, name="own") == "NotImplementedException"


def test_the_ledger_tells_of_pipelines_and_of_each_actions_end(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    m.update(m.source, stage("Build", action("Do")))
    m.start()
    m.w.worker.succeed(m.claim()["id"])
    m.client.delete_pipeline(name="made")
    ledger = m.w.emu.ledger.where(pipeline_name="made")
    calls = [each.operation for each in ledger.where(kind="call") if "Job" not in each.operation]
    assert calls == ["CreatePipeline", "UpdatePipeline", "DeletePipeline"]
    ends = [(each.operation, dict(each.details)) for each in ledger.where(kind="action")]
    assert ends == [
        ("Succeeded", {"stageName": "Source", "actionName": "Fetch"}),
        ("Succeeded", {"stageName": "Build", "actionName": "Do"}),
    ]
