# SPDX-License-Identifier: Apache-2.0
"""Compare a declared action type with the existing one: what a change would need a new version for."""

from __future__ import annotations

from dataclasses import fields

from airflow_codepipeline_partner.action_types.declaration import MEMBERS, SETTINGS
from airflow_codepipeline_partner.action_types.model import ConfigurationProperty, CustomActionType


def differences(declared: CustomActionType, existing: CustomActionType) -> list[str]:
    """
    Return the paths at which a declaration differs from an existing action type.

    Tags are not compared, nor types of properties that CodePipeline does not return.

    :param declared: The declared action type.
    :param existing: The existing action type, from :meth:`CustomActionType.from_api`.
    """
    paths = [
        MEMBERS[name]
        for name in ("category", "provider", "version", "input_artifact_details", "output_artifact_details")
        if getattr(declared, name) != getattr(existing, name)
    ]
    paths += [
        f"settings.{aws}"
        for name, aws in SETTINGS.items()
        if getattr(declared.settings, name) != getattr(existing.settings, name)
    ]
    there = {each.name: each for each in existing.configuration_properties}
    for index, mine in enumerate(declared.configuration_properties):
        path = f"{MEMBERS['configuration_properties']}[{index}]"
        its = there.pop(mine.name, None)
        paths += [path] if its is None else [f"{path}.{name}" for name in _other_members(mine, its)]
    if there:
        paths.append(f"{MEMBERS['configuration_properties']} ({len(there)} more are there)")
    return paths


def _other_members(mine: ConfigurationProperty, its: ConfigurationProperty) -> list[str]:
    other = [each.name for each in fields(mine) if getattr(mine, each.name) != getattr(its, each.name)]
    if its.type is None or (its.type, mine.type) == ("String", None):
        other = [name for name in other if name != "type"]
    return other
