# SPDX-License-Identifier: Apache-2.0
"""
What docs/dag-step-templates.md shows works.

Its Terraform and CDK need programs of other makers: they are run in tests/clients/test_templates.py. Here
they are only compared with what CloudFormation gets.
"""

from __future__ import annotations

import ast
import re

import pytest
import yaml
from cfnlint.api import ManualArgs, lint
from template_shapes import Account, pipeline_in

from airflow_codepipeline_partner.action_types import (
    CustomActionType,
    cdk_stack,
    cloudformation_template,
    terraform_configuration,
)
from tests.docs.conftest import STEPS_PAGE
from tests.docs.pages import blocks, blocks_of
from tests.docs.test_custom_actions_page import in_shell

PAGE = "docs/dag-step-templates.md"
KIND = "Invoke/Custom/AirflowDag/1"


def test_every_block_is_run_here():
    assert [language for language, _ in blocks(PAGE)] == ["bash", "yaml", "hcl", "python"]


# moto passes over the action type.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..CodePipeline..CustomActionType")
def test_the_commands_do_what_they_say(emulator, tmp_path):
    declaration = blocks_of(STEPS_PAGE, "yaml")[0]
    (tmp_path / "airflow-dag.yaml").write_text(declaration)
    printed = in_shell(blocks_of(PAGE, "bash")[0], emulator, tmp_path)
    assert "Successfully created/updated stack - airflow-dag" in printed
    declared = CustomActionType.from_declaration(yaml.safe_load(declaration))
    assert yaml.safe_load((tmp_path / "action-type.yaml").read_text()) == cloudformation_template(declared)
    assert (tmp_path / "action_type.tf").read_text() == terraform_configuration(declared)
    assert (tmp_path / "action_type.py").read_text() == cdk_stack(declared)


def test_the_linter_of_cloudformation_finds_nothing():
    [template] = blocks_of(PAGE, "yaml")
    assert lint(template, config=ManualArgs(regions=["eu-central-1"])) == []


def test_the_pipeline_runs_the_dag_and_hands_its_output_on(declare, codepipeline, do_step):
    declare(blocks_of(STEPS_PAGE, "yaml")[0])
    [template] = blocks_of(PAGE, "yaml")
    account = Account(codepipeline.emulator)
    client = account.codepipeline
    client.create_pipeline(pipeline=pipeline_in(template, **account.parameters))
    variables = [{"name": "Day", "value": "2026-02-28"}]
    client.start_pipeline_execution(name="model", variables=variables)
    run = do_step(KIND)
    assert run.state == "success"
    [trained] = run.started
    assert trained.conf["day"] == "2026-02-28"
    assert [each["name"] for each in trained.conf["codepipeline"]["input_artifacts"]] == ["SourceOutput"]
    [asked, *_] = client.list_action_executions(pipelineName="model")["actionExecutionDetails"]
    assert (asked["actionName"], asked["status"]) == ("Approve", "InProgress")
    assert asked["input"]["resolvedConfiguration"]["CustomData"] == "Accuracy 0.93"
    client.close()


def texts_of(value):
    """Yield all texts in a value, the names of a configuration, too."""
    if isinstance(value, dict):
        for name, held in value.items():
            yield from texts_of(held)
            if name == "configuration":
                yield from held
    elif isinstance(value, list):
        for each in value:
            yield from texts_of(each)
    else:
        yield value


def test_terraform_and_the_cdk_say_the_same():
    pipeline = pipeline_in(blocks_of(PAGE, "yaml")[0], RoleArn="r", ArtifactBucket="a", SourceBucket="s")
    expected = set(texts_of(pipeline)) - {"r", "a", "s"}
    [configuration], [code] = blocks_of(PAGE, "hcl"), blocks_of(PAGE, "python")
    written = set(re.findall(r'"([^"]*)"', configuration)) | set(
        re.findall(r"\b([A-Z]\w+) += ", configuration)
    )
    # These are the action type's own attributes, and this is made by jsonencode.
    assert expected - written == {"Invoke", "AirflowDag", '{"day": "#{variables.Day}"}'}
    constants = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    assert expected - constants == {'{"day": "#{variables.Day}"}'}
    assert "#{variables.Day}" in written & constants
