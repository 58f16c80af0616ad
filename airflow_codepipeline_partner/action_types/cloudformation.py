# SPDX-License-Identifier: Apache-2.0
"""A custom action type and the policy of its worker as a CloudFormation template."""

from __future__ import annotations

from typing import Any

from airflow_codepipeline_partner.action_types.model import CustomActionType
from airflow_codepipeline_partner.action_types.policies import arn_of, policy_over
from airflow_codepipeline_partner.exceptions import InvalidInput


def cloudformation_template(declared: CustomActionType) -> dict[str, Any]:
    """
    Return a template that creates a custom action type, and a managed policy for its worker.

    If the version changes, the old action type stays until somebody deletes it: pipelines of other stacks may
    use it. Its output is ``WorkerPolicyArn``.

    :param declared: The action type.

    Source: AWS::CodePipeline::CustomActionType and AWS::IAM::ManagedPolicy, CloudFormation template
    reference.
    """
    arn = arn_of(declared.action_type, "${AWS::Partition}", "${AWS::Region}", "${AWS::AccountId}")
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"The custom action type {declared.path}, and the policy of its worker.",
        "Resources": {
            "ActionType": {
                "Type": "AWS::CodePipeline::CustomActionType",
                "DeletionPolicy": "Delete",
                "UpdateReplacePolicy": "Retain",
                "Properties": _with_capitals(declared.to_api()),
            },
            "WorkerPolicy": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"PolicyDocument": policy_over({"Fn::Sub": arn})},
            },
        },
        "Outputs": {
            "WorkerPolicyArn": {
                "Description": "For the role of Airflow's aws connection.",
                "Value": {"Ref": "WorkerPolicy"},
            }
        },
    }


def refuse_references(value: Any) -> None:
    """
    Refuse what CloudFormation would put a secret in the place of, wherever it stands.

    :raises InvalidInput: A text of a declaration holds such a reference.
    """
    if isinstance(value, str) and "{{resolve:" in value:
        raise InvalidInput(
            "A text holds {{resolve:…}}, which CloudFormation replaces by a secret or parameter."
        )


def _with_capitals(value: Any) -> Any:
    """Return a value of CodePipeline's API with the names that CloudFormation has for its members."""
    refuse_references(value)
    if isinstance(value, list):
        return [_with_capitals(each) for each in value]
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: _with_capitals(held) for name, held in value.items()}
    return value
