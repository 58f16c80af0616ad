# SPDX-License-Identifier: Apache-2.0
"""A declared action type as a template: what CloudFormation, Terraform and the CDK would create."""

from __future__ import annotations

import ast
import json

import boto3
import pytest
import yaml
from action_type_declarations import DECLARED, MINIMAL
from cfnlint.api import ManualArgs, lint
from moto import mock_aws
from template_shapes import ODD, in_api_spelling

from airflow_codepipeline_partner.action_types import (
    CustomActionType,
    cdk_stack,
    cloudformation_template,
    terraform_configuration,
    worker_policy,
)
from airflow_codepipeline_partner.exceptions import InvalidInput

DECLARATIONS = {"whole": DECLARED, "minimal": MINIMAL, "odd": ODD}
PLACE = {"region": "eu-central-1", "account_id": "123456789012", "partition": "aws"}


@pytest.fixture(params=DECLARATIONS)
def declared(request):
    return CustomActionType.from_declaration(DECLARATIONS[request.param])


@pytest.mark.parametrize(
    ("option", "made"),
    [
        ([], lambda declared: yaml.safe_dump(cloudformation_template(declared), sort_keys=False)),
        (["--format", "terraform"], terraform_configuration),
        (["--format", "cdk"], cdk_stack),
    ],
)
def test_the_command_prints_a_template_without_a_call(run, codepipeline, file, option, made):
    printed = run("template", file(json.dumps(DECLARED)), *option)
    expected = made(CustomActionType.from_declaration(DECLARED))
    assert (yaml.safe_load(printed) == yaml.safe_load(expected)) if not option else (printed == expected)
    assert codepipeline.calls == []
    wrong = file(json.dumps({**DECLARED, "category": "Fly"}))
    assert "category: must be one of" in run("template", wrong, *option, code=2)


def test_the_linter_of_cloudformation_finds_nothing(run, file, declared):
    printed = run("template", file(json.dumps(declared.to_declaration())))
    assert lint(printed, config=ManualArgs(regions=["eu-central-1", "us-east-1"])) == []
    # CloudFormation does not know aliases.
    assert "&id" not in printed


def test_cloudformation_gets_what_was_declared(run, file, codepipeline, server, declared):
    """moto's CloudFormation knows no action types, so the call is made that the resource stands for."""
    resource = cloudformation_template(declared)["Resources"]["ActionType"]
    client = boto3.client("codepipeline", endpoint_url=server.url)
    client.create_custom_action_type(**in_api_spelling(resource["Properties"]))
    client.close()
    run("create", file(json.dumps(declared.to_declaration())), said="as declared.")


# The action type.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..CodePipeline..CustomActionType")
def test_cloudformation_makes_the_workers_policy(declared):
    with mock_aws():
        cloudformation = boto3.client("cloudformation")
        cloudformation.create_stack(
            StackName="types", TemplateBody=json.dumps(cloudformation_template(declared))
        )
        [stack] = cloudformation.describe_stacks(StackName="types")["Stacks"]
        [output] = stack["Outputs"]
        iam = boto3.client("iam")
        version = iam.get_policy(PolicyArn=output["OutputValue"])["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=output["OutputValue"], VersionId=version)
    assert found["PolicyVersion"]["Document"] == worker_policy(declared.action_type, **PLACE)


def test_terraform_gets_what_was_declared():
    assert terraform_configuration(CustomActionType.from_declaration(ODD)).startswith(
        r"""resource "aws_codepipeline_custom_action_type" "action_type" {
  category      = "Test"
  provider_name = "Odd"
  version       = "1"

  settings {
    execution_url_template = "https://example.com/{Config:Target}?a=$$${x}&b=$${y}&c=%%{if}"
  }

  configuration_property {
    name        = "Target"
    description = "\"Quoted\"\n\\ and \U00002028 é 😀 $$${a} $${b} $$ {c} %%%{d} %%{e} # \U00000007\U00000085"
    required    = true
    key         = false
    secret      = false
    queryable   = true
  }

  input_artifact_details {
    minimum_count = 0
    maximum_count = 5
  }

  output_artifact_details {
    minimum_count = 0
    maximum_count = 5
  }

  tags = {
    "for"      = "$${z}"
    "Team a/b" = ""
  }
"""
    )


def test_the_stack_is_python_that_says_what_was_declared(declared):
    tree = ast.parse(cdk_stack(declared))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    keywords = [
        {each.arg: each.value.value for each in call.keywords if isinstance(each.value, ast.Constant)}
        for call in calls
    ]
    api = declared.to_api()
    assert {name: api[name] for name in ("category", "provider", "version")} in keywords
    for each in (*api.get("configurationProperties", ()), *api.get("tags", ())):
        assert each in keywords
    for name in ("inputArtifactDetails", "outputArtifactDetails"):
        counts = api[name]
        assert {"minimum_count": counts["minimumCount"], "maximum_count": counts["maximumCount"]} in keywords


@pytest.mark.parametrize("make", [cloudformation_template, cdk_stack])
def test_no_text_makes_cloudformation_look_up_a_secret(make):
    property_ = {"name": "Target", "description": "{{resolve:secretsmanager:prod/db}}"}
    declared = CustomActionType.from_declaration({**MINIMAL, "configurationProperties": [property_]})
    with pytest.raises(InvalidInput, match="resolve"):
        make(declared)
