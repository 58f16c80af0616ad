# SPDX-License-Identifier: Apache-2.0
"""A custom action type and the policy of its worker as a stack of the AWS CDK, in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from textwrap import indent
from typing import Any

from airflow_codepipeline_partner.action_types.cloudformation import refuse_references
from airflow_codepipeline_partner.action_types.model import CustomActionType
from airflow_codepipeline_partner.action_types.policies import arn_of, policy_over
from airflow_codepipeline_partner.action_types.source_text import Expression, quoted

_INDENT = "    "
_STACK = '''\
"""The custom action type {path}, and the policy of its worker."""

from typing import Any

from aws_cdk import CfnDeletionPolicy, CfnTag, Stack
from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_iam as iam
from constructs import Construct


class ActionTypeStack(Stack):
    def __init__(self, scope: Construct, construct_id: str, **parameters: Any) -> None:
        super().__init__(scope, construct_id, **parameters)
        self.action_type = {action_type}
        # Pipelines of other stacks may use the old version.
        self.action_type.cfn_options.update_replace_policy = CfnDeletionPolicy.RETAIN
        self.action_type.cfn_options.deletion_policy = CfnDeletionPolicy.DELETE
        self.worker_policy = {policy}
'''
_ACTION_TYPE = "codepipeline.CfnCustomActionType"


def cdk_stack(declared: CustomActionType) -> str:
    """
    Return a Python module with the stack ``ActionTypeStack``: a custom action type, and its worker's policy.

    It uses the CDK's generated class. ``CustomActionRegistration`` has neither tags nor all links.

    :param declared: The action type.

    Source: aws_cdk.aws_codepipeline.CfnCustomActionType and aws_cdk.aws_iam.ManagedPolicy, reference of the
    AWS CDK 2.
    """
    settings = asdict(declared.settings)
    properties = [
        _call(
            f"{_ACTION_TYPE}.ConfigurationPropertiesProperty",
            {**asdict(each), "queryable": each.queryable or None},
        )
        for each in declared.configuration_properties
    ]
    artifacts = {
        name: _call(f"{_ACTION_TYPE}.ArtifactDetailsProperty", asdict(getattr(declared, name)))
        for name in ("input_artifact_details", "output_artifact_details")
    }
    has_settings = any(value is not None for value in settings.values())
    action_type = {
        "category": declared.category,
        "provider": declared.provider,
        "version": declared.version,
        "settings": _call(f"{_ACTION_TYPE}.SettingsProperty", settings) if has_settings else None,
        "configuration_properties": properties or None,
        **artifacts,
        "tags": [_call("CfnTag", {"key": key, "value": value}) for key, value in declared.tags.items()]
        or None,
    }
    arn = arn_of(declared.action_type, "{self.partition}", "{self.region}", "{self.account}")
    document = _value(policy_over(Expression(f'f"{arn}"')))
    policy = {"document": Expression(f"iam.PolicyDocument.from_json({document})")}
    inside = _INDENT * 2
    return _STACK.format(
        path=declared.path,
        action_type=_call(_ACTION_TYPE, action_type, "self", '"ActionType"').within(inside),
        policy=_call("iam.ManagedPolicy", policy, "self", '"WorkerPolicy"').within(inside),
    )


class _Call(Expression):
    """A call, its arguments a line each."""

    def within(self, prefix: str) -> str:
        """Return it for a place with this indentation."""
        return indent(self.text, prefix).lstrip()


def _call(name: str, members: Mapping[str, Any], *first: str) -> _Call:
    given = [*first, *(f"{key}={_value(value)}" for key, value in members.items() if value is not None)]
    return _Call(f"{name}({_listed(given)})")


def _value(value: Any) -> str:
    match value:
        case Expression():
            return value.text
        case list():
            return f"[{_listed(map(_value, value))}]"
        case dict():
            return f"{{{_listed(f'{_value(key)}: {_value(held)}' for key, held in value.items())}}}"
        case str():
            refuse_references(value)
            return quoted(value)
        case _:
            return repr(value)


def _listed(parts: Any) -> str:
    return "\n" + indent("".join(f"{part},\n" for part in parts), _INDENT)
