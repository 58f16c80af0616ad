# SPDX-License-Identifier: Apache-2.0
"""What goes from action to action: artifacts and variables."""

from __future__ import annotations

import pytest
from declaring import CODE_DEPLOY, S3, action, code, message, retry, stage

from airflow_codepipeline_partner.emulator import ControlError

SECRET = {"name": "Password", "secret": True}
PROJECT = {"name": "Project", "required": True, "queryable": True}


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


@pytest.mark.parametrize("reference", ["#{Built.other}", "#{Shipped.name}", "#{variables.none}"])
def test_an_action_with_a_variable_that_is_not_there_fails(made, reference):
    m = made({"name": "Image"})
    m.create(
        m.source,
        stage("Build", action("Do", namespace="Built")),
        stage("Deploy", action("Ship", configuration={"Image": reference}, namespace="Shipped")),
    )
    execution_id = m.start()
    m.w.worker.succeed(m.claim()["id"], outputVariables={"name": "app"})
    assert m.status(execution_id) == "Failed"
    assert m.actions()["Ship"] == "Failed"
    error = m.runs()[2]["output"]["executionResult"]["errorDetails"]
    named = reference.strip("#{}")
    assert error["message"] == (
        f"The configuration property Image refers to the variable {named} that is not there, or not yet."
    )
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
    m = made({"name": "Image"}, SECRET)
    ship = {"Image": "v#{Do.a}"}
    stages = m.source, stage("Build", action("Do")), stage("Deploy", action("Ship", configuration=ship))
    create = m.client.create_pipeline
    assert code(create, pipeline=m.declared(*stages)) == "InvalidActionDeclarationException"
    told = message(create, pipeline=m.declared(*stages))
    assert "Image of Ship in the stage Deploy has a reference #{Do.a} to a namespace that no" in told
    del ship["Image"]
    ship["Password"] = "#{my.secretpart}"
    told = message(create, pipeline=m.declared(*stages))
    assert "Password of Ship in the stage Deploy has a reference to a namespace" in told
    assert m.client.list_pipelines()["pipelines"] == []


def test_a_variable_that_a_secret_needs_is_not_named(made):
    m = made(SECRET)
    configuration = {"Password": "pre#{Src.secretpart}post"}
    m.create(m.source, stage("Build", action("Do", configuration=configuration)))
    assert m.status(m.start()) == "Failed"
    told = str([m.runs(), m.w.emu.ledger, m.client.get_pipeline_state(name="made")])
    assert "The configuration property Password refers to a variable that is not there" in told
    assert "secretpart" not in told


def test_what_is_motos_own_is_no_source(made):
    m = made()
    configuration = {"S3Bucket": "moto-api", "S3ObjectKey": "data.json"}
    m.create(
        stage("Source", action("Fetch", S3, outputs=["App"], configuration=configuration)),
        stage("Build", action("Do")),
    )
    assert m.status(m.start()) == "Failed"


def test_a_store_of_the_region_serves(made):
    m = made()
    declared = m.declared(m.source, stage("Build", action("Do", inputs=["App"])))
    store = declared.pop("artifactStore")
    stores = {"eu-west-1": store | {"location": "elsewhere"}, "us-east-1": store}
    m.client.create_pipeline(pipeline=declared | {"artifactStores": stores})
    m.start()
    [artifact] = m.claim()["data"]["inputArtifacts"]
    assert artifact["location"]["s3Location"]["bucketName"] == "artifacts"


def test_the_variables_of_an_s3_source_are_there_for_given_artifacts_too(made):
    m = made({"name": "Image"})
    configuration = {"Image": "#{Src.ObjectKey} #{Src.VersionId}"}
    m.create(m.source, stage("Build", action("Do", configuration=configuration)))
    m.w.emu.start_execution("made", artifacts={"App": b"given"})
    assert m.claim()["data"]["actionConfiguration"]["configuration"] == {"Image": "app.zip null"}


def test_given_artifacts_are_still_there_for_a_retry_of_the_source(made):
    m = made()
    other = {"S3Bucket": "sources", "S3ObjectKey": "other.zip"}
    sources = (*m.source["actions"], action("More", S3, outputs=["Other"], configuration=other))
    m.create(stage("Source", *sources), stage("Build", action("Do", inputs=["App"])))
    execution_id = m.w.emu.start_execution("made", artifacts={"App": b"given"})
    assert m.status(execution_id) == "Failed"
    m.put_source(b"other", key="other.zip")
    m.client.retry_stage_execution(**retry(m, execution_id, "ALL_ACTIONS", "Source"))
    place = m.claim()["data"]["inputArtifacts"][0]["location"]["s3Location"]
    got = m.s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])
    assert got["Body"].read() == b"given"


def test_variables_of_what_the_emulator_does_not_do_stay_references(made):
    m = made({"name": "Image"})
    commit = {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"}
    configuration = {"Image": "#{SourceVariables.CommitId}"}
    m.create(
        stage("Source", action("Fetch", commit, outputs=["App"], namespace="SourceVariables")),
        stage("Build", action("Do", configuration=configuration)),
        stage("Deploy", action("Roll", CODE_DEPLOY, configuration={"Any": "#{variables.none}"})),
    )
    execution_id = m.start()
    job = m.claim()
    assert job["data"]["actionConfiguration"]["configuration"] == configuration
    m.w.worker.succeed(job["id"])
    assert m.status(execution_id) == "Succeeded"


def test_a_start_by_the_test_may_give_variables_and_must_where_they_have_no_default(made):
    m = made({"name": "Image"})
    m.create(
        m.source,
        stage("Build", action("Do", configuration={"Image": "#{variables.Stage}"})),
        variables=[{"name": "Stage"}],
        pipelineType="V2",
    )
    for values, said in (({}, "Stage has no value"), ({"Stage": "x", "No": "y"}, "no variable No")):
        with pytest.raises(ControlError, match=said):
            m.w.emu.start_execution("made", variables=values)
    with pytest.raises(ControlError, match="are texts"):
        m.w.emu.start_execution("made", variables={"Stage": 1})
    m.w.emu.start_execution("made", variables={"Stage": "live"})
    assert m.claim()["data"]["actionConfiguration"]["configuration"] == {"Image": "live"}


def test_a_source_revision_names_an_s3_source_of_the_pipeline(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    asked = {"actionName": "Nope", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v"}
    assert "no S3 source action Nope" in message(
        m.client.start_pipeline_execution, name="made", sourceRevisions=[asked]
    )


def test_artifacts_that_a_test_gives_come_before_the_source(made):
    m = made()
    m.create(m.source, stage("Build", action("Do", inputs=["App"])))
    m.w.emu.start_execution("made", artifacts={"App": b"given"})
    place = m.claim()["data"]["inputArtifacts"][0]["location"]["s3Location"]
    got = m.s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])
    assert got["Body"].read() == b"given"
