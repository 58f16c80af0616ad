# SPDX-License-Identifier: Apache-2.0
"""The emulator from the command line: serve it, and control one that is served."""

from __future__ import annotations

import argparse
import base64
import contextlib
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

from airflow_codepipeline_partner.emulator.controls import DEFAULT_ACTION_TYPE
from airflow_codepipeline_partner.emulator.faults import KINDS
from airflow_codepipeline_partner.emulator.server import Emulator
from airflow_codepipeline_partner.emulator.settings import Settings

URL_VARIABLE = "CODEPIPELINE_EMULATOR_URL"
_TIMEOUT_SECONDS = 60
_HIGHEST_PORT = 65535
# What an emulator on the loopback says does not come from a proxy, whatever the environment names.
_OPENER = build_opener(ProxyHandler({}))


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command.

    :param arguments: The command line. Defaults to the process's; none at all serves.
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
        request = parsed.request(parsed)
    except OSError as error:
        print(f"cannot read {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    try:
        answer = _call(parsed.url, *request)
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
                # Renamed into place, so that nobody reads half a number.
                unfinished = parsed.port_file.with_name(parsed.port_file.name + ".part")
                unfinished.write_text(emulator.url.rpartition(":")[2] + "\n")
                unfinished.replace(parsed.port_file)
        except OSError as error:
            print(f"cannot write {parsed.port_file}: {error.strerror}", file=sys.stderr)
            return 1
        print(emulator.url, flush=True)
        stop.wait()
    return 0


def _call(url: str, method: str, path: str, members: dict[str, Any]) -> Any:
    body = None
    if method == "GET":
        path += f"?{urlencode(members)}" if members else ""
    else:
        body = json.dumps(members).encode()
    if not url.startswith(("http://", "https://")):
        raise ValueError("the URL is http:// or https://")
    request = Request(  # noqa: S310 - the scheme is checked above
        f"{url.rstrip('/')}/_emu{path}", body, {"Content-Type": "application/json"}, method=method
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
        epilog=f"All commands but serve talk to an emulator that is served: --url, or ${URL_VARIABLE}.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    serve = commands.add_parser("serve", help="serve on 127.0.0.1 until SIGTERM or SIGINT; prints the URL")
    serve.add_argument("--port", type=_port, default=0, help="port; default 0, any that is free")
    serve.add_argument("--port-file", type=Path, help="file to write the port to once it listens")
    serve.add_argument(
        "--setting",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"a switch, repeatable: {', '.join(Settings().as_dict())}",
    )

    def command(name: str, help_text: str, request: Any) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_text, description=help_text)
        url = os.environ.get(URL_VARIABLE)
        added.add_argument(
            "--url", default=url, required=url is None, help=f"the emulator; default ${URL_VARIABLE}"
        )
        added.set_defaults(request=request)
        return added

    added = command("add-customer", "add a customer", lambda a: _post("/customers", a, *_CUSTOMER))
    added.add_argument("--client-id", help="UUID; default a new one")
    added.add_argument("--client-token", help="1 to 256 characters; default a random one")

    added = command(
        "rotate-token",
        "give a customer a new token",
        lambda a: _post("/customers/rotate", a, *_CUSTOMER, "overlap"),
    )
    added.add_argument("client_id")
    added.add_argument("--client-token", help="1 to 256 characters; default a random one")
    added.add_argument("--overlap", type=float, help="seconds for which the former token stays valid")

    added = command(
        "connect",
        "make the URL of a customer's Connect; it carries the token",
        lambda a: _post("/connect", a, "client_id", "configuration_url"),
    )
    added.add_argument("client_id")
    added.add_argument("configuration_url", help="the partner's page, https")

    added = command(
        "add-action-type",
        "register an action type that no pipeline uses yet",
        lambda a: _post("/action-types", a, "action_type", "secret_configuration_keys"),
    )
    added.add_argument("action_type", type=_action_type, metavar=_ACTION_TYPE)
    added.add_argument(
        "--secret-configuration-key",
        dest="secret_configuration_keys",
        action="append",
        metavar="KEY",
        help="repeatable; its value only the worker sees",
    )

    _add_pipeline_command(command)
    command("pipelines", "list the pipelines", lambda a: ("GET", "/pipelines", {}))

    added = command("start-execution", "start a pipeline; queues a job", _start_execution)
    added.add_argument("name")
    added.add_argument(
        "--artifact",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="source artifact, repeatable; default what the source gives, or a small zip",
    )
    added.add_argument(
        "--variable",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the pipeline's own variables, repeatable; default theirs",
    )

    command("clock", "tell the time", lambda a: ("GET", "/clock", {}))
    added = command("advance", "move the time forward", lambda a: _post("/clock/advance", a, "seconds"))
    added.add_argument("seconds", type=float)

    _add_inject_command(command)
    command("faults", "list the faults", lambda a: ("GET", "/faults", {}))
    command("clear-faults", "drop all faults", lambda a: ("POST", "/faults/clear", {}))

    added = command("ledger", "show what happened", lambda a: ("GET", "/ledger", dict(a.where)))
    added.add_argument(
        "where",
        nargs="*",
        type=_pair,
        metavar="NAME=VALUE",
        help="only entries with this attribute, for instance operation=PollForThirdPartyJobs",
    )
    command("jobs", "list the jobs", lambda a: ("GET", "/jobs", {}))
    added = command(
        "state", "show a pipeline as GetPipelineState does", lambda a: ("GET", "/state", {"name": a.name})
    )
    added.add_argument("name")
    added = command("settings", "show the switches, or change them", _settings)
    added.add_argument("change", nargs="*", type=_pair, metavar="NAME=VALUE")
    added = command("reset", "forget everything but the time", _reset)
    added.add_argument("change", nargs="*", type=_pair, metavar="NAME=VALUE", help="new settings")
    return parser


_ACTION_TYPE = "CATEGORY/OWNER/PROVIDER/VERSION"
_CUSTOMER = ("client_id", "client_token")


def _add_pipeline_command(command: Any) -> None:
    added = command("add-pipeline", "add a pipeline with one action that a worker does", _add_pipeline)
    added.add_argument("name")
    added.add_argument("--client-id", help="the customer whose pipeline it is; none for a custom action")
    added.add_argument(
        "--action-type",
        type=_action_type,
        metavar=_ACTION_TYPE,
        help=f"default {'/'.join(DEFAULT_ACTION_TYPE.values())}",
    )
    for option, kind in (("--configuration", "KEY=VALUE"), ("--secret-configuration", "KEY=VALUE")):
        added.add_argument(option, type=_pair, action="append", default=[], metavar=kind, help="repeatable")
    inputs = added.add_mutually_exclusive_group()
    inputs.add_argument(
        "--input-artifact", action="append", metavar="NAME", help="repeatable; default SourceOutput"
    )
    inputs.add_argument(
        "--no-input-artifacts", dest="input_artifact", action="store_const", const=[], help="none at all"
    )
    added.add_argument("--output-artifact", action="append", metavar="NAME", help="repeatable; default none")
    added.add_argument("--stage-name")
    added.add_argument("--action-name")
    added.add_argument("--encryption-key", help="KMS key id; default AWS's managed key")
    added.add_argument("--job-timeout", type=float, help="seconds for one job")
    added.add_argument(
        "--execution-url-template",
        help="link with {Config:name} and {ExternalExecutionId} in it; default the action type's",
    )
    added.add_argument("--bucket", help="S3 bucket of the artifacts; default the emulator's own")


def _add_inject_command(command: Any) -> None:
    added = command("inject", "make calls go wrong", _inject)
    added.add_argument("kind", choices=list(KINDS))
    added.add_argument(
        "--operation", help="the call it befalls; default each of the job calls that the kind applies to"
    )
    times = added.add_mutually_exclusive_group()
    times.add_argument("--times", type=int, default=1, help="how many calls; default 1")
    times.add_argument("--always", action="store_true", help="until clear-faults")
    added.add_argument("--probability", type=float, help="0 to 1")
    added.add_argument("--seed", type=int, help="makes the chance repeatable")
    added.add_argument("--job-id", help="only this job's calls")
    added.add_argument("--client-id", help="only calls for this client's jobs")
    added.add_argument(
        "--param",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=JSON",
        help='what the kind takes, for instance seconds=2 or members=["data"]; text needs no quotes',
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _action_type(text: str) -> dict[str, str]:
    parts = text.split("/")
    if len(parts) != len(DEFAULT_ACTION_TYPE):
        raise argparse.ArgumentTypeError(f"{text!r} is not {_ACTION_TYPE}")
    return dict(zip(DEFAULT_ACTION_TYPE, parts, strict=True))


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = -1
    if not 0 <= port <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 to {_HIGHEST_PORT}")
    return port


def _post(path: str, parsed: argparse.Namespace, *names: str) -> tuple[str, str, dict[str, Any]]:
    given = {name: getattr(parsed, name) for name in names}
    return "POST", path, {name: value for name, value in given.items() if value is not None}


def _add_pipeline(parsed: argparse.Namespace) -> tuple[str, str, dict[str, Any]]:
    secret = dict(parsed.secret_configuration)
    names = (
        "action_type",
        "stage_name",
        "action_name",
        "encryption_key",
        "job_timeout",
        "execution_url_template",
        "bucket",
    )
    method, path, members = _post("/pipelines", parsed, "name", "client_id", *names)
    return (
        method,
        path,
        members
        | {
            "configuration": dict(parsed.configuration) | secret,
            "secret_configuration_keys": list(secret),
            "input_artifacts": parsed.input_artifact,
            "output_artifacts": parsed.output_artifact,
        },
    )


def _start_execution(parsed: argparse.Namespace) -> tuple[str, str, dict[str, Any]]:
    artifacts = {name: base64.b64encode(Path(file).read_bytes()).decode() for name, file in parsed.artifact}
    members = {"name": parsed.name, "artifacts": artifacts, "variables": dict(parsed.variable)}
    return "POST", "/executions", members


def _inject(parsed: argparse.Namespace) -> tuple[str, str, dict[str, Any]]:
    names = ("kind", "operation", "probability", "seed", "job_id", "client_id")
    method, path, members = _post("/faults", parsed, *names)
    for name, text in parsed.param:
        try:
            members[name] = json.loads(text)
        except ValueError:
            members[name] = text
    return method, path, members | {"times": None if parsed.always else parsed.times}


def _reset(parsed: argparse.Namespace) -> tuple[str, str, dict[str, Any]]:
    return "POST", "/reset", {"settings": dict(parsed.change)} if parsed.change else {}


def _settings(parsed: argparse.Namespace) -> tuple[str, str, dict[str, Any]]:
    return ("POST" if parsed.change else "GET"), "/settings", dict(parsed.change)
