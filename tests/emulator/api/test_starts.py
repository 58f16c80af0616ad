# SPDX-License-Identifier: Apache-2.0
"""StartPipelineExecution: its variables, source revisions and request tokens, and what it shows."""

from __future__ import annotations

import pytest
from declaring import CUSTOM_TYPE, S3, action, code, message, stage

CALLER = "arn:aws:sts::123456789012:user/moto"
SOURCES = {
    "CodeCommit": ("AWS", {"RepositoryName": "r", "BranchName": "main"}),
    "CodeStarSourceConnection": (
        "AWS",
        {"ConnectionArn": "c", "FullRepositoryId": "o/r", "BranchName": "main"},
    ),
    "GitHub": ("ThirdParty", {"Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": "t"}),
    "ECR": ("AWS", {"RepositoryName": "r"}),
}


def source(provider):
    owner, configuration = SOURCES[provider]
    action_type = {"category": "Source", "owner": owner, "provider": provider, "version": "1"}
    return stage("Source", action("Fetch", action_type, outputs=["App"], configuration=configuration))


def revision(kind, value="v1", name="Fetch"):
    return {"actionName": name, "revisionType": kind, "revisionValue": value}


@pytest.fixture
def started(made):
    """Make a pipeline of a worker's action, and start it."""

    def make(*stages, **more):
        m = made()
        more = {"pipelineType": "V2", "executionMode": "QUEUED"} | more
        m.create(*(stages or [m.source]), stage("Build", action("Do", inputs=["App"])), **more)
        return m

    return make


def shown(m, execution_id):
    asked = {"pipelineName": "made", "pipelineExecutionId": execution_id}
    return m.client.get_pipeline_execution(**asked)["pipelineExecution"]


@pytest.mark.parametrize(
    ("provider", "kind", "value"),
    [
        ("CodeCommit", "COMMIT_ID", "0a1b2c"),
        ("CodeStarSourceConnection", "COMMIT_ID", "0a1b2c"),
        ("GitHub", "COMMIT_ID", "0a1b2c"),
        ("ECR", "IMAGE_DIGEST", "sha256:0a1b2c"),
    ],
)
def test_a_source_that_is_not_done_has_the_given_revision(started, provider, kind, value):
    m = started(source(provider))
    execution_id = m.start(sourceRevisions=[revision(kind, value)])
    [artifact] = shown(m, execution_id)["artifactRevisions"]
    assert (artifact["name"], artifact["revisionId"]) == ("App", value)
    [job] = m.w.worker.poll()
    assert job["data"]["inputArtifacts"][0]["revision"] == value
    listed = m.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"]
    assert listed[0]["sourceRevisions"][0]["revisionId"] == value


def s3_source(m, **configuration):
    given = {"S3Bucket": "sources", "S3ObjectKey": "app.zip"} | configuration
    return stage("Source", action("Fetch", S3, outputs=["App"], configuration=given, namespace="Src"))


def body_of(m):
    [job] = m.w.worker.poll()
    place = job["data"]["inputArtifacts"][0]["location"]["s3Location"]
    return m.s3.get_object(Bucket=place["bucketName"], Key=place["objectKey"])["Body"].read()


@pytest.mark.parametrize("with_version", [True, False])
def test_an_s3_source_takes_another_key_if_it_allows_that(started, with_version):
    m = started(s3_source(None, AllowOverrideForS3ObjectKey="true"))
    first = m.put_source(b"first", "other.zip")["VersionId"]
    m.put_source(b"second", "other.zip")
    asked = [revision("S3_OBJECT_KEY", "other.zip")]
    execution_id = m.start(
        sourceRevisions=asked + ([revision("S3_OBJECT_VERSION_ID", first)] if with_version else [])
    )
    assert body_of(m) == (b"first" if with_version else b"second")
    assert m.runs(execution_id)[0]["output"]["outputVariables"]["ObjectKey"] == "other.zip"


@pytest.mark.parametrize(
    ("provider", "asked", "said"),
    [
        ("CodeCommit", [revision("IMAGE_DIGEST")], "takes COMMIT_ID"),
        ("ECR", [revision("COMMIT_ID")], "takes IMAGE_DIGEST"),
        ("CodeCommit", [revision("COMMIT_ID", name="Nope")], "no source action Nope"),
        ("CodeCommit", [revision("COMMIT_ID", name="Do")], "no source action Do"),
        ("CodeCommit", [revision("COMMIT_ID"), revision("COMMIT_ID", "v2")], "more than one"),
        (None, [revision("COMMIT_ID")], "takes S3_OBJECT_KEY, S3_OBJECT_VERSION_ID"),
        (None, [revision("S3_OBJECT_KEY")], "AllowOverrideForS3ObjectKey"),
    ],
)
def test_a_revision_that_no_source_takes_is_refused(started, provider, asked, said):
    m = started(*([source(provider)] if provider else []))
    start = m.client.start_pipeline_execution
    assert said in message(start, name="made", sourceRevisions=asked)
    assert code(start, name="made", sourceRevisions=asked) == "ValidationException"
    assert m.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"] == []


