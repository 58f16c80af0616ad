# SPDX-License-Identifier: Apache-2.0
"""The CloudFormation template of a wake queue for the jobs of an action type."""

from __future__ import annotations

from typing import Any

from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._wake_queue_stack import stack_of
from airflow_codepipeline_partner.action_types.model import path_of


def wake_queue_template(action_type: ActionType) -> dict[str, Any]:
    """
    Return a template that makes a queue with the events of an action type's started actions.

    Its outputs are ``QueueUrl``, for ``wake_queue``, and ``QueueArn``, for the worker's policy.

    :param action_type: The action type.

    Source: AWS::Events::Rule, AWS::SQS::Queue and AWS::SQS::QueuePolicy, CloudFormation template reference.
    """
    return stack_of(action_type, f"Says when an action of {path_of(action_type)} starts in a pipeline.")
