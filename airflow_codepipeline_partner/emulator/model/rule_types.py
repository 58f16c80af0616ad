# SPDX-License-Identifier: Apache-2.0
"""
The types of rules that the conditions of a stage can have.

Source: "Rule structure reference" in the user guide of CodePipeline.
It does not say how many artifacts they take.
"""

from __future__ import annotations

from typing import Any

_ARTIFACTS = {"minimumCount": 0, "maximumCount": 5}
#: By provider its properties, and whether they are required.
_PROPERTIES = {
    "CloudWatchAlarm": {"AlarmName": True, "AlarmStates": True, "WaitTime": False},
    "CodeBuild": {"ProjectName": True},
    "Commands": {},
    "DeploymentWindow": {"Cron": True, "TimeZone": False},
    "LambdaInvoke": {"FunctionName": True, "UserParameters": False},
    "VariableCheck": {"Operator": True, "Value": True, "Variable": True},
}


def rule_types() -> list[dict[str, Any]]:
    """Return all types of rules in AWS's shape, sorted by provider."""
    return [
        {
            "id": {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"},
            "ruleConfigurationProperties": [
                {"name": name, "required": required, "key": True, "secret": False}
                for name, required in properties.items()
            ],
            "inputArtifactDetails": _ARTIFACTS,
        }
        for provider, properties in _PROPERTIES.items()
    ]