def test_a_workers_source_takes_no_revision(started):
    m = started()
    custom = {"category": "Source", "provider": "CodeCommit", "version": "1"}
    counts = {"minimumCount": 0, "maximumCount": 5}
    m.client.create_custom_action_type(**custom, inputArtifactDetails=counts, outputArtifactDetails=counts)
    fetch = action("Fetch", custom | {"owner": "Custom"}, outputs=["App"])
    m.update(stage("Source", fetch), stage("Build", action("Do", CUSTOM_TYPE)))
    asked = [revision("COMMIT_ID")]
    assert "takes no" in message(m.client.start_pipeline_execution, name="made", sourceRevisions=asked)


VARIABLES = [{"name": "Where", "defaultValue": "here"}, {"name": "Who"}]


def test_variables_are_resolved_and_shown(started):
    m = started(variables=VARIABLES)
    execution_id = m.start(variables=[{"name": "Who", "value": "me"}])
    assert shown(m, execution_id)["variables"] == [
        {"name": "Where", "resolvedValue": "here"},
        {"name": "Who", "resolvedValue": "me"},
    ]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ([], "length greater than or equal to 1"),
        ([{"name": "Where", "value": "x"}], "Who has no value"),
        ([{"name": "Who", "value": ""}], "length greater than or equal to 1"),
        ([{"name": "Who", "value": "v" * 1001}], "length less than or equal to 1000"),
        ([{"name": "Wh o", "value": "v"}], "pattern"),
        ([{"name": "W" * 129, "value": "v"}], "length less than or equal to 128"),
        ([{"name": "Who", "value": "me"}, {"name": "Other", "value": "v"}], "no variable Other"),
        ([{"name": "Who", "value": "me"}, {"name": "Who", "value": "you"}], "more than one value for Who"),
        ([{"name": f"V{n}", "value": "v"} for n in range(51)], "length less than or equal to 50"),
    ],
)
def test_variables_that_are_not_right_are_refused(started, signed_call, variables, said):
    m = started(variables=VARIABLES)
    answer = signed_call(m.w.emu, "StartPipelineExecution", {"name": "made", "variables": variables})[1]
    assert answer["__type"] == "ValidationException"
    assert said in answer["message"]


@pytest.mark.parametrize("token", ["", "a b", "a" * 129, "a_b"])
def test_a_request_token_that_is_not_right_is_refused(started, signed_call, token):
    m = started()
    asked = {"name": "made", "clientRequestToken": token}
    assert signed_call(m.w.emu, "StartPipelineExecution", asked)[1]["__type"] == "ValidationException"


def test_a_request_token_belongs_to_a_pipeline(started):
    m = started()
    m.create(m.source, stage("Build", action("Do")), name="other")
    assert m.start("made", clientRequestToken="t") != m.start("other", clientRequestToken="t")


def test_a_request_token_also_finds_an_execution_that_ended(started):
    m = started()
    first = m.start(clientRequestToken="t")
    m.w.worker.fail(m.claim()["id"])
    m.w.emu.advance(3600)
    assert m.start(clientRequestToken="t") == first
    assert m.status(first) == "Failed"


def test_a_start_shows_who_started_it(started):
    m = started()
    execution_id = m.start()
    trigger = {"triggerType": "StartPipelineExecution", "triggerDetail": CALLER}
    assert shown(m, execution_id)["trigger"] == trigger
    [listed] = m.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"]
    assert listed["trigger"] == trigger


def test_executions_that_succeeded_are_of_the_current_version(started):
    m = started()
    only = {"succeededInStage": {"stageName": "Source"}}
    first = m.start()

    def listed(**more):
        found = m.client.list_pipeline_executions(pipelineName="made", filter=only | more)
        return [each["pipelineExecutionId"] for each in found["pipelineExecutionSummaries"]]

    assert listed() == [first]
    assert listed(succeededInStage={"stageName": "Build"}) == []
    m.update(m.source, stage("Build", action("Do")), pipelineType="V2", executionMode="QUEUED")
    assert listed() == []
    second = m.start()
    assert listed() == [second]


def test_a_stop_gives_its_reason_as_the_summary(started):
    m = started()
    execution_id = m.start()
    m.client.stop_pipeline_execution(
        pipelineName="made", pipelineExecutionId=execution_id, abandon=True, reason="enough"
    )
    [listed] = m.client.list_pipeline_executions(pipelineName="made")["pipelineExecutionSummaries"]
    assert listed["statusSummary"] == shown(m, execution_id)["statusSummary"] == "enough"
    assert listed["stopTrigger"] == {"reason": "enough"}


def test_more_executions_than_allowed_are_refused(started):
    m = started()
    m.w.emu.configure(max_concurrent_executions=2)
    m.start()
    m.start()
    error = "ConcurrentPipelineExecutionsLimitExceededException"
    assert code(m.client.start_pipeline_execution, name="made") == error
    m.w.worker.fail(m.claim()["id"])
    m.start()
