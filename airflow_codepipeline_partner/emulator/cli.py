# SPDX-License-Identifier: Apache-2.0
"""The command line: serve an emulator, and control one that is served."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from airflow_codepipeline_partner.emulator.control_table import CONTROLS, PREFIX, Control, Members, pair
from airflow_codepipeline_partner.emulator.server import Emulator
from airflow_codepipeline_partner.emulator.settings import Settings

URL_VARIABLE = "CODEPIPELINE_EMULATOR_URL"
_TIMEOUT_SECONDS = 60
_HIGHEST_PORT = 65535
# An emulator on the loopback is never behind a proxy, whatever the environment says.
_OPENER = build_opener(ProxyHandler({}))


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command.

    :param arguments: The command line. Defaults to the process's. Without arguments it serves.
    :return: The exit code: 0 for done, 1 for refused or unreachable, 2 for a wrong command line.
    """
    parser = _parser()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "serve")
    parsed = parser.parse_args(given)
    if parsed.command == "serve":
        return _serve(parsed)
    try:
        control, members = _request(parsed)
    except OSError as error:
        print(f"cannot read {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    try:
        answer = _call(parsed.url, control, members)
    except HTTPError as error:
        print(_reason(error), file=sys.stderr)
        return 1
    except (URLError, OSError, ValueError) as error:
        print(f"no answer from {parsed.url}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2))
    return 0


def _serve(parsed: argparse.Namespace) -> int:
    try:
        settings = Settings.from_mapping(dict(parsed.setting))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as running:
        try:
            emulator = running.enter_context(Emulator(port=parsed.port, settings=settings))
        except OSError as error:
            print(f"cannot listen on port {parsed.port}: {error.strerror}", file=sys.stderr)
            return 1
        try:
            if parsed.port_file:
                # Renamed into place, so that no reader sees half a number.
                unfinished = parsed.port_file.with_name(parsed.port_file.name + ".part")
                unfinished.write_text(emulator.url.rpartition(":")[2] + "\n")
                unfinished.replace(parsed.port_file)
        except OSError as error:
            print(f"cannot write {parsed.port_file}: {error.strerror}", file=sys.stderr)
            return 1
        print(emulator.url, flush=True)
        stop.wait()
    return 0


def _call(url: str, control: Control, members: Members) -> Any:
    body, path = None, PREFIX + control.path
    if control.http_method == "GET":
        path += f"?{urlencode(members)}" if members else ""
    else:
        body = json.dumps(members).encode()
    if not url.startswith(("http://", "https://")):
        raise ValueError("the URL is http:// or https://")
    request = Request(  # noqa: S310 - the scheme is checked above
        url.rstrip("/") + path, body, {"Content-Type": "application/json"}, method=control.http_method
    )
    with _OPENER.open(request, timeout=_TIMEOUT_SECONDS) as response:
        return json.load(response)


def _reason(error: HTTPError) -> str:
    with error:
        body = error.read()
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_codepipeline_partner.emulator",
        description="An emulator of CodePipeline's job protocol. Without a command it serves.",
        epilog=f"All commands except serve need a running emulator: --url, or ${URL_VARIABLE}.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    serve = commands.add_parser("serve", help="serve on 127.0.0.1 until SIGTERM or SIGINT; prints the URL")
    serve.add_argument("--port", type=_port, default=0, help="port; default 0, any that is free")
    serve.add_argument("--port-file", type=Path, help="file to write the port to once it listens")
    serve.add_argument(
        "--setting",
        type=pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"a switch, repeatable: {', '.join(Settings().as_dict())}",
    )

    url = os.environ.get(URL_VARIABLE)
    for name, same_name in itertools.groupby(CONTROLS, lambda control: control.command):
        if name is not None:
            controls = list(same_name)
            help_text = " ".join(control.help for control in controls)
            added = commands.add_parser(
                name,
                help=help_text,
                description=help_text,
                # What is not given is not sent.
                argument_default=argparse.SUPPRESS,
            )
            added.add_argument(
                "--url", default=url, required=url is None, help=f"the emulator; default ${URL_VARIABLE}"
            )
            added.set_defaults(controls=controls)
            for control in controls:
                _add_arguments(added, control)
    return parser


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 to {_HIGHEST_PORT}")
    return port


# The command line takes such keys with their values, so that no key is named twice.
_SECRETS = "secret_configuration_keys"
#: The option for null or for an empty list. Defaults to --no- and the argument's name.
_NOTHING = {"times": "--always"}


def _add_arguments(parser: argparse.ArgumentParser, control: Control) -> None:
    for name, argument in control.arguments.items():
        options = {"help": argument.help, "choices": control.choices.get(name), **argument.kind.option}
        if argument.required or "nargs" in options:
            parser.add_argument(name, **options)
            continue
        dashed, repeated = name.replace("_", "-"), "action" in options
        option = f"--{dashed.removesuffix('s') if repeated else dashed}"
        if repeated:
            options["help"] += " Repeatable."
        if name == _SECRETS and "configuration" in control.arguments:
            option = "--secret-configuration"
            options |= {"type": pair, "metavar": "NAME=VALUE"}
        group = parser.add_mutually_exclusive_group()
        group.add_argument(option, dest=name, **options)
        if argument.null or (repeated and argument.default):
            nothing: list[str] | None = None if argument.null else []
            group.add_argument(
                _NOTHING.get(name, f"--no-{dashed}"),
                dest=name,
                action="store_const",
                const=nothing,
                help="without end" if nothing is None else "none at all",
            )
    name, help_text = control.keywords or "", control.help_of(control.keywords)
    if name and control.arguments:
        option = f"--{name.removesuffix('s')}"
        parser.add_argument(
            option, dest=name, type=_json_pair, action="append", metavar="NAME=JSON", help=help_text
        )
    elif name:
        parser.add_argument(name, type=pair, nargs="*", metavar="NAME=VALUE", help=help_text)


def _json_pair(text: str) -> tuple[str, Any]:
    name, value = pair(text)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _request(parsed: argparse.Namespace) -> tuple[Control, Members]:
    """
    Return the control that a command is for, and its members.

    The first of a command's controls shows what the others change, if they are given anything.

    :raises OSError: A file cannot be read.
    """
    first, *others = parsed.controls
    for control in others:
        members = _members(control, parsed)
        if members:
            return control, members
    return first, _members(first, parsed)


def _members(control: Control, parsed: argparse.Namespace) -> Members:
    given = vars(parsed)
    members: Members = {
        name: value if value is None else argument.kind.to_json(value)
        for name, argument in control.arguments.items()
        if (value := given.get(name, ...)) is not ...
    }
    if _SECRETS in members and "configuration" in control.arguments:
        secrets = dict(members[_SECRETS])
        members["configuration"] = members.get("configuration", {}) | secrets
        members[_SECRETS] = list(secrets)
    return members | dict(given.get(control.keywords or "") or ())
