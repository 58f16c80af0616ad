# SPDX-License-Identifier: Apache-2.0
"""The pages of commands, permissions and connections say what there is."""

from __future__ import annotations

import json
import re

import botocore.session
import pytest
from support import ACTION_TYPE

from airflow_codepipeline_partner._worker import records
from airflow_codepipeline_partner.cli import GROUPS, main
from airflow_codepipeline_partner.jobs import ActionType
from airflow_codepipeline_partner.provider_info import get_provider_info
from tests.docs.pages import blocks, blocks_of, page

COMMANDS = "docs/reference/commands.md"
PERMISSIONS = "docs/reference/permissions.md"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_each_command_is_there_with_its_arguments(group):
    section = page(COMMANDS).partition(f"## `{group.name}`\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", section, re.MULTILINE))
    assert rows == {
        command.name: " ".join(f"`{argument.flags[-1]}`" for argument in command.arguments)
        + f" | {command.help}"
        for command in group.commands
    }


def test_every_block_about_permissions_is_run_here():
    assert [language for language, _ in blocks(PERMISSIONS)] == ["bash", "json"] * 3


@pytest.mark.parametrize("number", range(3))
def test_each_policy_is_what_its_command_prints(number, capsys):
    command = blocks_of(PERMISSIONS, "bash")[number].split()
    assert command[:3] == ["python", "-m", "airflow_codepipeline_partner"]
    assert main(command[3:]) == 0
    assert json.loads(blocks_of(PERMISSIONS, "json")[number]) == json.loads(capsys.readouterr().out)


def test_a_partners_policy_allows_what_is_called_and_no_more():
    _, policy, _ = map(json.loads, blocks_of(PERMISSIONS, "json"))
    [statement] = policy["Statement"]
    operations = {action.removeprefix("codepipeline:") for action in statement["Action"]}
    dialect = ActionType.from_value(ACTION_TYPE).dialect
    assert operations == {
        *(dialect.poll, dialect.details, dialect.acknowledge, dialect.success, dialect.failure)
    }
    assert operations <= set(botocore.session.get_session().get_service_model("codepipeline").operation_names)


def test_each_permission_of_a_person_is_one_of_aws():
    section = page(PERMISSIONS).partition("## A person who sets it up")[2]
    session = botocore.session.get_session()
    named = re.findall(r"`(\w+):(\w+)`", section)
    assert len(named) > 8
    for service, operation in named:
        # PassRole is a permission alone: no call has this name.
        if operation != "PassRole":
            assert operation in session.get_service_model(service).operation_names


def test_the_named_records_are_those_of_the_package():
    known = {value for name, value in vars(records).items() if name.endswith("_KEY")}
    named = re.findall(r"^\| `(codepipeline_[a-z]+)` \|", page("docs/reference/connections.md"), re.MULTILINE)
    assert len(named) == 5
    assert set(named) <= known


def test_the_named_connection_types_are_registered():
    types = set(
        re.findall(r"\| `(\w+)` \|", page("docs/reference/connections.md").partition("## Records")[0])
    )
    registered = {each["connection-type"] for each in get_provider_info()["connection-types"]}
    assert types == {"aws", *registered}
