# SPDX-License-Identifier: Apache-2.0
"""Custom action types as code: declare, compare, create, as templates; their workers' policy and queue."""

from __future__ import annotations

from airflow_codepipeline_partner.action_types.cdk import cdk_stack
from airflow_codepipeline_partner.action_types.cloudformation import cloudformation_template
from airflow_codepipeline_partner.action_types.declaration import InvalidDeclaration
from airflow_codepipeline_partner.action_types.model import (
    ActionTypeSettings,
    ArtifactDetails,
    ConfigurationProperty,
    CustomActionType,
    action_type_from_path,
    path_of,
)
from airflow_codepipeline_partner.action_types.policies import partner_worker_policy, worker_policy
from airflow_codepipeline_partner.action_types.terraform import terraform_configuration
from airflow_codepipeline_partner.action_types.wake_queue_template import wake_queue_template

__all__ = [
    "ActionTypeSettings",
    "ArtifactDetails",
    "ConfigurationProperty",
    "CustomActionType",
    "InvalidDeclaration",
    "action_type_from_path",
    "cdk_stack",
    "cloudformation_template",
    "partner_worker_policy",
    "path_of",
    "terraform_configuration",
    "wake_queue_template",
    "worker_policy",
]
