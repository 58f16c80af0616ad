# SPDX-License-Identifier: Apache-2.0
"""PutActionRevision: a new revision of a source starts the pipeline."""

from __future__ import annotations

import datetime

import pytest
from declaring import action, code, stage

SOURCE = {"category": "Source", "owner": "Custom", "provider": "Own", "version": "1"}
CREATED = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
CALLER = "arn:aws:sts::123456789012:user/moto"


@pytest.fixture
def watched(made):
    """A pipeline whose source is a worker's."""
    m = made()
    counts = {"minimumCount": 0, "maximumCount": 5}
    asked = {name: SOURCE[name] for name in ("category", "provider", "version")}
    m.client.create_custom_action_type(**asked, inputArtifactDetails=counts, outputArtifactDetails=counts)
    fetch = action("Fetch", SOURCE, outputs=["App"])
    m.create(stage("Source", fetch), stage("Build", action("Do", inputs=["App"])))
    return m


def put(m, revision="r1", **change):
    asked = {"pipelineName": "made", "stageName": "Source", "actionName": "Fetch"} | change
    described = {"revisionId": revision, "revisionChangeId": "c1", "created": CREATED}
    return m.client.put_action_revision(**asked, actionRevision=described)


def fetch_of(m):
    return m.client.get_pipeline_state(name="made")["stageStates"][0]["actionStates"][0]


def test_a_new_revision_starts_an_execution_of_it(watched):
    answer = put(watched)
    assert answer["newRevision"] is True
    assert watched.status(answer["pipelineExecutionId"]) == "InProgress"
    described = {"revisionId": "r1", "revisionChangeId": "c1", "created": CREATED}
    assert fetch_of(watched)["currentRevision"] == described
    watched.w.worker.succeed(watched.claim(**SOURCE)["id"])
    [artifact] = watched.claim()["data"]["inputArtifacts"]
    assert artifact["revision"] == "r1"
    asked = {"pipelineName": "made", "pipelineExecutionId": answer["pipelineExecutionId"]}
    shown = watched.client.get_pipeline_execution(**asked)["pipelineExecution"]
    assert shown["trigger"] == {"triggerType": "PutActionRevision", "triggerDetail": CALLER}
    assert shown["artifactRevisions"] == [
        {"name": "App", "revisionId": "r1", "revisionChangeIdentifier": "c1", "created": CREATED}
    ]


def test_the_workers_own_revision_counts_more(watched):
    put(watched)
    revision = {"revision": "r2", "changeIdentifier": "c2"}
    watched.w.worker.succeed(watched.claim(**SOURCE)["id"], currentRevision=revision)
    assert fetch_of(watched)["currentRevision"]["revisionId"] == "r2"


def test_a_known_revision_starts_nothing(watched):
    first = put(watched)
    second = put(watched, "r2")
    again = put(watched)
    assert again == {
        "newRevision": False,
        "pipelineExecutionId": first["pipelineExecutionId"],
        "ResponseMetadata": again["ResponseMetadata"],
    }
    assert second["newRevision"] is True
    listed = watched.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"]
    assert len(listed) == 2


def test_a_revision_belongs_to_its_pipeline(watched):
    put(watched)
    watched.client.delete_pipeline(name="made")
    watched.create(
        stage("Source", action("Fetch", SOURCE, outputs=["App"])),
        stage("Build", action("Do", inputs=["App"])),
    )
    assert put(watched)["newRevision"] is True


def test_an_s3_source_takes_the_version_that_is_put(made):
    m = made()
    m.create(m.source, stage("Build", action("Do", inputs=["App"])))
    first = m.put_source(b"first")["VersionId"]
    m.put_source(b"second")
    execution_id = put(m, first)["pipelineExecutionId"]
    assert m.runs(execution_id)[0]["output"]["outputVariables"]["VersionId"] == first


def test_a_source_that_is_not_done_has_the_revision(made):
    m = made()
    commit = {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"}
    m.create(
        stage("Source", action("Fetch", commit, outputs=["App"])),
        stage("Build", action("Do", inputs=["App"])),
    )
    put(m, "0a1b")
    [artifact] = m.claim()["data"]["inputArtifacts"]
    assert artifact["revision"] == "0a1b"
    assert fetch_of(m)["currentRevision"]["revisionChangeId"] == "c1"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pipelineName": "none"}, "PipelineNotFoundException"),
        ({"stageName": "None"}, "StageNotFoundException"),
        ({"actionName": "None"}, "ActionNotFoundException"),
        ({"stageName": "Build", "actionName": "Do"}, "ValidationException"),
        ({"revision": ""}, "ValidationException"),
        ({"revision": "r" * 1501}, "ValidationException"),
    ],
)
def test_a_revision_of_something_else_is_refused(watched, signed_call, change, error):
    described = {"revisionId": change.get("revision", "r"), "revisionChangeId": "c", "created": 1}
    asked = {"pipelineName": "made", "stageName": "Source", "actionName": "Fetch"} | change
    answer = signed_call(watched.w.emu, "PutActionRevision", asked | {"actionRevision": described})[1]
    assert answer["__type"] == error


def test_a_pipeline_that_needs_a_variable_is_not_started(watched):
    variables = [{"name": "Who"}]
    watched.update(
        stage("Source", action("Fetch", SOURCE, outputs=["App"])),
        stage("Build", action("Do", inputs=["App"])),
        variables=variables,
        pipelineType="V2",
    )
    assert code(put, watched) == "ValidationException"


def test_a_revision_starts_no_execution_too_many(watched):
    watched.w.emu.configure(max_concurrent_executions=1)
    put(watched)
    assert code(put, watched, "r2") == "ConcurrentPipelineExecutionsLimitExceededException"
    watched.w.worker.fail(watched.claim(**SOURCE)["id"])
    assert put(watched, "r2")["newRevision"] is True
