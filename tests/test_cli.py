# SPDX-License-Identifier: Apache-2.0
"""The command line, against the emulator, and against what it never answers."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

import pytest
from action_type_server import PATH, as_process

from airflow_codepipeline_partner import cli
from airflow_codepipeline_partner.action_types import partner_worker_policy, worker_policy
from airflow_codepipeline_partner.jobs import ActionType
from airflow_codepipeline_partner.pipelines import pipeline_policy


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["action-type"],
        ["action-type", "nonsense"],
        ["action-type", "create"],
        ["action-type", "show"],
        ["action-type", "template"],
        ["action-type", "template", "file", "--format", "nonsense"],
        ["action-type", "delete"],
        ["pipeline"],
        ["pipeline", "nonsense"],
        ["pipeline", "policy"],
        ["pipeline", "wake-queue"],
        ["action-type", "list", "--endpoint-url", "planted-secret"],
        ["action-type", "list", "--endpoint-url", "ftp://planted-secret"],
        ["action-type", "list", "--endpoint-url", "http://[planted-secret"],
    ],
)
def test_a_wrong_command_line_is_told_with_its_usage(capsys, wrong):
    with pytest.raises(SystemExit) as end:
        cli.main(wrong)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("usage: python -m airflow_codepipeline_partner")
    assert "planted-secret" not in said


def ours() -> Any:
    [whole] = cli.get_airflow_commands()
    assert whole.name == "codepipeline-partner"
    *groups, doctor = whole.subcommands
    return {
        **{(group.name, command.name): command for group in groups for command in group.subcommands},
        (doctor.name, doctor.name): doctor,
    }


def test_airflow_has_the_same_commands_with_the_same_arguments():
    commands = ours()
    of_action_types = ("create", "show", "list", "delete", "policy", "template", "wake-queue")
    assert list(commands) == [
        *(("action-type", name) for name in of_action_types),
        *(("pipeline", name) for name in ("policy", "wake-queue")),
        ("doctor", "doctor"),
    ]
    described = [(group.name, command) for group in cli.GROUPS for command in group.commands]
    for group, command in (*described, ("doctor", cli.DOCTOR_COMMAND)):
        arguments = [(arg.flags, arg.kwargs) for arg in commands[group, command.name].args]
        assert arguments == [(each.flags, each.settings) for each in command.arguments]


@pytest.mark.parametrize(
    ("name", "given", "policy"),
    [
        ("action-type", [PATH], worker_policy(ActionType("Build", "Airflow", "1", "Custom"))),
        ("pipeline", ["shop", "--for", "stop", "--for", "start"], pipeline_policy("shop", ["start", "stop"])),
    ],
)
def test_airflow_ends_with_our_exit_code(capsys, name, given, policy):
    parser = argparse.ArgumentParser()
    command = ours()[name, "policy"]
    for argument in command.args:
        argument.add_to_parser(parser)
    for arguments, code in ((given, 0), ([*given, "--region", "*, eu"], 2)):
        with pytest.raises(SystemExit) as end:
            command.func(parser.parse_args(arguments))
        assert end.value.code == code
    assert json.loads(capsys.readouterr().out) == policy


def test_the_module_runs_and_imports_no_airflow_for_it():
    done = as_process("airflow_codepipeline_partner", "action-type", "policy", "--partner")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == partner_worker_policy()
    program = (
        "import sys\nfrom airflow_codepipeline_partner.cli import main\n"
        "assert main(['action-type', 'policy', '--partner']) == 0\n"
        "assert main(['pipeline', 'policy', 'shop']) == main(['pipeline', 'wake-queue', 'shop']) == 0\n"
        "assert {'airflow', 'boto3', 'botocore'}.isdisjoint(name.partition('.')[0] for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_what_airflow_imports_at_each_start_is_light():
    program = (
        "import sys\nbefore = set(sys.modules)\nimport airflow_codepipeline_partner.cli\n"
        "print(*sorted(name for name in sys.modules if name.startswith('airflow')))\n"
        "assert 'yaml' not in sys.modules and 'json' not in set(sys.modules) - before"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["airflow_codepipeline_partner", "airflow_codepipeline_partner.cli"]
