# SPDX-License-Identifier: Apache-2.0
"""The IAM policy and the wake queue that DAGs need for a pipeline, and their commands."""

from __future__ import annotations

import json

import boto3
import botocore.session
import pytest
import yaml
from moto import mock_aws
from support import REPO

from airflow_codepipeline_partner import cli
from airflow_codepipeline_partner._protocol.state_changes import ChangedPipeline, pattern_of
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.pipelines import PURPOSES, pipeline_policy, pipeline_wake_queue_template

QUEUE = "arn:aws:sqs:eu-central-1:111122223333:changed"
PLACE = {"account_id": "111122223333", "region": "eu-central-1", "partition": "aws"}
ARN = "arn:aws:codepipeline:eu-central-1:111122223333:shop"


def allowed(policy):
    """Return what a policy allows: call → resource."""
    assert policy["Version"] == "2012-10-17"
    assert {each["Effect"] for each in policy["Statement"]} == {"Allow"}
    assert len({each["Sid"] for each in policy["Statement"]}) == len(policy["Statement"])
    return {call: each["Resource"] for each in policy["Statement"] for call in each["Action"]}


def calls_of(*purposes, **more):
    prefix = "codepipeline:"
    return {
        call.removeprefix(prefix): resource
        for call, resource in allowed(pipeline_policy("shop", purposes, **PLACE, **more)).items()
    }


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command, without a region or credentials; return what it printed."""
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments, code=0):
        assert cli.main(["pipeline", *arguments]) == code
        printed = capsys.readouterr()
        assert (printed.out == "") == bool(code)
        assert "Traceback" not in printed.err
        return printed.err if code else printed.out

    return call


def test_by_default_it_is_for_starting_and_waiting():
    assert pipeline_policy("shop", **PLACE) == pipeline_policy("shop", ["wait", "start"], **PLACE)
    assert calls_of("start", "wait") == dict.fromkeys(
        [
            "StartPipelineExecution",
            "GetPipelineExecution",
            "ListPipelineExecutions",
            "ListActionExecutions",
        ],
        ARN,
    )


def test_each_call_is_restricted_to_what_iam_takes_for_it():
    """As the Service Authorization Reference has it."""
    of_pipeline = (
        *("StartPipelineExecution", "StopPipelineExecution", "GetPipelineExecution", "GetPipelineState"),
        *("ListPipelineExecutions", "ListActionExecutions"),
    )
    of_stage = (
        *("RetryStageExecution", "RollbackStage", "OverrideStageCondition"),
        *("EnableStageTransition", "DisableStageTransition"),
    )
    assert calls_of(*PURPOSES, stage_name="Deploy", action_name="Ask") == {
        **dict.fromkeys(of_pipeline, ARN),
        **dict.fromkeys(of_stage, f"{ARN}/Deploy"),
        **dict.fromkeys(("PutApprovalResult", "PutActionRevision"), f"{ARN}/Deploy/Ask"),
    }


@pytest.mark.parametrize("purpose", PURPOSES)
def test_each_purpose_allows_its_calls_and_no_others(purpose):
    assert set(calls_of(purpose)) == set(PURPOSES[purpose])


def test_without_a_stage_or_an_action_any_is_allowed():
    assert calls_of("transition") == {
        "EnableStageTransition": f"{ARN}/*",
        "DisableStageTransition": f"{ARN}/*",
    }
    assert calls_of("approve")["PutApprovalResult"] == f"{ARN}/*/*"
    assert calls_of("approve", stage_name="Deploy")["PutApprovalResult"] == f"{ARN}/Deploy/*"


def test_every_call_is_one_of_codepipelines():
    model = botocore.session.get_session().get_service_model("codepipeline")
    assert set(calls_of(*PURPOSES)) <= set(model.operation_names)


def test_every_call_of_the_package_to_pipelines_has_a_purpose():
    source = (REPO / "airflow_codepipeline_partner/_protocol/pipeline_calls.py").read_text()
    model = botocore.session.get_session().get_service_model("codepipeline")
    made = {name for name in model.operation_names if f'"{name}"' in source}
    assert made == {call for calls in PURPOSES.values() for call in calls}


def test_the_events_need_a_queue_only_if_one_is_named():
    assert set(calls_of("events")) == {"ListPipelineExecutions", "GetPipelineExecution"}
    with_queue = allowed(pipeline_policy("shop", ["events"], wake_queue_arn=QUEUE))
    assert with_queue["sqs:ReceiveMessage"] == with_queue["sqs:DeleteMessage"] == QUEUE
    assert with_queue["codepipeline:ListPipelineExecutions"] == "arn:*:codepipeline:*:*:shop"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"pipeline_name": "a shop"}, "pipelineName"),
        ({"pipeline_name": "*"}, "pipelineName"),
        ({"purposes": []}, "for nothing"),
        ({"purposes": ["rollback"]}, r"did you mean 'roll-back'\?"),
        ({"purposes": ["delete"]}, "there are start, wait"),
        ({"stage_name": "Deploy"}, "No call for start, wait can be restricted to a stage"),
        ({"purposes": ["approve"], "action_name": "Ask"}, "name the stage, too"),
        (
            {"purposes": ["retry"], "stage_name": "Deploy", "action_name": "Ask"},
            "No call for retry can be restricted to an action",
        ),
        ({"purposes": ["retry"], "stage_name": "De ploy"}, "stageName"),
        ({"purposes": ["approve"], "stage_name": "Deploy", "action_name": "*"}, "actionName"),
        ({"account_id": "123"}, r"account_id \(3 characters\) must match"),
        ({"region": "*, eu"}, "region"),
        ({"partition": "gcp"}, "partition"),
        ({"wake_queue_arn": QUEUE}, "A wake queue is read for events only"),
        ({"purposes": ["events"], "wake_queue_arn": "changed"}, "must be the ARN of an SQS queue"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, named):
    with pytest.raises(InvalidInput, match=named):
        pipeline_policy(**{"pipeline_name": "shop", **wrong})


def test_the_command_prints_the_policy(run):
    assert json.loads(run("policy", "shop")) == pipeline_policy("shop")
    place = [f"--{name.replace('_', '-')}={value}" for name, value in PLACE.items()]
    narrow = ["--for", "approve", "--stage", "Deploy", "--action", "Ask"]
    assert json.loads(run("policy", "shop", *narrow, *place)) == pipeline_policy(
        "shop", ["approve"], stage_name="Deploy", action_name="Ask", **PLACE
    )
    several = json.loads(run("policy", "shop", "--for", "events", "--for", "start", "--wake-queue", QUEUE))
    assert several == pipeline_policy("shop", ["start", "events"], wake_queue_arn=QUEUE)


@pytest.mark.parametrize(
    "wrong",
    [
        ["policy", "a shop"],
        ["policy", "shop", "--for", "delete"],
        ["policy", "shop", "--stage", "Deploy"],
        ["policy", "shop", "--wake-queue", QUEUE],
        ["policy", "shop", "--account-id", "123"],
        ["wake-queue", "a shop"],
    ],
)
def test_a_wrong_command_line_is_said(run, wrong):
    assert run(*wrong, code=2).count("\n") == 1


def test_the_help_names_each_purpose(capsys):
    with pytest.raises(SystemExit):
        cli.main(["pipeline", "policy", "--help"])
    shown = capsys.readouterr().out
    assert [purpose for purpose in PURPOSES if purpose not in shown] == []


def test_the_command_prints_the_template(run):
    printed = run("wake-queue", "shop")
    assert yaml.safe_load(printed) == pipeline_wake_queue_template("shop")
    # CloudFormation refuses aliases, which it does not know.
    assert "&" not in printed


@pytest.fixture
def aws(monkeypatch):
    """Make clients of moto's AWS, in this process."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "example")
    with mock_aws():
        yield lambda service: boto3.client(service, region_name="eu-central-1")


# moto passes over the policy of a queue.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
def test_its_rule_feeds_its_queue(aws):
    cloudformation = aws("cloudformation")
    body = json.dumps(pipeline_wake_queue_template("shop"))
    cloudformation.create_stack(StackName="ends", TemplateBody=body)
    [stack] = cloudformation.describe_stacks(StackName="ends")["Stacks"]
    made = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    [rule] = aws("events").list_rules()["Rules"]
    assert json.loads(rule["EventPattern"]) == pattern_of(ChangedPipeline("shop"))
    [target] = aws("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"] == made["QueueArn"]
