# SPDX-License-Identifier: Apache-2.0
"""The comparison of a declared action type with the existing one."""

from __future__ import annotations

import pytest
from action_type_declarations import DECLARED, MINIMAL, told_by_aws

from airflow_codepipeline_partner.action_types import ConfigurationProperty, CustomActionType
from airflow_codepipeline_partner.action_types.differences import differences


@pytest.mark.parametrize("declared", [DECLARED, MINIMAL])
def test_what_aws_tells_of_it_is_no_difference(declared):
    made = CustomActionType.from_declaration(declared)
    said = CustomActionType.from_api(told_by_aws(declared))
    assert differences(said, made) == []
    assert differences(made, said) == []


def test_types_that_aws_does_not_tell_are_no_difference():
    mine = CustomActionType.from_declaration(DECLARED)
    assert differences(mine, CustomActionType.from_api(told_by_aws(DECLARED, with_types=False))) == []


@pytest.mark.parametrize(("mine", "its", "same"), [(None, "String", True), ("Number", "String", False)])
def test_types_that_aws_tells_are_compared(mine, its, same):
    declared = CustomActionType(
        "Build", "P", configuration_properties=(ConfigurationProperty("A", type=mine),)
    )
    existing = CustomActionType(
        "Build", "P", configuration_properties=(ConfigurationProperty("A", type=its),)
    )
    assert differences(declared, existing) == ([] if same else ["configurationProperties[0].type"])


def test_the_order_of_properties_is_no_difference():
    reverse = {**DECLARED, "configurationProperties": DECLARED["configurationProperties"][::-1]}
    mine = CustomActionType.from_declaration(DECLARED)
    assert differences(mine, CustomActionType.from_declaration(reverse)) == []


@pytest.mark.parametrize(
    ("change", "paths"),
    [
        ({"version": "3"}, ["version"]),
        (
            {"settings": {**DECLARED["settings"], "revisionUrlTemplate": None}},
            ["settings.revisionUrlTemplate"],
        ),
        ({"inputArtifactDetails": {"minimumCount": 2, "maximumCount": 2}}, ["inputArtifactDetails"]),
        ({"outputArtifactDetails": {}}, ["outputArtifactDetails"]),
        (
            {"configurationProperties": [DECLARED["configurationProperties"][0]]},
            ["configurationProperties[1]"],
        ),
        (
            {"configurationProperties": [*DECLARED["configurationProperties"], {"name": "More"}]},
            ["configurationProperties (1 more are there)"],
        ),
        (
            {
                "configurationProperties": [
                    {**DECLARED["configurationProperties"][0], "key": False, "description": "Else"},
                    DECLARED["configurationProperties"][1],
                ]
            },
            ["configurationProperties[0].description", "configurationProperties[0].key"],
        ),
        ({"tags": {}}, []),
    ],
)
def test_differences_are_told_by_path(change, paths):
    mine = CustomActionType.from_declaration(DECLARED)
    assert differences(mine, CustomActionType.from_declaration({**DECLARED, **change})) == paths
