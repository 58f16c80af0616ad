# SPDX-License-Identifier: Apache-2.0
"""What templates of CloudFormation hold, as CodePipeline's API spells it; an odd declaration; an account."""

from __future__ import annotations

import json
from typing import Any

import boto3
from cfnlint.decode.cfn_yaml import loads
from declaring import TRUST

#: What the templates of pipelines take.
BUCKETS = {"ArtifactBucket": "artifacts", "SourceBucket": "sources"}
#: Texts that mean something to a template, and those that no editor shows.
ODD = {
    "category": "Test",
    "provider": "Odd",
    "settings": {"executionUrlTemplate": "https://example.com/{Config:Target}?a=$${x}&b=${y}&c=%{if}"},
    "configurationProperties": [
        {
            "name": "Target",
            "description": '"Quoted"\n\\ and \u2028 é 😀 $${a} ${b} $$ {c} %%{d} %{e} # \x07\x85',
            "required": True,
            "queryable": True,
        }
    ],
    "tags": {"for": "${z}", "Team a/b": ""},
}


def in_api_spelling(properties: Any) -> Any:
    """Return the properties of a resource with the names of CodePipeline's API; what users name stays."""
    if isinstance(properties, list):
        return [in_api_spelling(each) for each in properties]
    if not isinstance(properties, dict):
        return properties
    return {
        name[0].lower() + name[1:]: value if name == "Configuration" else in_api_spelling(value)
        for name, value in properties.items()
    }


def pipeline_in(template: str, **parameters: str) -> dict[str, Any]:
    """Return the pipeline in a template of CloudFormation, as the API spells it."""
    [resource] = (
        each
        for each in loads(template)["Resources"].values()
        if each["Type"] == "AWS::CodePipeline::Pipeline"
    )
    return in_api_spelling(_filled(resource["Properties"], parameters))


def _filled(value: Any, parameters: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_filled(each, parameters) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"Ref"}:
        return parameters[value["Ref"]]
    return {name: _filled(each, parameters) for name, each in value.items()}


class Account:
    """What there is in an account before its templates are deployed: a role and the buckets."""

    def __init__(self, emulator: Any) -> None:
        keys = {"aws_access_key_id": "AKIAADMIN", "aws_secret_access_key": "any", "region_name": "us-east-1"}
        session, where = boto3.Session(**keys), {"endpoint_url": emulator.url}
        self.codepipeline = session.client("codepipeline", **where)
        iam, s3 = session.client("iam", **where), session.client("s3", **where)
        made = iam.create_role(RoleName="pipelines", AssumeRolePolicyDocument=TRUST)
        self.role_arn: str = made["Role"]["Arn"]
        for bucket in BUCKETS.values():
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket="sources", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="sources", Key="source.zip", Body=b"the source")
        iam.close()
        s3.close()

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the template of a pipeline."""
        return {"RoleArn": self.role_arn, **BUCKETS}

    def pipeline(self, name: str) -> dict[str, Any]:
        """Return a pipeline as GetPipeline does, without what is only a way to write it."""
        found = self.codepipeline.get_pipeline(name=name)["pipeline"]
        return comparable(found)


def comparable(pipeline: dict[str, Any]) -> dict[str, Any]:
    """Return a pipeline's declaration without defaults, its JSON parsed."""
    stages = [
        {
            "name": stage["name"],
            "actions": [
                {name: _parsed(value) for name, value in action.items() if value not in ([], {}, 1)}
                for action in stage["actions"]
            ],
        }
        for stage in pipeline["stages"]
    ]
    known = ("name", "pipelineType", "roleArn", "artifactStore", "variables")
    return {**{name: pipeline[name] for name in known}, "stages": stages}


def _parsed(value: Any) -> Any:
    if isinstance(value, dict) and "Conf" in value:
        return {**value, "Conf": json.loads(value["Conf"])}
    return value
