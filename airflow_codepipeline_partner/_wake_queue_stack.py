# SPDX-License-Identifier: Apache-2.0
"""The CloudFormation template of a wake queue: an EventBridge rule, and the SQS queue that it feeds."""

from __future__ import annotations

from typing import Any

from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._protocol.state_changes import ChangedPipeline, pattern_of

#: For how long the queue keeps an event, in seconds: until then every triggerer has polled.
RETENTION = 300


def stack_of(subject: ActionType | ChangedPipeline, description: str) -> dict[str, Any]:
    """
    Return a template that makes a queue with the events about an action type or a pipeline.

    Its outputs are ``QueueUrl``, for ``wake_queue``, and ``QueueArn``, for the policy.

    :param subject: What the events are about.
    :param description: What the queue says.

    Source: AWS::Events::Rule, AWS::SQS::Queue and AWS::SQS::QueuePolicy, CloudFormation template reference.
    """
    may_send = {
        "Sid": "EventsOfTheRule",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": _arn_of("Queue"),
        "Condition": {"ArnEquals": {"aws:SourceArn": _arn_of("Rule")}},
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": description,
        "Resources": {
            "Queue": {
                "Type": "AWS::SQS::Queue",
                "Properties": {"MessageRetentionPeriod": RETENTION, "SqsManagedSseEnabled": True},
            },
            "QueuePolicy": {
                "Type": "AWS::SQS::QueuePolicy",
                "Properties": {
                    "Queues": [{"Ref": "Queue"}],
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": [may_send]},
                },
            },
            "Rule": {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "EventPattern": pattern_of(subject),
                    "State": "ENABLED",
                    "Targets": [{"Id": "Queue", "Arn": _arn_of("Queue")}],
                },
            },
        },
        "Outputs": {
            "QueueUrl": {"Description": "The wake_queue of the DAGs.", "Value": {"Ref": "Queue"}},
            "QueueArn": {"Description": "For the policy.", "Value": _arn_of("Queue")},
        },
    }


def _arn_of(resource: str) -> dict[str, Any]:
    # A new one each time: CloudFormation refuses the aliases that YAML would have for the same one.
    return {"Fn::GetAtt": [resource, "Arn"]}
