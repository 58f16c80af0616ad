# SPDX-License-Identifier: Apache-2.0
"""
Terraform and the AWS CDK take what ``action-type template`` prints, and what docs/dag-step-templates.md has.

``make test-clients`` installs the CDK. Terraform is used if it is there, and if ``terraform init`` gets its
AWS provider; where that is a folder: ``TF_CLI_ARGS_init=-plugin-dir=FOLDER``.
"""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from action_type_declarations import DECLARED, MINIMAL
from cfnlint.api import ManualArgs, lint
from clients.programs import VENV, found, run
from template_shapes import BUCKETS, ODD, Account, comparable, in_api_spelling, pipeline_in

from airflow_codepipeline_partner.action_types import (
    CustomActionType,
    cdk_stack,
    cloudformation_template,
    terraform_configuration,
)
from airflow_codepipeline_partner.emulator import Emulator
from tests.docs.pages import blocks_of

PYTHON = VENV / "aws-cli" / "bin" / "python"
PAGE = "docs/dag-step-templates.md"
STEP = yaml.safe_load(blocks_of("docs/dag-steps.md", "yaml")[0])
DECLARATIONS = {"step": STEP, "whole": DECLARED, "minimal": MINIMAL, "odd": ODD}
ROLE = "arn:aws:iam::123456789012:role/pipelines"


@pytest.fixture
def synth(tmp_path):
    """Return a function that has the CDK make templates of stacks, and returns them as text."""
    found("node", "nodejs")

    def make(**stacks):
        lines = ["from aws_cdk import App", "app = App(outdir='out')"]
        for module, (code, stack, given) in stacks.items():
            (tmp_path / f"{module}.py").write_text(code)
            lines += [f"from {module} import {stack}", f"{stack}(app, {module!r}, **{given!r})"]
        (tmp_path / "app.py").write_text("\n".join([*lines, "app.synth()"]))
        run(str(PYTHON), "-W", "error::SyntaxWarning", "app.py", cwd=tmp_path)
        return [(tmp_path / "out" / f"{module}.template.json").read_text() for module in stacks]

    return make


def lint_faults(template):
    # Of the CDK's own: its parameter's default names a version that it looks up when it deploys.
    return lint(template, config=ManualArgs(regions=["eu-central-1"]))


def unordered(resource):
    """Return an action type in CloudFormation's spelling, its tags in one order."""
    properties = in_api_spelling(resource["Properties"])
    return {**properties, "tags": sorted(properties.get("tags", []), key=lambda tag: tag["key"])}


def test_the_cdk_makes_the_declared_action_types(synth):
    declared = {name: CustomActionType.from_declaration(each) for name, each in DECLARATIONS.items()}
    texts = synth(**{name: (cdk_stack(each), "ActionTypeStack", {}) for name, each in declared.items()})
    for each, text in zip(declared.values(), texts, strict=True):
        made, expected = json.loads(text)["Resources"], cloudformation_template(each)["Resources"]
        assert unordered(made["ActionType"]) == unordered(expected["ActionType"])
        for name in ("DeletionPolicy", "UpdateReplacePolicy"):
            assert made["ActionType"][name] == expected["ActionType"][name]
        [policy] = (one for one in made.values() if one["Type"] == "AWS::IAM::ManagedPolicy")
        polls, works = policy["Properties"]["PolicyDocument"]["Statement"]
        wanted = expected["WorkerPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        assert ([polls["Action"]], works) == (wanted[0]["Action"], wanted[1])
        parts = polls["Resource"]["Fn::Join"][1]
        arn = "".join(part if isinstance(part, str) else f"${{{part['Ref']}}}" for part in parts)
        assert arn == wanted[0]["Resource"]["Fn::Sub"]
        assert lint_faults(text) == []


def test_the_cdk_makes_the_pipeline_of_the_page(synth):
    given = {"role_arn": ROLE, "artifact_bucket": "artifacts", "source_bucket": "sources"}
    [code] = blocks_of(PAGE, "python")
    [text] = synth(pipeline=(code, "PipelineStack", given))
    [template] = blocks_of(PAGE, "yaml")
    expected = pipeline_in(template, RoleArn=ROLE, **BUCKETS)
    assert comparable(pipeline_in(text)) == comparable(expected)
    assert lint_faults(text) == []


ACTION_TYPE = "aws_codepipeline_custom_action_type"
CHANGES = ("CreateCustomActionType", "DeleteCustomActionType", "CreatePipeline", "UpdatePipeline")
PROVIDER = """
provider "aws" {{
  region                      = "us-east-1"
  access_key                  = "AKIAADMIN"
  secret_key                  = "any"
  skip_credentials_validation = true
  skip_metadata_api_check     = true

  endpoints {{
    codepipeline = "{url}"
    iam          = "{url}"
    sts          = "{url}"
  }}
}}
"""


class Terraform:
    """Terraform on an emulator, in a folder of its own."""

    def __init__(self, program, emulator, folder):
        self.program, self.emulator, self.folder = program, emulator, folder
        self.write("provider.tf", PROVIDER.format(url=emulator.url))

    def write(self, name, configuration):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(configuration)

    def run(self, *arguments, check=True):
        settings = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}
        return run(self.program, *arguments, cwd=self.folder, check=check, **settings).stdout

    def init(self):
        done = run(self.program, "init", "-no-color", cwd=self.folder, check=False, CHECKPOINT_DISABLE="1")
        if done.returncode != 0:
            pytest.skip(f"terraform init gets no AWS provider: {done.stderr[-300:]}")

    def apply(self, **variables):
        given = [argument for name, value in variables.items() for argument in ("-var", f"{name}={value}")]
        self.run("fmt", "-check", "-diff", "-recursive")
        self.run("validate")
        self.run("apply", "-auto-approve", *given)


