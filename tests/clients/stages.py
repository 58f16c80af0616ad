# SPDX-License-Identifier: Apache-2.0
"""A pipeline with a source in S3, as all clients make it."""

from __future__ import annotations

from declaring import S3


def pipeline(role, *actions):
    source = {
        "name": "Fetch",
        "actionTypeId": S3,
        "configuration": {"S3Bucket": "sources", "S3ObjectKey": "app.zip"},
        "outputArtifacts": [{"name": "App"}],
    }
    return {
        "name": "shop",
        "roleArn": role,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [source]},
            *({"name": action["name"], "actions": [action]} for action in actions),
        ],
    }
