# SPDX-License-Identifier: Apache-2.0
"""
The secrets in an action's configuration: nobody except the worker sees them, and moto never gets them.

A mask that a caller sends back, in a declaration that it was shown, means the same value as before.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_codepipeline_partner.emulator.model.pipelines import Action, Pipeline

MASKED = "****"


def mask(configuration: Mapping[str, str], secret_keys: Collection[str]) -> dict[str, str]:
    """Return a configuration as everybody except the worker sees it."""
    return {key: MASKED if key in secret_keys else value for key, value in configuration.items()}


def mask_declaration(request: dict[str, Any], made: Pipeline) -> dict[str, Any]:
    """
    Return a request with a pipeline's declaration as moto gets it.

    :param request: The request, in AWS's shape.
    :param made: The pipeline that it declares.
    """
    masked = copy.deepcopy(request)
    for stage, declared_stage in zip(made.stages, masked["pipeline"]["stages"], strict=True):
        for action, declared in zip(stage.actions, declared_stage["actions"], strict=True):
            # moto shows the secrets of AWS's own actions.
            if action.makes_jobs and "configuration" in declared:
                declared["configuration"] = mask(declared["configuration"], action.secret_configuration_keys)
    return masked


def unmask(
    configuration: Mapping[str, str], secret_keys: Collection[str], before: Mapping[str, str]
) -> dict[str, str]:
    """
    Return a configuration with the former value in place of each mask.

    :param configuration: The declared configuration.
    :param secret_keys: Its keys that hold secrets.
    :param before: The secrets that the same action had before; see :func:`secrets_before`.
    :raises KeyError: There was no value before.
    """
    is_masked = {key for key in secret_keys if configuration[key] == MASKED}
    return {key: before[key] if key in is_masked else value for key, value in configuration.items()}


def secrets_before(former: Pipeline | None, stage_name: str, action: Action) -> Mapping[str, str]:
    """
    Return the secrets that the same action had before.

    :param former: The pipeline as it was, or None.
    :param stage_name: The action's stage.
    :param action: The action as it is declared now.
    """
    for stage in former.stages if former is not None else ():
        for each in stage.actions:
            same = (stage.name, each.name, each.action_type) == (stage_name, action.name, action.action_type)
            if same:
                return {key: each.configuration[key] for key in each.secret_configuration_keys}
    return {}
