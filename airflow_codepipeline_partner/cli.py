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
PIPELINE, DOCTOR = "pipeline", "doctor"


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

    :param name: Its name, by which its group's ``commands.run`` finds it.
    :param help: What it does, in one line.
    :param arguments: Its arguments.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Group:
    """
    Commands on one kind of thing.

    :param name: Its name.
    :param help: What the commands are about, in one line.
    :param commands: The commands.
    """

    name: str
    help: str
    commands: tuple[Command, ...]


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
_TARGET = _argument("target", metavar="CATEGORY/Custom/PROVIDER/VERSION|FILE", help=_TARGET_HELP)
_CONNECTION = (
    _argument(
        "--aws-conn-id", metavar="ID", help="an Airflow connection of type aws; default: boto3's own chain"
    ),
    _argument("--region", metavar="NAME", help="such as eu-central-1; default: of connection or profile"),
    _argument("--profile", metavar="NAME", help="a profile of AWS's configuration files"),
    _argument("--endpoint-url", type=_endpoint_url, metavar="URL", help="CodePipeline's URL; default: AWS's"),
)
_PIPELINE = _argument("pipeline", metavar="PIPELINE", help="the pipeline's name")


def _places(what: str) -> tuple[Argument, ...]:
    """Return the arguments that say in a policy where something is."""
    return (
        _argument("--account-id", default="*", metavar="DIGITS", help=f"of the {what}; default: any"),
        _argument("--region", default="*", metavar="NAME", help=f"of the {what}; default: any"),
        _argument("--partition", default="*", metavar="NAME", help="such as aws or aws-cn; default: any"),
        _argument("--wake-queue", metavar="ARN", help="the SQS queue that the DAGs name as wake_queue"),
    )


_ON_ACTION_TYPES = (
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
            _argument(
                "target", nargs="?", metavar="CATEGORY/Custom/PROVIDER/VERSION|FILE", help=_TARGET_HELP
            ),
            _argument("--partner", action="store_true", help="for the jobs of partner actions of any type"),
            *_places("action type"),
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
_ON_PIPELINES = (
    Command(
        "policy",
        "print the IAM policy that DAGs need for a pipeline, as JSON; makes no AWS call",
        (
            _PIPELINE,
            _argument(
                "--for",
                dest="purposes",
                action="append",
                metavar="PURPOSE",
                help="what the DAGs do; may be given more than once: start, wait (for all that wait), stop, "
                "retry, roll-back, approve, transition, override-condition, put-revision, events; default: "
                "start and wait",
            ),
            _argument("--stage", metavar="NAME", help="this stage only, if a call allows that; default: any"),
            _argument("--action", metavar="NAME", help="this action of the stage only; default: any"),
            *_places("pipeline"),
        ),
    ),
    Command(
        "wake-queue",
        "print a CloudFormation template of an SQS queue that says when executions change; makes no AWS call",
        (_PIPELINE,),
    ),
)
GROUPS = (
    Group("action-type", "custom action types of CodePipeline, as code", _ON_ACTION_TYPES),
    Group(PIPELINE, "what DAGs need of pipelines in AWS", _ON_PIPELINES),
)

#: The command that belongs to no group.
DOCTOR_COMMAND = Command(
    DOCTOR,
    "check connection, credentials, permissions, client tokens, DAGs and versions; changes nothing",
    (
        _argument(
            "target",
            nargs="?",
            metavar="ACTION_TYPE|FILE",
            help="CATEGORY/Custom/PROVIDER/VERSION, CATEGORY/ThirdParty/PROVIDER/VERSION, or the file that "
            "declares it; default: no check of an action type and its permissions",
        ),
        _argument(
            "--aws-conn-id",
            default="aws_default",
            metavar="ID",
            help="the aws_conn_id of the DAGs; None for boto3's own chain; default: aws_default",
        ),
        _argument("--region", metavar="NAME", help="the region_name of the DAGs; default: the connection's"),
        _argument(
            "--client-id",
            dest="client_ids",
            action="append",
            metavar="ID",
            help="check the client token of this customer; may be given more than once; default: those of "
            "all connections in Airflow's database",
        ),
        _argument(
            "--client-conn-id-template",
            default="codepipeline_client_{client_id}",
            metavar="TEMPLATE",
            help="as in the DAGs",
        ),
        _argument("--pipeline", metavar="NAME", help="check this pipeline's artifact buckets and KMS keys"),
        _argument(
            "--for",
            dest="purposes",
            action="append",
            metavar="PURPOSE",
            help="check the permissions for what DAGs do with the pipeline, as in pipeline policy; may be "
            "given more than once",
        ),
        _argument("--wake-queue", metavar="ARN", help="check the permissions for the SQS queue of this ARN"),
        _argument("--json", action="store_true", help="print JSON"),
        _argument("--strict", action="store_true", help="exit with 1 also if a check's outcome is unknown"),
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command.

    :param arguments: The command line. Default: the process's.
    :return: The exit code: 0 if it succeeded, 1 if AWS refused or was not reached, or a check of ``doctor``
        failed, 2 for an invalid command line or declaration.
    """
    parsed = _parser().parse_args(arguments)
    return _run(parsed.group, getattr(parsed, "command", parsed.group), parsed)


def get_airflow_commands() -> list[CLICommand]:
    """Return the commands for Airflow's command line. Airflow calls this at each start."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    def action(group: str, command: Command) -> ActionCommand:
        return ActionCommand(
            name=command.name,
            help=_sentence(command.help),
            func=_for_airflow(group, command.name),
            # Airflow's Arg has no types.
            args=[Arg(each.flags, **each.settings) for each in command.arguments],  # type: ignore[no-untyped-call]
        )

    groups = [
        GroupCommand(
            name=group.name,
            help=_sentence(group.help),
            subcommands=[action(group.name, command) for command in group.commands],
        )
        for group in GROUPS
    ]
    shown = "Commands of the provider for CodePipeline's job workers"
    return [
        GroupCommand(name=AIRFLOW_COMMAND, help=shown, subcommands=[*groups, action(DOCTOR, DOCTOR_COMMAND)])
    ]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_codepipeline_partner",
        description="Commands of the Airflow provider for CodePipeline's job workers.",
    )
    groups = parser.add_subparsers(dest="group", required=True, metavar="group|doctor")
    for group in GROUPS:
        of_group = groups.add_parser(group.name, help=group.help, description=f"{_sentence(group.help)}.")
        commands = of_group.add_subparsers(dest="command", required=True, metavar="command")
        for command in group.commands:
            _add_command(commands, command)
    _add_command(groups, DOCTOR_COMMAND)
    return parser


def _add_command(commands: Any, command: Command) -> None:
    added = commands.add_parser(command.name, help=command.help, description=f"{_sentence(command.help)}.")
    for argument in command.arguments:
        added.add_argument(*argument.flags, **argument.settings)


def _run(group: str, name: str, parsed: argparse.Namespace) -> int:
    if group == PIPELINE:
        from airflow_codepipeline_partner.pipelines import commands as on_pipelines

        return on_pipelines.run(name, parsed)
    if group == DOCTOR:
        from airflow_codepipeline_partner.doctor import commands as of_doctor

        return of_doctor.run(parsed)
    from airflow_codepipeline_partner.action_types import commands

    return commands.run(name, parsed)


def _for_airflow(group: str, name: str) -> Callable[[argparse.Namespace], None]:
    def command(parsed: argparse.Namespace) -> None:
        # Airflow ignores what a command returns.
        sys.exit(_run(group, name, parsed))

    return command
