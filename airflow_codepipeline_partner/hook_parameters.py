# SPDX-License-Identifier: Apache-2.0
"""The parameters by which operators, triggers and notifiers reach AWS, and the hook that is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelinePartnerHook

#: Their names, in the order in which they are documented.
AWS_PARAMETERS = ("aws_conn_id", "region_name", "verify", "botocore_config", "client_conn_id_template")
#: What Jinja renders for values that are no texts.
_RENDERED = {"None": None, "": None, "True": True, "False": False}


def aws_parameters_of(holder: object) -> dict[str, Any]:
    """Return the parameters that an operator, trigger or notifier holds, by name."""
    return {name: getattr(holder, name) for name in AWS_PARAMETERS}


def make_hook(holder: object, **more: Any) -> CodePipelinePartnerHook:
    """
    Make the hook with the parameters that an operator, trigger or notifier holds.

    :param holder: What holds them as attributes.
    :param more: Other parameters of the hook.
    """
    # boto3 and the amazon provider take half a second to import: not while a DAG is parsed.
    from airflow_codepipeline_partner.hooks import CodePipelinePartnerHook

    parameters = aws_parameters_of(holder)
    for name in ("aws_conn_id", "region_name", "verify"):
        value = parameters[name]
        parameters[name] = _RENDERED.get(value, value) if isinstance(value, str) else value
    return CodePipelinePartnerHook(config=parameters.pop("botocore_config"), **parameters, **more)