@pytest.fixture
def terraform(tmp_path):
    program = shutil.which("terraform") or shutil.which("tofu")
    if program is None:
        # Also in CI: no package index has it.
        pytest.skip("There is no terraform and no tofu here.")
    with Emulator() as emulator:
        emulator.reset()
        yield Terraform(program, emulator, tmp_path)


def listed(account):
    """Return the custom action types by their paths, as CreateCustomActionType takes them."""
    found = account.codepipeline.list_action_types(actionOwnerFilter="Custom")["actionTypes"]
    read = [CustomActionType.from_api(each) for each in found]
    return {each.path: each.to_api() for each in read}


def without_what_aws_keeps(declared):
    """Return what CodePipeline shows of an action type: no tags, and no types of properties."""
    api = declared.to_api()
    api.pop("tags", None)
    for each in api.get("configurationProperties", ()):
        each.pop("type", None)
    return api


def test_terraform_creates_the_declared_action_types(terraform):
    declared = {name: CustomActionType.from_declaration(each) for name, each in DECLARATIONS.items()}
    modules = [f'module "{name}" {{\n  source = "./{name}"\n}}\n' for name in declared]
    terraform.write("modules.tf", "\n".join(modules))
    for name, each in declared.items():
        terraform.write(f"{name}/action_type.tf", terraform_configuration(each))
    terraform.init()
    terraform.apply()
    account = Account(terraform.emulator)
    assert listed(account) == {each.path: without_what_aws_keeps(each) for each in declared.values()}
    account.codepipeline.close()
    shown = json.loads(terraform.run("show", "-json"))["values"]["root_module"]["child_modules"]
    for module in shown:
        kinds = {each["type"]: each["values"] for each in module["resources"]}
        each = declared[module["address"].removeprefix("module.")]
        resource = json.loads(kinds["aws_iam_policy"]["policy"])["Statement"][0]["Resource"]
        assert resource == f"arn:aws:codepipeline:us-east-1:123456789012:actiontype:Custom/{each.path}"
        # For Terraform, an empty tag has none.
        tags = {key: value or "" for key, value in (kinds[ACTION_TYPE]["tags"] or {}).items()}
        assert tags == each.tags
    # There is nothing left to do.
    terraform.run("plan", "-detailed-exitcode")


def test_terraform_creates_the_pipeline_of_the_page(terraform):
    account = Account(terraform.emulator)
    [configuration] = blocks_of(PAGE, "hcl")
    declared = CustomActionType.from_declaration(STEP)
    terraform.write("action_type.tf", terraform_configuration(declared))
    terraform.write("pipeline.tf", configuration)
    terraform.init()
    given = {"role_arn": account.role_arn, "artifact_bucket": "artifacts", "source_bucket": "sources"}
    terraform.apply(**given)
    [template] = blocks_of(PAGE, "yaml")
    assert account.pipeline("model") == comparable(pipeline_in(template, **account.parameters))
    # A new version: the pipeline changes over before the old one is deleted.
    newer = CustomActionType.from_declaration({**STEP, "version": "2"})
    terraform.write("action_type.tf", terraform_configuration(newer))
    terraform.apply(**given)
    assert account.pipeline("model")["stages"][1]["actions"][0]["actionTypeId"]["version"] == "2"
    calls = [entry.operation for entry in terraform.emulator.ledger if entry.operation in CHANGES]
    assert calls[-3:] == ["CreateCustomActionType", "UpdatePipeline", "DeleteCustomActionType"]
    account.codepipeline.close()
