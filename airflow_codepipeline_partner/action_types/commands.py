# SPDX-License-Identifier: Apache-2.0
"""Run the commands on custom action types."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO

from airflow_codepipeline_partner._aws_errors import is_access_denied
from airflow_codepipeline_partner._command_runs import (
    DONE,
    REFUSED,
    print_json,
    print_message,
    run_command,
)
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner.action_types import yaml_file
from airflow_codepipeline_partner.action_types.cdk import cdk_stack
from airflow_codepipeline_partner.action_types.client import ALREADY_EXISTS, ActionTypeClient
from airflow_codepipeline_partner.action_types.cloudformation import cloudformation_template
from airflow_codepipeline_partner.action_types.differences import differences
from airflow_codepipeline_partner.action_types.model import (
    PATH,
    CustomActionType,
    action_type_from_path,
    path_of,
)
from airflow_codepipeline_partner.action_types.policies import partner_worker_policy, worker_policy
from airflow_codepipeline_partner.action_types.terraform import terraform_configuration
from airflow_codepipeline_partner.action_types.wake_queue_template import wake_queue_template
from airflow_codepipeline_partner.exceptions import InvalidInput, RequestRefused

#: How many existing action types are named if one is not found.
_MAX_NAMED = 5
_TEMPLATES: dict[str, Callable[[CustomActionType], str]] = {
    "cloudformation": lambda declared: yaml_file.dump(cloudformation_template(declared)),
    "terraform": terraform_configuration,
    "cdk": cdk_stack,
}


def run(name: str, parsed: Namespace) -> int:
    """
    Run a command.

    :param name: Its name.
    :param parsed: Its arguments.
    :return: The exit code: 0 if it succeeded, 1 if AWS refused or was not reached, 2 for an invalid command
        line or declaration.
    """
    commands = {
        "create": _create,
        "show": _show,
        "list": _list,
        "delete": _delete,
        "policy": _policy,
        "template": _template,
        "wake-queue": _wake_queue,
    }
    return run_command(commands[name], parsed)


def _create(parsed: Namespace, output: TextIO) -> int:
    declared = _declared(parsed.file)
    with _connected(parsed) as client:
        path, place, partition = declared.path, client.region_name, client.partition
        existing = _among(_listed(client) or (), declared.action_type) or _create_or_find(client, declared)
    if existing is None:
        print_message(f"Created {path} in {place}. The IAM policy of its worker:")
    elif paths := differences(declared, existing):
        print_message(
            f"{path} already exists in {place}, and the declaration differs from it in "
            f"{', '.join(paths)}.\n"
            "A custom action type cannot be changed: declare it under a version that was never used, and "
            "use that in the pipelines.\n"
            f"Show the existing one with: action-type show {declared.action_type}\n"
            f"Delete it with: action-type delete {declared.action_type}"
        )
        return REFUSED
    else:
        note = " (Tags are not compared: CodePipeline does not return them.)" if declared.tags else ""
        print_message(f"{path} already exists in {place}, as declared.{note} The IAM policy of its worker:")
    print_json(worker_policy(declared.action_type, region=place, partition=partition), output)
    return DONE


def _create_or_find(client: ActionTypeClient, declared: CustomActionType) -> CustomActionType | None:
    """Create an action type. Return None, or the existing one if it turns out to exist."""
    try:
        client.create_custom_action_type(declared)
    except RequestRefused as refusal:
        # Somebody else may have created it since, or our own attempt did, and its response was lost.
        there = _listed(client)
        if existing := _among(there or (), declared.action_type):
            return existing
        if refusal.code != ALREADY_EXISTS or there is None:
            raise
        raise RequestRefused(
            f"{refusal} It is not listed, so it was deleted, and its version can be created again only "
            "exactly as it was. Declare a version that was never used.",
            code=refusal.code,
        ) from None
    return None


def _show(parsed: Namespace, output: TextIO) -> int:
    action_type = _action_type(parsed.target)
    with _connected(parsed) as client:
        there, place = client.list_action_types(), client.region_name
    found = _among(there, action_type)
    if found is None:
        return _not_found(action_type, there, place)
    missing = "its tags"
    if any(each.type is None for each in found.configuration_properties):
        missing += " or all types of its properties"
    print(f"# {found.path} in {place}. CodePipeline does not return {missing}.", file=output)
    print(yaml_file.dump(found.to_declaration()), end="", file=output)
    return DONE


def _list(parsed: Namespace, output: TextIO) -> int:
    with _connected(parsed) as client:
        there, place = client.list_action_types(), client.region_name
    for each in there:
        inputs, outputs = each.input_artifact_details, each.output_artifact_details
        count = len(each.configuration_properties)
        print(
            each.path,
            f"{inputs.minimum_count}-{inputs.maximum_count} input artifacts",
            f"{outputs.minimum_count}-{outputs.maximum_count} output artifacts",
            f"{count} {'property' if count == 1 else 'properties'}",
            sep="\t",
            file=output,
        )
    if not there:
        print_message(f"There is no custom action type in {place}.")
    return DONE


def _delete(parsed: Namespace, output: TextIO) -> int:
    action_type = _action_type(parsed.target)
    path = path_of(action_type)
    if not parsed.yes and (parsed.target == yaml_file.STDIN or not sys.stdin.isatty()):
        raise InvalidInput(f"Without a terminal the deletion of {path} cannot be confirmed: give --yes.")
    with _connected(parsed) as client:
        there, place = _listed(client), client.region_name
        if there is not None and _among(there, action_type) is None:
            return _not_found(action_type, there, place)
        if not parsed.yes and not _is_confirmed(path, place):
            print_message("Nothing was deleted.")
            return REFUSED
        client.delete_custom_action_type(action_type)
    print_message(
        f"Deleted {path} in {place}. To restore it, create it exactly as it was. For anything else use a "
        "version that was never used."
    )
    return DONE


def _is_confirmed(path: str, place: str) -> bool:
    sys.stderr.write(
        f"Delete {path} in {place}? Polls for its jobs fail from then on, in all pipelines that use it, and "
        "its version can be created again only exactly as it was. [y/N] "
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _policy(parsed: Namespace, output: TextIO) -> int:
    place = {"account_id": parsed.account_id, "region": parsed.region, "partition": parsed.partition}
    if parsed.partner:
        if parsed.target is not None or parsed.wake_queue is not None or set(place.values()) != {"*"}:
            raise InvalidInput(
                "--partner cannot be combined with others: the calls for partner actions have no resource to "
                "restrict."
            )
        policy = partner_worker_policy()
    elif parsed.target is None:
        raise InvalidInput(
            f"Name a custom action type ({PATH}) or the file that declares it, or give --partner."
        )
    else:
        policy = worker_policy(_action_type(parsed.target), wake_queue_arn=parsed.wake_queue, **place)
    print_json(policy, output)
    return DONE


def _template(parsed: Namespace, output: TextIO) -> int:
    print(_TEMPLATES[parsed.format](_declared(parsed.file)), end="", file=output)
    return DONE


def _wake_queue(parsed: Namespace, output: TextIO) -> int:
    print(yaml_file.dump(wake_queue_template(_action_type(parsed.target))), end="", file=output)
    return DONE


def _declared(file: str) -> CustomActionType:
    value = yaml_file.read_file(file)
    try:
        return CustomActionType.from_declaration(value)
    except InvalidInput as error:
        raise InvalidInput(f"{yaml_file.shown_name(file)}: {error}") from None


def _action_type(target: str) -> ActionType:
    """Return the action type that a path names or a file declares. ``./`` before it makes it a file's."""
    named = action_type_from_path(target)
    if named is not None:
        return named
    try:
        return _declared(target).action_type
    except InvalidInput as error:
        raise InvalidInput(f"{error} ({target!r} is not {PATH}, so it was read as a file.)") from None


