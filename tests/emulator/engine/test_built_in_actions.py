# SPDX-License-Identifier: Apache-2.0
"""Sources and artifacts."""

from __future__ import annotations

from declaring import S3, action, code, message, retry, stage


def test_the_object_of_an_s3_source_is_the_first_artifact(made):
    m = made()
    said = m.put_source(b"the source")
    m.create(m.source, stage("Build", action("Do", inputs=["App"])))
    execution_id = m.start()
    job = m.claim()
    [artifact] = job["data"]["inputArtifacts"]
    place = artifact["location"]["s3Location"]
    assert artifact["revision"] == said["VersionId"]
    assert place["bucketName"] == "artifacts"
    got = m.s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])
    assert got["Body"].read() == b"the source"
    [fetch, _] = m.runs(execution_id)
    assert fetch["output"]["outputVariables"] == {
        "BucketName": "sources",
        "ETag": said["ETag"].strip('"'),
        "ObjectKey": "app.zip",
        "VersionId": said["VersionId"],
    }
    shown = m.client.get_pipeline_execution(pipelineName="made", pipelineExecutionId=execution_id)
    [revision] = shown["pipelineExecution"]["artifactRevisions"]
    assert (revision["name"], revision["revisionId"]) == ("App", said["VersionId"])
    [listed] = m.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"]
    assert listed["sourceRevisions"] == [{"actionName": "Fetch", "revisionId": said["VersionId"]}]


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


def test_a_source_without_its_object_fails(made):
    """And can be retried."""
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


def test_output_artifacts_are_the_input_of_later_actions(made):
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


def test_a_retry_of_the_source_finds_the_given_artifacts(made):
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


def test_a_source_revision_names_a_source_of_the_pipeline(made):
    m = made()
    m.create(m.source, stage("Build", action("Do")))
    asked = {"actionName": "Nope", "revisionType": "S3_OBJECT_VERSION_ID", "revisionValue": "v"}
    assert "no source action Nope" in message(
        m.client.start_pipeline_execution, name="made", sourceRevisions=[asked]
    )


def test_artifacts_that_a_test_gives_come_before_the_source(made):
    m = made()
    m.create(m.source, stage("Build", action("Do", inputs=["App"])))
    m.w.emu.start_execution("made", artifacts={"App": b"given"})
    place = m.claim()["data"]["inputArtifacts"][0]["location"]["s3Location"]
    got = m.s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])
    assert got["Body"].read() == b"given"


def test_a_source_that_finds_no_place_for_its_artifact_fails(world, monkeypatch):
    w = world(pipeline={"input_artifacts": ["In"]})
    monkeypatch.setattr(w.emu.store, "_call", lambda *call: (503, b"", {}))
    w.worker.client.start_pipeline_execution(name="pipeline")
    source = w.emu.pipeline_state("pipeline")["stageStates"][0]
    assert source["latestExecution"]["status"] == "Failed"
    error = source["actionStates"][0]["latestExecution"]["errorDetails"]
    assert error["code"] == "ConfigurationError"
    assert "moto answered 503" in error["message"]
    assert w.emu.jobs() == []
