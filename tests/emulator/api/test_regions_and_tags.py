# SPDX-License-Identifier: Apache-2.0
"""Action types and jobs are a region's, action types have tags, and pipelines have versions and pages."""

from __future__ import annotations

import boto3
import pytest
from declaring import CUSTOM_TYPE, action, code, message, stage

ARN = "arn:aws:codepipeline:us-east-1:123456789012:actiontype:Custom/Build/Own/1"
OWN = {"category": "Build", "provider": "Own", "version": "1"}
COUNTS = {"minimumCount": 0, "maximumCount": 5}
DETAILS = {"inputArtifactDetails": COUNTS, "outputArtifactDetails": COUNTS}
BUILD = stage("Build", action("Do", CUSTOM_TYPE, inputs=["App"]))


@pytest.fixture
def elsewhere(aws):
    """Return a client of another region."""
    opened = []

    def open_client(m):
        session = boto3.Session(aws_access_key_id="AKIAADMIN", aws_secret_access_key="admin")
        client = session.client("codepipeline", region_name="eu-west-1", endpoint_url=m.w.emu.url)
        opened.append(client)
        return client

    yield open_client
    for each in opened:
        each.close()


def tags_of(client, arn=ARN, **asked):
    return {
        each["key"]: each["value"] for each in client.list_tags_for_resource(resourceArn=arn, **asked)["tags"]
    }


# Regions.


def test_an_action_type_is_its_regions(made, elsewhere):
    m = made()
    other = elsewhere(m)
    assert other.list_action_types(actionOwnerFilter="Custom")["actionTypes"] == []
    assert code(other.poll_for_jobs, actionTypeId=CUSTOM_TYPE) == "ActionTypeNotFoundException"
    other.create_custom_action_type(**OWN, **DETAILS, settings={"entityUrlTemplate": "https://other.example"})
    [theirs] = other.list_action_types(actionOwnerFilter="Custom")["actionTypes"]
    [ours] = m.client.list_action_types(actionOwnerFilter="Custom")["actionTypes"]
    assert theirs["settings"] != ours.get("settings")
    other.delete_custom_action_type(**OWN)
    assert len(m.client.list_action_types(actionOwnerFilter="Custom")["actionTypes"]) == 1
    assert other.list_action_types(actionOwnerFilter="Custom")["actionTypes"] == []


def test_a_job_is_its_regions(made, elsewhere):
    m = made()
    other = elsewhere(m)
    other.create_custom_action_type(**OWN, **DETAILS)
    m.create(m.source, BUILD)
    m.start()
    assert other.poll_for_jobs(actionTypeId=CUSTOM_TYPE)["jobs"] == []
    job = m.claim()
    for call, more in (
        (other.get_job_details, {}),
        (other.acknowledge_job, {"nonce": job["nonce"]}),
        (other.put_job_success_result, {}),
        (other.put_job_failure_result, {"failureDetails": {"type": "JobFailed", "message": "m"}}),
    ):
        assert code(call, jobId=job["id"], **more) == "JobNotFoundException"
    m.client.put_job_success_result(jobId=job["id"])
    assert m.actions()["Do"] == "Succeeded"


def test_what_the_control_made_is_in_every_region(custom_world, elsewhere):
    w = custom_world()
    w.emu.start_execution("pipeline")
    other = elsewhere(type("M", (), {"w": w}))
    [job] = other.poll_for_jobs(actionTypeId=CUSTOM_TYPE)["jobs"]
    assert other.acknowledge_job(jobId=job["id"], nonce=job["nonce"])["status"] == "InProgress"
    other.delete_custom_action_type(**OWN)
    assert code(w.worker.client.poll_for_jobs, actionTypeId=CUSTOM_TYPE) == "ActionTypeNotFoundException"


@pytest.mark.parametrize("deleted", [False, True])
def test_what_the_control_makes_is_also_where_nothing_was(made, elsewhere, deleted):
    """Though another region has the action type, or had it."""
    m = made()
    if deleted:
        m.client.delete_custom_action_type(**OWN)
    m.w.emu.add_action_type(CUSTOM_TYPE)
    for client in (m.client, elsewhere(m)):
        assert client.poll_for_jobs(actionTypeId=CUSTOM_TYPE)["jobs"] == []
        assert len(client.list_action_types(actionOwnerFilter="Custom")["actionTypes"]) == 1


def test_a_type_of_the_controls_that_was_deleted_can_be_made(made, elsewhere):
    m = made()
    m.w.emu.reset()
    m.w.emu.add_action_type(CUSTOM_TYPE)
    assert code(m.client.create_custom_action_type, **OWN, **DETAILS) == "ActionTypeAlreadyExistsException"
    m.client.delete_custom_action_type(**OWN)
    m.client.create_custom_action_type(**OWN, **DETAILS)
    assert m.client.poll_for_jobs(actionTypeId=CUSTOM_TYPE)["jobs"] == []
    assert code(elsewhere(m).poll_for_jobs, actionTypeId=CUSTOM_TYPE) == "ActionTypeNotFoundException"


def test_an_unknown_action_type_is_said_in_awss_words(made):
    client, partners = made().client, {"owner": "ThirdParty", "provider": "Unheard"}
    unheard = CUSTOM_TYPE | {"provider": "Unheard"}
    for said, owner in (
        (message(client.poll_for_jobs, actionTypeId=unheard), "Custom"),
        (message(client.get_action_type, **CUSTOM_TYPE | partners), "ThirdParty"),
    ):
        named = f"Category: 'Build', Owner: '{owner}', Provider: 'Unheard', Version: '1'"
        assert said == f"ActionType ({named}) is not available"