@contextlib.contextmanager
def _connected(parsed: Namespace) -> Iterator[ActionTypeClient]:
    if parsed.aws_conn_id is not None and (parsed.profile or parsed.endpoint_url):
        raise InvalidInput(
            "--aws-conn-id cannot be combined with --profile or --endpoint-url: the connection has its own."
        )
    client = ActionTypeClient.connect(
        aws_conn_id=parsed.aws_conn_id,
        region_name=parsed.region,
        profile_name=parsed.profile,
        endpoint_url=parsed.endpoint_url,
    )
    with contextlib.closing(client):
        yield client


def _listed(client: ActionTypeClient) -> list[CustomActionType] | None:
    """Return the existing action types, or None if the user may create and delete but not list them."""
    try:
        return client.list_action_types()
    except RequestRefused as refusal:
        if not is_access_denied(refusal.code):
            raise
        return None


def _among(there: Iterable[CustomActionType], wanted: ActionType) -> CustomActionType | None:
    return next((each for each in there if each.path == path_of(wanted)), None)


def _not_found(wanted: ActionType, there: list[CustomActionType], place: str) -> int:
    names = [each.path for each in there]
    more = f" and {len(names) - _MAX_NAMED} more (action-type list)" if len(names) > _MAX_NAMED else ""
    others = f"there are {', '.join(names[:_MAX_NAMED])}{more}" if names else "there are none at all"
    print_message(f"There is no custom action type {path_of(wanted)} in {place}; {others}.")
    return REFUSED
