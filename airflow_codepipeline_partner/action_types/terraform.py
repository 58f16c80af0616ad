# SPDX-License-Identifier: Apache-2.0
"""A custom action type and the policy of its worker as Terraform configuration, for OpenTofu, too."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict
from textwrap import indent
from typing import Any

from airflow_codepipeline_partner.action_types.model import CustomActionType
from airflow_codepipeline_partner.action_types.policies import policy_over
from airflow_codepipeline_partner.action_types.source_text import Expression, quoted

_ACTION_TYPE, _POLICY = "aws_codepipeline_custom_action_type", "aws_iam_policy"
_INDENT = "  "


def terraform_configuration(declared: CustomActionType) -> str:
    """
    Return the configuration of a custom action type, and of a managed policy for its worker.

    A new version is created before the old one is deleted, so that the pipelines of the same configuration
    change over in between. Its output is ``worker_policy_arn``.

    :param declared: The action type.
    :return: HCL, as ``terraform fmt`` writes it.

    Source: aws_codepipeline_custom_action_type and aws_iam_policy, documentation of Terraform's AWS provider.
    """
    names = {"category": declared.category, "provider_name": declared.provider, "version": declared.version}
    details = ("input_artifact_details", "output_artifact_details")
    tags = {_quoted(key): value for key, value in declared.tags.items()}
    blocks = [
        *_block_if_any("settings", asdict(declared.settings)),
        *(
            _block("configuration_property", {**asdict(each), "queryable": each.queryable or None})
            for each in declared.configuration_properties
        ),
        *(_block(name, asdict(getattr(declared, name))) for name in details),
        *([_lines({"tags": tags})] if tags else ()),
        _block("lifecycle", {"create_before_destroy": True}),
    ]
    policy = policy_over(Expression(f"{_ACTION_TYPE}.action_type.arn"))
    members = {
        "description": f"For the worker of {declared.path}.",
        "policy": Expression(f"jsonencode({_value(policy)})"),
    }
    output = {
        "description": "For the role of Airflow's aws connection.",
        "value": Expression(f"{_POLICY}.worker.arn"),
    }
    return "\n".join(
        (
            _block(f'resource "{_ACTION_TYPE}" "action_type"', names, *blocks),
            _block(f'resource "{_POLICY}" "worker"', members),
            _block('output "worker_policy_arn"', output),
        )
    )


def _block(head: str, members: Mapping[str, Any], *blocks: str) -> str:
    body = "\n".join((_lines(members), *blocks))
    return f"{head} {{\n{indent(body, _INDENT)}}}\n"


def _block_if_any(head: str, members: Mapping[str, Any]) -> list[str]:
    return [_block(head, members)] if any(value is not None for value in members.values()) else []


def _lines(members: Mapping[str, Any]) -> str:
    """Return assignments, a line each; those that follow on each other have their signs in one column."""
    written = [(name, _value(value)) for name, value in members.items() if value is not None]
    lines: list[str] = []
    for is_long, group in itertools.groupby(written, lambda pair: "\n" in pair[1]):
        pairs = list(group)
        width = 0 if is_long else max(len(name) for name, _ in pairs)
        lines += [f"{name:<{width}} = {value}\n" for name, value in pairs]
    return "".join(lines)


def _value(value: Any) -> str:
    match value:
        case Expression():
            return value.text
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return _quoted(value)
        case list() if any(isinstance(each, dict) for each in value):
            inner = "".join(f"{_value(each)},\n" for each in value)
            return f"[\n{indent(inner, _INDENT)}]"
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case _:
            return f"{{\n{indent(_lines(value), _INDENT)}}}"


def _quoted(text: str) -> str:
    """Return a text as HCL writes it. ``${`` and ``%{`` would begin a template of its own."""
    return quoted(text).replace("${", "$${").replace("%{", "%%{")
