# SPDX-License-Identifier: Apache-2.0
"""The template of a wake queue: CloudFormation makes of it what a DAG needs."""

from __future__ import annotations

import json

import boto3
import pytest
import yaml
from action_type_server import LIST, PATH
from moto import mock_aws

from airflow_codepipeline_partner._protocol.state_changes import pattern_of
from airflow_codepipeline_partner.action_types import wake_queue_template
from airflow_codepipeline_partner.jobs import ActionType

TYPE = ActionType("Build", "Airflow", "1", "Custom")


@pytest.fixture
def aws(monkeypatch):
    """Make clients of moto's AWS, in this process."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "example")
    with mock_aws():
        yield lambda service: boto3.client(service, region_name="eu-central-1")


def test_the_command_prints_a_template_without_a_call(run, codepipeline, file):
    for named in (PATH, file()):
        printed = run("wake-queue", named)
        assert yaml.safe_load(printed) == wake_queue_template(TYPE)
        # CloudFormation refuses aliases, which it does not know.
        assert "&" not in printed
    assert codepipeline.asked(LIST) == []
    assert "cannot be read" in run("wake-queue", "nothing", code=2)


# moto passes over the policy of a queue.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
def test_its_rule_feeds_its_queue(aws):
    cloudformation = aws("cloudformation")
    cloudformation.create_stack(StackName="jobs", TemplateBody=json.dumps(wake_queue_template(TYPE)))
    [stack] = cloudformation.describe_stacks(StackName="jobs")["Stacks"]
    made = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    [rule] = aws("events").list_rules()["Rules"]
    assert json.loads(rule["EventPattern"]) == pattern_of(TYPE)
    assert rule["State"] == "ENABLED"
    [target] = aws("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"] == made["QueueArn"]
    queue = aws("sqs").get_queue_attributes(QueueUrl=made["QueueUrl"], AttributeNames=["All"])["Attributes"]
    assert queue["QueueArn"] == made["QueueArn"]
    assert queue["MessageRetentionPeriod"] == "300"


def test_only_its_rule_may_send():
    policy = wake_queue_template(TYPE)["Resources"]["QueuePolicy"]["Properties"]
    assert policy["Queues"] == [{"Ref": "Queue"}]
    [may_send] = policy["PolicyDocument"]["Statement"]
    assert may_send["Principal"] == {"Service": "events.amazonaws.com"}
    assert (may_send["Effect"], may_send["Action"]) == ("Allow", "sqs:SendMessage")
    assert may_send["Resource"] == {"Fn::GetAtt": ["Queue", "Arn"]}
    assert may_send["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]}}}