# Tags.


def test_the_tags_of_an_action_type_are_read_and_set(made):
    """As Terraform does: it reads them after it has created one."""
    client = made().client
    client.delete_custom_action_type(**OWN)
    wanted = {"Team": "build", "Cost": "1"}
    written = [{"key": key, "value": value} for key, value in wanted.items()]
    other = OWN | {"provider": "Tagged"}
    arn = ARN.replace("Own", "Tagged")
    client.create_custom_action_type(**other, **DETAILS, tags=written)
    assert tags_of(client, arn) == wanted
    client.tag_resource(resourceArn=arn, tags=[{"key": "Cost", "value": "2"}, {"key": "New", "value": ""}])
    assert tags_of(client, arn) == {"Team": "build", "Cost": "2", "New": ""}
    client.untag_resource(resourceArn=arn, tagKeys=["Team", "none"])
    assert tags_of(client, arn) == {"Cost": "2", "New": ""}
    pages = client.get_paginator("list_tags_for_resource").paginate(
        resourceArn=arn, PaginationConfig={"PageSize": 1}
    )
    assert [len(page["tags"]) for page in pages] == [1, 1]
    client.delete_custom_action_type(**other)
    assert code(client.list_tags_for_resource, resourceArn=arn) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("tags", "refused"),
    [
        ([{"key": "aws:x", "value": "1"}], "InvalidTagsException"),
        ([{"key": "a", "value": "1"}, {"key": "a", "value": "2"}], "InvalidTagsException"),
        ([{"key": str(n), "value": "1"} for n in range(51)], "TooManyTagsException"),
    ],
)
def test_tags_that_aws_refuses(made, tags, refused):
    client = made().client
    assert code(client.tag_resource, resourceArn=ARN, tags=tags) == refused
    assert tags_of(client) == {}
    other = OWN | {"provider": "Refused"}
    assert code(client.create_custom_action_type, **other, **DETAILS, tags=tags) == refused
    refused_type = CUSTOM_TYPE | {"provider": "Refused"}
    assert code(client.poll_for_jobs, actionTypeId=refused_type) == "ActionTypeNotFoundException"


def test_the_tags_of_another_regions_action_type_are_not_found(made, elsewhere):
    m = made()
    assert code(elsewhere(m).list_tags_for_resource, resourceArn=ARN) == "ResourceNotFoundException"


# Versions and pages of pipelines, and what is told of revisions.


def test_each_version_of_a_pipeline_can_be_read(made, elsewhere):
    m = made()
    m.create(m.source, BUILD)
    m.update(m.source, stage("Other", action("Do", CUSTOM_TYPE, inputs=["App"])))
    names = {}
    for version in (1, 2, None):
        asked = {} if version is None else {"version": version}
        found = m.client.get_pipeline(name="made", **asked)["pipeline"]
        names[version] = (found["version"], found["stages"][1]["name"])
    assert names == {1: (1, "Build"), 2: (2, "Other"), None: (2, "Other")}
    assert code(m.client.get_pipeline, name="made", version=3) == "PipelineVersionNotFoundException"
    for version in (1, 2, 3):
        asked = {"name": "made", "version": version}
        assert code(elsewhere(m).get_pipeline, **asked) == "PipelineNotFoundException"
    m.client.delete_pipeline(name="made")
    m.create(m.source, BUILD)
    assert code(m.client.get_pipeline, name="made", version=2) == "PipelineVersionNotFoundException"


def test_pipelines_are_listed_in_pages(made):
    m = made()
    for name in ("one", "two", "three"):
        m.create(m.source, BUILD, name=name)
    pages = m.client.get_paginator("list_pipelines").paginate(PaginationConfig={"PageSize": 2})
    found = [[each["name"] for each in page["pipelines"]] for page in pages]
    assert list(map(len, found)) == [2, 1]
    assert sorted(name for page in found for name in page) == ["one", "three", "two"]
    assert code(m.client.list_pipelines, nextToken="nonsense") == "InvalidNextTokenException"


def test_what_a_source_tells_of_its_revision_is_shown(made):
    m = made()
    source_type = CUSTOM_TYPE | {"category": "Source"}
    m.client.create_custom_action_type(category="Source", provider="Own", version="1", **DETAILS)
    m.create(stage("Source", action("Fetch", source_type, outputs=["App"])), BUILD)
    execution_id = m.start()
    [job] = m.client.poll_for_jobs(actionTypeId=source_type)["jobs"]
    m.client.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
    told = {"revision": "r1", "changeIdentifier": "c1", "created": 1_700_000_000, "revisionSummary": "Why"}
    m.client.put_job_success_result(jobId=job["id"], currentRevision=told)
    asked = {"pipelineName": "made", "pipelineExecutionId": execution_id}
    [shown] = m.client.get_pipeline_execution(**asked)["pipelineExecution"]["artifactRevisions"]
    assert shown.pop("created").timestamp() == 1_700_000_000
    assert shown == {
        "name": "App",
        "revisionId": "r1",
        "revisionChangeIdentifier": "c1",
        "revisionSummary": "Why",
    }
    [listed] = m.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"]
    assert listed["sourceRevisions"][0]["revisionSummary"] == "Why"
    [[state], _] = [each["actionStates"] for each in m.client.get_pipeline_state(name="made")["stageStates"]]
    assert state["currentRevision"].pop("created").timestamp() == 1_700_000_000
    assert state["currentRevision"] == {"revisionId": "r1", "revisionChangeId": "c1"}
