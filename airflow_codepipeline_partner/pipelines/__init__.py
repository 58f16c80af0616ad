# SPDX-License-Identifier: Apache-2.0
"""What DAGs need of a pipeline in AWS: their IAM policy, and a queue that says when its executions change."""

from __future__ import annotations

from airflow_codepipeline_partner.pipelines.policies import PURPOSES, pipeline_policy
from airflow_codepipeline_partner.pipelines.wake_queue_template import pipeline_wake_queue_template

__all__ = ["PURPOSES", "pipeline_policy", "pipeline_wake_queue_template"]
