# SPDX-License-Identifier: Apache-2.0
"""The checks of a pipeline's artifact buckets and keys, against the emulator and moto."""

from __future__ import annotations

import json

import pytest
from support import CUSTOM_TYPE, admin_client

from airflow_codepipeline_partner.doctor.aws_access import LIMIT, Answer, AwsAccess
from airflow_codepipeline_partner.doctor.findings import CannotCheck, LeftOut, Outcome
from airflow_codepipeline_partner.doctor.pipeline_checks import Pipeline

PASS, FAIL, UNKNOWN = Outcome
SOURCE = {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "codepipeline.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


@pytest.fixture
def make(emulator, declared):
    """Make the pipeline ``shop`` as in AWS."""
    emulator.reset()
    emulator.add_action_type("Build/Custom/Airflow/1")

    def pipeline(key=None, bucket="artifacts"):
        role = admin_client(emulator, "iam").create_role(
            RoleName="pipelines", AssumeRolePolicyDocument=json.dumps(TRUST)
        )
        store = {"type": "S3", "location": bucket}
        if key is not None:
            store["encryptionKey"] = {"id": key, "type": "KMS"}
        action = {"name": "Fetch", "actionTypeId": SOURCE, "outputArtifacts": [{"name": "App"}]}
        build = {"name": "Build", "actionTypeId": CUSTOM_TYPE, "inputArtifacts": [{"name": "App"}]}
        admin_client(emulator, "codepipeline").create_pipeline(
            pipeline={
                "name": "shop",
                "roleArn": role["Role"]["Arn"],
                "artifactStore": store,
                "stages": [{"name": "Source", "actions": [action]}, {"name": "Build", "actions": [build]}],
            }
        )

    return pipeline


@pytest.fixture
def shop(aws):
    return Pipeline(aws, "shop", LIMIT)


def test_all_pass(emulator, make, shop):
    s3, kms = admin_client(emulator, "s3"), admin_client(emulator, "kms")
    s3.create_bucket(Bucket="mine")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    make(key, "mine")
    found = [shop.check_there(), *shop.check_buckets(), *shop.check_keys()]
    assert [(each.outcome, each.subject) for each in found] == [(PASS, None), (PASS, "mine"), (PASS, key)]
    kms.disable_key(KeyId=key)
    [disabled] = shop.check_keys()
    assert (disabled.outcome, "state Disabled" in disabled.what) == (FAIL, True)


def test_a_pipeline_that_is_not_there_fails_once(aws):
    gone = Pipeline(aws, "gone", LIMIT)
    assert gone.check_there().outcome is FAIL
    for check in (gone.check_buckets, gone.check_keys):
        with pytest.raises(LeftOut):
            list(check())


def test_a_bucket_and_a_key_that_are_gone_fail(emulator, make, shop):
    key = "11111111-2222-3333-4444-555555555555"
    make(key, "mine")
    s3 = admin_client(emulator, "s3")
    if "mine" in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.delete_bucket(Bucket="mine")
    assert [each.outcome for each in (*shop.check_buckets(), *shop.check_keys())] == [FAIL, FAIL]


def test_awss_own_key_passes(make, shop):
    make()
    [found] = shop.check_keys()
    assert (found.outcome, "AWS's own key" in found.what) == (PASS, True)


class Scripted(AwsAccess):
    """AWS that answers what the test says: method → answer."""

    answers: dict[str, Answer]

    def ask(self, service, method, **arguments):
        return self.answers[method]


@pytest.fixture
def scripted(emulator, connect):
    connect(emulator.url)
    aws = Scripted("aws_default", None, is_partner=False)
    stores = {
        "us-east-1": {"location": "here", "encryptionKey": {"id": "k1"}},
        "eu-west-1": {"location": "there", "encryptionKey": {"id": "k2"}},
    }
    aws.answers = {
        "get_job_details": Answer("JobNotFoundException", "GetJobDetails"),
        "get_pipeline": Answer(None, "GetPipeline", value={"pipeline": {"artifactStores": stores}}),
    }
    return aws


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(None, PASS), ("301", PASS), ("404", FAIL), ("403", UNKNOWN), ("SlowDown", UNKNOWN)],
)
def test_what_s3_says_of_a_bucket(scripted, code, outcome):
    scripted.answers["head_bucket"] = Answer(code, "HeadBucket")
    found = list(Pipeline(scripted, "shop", LIMIT).check_buckets())
    assert [(each.outcome, each.subject) for each in found] == [(outcome, "here"), (outcome, "there")]


def test_a_key_that_may_not_be_looked_at_is_unknown(scripted):
    scripted.answers["describe_key"] = Answer("AccessDeniedException", "DescribeKey")
    here, there = Pipeline(scripted, "shop", LIMIT).check_keys()
    assert (here.outcome, there.outcome) == (UNKNOWN, UNKNOWN)
    assert "A worker does not need this" in here.to_do
    assert "eu-west-1" in there.what


def test_without_network_a_bucket_is_unknown(scripted):
    scripted.answers["head_bucket"] = Answer(None, "HeadBucket", error_name="EndpointConnectionError")
    assert {each.outcome for each in Pipeline(scripted, "shop", LIMIT).check_buckets()} == {UNKNOWN}


def test_a_pipeline_that_may_not_be_read_is_unknown(scripted):
    scripted.answers["get_pipeline"] = Answer("AccessDeniedException", "GetPipeline")
    with pytest.raises(CannotCheck, match="AccessDeniedException"):
        Pipeline(scripted, "shop", LIMIT).check_there()


@pytest.mark.parametrize(
    ("code", "advice"), [("403", "A worker does not need"), ("SlowDown", "checks of AWS")]
)
def test_a_permission_is_asked_for_only_if_it_is_missing(scripted, code, advice):
    scripted.answers["head_bucket"] = Answer(code, "HeadBucket")
    assert all(advice in each.to_do for each in Pipeline(scripted, "shop", LIMIT).check_buckets())
