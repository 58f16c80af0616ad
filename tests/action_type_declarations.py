# SPDX-License-Identifier: Apache-2.0
"""Declarations of action types, and what CodePipeline returns for them."""

from __future__ import annotations

from airflow_codepipeline_partner.action_types import CustomActionType

DECLARED = {
    "category": "Build",
    "provider": "Airflow",
    "version": "2",
    "settings": {
        "thirdPartyConfigurationUrl": "https://airflow.example.com/",
        "entityUrlTemplate": "https://airflow.example.com/{Config:Target}",
        "executionUrlTemplate": "https://airflow.example.com/{ExternalExecutionId}",
        "revisionUrlTemplate": "https://airflow.example.com/edit",
    },
    "configurationProperties": [
        {
            "name": "Target",
            "description": "Where to",
            "required": True,
            "key": True,
            "secret": False,
            "queryable": True,
            "type": "String",
        },
        {"name": "Token", "required": False, "key": False, "secret": True},
    ],
    "inputArtifactDetails": {"minimumCount": 1, "maximumCount": 2},
    "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 0},
    "tags": {"Team": "build", "Empty": ""},
}
MINIMAL = {"category": "Test", "provider": "Airflow"}


def told_by_aws(declared, *, with_types=True):
    """The action type as ListActionTypes returns it."""
    arguments = CustomActionType.from_declaration(declared).to_api()
    properties = arguments.pop("configurationProperties", [])
    if not with_types:
        properties = [{name: each[name] for name in each if name != "type"} for each in properties]
    arguments.pop("tags", None)
    names = ("category", "provider", "version")
    return {
        "id": {"owner": "Custom", **{name: arguments.pop(name) for name in names}},
        "actionConfigurationProperties": properties,
        "settings": {},
        **arguments,
    }
