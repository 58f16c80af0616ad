# SPDX-License-Identifier: Apache-2.0
"""The CloudFormation template of a wake queue for the ends of a pipeline's executions."""

from __future__ import annotations

from typing import Any

from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner._protocol.state_changes import ChangedPipeline
from airflow_codepipeline_partner._wake_queue_stack import stack_of


def pipeline_wake_queue_template(pipeline_name: str) -> dict[str, Any]:
    """
    Return a template that makes a queue with the events of a pipeline's executions.

    Its outputs are ``QueueUrl``, for ``wake_queue``, and ``QueueArn``, for the policy.

    :param pipeline_name: The pipeline.
    :raises InvalidInput: No pipeline can have this name.

    Source: AWS::Events::Rule, AWS::SQS::Queue and AWS::SQS::QueuePolicy, CloudFormation template reference.
    """
    name = check_text("pipelineName", pipeline_name)
    return stack_of(
        ChangedPipeline(name), f"Says when an execution of the pipeline {name} changes its state."
    )
