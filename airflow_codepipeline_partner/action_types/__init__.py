# SPDX-License-Identifier: Apache-2.0
"""Custom action types as code: declare, compare, create, and the IAM policy of their workers."""

from __future__ import annotations

from airflow_codepipeline_partner.action_types.declaration import InvalidDeclaration
from airflow_codepipeline_partner.action_types.model import (
    ActionTypeSettings,
    ArtifactDetails,
    ConfigurationProperty,
    CustomActionType,
    action_type_from_path,
    partner_worker_policy,
    path_of,
    worker_policy,
)

__all__ = [
    "ActionTypeSettings",
    "ArtifactDetails",
    "ConfigurationProperty",
    "CustomActionType",
    "InvalidDeclaration",
    "action_type_from_path",
    "partner_worker_policy",
    "path_of",
    "worker_policy",
]
