# SPDX-License-Identifier: Apache-2.0
"""What the details of a job hold, whatever members are missing."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest

from airflow_codepipeline_partner.jobs import (
    ActionType,
    Artifact,
    ClaimedJob,
    JobDetails,
    OfferedJob,
)

AWS_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
TYPE = ActionType("Deploy", "Example")
JOB = OfferedJob("job-1", "client-1", TYPE)
IN = Artifact("Source", "rev", "bucket", "pipe/Source/abc")
OUT = Artifact("Out", None, "bucket", "pipe/Out/def")
CLAIMED = ClaimedJob(
    job=JOB,
    certain=False,
    continuation_token="step-2",
    pipeline_name="pipe",
    stage_name="Partner",
    action_name="Act",
    action_execution_id="exec-1",
    input_artifacts=(IN,),
    output_artifacts=(OUT,),
)


def test_an_artifact_that_is_none_is_passed_over():
    details = JobDetails.from_api({"data": {"inputArtifacts": [None, {"name": "In"}]}}, job_id="j")
    assert [artifact.name for artifact in details.input_artifacts] == ["In"]


ANSWER = {
    "id": "job-1",
    "nonce": "planted-nonce",
    "data": {
        "actionTypeId": AWS_TYPE,
        "actionConfiguration": {"configuration": {"Key": "planted-configuration"}},
        "pipelineContext": {
            "pipelineName": "pipe",
            "stage": {"name": "Partner"},
            "action": {"name": "Act", "actionExecutionId": "exec-1"},
        },
        "inputArtifacts": [
            {
                "name": "Source",
                "revision": "rev",
                "location": {
                    "type": "S3",
                    "s3Location": {"bucketName": "bucket", "objectKey": "pipe/Source/abc"},
                },
            }
        ],
        "outputArtifacts": [
            {
                "name": "Out",
                "location": {
                    "type": "S3",
                    "s3Location": {"bucketName": "bucket", "objectKey": "pipe/Out/def"},
                },
            }
        ],
        "artifactCredentials": {
            "accessKeyId": "ASIAPLANTED",
            "secretAccessKey": "planted-secret-key",
            "sessionToken": "planted-session-token",
        },
        "continuationToken": "step-2",
        "encryptionKey": {"id": "arn:aws:kms:key", "type": "KMS"},
    },
}
PLANTED = (
    "planted-nonce",
    "planted-configuration",
    "planted-secret-key",
    "planted-session-token",
    "ASIAPLANTED",
)


def members(value, path=()):
    """Yield the path of every member, however deep, of mappings and lists."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in pairs:
        yield (*path, key)
        yield from members(member, (*path, key))


def with_member(value, path, change):
    """Return a copy in which one member is dropped (change is ...) or replaced."""
    copy = json.loads(json.dumps(value))
    at = copy
    for part in path[:-1]:
        at = at[part]
    if change is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = change
    return copy


def test_details_hold_all_of_the_answer():
    details = JobDetails.from_api(ANSWER, job_id="asked")
    assert details == JobDetails(
        job_id="job-1",
        nonce="planted-nonce",
        configuration={"Key": "planted-configuration"},
        pipeline_name="pipe",
        stage_name="Partner",
        action_name="Act",
        action_execution_id="exec-1",
        input_artifacts=(IN,),
        output_artifacts=(OUT,),
        artifact_credentials=ANSWER["data"]["artifactCredentials"],
        continuation_token="step-2",
        encryption_key={"id": "arn:aws:kms:key", "type": "KMS"},
    )


@pytest.mark.parametrize("change", [..., None], ids=["missing", "null"])
@pytest.mark.parametrize(
    "path",
    [path for path in members(ANSWER) if not isinstance(path[-1], int)],
    ids=lambda path: ".".join(map(str, path)),
)
def test_details_are_read_whatever_member_is_missing(path, change):
    details = JobDetails.from_api(with_member(ANSWER, path, change), job_id="asked")
    assert details.job_id == ("asked" if path == ("id",) else "job-1")
    claimed = ClaimedJob.from_details(JOB, details)
    assert ClaimedJob.from_value(json.loads(json.dumps(claimed.to_xcom()))) == claimed


def test_details_are_read_from_an_empty_answer():
    assert JobDetails.from_api({}, job_id="asked") == JobDetails("asked")
    assert JobDetails("asked").configuration == {}
    assert JobDetails("asked").artifact_credentials is None


def test_an_artifact_without_a_place_has_none():
    assert Artifact.from_api({}) == Artifact("")
    assert Artifact.from_api({"name": "A", "location": {"type": "S3"}}) == Artifact("A")


def test_a_claimed_job_takes_all_but_secrets_from_details():
    details = JobDetails.from_api(ANSWER, job_id="asked")
    assert ClaimedJob.from_details(JOB, details) == dataclasses.replace(CLAIMED, certain=True)


def test_no_repr_shows_a_secret():
    """Neither a nonce nor a configuration value nor a credential."""
    details = JobDetails.from_api(ANSWER, job_id="asked")
    custom = OfferedJob("j", None, ActionType("Build", "Own", owner="Custom"), "planted-nonce")
    for value, render in itertools.product(
        (details, custom, ClaimedJob(custom), ClaimedJob.from_details(JOB, details)),
        (repr, str, "{}".format),
    ):
        assert not [secret for secret in PLANTED if secret in render(value)]


def test_nothing_of_a_partner_job_in_xcom_is_a_secret():
    details = JobDetails.from_api(ANSWER, job_id="asked")
    written = json.dumps(ClaimedJob.from_details(JOB, details).to_xcom())
    assert not [secret for secret in PLANTED if secret in written]
