# SPDX-License-Identifier: Apache-2.0
"""
The command line: ``python -m airflow_codepipeline_partner``, and ``airflow codepipeline-partner``.

The commands are described once, for argparse and for Airflow's own parser. Airflow, from 3.2 on, imports this
module at each start of ``airflow``, so a command's code is imported only when the command runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

#: Airflow's command that groups these.
AIRFLOW_COMMAND = "codepipeline-partner"
GROUP = "action-type"
_GROUP_HELP = "custom action types of CodePipeline, as code"


@dataclass(frozen=True)
class Argument:
    """
    A command's argument.

    :param flags: Its name, or its options.
    :param settings: Keywords that both ``ArgumentParser.add_argument`` and Airflow's ``Arg`` take.
    """

    flags: tuple[str, ...]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """
    A command.

    :param name: Its name, by which :func:`action_types.commands.run` finds it.
    :param help: What it does, in one line.
    :param arguments: Its arguments.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...]


def _argument(*flags: str, **settings: Any) -> Argument:
    return Argument(flags, settings)


def _endpoint_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        # Without its value, which may contain a password.
        raise argparse.ArgumentTypeError("must be an http or https URL")
    return text


_FILE = _argument("file", metavar="FILE", help="the declaration, in YAML or JSON; - for standard input")
_TARGET_HELP = "the action type, or the file that declares it; - for standard input"
_TARGET = _argument("target", metavar="CATEGORY/PROVIDER/VERSION|FILE", help=_TARGET_HELP)
_CONNECTION = (
    _argument(
        "--aws-conn-id", metavar="ID", help="an Airflow connection of type aws; default: boto3's own chain"
    ),
    _argument("--region", metavar="NAME", help="such as eu-central-1; default: of connection or profile"),
    _argument("--profile", metavar="NAME", help="a profile of AWS's configuration files"),
    _argument("--endpoint-url", type=_endpoint_url, metavar="URL", help="CodePipeline's URL; default: AWS's"),
)
COMMANDS = (
    Command(
        "create",
        "create a custom action type from its declaration; prints its worker's IAM policy",
        (_FILE, *_CONNECTION),
    ),
    Command("show", "print a custom action type as a declaration, in YAML", (_TARGET, *_CONNECTION)),
    Command("list", "list the custom action types, one per line", _CONNECTION),
    Command(
        "delete",
        "delete a custom action type; its version can be created again only exactly as it was",
        (_TARGET, _argument("-y", "--yes", action="store_true", help="do not ask"), *_CONNECTION),
    ),
    Command(
        "policy",
        "print the IAM policy that a worker needs, as JSON; makes no AWS call",
        (
            _argument("target", nargs="?", metavar="CATEGORY/PROVIDER/VERSION|FILE", help=_TARGET_HELP),
            _argument("--partner", action="store_true", help="for the jobs of partner actions of any type"),
            _argument("--account-id", default="*", metavar="DIGITS", help="of the action type; default: any"),
            _argument("--region", default="*", metavar="NAME", help="of the action type; default: any"),
            _argument("--partition", default="*", metavar="NAME", help="such as aws or aws-cn; default: any"),
            _argument("--wake-queue", metavar="ARN", help="the SQS queue that the DAGs name as wake_queue"),
        ),
    ),
    Command(
        "template",
        "print a declared action type and its worker's policy for CloudFormation, Terraform or the AWS CDK; "
        "makes no AWS call",
        (
            _FILE,
            _argument(
                "--format",
                choices=("cloudformation", "terraform", "cdk"),
                default="cloudformation",
                help="YAML of CloudFormation (the default), HCL of Terraform, or Python of the CDK",
            ),
        ),
    ),
    Command(
        "wake-queue",
        "print a CloudFormation template of an SQS queue that says when actions start; makes no AWS call",
        (_TARGET,),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command.

    :param arguments: The command line. Default: the process's.
    :return: The exit code: 0 if it succeeded, 1 if AWS refused or was not reached, 2 for an invalid command
        line or declaration.
    """
    parsed = _parser().parse_args(arguments)
    return _run(parsed.command, parsed)


def get_airflow_commands() -> list[CLICommand]:
    """Return the commands for Airflow's command line. Airflow calls this at each start."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    commands = [
        ActionCommand(
            name=command.name,
            help=_sentence(command.help),
            func=_for_airflow(command.name),
            # Airflow's Arg has no types.
            args=[Arg(each.flags, **each.settings) for each in command.arguments],  # type: ignore[no-untyped-call]
        )
        for command in COMMANDS
    ]
    group = GroupCommand(name=GROUP, help=_sentence(_GROUP_HELP), subcommands=commands)
    shown = "Commands of the provider for CodePipeline's job workers"
    return [GroupCommand(name=AIRFLOW_COMMAND, help=shown, subcommands=[group])]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_codepipeline_partner",
        description="Commands of the Airflow provider for CodePipeline's job workers.",
    )
    groups = parser.add_subparsers(dest="group", required=True, metavar="group")
    group = groups.add_parser(GROUP, help=_GROUP_HELP, description=f"{_sentence(_GROUP_HELP)}.")
    commands = group.add_subparsers(dest="command", required=True, metavar="command")
    for command in COMMANDS:
        added = commands.add_parser(
            command.name, help=command.help, description=f"{_sentence(command.help)}."
        )
        for argument in command.arguments:
            added.add_argument(*argument.flags, **argument.settings)
    return parser


def _run(name: str, parsed: argparse.Namespace) -> int:
    from airflow_codepipeline_partner.action_types import commands

    return commands.run(name, parsed)


def _for_airflow(name: str) -> Callable[[argparse.Namespace], None]:
    def command(parsed: argparse.Namespace) -> None:
        # Airflow ignores what a command returns.
        sys.exit(_run(name, parsed))

    return command
