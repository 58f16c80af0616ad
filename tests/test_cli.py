# SPDX-License-Identifier: Apache-2.0
"""The command line, against the emulator, and against what it never answers."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from airflow_codepipeline_partner import cli
from airflow_codepipeline_partner.action_types import CustomActionType, partner_worker_policy, worker_policy
from airflow_codepipeline_partner.emulator import Emulator
from airflow_codepipeline_partner.jobs import ActionType

DECLARATION = """
category: Build
provider: Airflow
version: 1
settings:
  executionUrlTemplate: https://airflow.example.com/dags/{Config:Target}/{ExternalExecutionId}
configurationProperties:
  - name: Target
    description: Where to
    required: yes
    key: true
  - {name: Token, secret: true, type: String}
inputArtifactDetails: {maximumCount: 1}
tags: {Team: build}
"""
PATH = "Build/Airflow/1"
NAMES = ("category", "provider", "version")
CREATE, LIST, DELETE = "CreateCustomActionType", "ListActionTypes", "DeleteCustomActionType"


class CodePipeline:
    """The emulator, and before it what it never answers."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.planted: dict[str, list[tuple[int, bytes, bool]]] = {}

    def plant(self, operation: str, status: int, body: bytes, times: int = 1, done: bool = False) -> None:
        """Answer with this the next time; what was asked for is only done if it says so."""
        self.planted.setdefault(operation, []).extend([(status, body, done)] * times)

    def refuse(
        self,
        operation: str,
        code: str,
        message: str = "planted",
        status: int = 400,
        times: int = 1,
        done: bool = False,
    ) -> None:
        self.plant(operation, status, json.dumps({"__type": code, "message": message}).encode(), times, done)

    def answer(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        operation = headers["X-Amz-Target"].rpartition(".")[2]
        self.calls.append((operation, json.loads(body)))
        if not self.planted.get(operation):
            return self._ask_emulator(headers, body)
        status, told, done = self.planted[operation].pop(0)
        if done:
            self._ask_emulator(headers, body)
        return status, told

    def _ask_emulator(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        sent = {name: headers[name] for name in ("Authorization", "X-Amz-Target", "Content-Type")}
        connection = HTTPConnection(self.emulator.url.removeprefix("http://"), timeout=20)
        with contextlib.closing(connection):
            connection.request("POST", "/", body, sent)
            response = connection.getresponse()
            return response.status, response.read()

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [asked for name, asked in self.calls if name == operation]

    @property
    def types(self) -> list[str]:
        """The paths of what there is."""
        return [
            "/".join(getattr(each.id, name) for name in NAMES) for each in self.emulator.state.action_types
        ]


class Server(ThreadingHTTPServer):
    daemon_threads = True
    codepipeline: CodePipeline

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.server.codepipeline.answer(self.headers, asked)
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(emulator) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.codepipeline = CodePipeline(emulator)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def codepipeline(server) -> CodePipeline:
    return server.codepipeline


@pytest.fixture(autouse=True)
def credentials(monkeypatch, tmp_path):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    # A second try is to follow at once.
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@pytest.fixture
def run(server, capsys) -> Callable[..., Any]:
    """Run a command against the server; return what it printed, on the standard output where it was done."""

    def call(*arguments: str, code: int = 0, told: str = "") -> Any:
        where = () if arguments[0] == "policy" else ("--endpoint-url", server.url)
        assert cli.main(["action-type", *arguments, *where]) == code
        printed = capsys.readouterr()
        assert told in printed.err
        assert "Traceback" not in printed.err
        assert "planted-secret" not in printed.err + printed.out
        if code:
            assert printed.out == ""
        return printed.out if code == 0 else printed.err

    return call


@pytest.fixture
def file(tmp_path) -> Callable[..., str]:
    def write(text: str = DECLARATION, **replaced: str) -> str:
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "action-type.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_a_whole_story(run, codepipeline, file):
    policy = json.loads(run("create", file(), told=f"Created {PATH} in eu-central-1."))
    [created] = codepipeline.asked(CREATE)
    assert created == CustomActionType.from_declaration(yaml.safe_load(DECLARATION)).to_api()
    place = {"region": "eu-central-1", "partition": "aws"}
    assert policy == worker_policy(ActionType("Build", "Airflow", "1", "Custom"), **place)
    assert run("list") == f"{PATH}\t0-1 input artifacts\t0-5 output artifacts\t2 properties\n"
    shown = run("show", PATH)
    assert shown.splitlines()[0] == (
        f"# {PATH} in eu-central-1. CodePipeline does not tell its tags, nor all types of its properties."
    )
    assert run("show", file()) == shown
    # What is there as declared is done: as it was declared, and as it was shown.
    told = f"{PATH} is there already in eu-central-1, as declared. (Tags are not compared"
    assert json.loads(run("create", file(), told=told)) == policy
    run("create", file(shown), told=f"{PATH} is there already in eu-central-1, as declared. The IAM")
    # What is there otherwise is refused with what differs and what to do.
    changed = {"{maximumCount: 1}": "{maximumCount: 2}", "key: true": "key: false"}
    refused = run("create", file(**changed), code=1)
    assert f"There is a {PATH} in eu-central-1 already" in refused
    assert "inputArtifactDetails, configurationProperties[0].key." in refused
    assert "under a version that was never used" in refused
    assert f"action-type show {PATH}" in refused
    assert f"action-type delete {PATH}" in refused
    assert len(codepipeline.asked(CREATE)) == 1
    run("delete", PATH, "--yes", told=f"Deleted {PATH} in eu-central-1.")
    assert codepipeline.types == []
    assert run("list", told="There is no custom action type in eu-central-1.") == ""
    # What was deleted can be had back as it was, and only so.
    refused = run("create", file(**changed), code=1)
    assert refused.startswith(f"{CREATE} was refused in eu-central-1 (ActionTypeAlreadyExistsException)")
    assert "It is not listed, so it was deleted" in refused
    assert codepipeline.types == []
    assert json.loads(run("create", file(), told=f"Created {PATH} in eu-central-1.")) == policy
    assert run("show", PATH) == shown


def test_what_is_listed_is_read_to_its_last_page_and_is_custom(run, codepipeline, emulator):
    for version in range(45):
        for owner in ("Custom", "ThirdParty"):
            kind = {"category": "Build", "owner": owner, "provider": owner, "version": str(version)}
            emulator.add_action_type(kind)
    lines = run("list").splitlines()
    assert len(lines) == 45
    assert {line.split("/")[1] for line in lines} == {"Custom"}
    assert [asked["actionOwnerFilter"] for asked in codepipeline.asked(LIST)] == ["Custom"] * 3


def test_a_wrong_declaration_is_refused_whole_and_nothing_is_called(run, codepipeline, file):
    wrong = file(**{"category: Build": "category: Fly", "secret: true": "secret: perhaps", "tags": "tugs"})
    told = run("create", wrong, code=2)
    assert told.startswith(f"{wrong}: The declaration of a custom action type has 3 faults:\n")
    assert "  category: must be one of Source, Build" in told
    assert "  configurationProperties[1].secret: must be true or false" in told
    assert "tags is meant?" in told
    assert codepipeline.calls == []


@pytest.mark.parametrize("command", ["create", "show", "delete", "policy"])
def test_a_file_that_is_none_is_a_wrong_command_line(run, file, command, codepipeline):
    more = ["--yes"] if command == "delete" else []
    assert "no-such-file cannot be read: No such file" in run(command, "no-such-file", *more, code=2)
    assert "is not in UTF-8" in run(command, write_bytes(file(), b"\xff\xfe"), *more, code=2)
    assert "line 2, column 5: mapping values" in run(command, file("a: 1\nb: c: planted"), *more, code=2)
    assert codepipeline.calls == []


def write_bytes(path: str, content: bytes) -> str:
    with open(path, "wb") as file:
        file.write(content)
    return path


def test_what_is_neither_path_nor_file_is_said_to_be(run, codepipeline):
    told = run("show", "build/Airflow/1", code=2)
    assert "cannot be read" in told
    assert "'build/Airflow/1' is not CATEGORY/PROVIDER/VERSION, so it is a file." in told
    assert codepipeline.calls == []


def test_a_path_is_no_file_unless_it_says_so(run, tmp_path, monkeypatch, codepipeline):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Build" / "Airflow").mkdir(parents=True)
    (tmp_path / PATH).write_text("category: Test\nprovider: FromFile\n")
    assert "Custom/Build/Airflow/1" in run("policy", PATH)
    assert "Custom/Test/FromFile/1" in run("policy", f"./{PATH}")


def test_the_declaration_may_come_from_the_standard_input(run, monkeypatch, codepipeline):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DECLARATION.encode())))
    run("create", "-")
    assert len(codepipeline.types) == 1
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"category: planted")))
    assert run("create", "-", code=2).startswith("The standard input: The declaration")


def test_what_is_not_there_is_not_shown_and_others_are_named(run, codepipeline, file):
    told = run("show", PATH, code=1)
    assert told == f"There is no custom action type {PATH} in eu-central-1; there is none at all.\n"
    for version in range(1, 8):
        run("create", file(**{"version: 1": f"version: {version}"}))
    told = run("show", "Test/Airflow/1", code=1)
    names = ", ".join(f"Build/Airflow/{version}" for version in range(1, 6))
    assert told.endswith(f"there are {names} and 2 more (action-type list).\n")
    assert len(run("list").splitlines()) == 7
    assert "version: '7'" in run("show", "Build/Airflow/7")
    assert "Build/Airflow/1" in run("delete", "Test/Airflow/1", "--yes", code=1)
    assert codepipeline.asked(DELETE) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "deleted"), [("y\n", True), ("YES\n", True), ("\n", False), ("no", False)]
)
def test_a_terminal_is_asked_before_something_is_deleted(
    run, codepipeline, file, monkeypatch, answer, deleted
):
    run("create", file())
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    run(
        "delete",
        PATH,
        code=0 if deleted else 1,
        told=f"Delete {PATH} in eu-central-1? Polls for its jobs fail",
    )
    assert (codepipeline.types == []) is deleted


def test_without_a_terminal_nothing_is_deleted_unasked(run, codepipeline, file, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    assert "Without a terminal nobody can be asked" in run("delete", PATH, code=2)
    assert "give --yes" in run("delete", file(), code=2)
    # A declaration may be typed, but then nothing is left of the standard input.
    terminal = Terminal()
    terminal.buffer = io.BytesIO(DECLARATION.encode())
    monkeypatch.setattr(sys, "stdin", terminal)
    assert "give --yes" in run("delete", "-", code=2)
    assert codepipeline.calls == []


def test_whoever_breaks_off_has_deleted_nothing(run, codepipeline, file, monkeypatch):
    run("create", file())
    terminal = Terminal()
    terminal.readline = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert run("delete", PATH, code=1).endswith("Interrupted.\n")
    assert len(codepipeline.types) == 1


def test_a_policy_needs_no_call_and_no_region(run, codepipeline, file, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    action_type = ActionType("Build", "Airflow", "1", "Custom")
    assert json.loads(run("policy", PATH)) == worker_policy(action_type)
    assert json.loads(run("policy", file())) == worker_policy(action_type)
    place = {"account_id": "111122223333", "region": "cn-north-1", "partition": "aws-cn"}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in place.items()]
    assert json.loads(run("policy", PATH, *options)) == worker_policy(action_type, **place)
    assert json.loads(run("policy", "--partner")) == partner_worker_policy()
    assert "or give --partner" in run("policy", code=2)
    assert "--partner goes alone" in run("policy", PATH, "--partner", code=2)
    assert "--partner goes alone" in run("policy", "--partner", "--region", "eu-central-1", code=2)
    assert "account_id (3 characters) must match" in run("policy", PATH, "--account-id", "123", code=2)
    assert codepipeline.calls == []


@pytest.mark.parametrize(
    ("operation", "code", "told"),
    [
        (
            CREATE,
            "AccessDeniedException",
            "need codepipeline:CreateCustomActionType and codepipeline:TagResource",
        ),
        (CREATE, "LimitExceededException", "as many custom action types in eu-central-1 as it may have, 50"),
        (CREATE, "ConcurrentModificationException", "try again"),
        (CREATE, "TooManyTagsException", "was refused in eu-central-1 (TooManyTagsException): planted"),
        (CREATE, "ValidationException", "was refused in eu-central-1 (ValidationException): planted"),
        (CREATE, "ActionTypeAlreadyExistsException", "It is not listed, so it was deleted"),
        (
            LIST,
            "UnrecognizedClientException",
            "does not accept the credentials (UnrecognizedClientException)",
        ),
        (LIST, "InvalidSignatureException", "does not accept the credentials (InvalidSignatureException)"),
        (LIST, "ExpiredTokenException", "does not accept the credentials (ExpiredTokenException)"),
        (LIST, "ValidationException", "ListActionTypes was refused"),
        (DELETE, "AccessDeniedException", "need codepipeline:DeleteCustomActionType."),
        (DELETE, "ConcurrentModificationException", "try again"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do(run, codepipeline, file, operation, code, told):
    if operation == DELETE:
        run("create", file())
    # Some are tried again.
    codepipeline.refuse(operation, code, times=3)
    arguments = ("delete", PATH, "--yes") if operation == DELETE else ("create", file())
    text = run(*arguments, code=1)
    assert told in text
    assert text.count("\n") == 1
    if "credentials (" in told:
        # AWS quotes the request in some of these, with its token.
        assert "planted" not in text


def test_a_message_of_aws_is_cut_and_in_one_line(run, codepipeline):
    codepipeline.refuse(LIST, "ValidationException", "a\nb\x1b[31m " + "long " * 1000)
    text = run("list", code=1)
    assert "a b [31m long" in text
    assert len(text) < 500


def test_who_may_create_and_delete_need_not_list(run, codepipeline, file):
    codepipeline.refuse(LIST, "AccessDeniedException")
    run("create", file(), told="Created")
    codepipeline.refuse(LIST, "AccessDeniedException")
    run("delete", PATH, "--yes", told="Deleted")
    codepipeline.refuse(LIST, "AccessDeniedException")
    assert "ListActionTypes is not allowed in eu-central-1" in run("list", code=1)
    codepipeline.refuse(LIST, "AccessDeniedException", times=2)
    codepipeline.refuse(CREATE, "ActionTypeAlreadyExistsException")
    # Whether it was deleted, nobody knows then.
    assert run("create", file(), code=1).endswith("(ActionTypeAlreadyExistsException): planted\n")


def test_what_was_created_by_a_try_whose_answer_was_lost_is_found(run, codepipeline, file):
    codepipeline.refuse(CREATE, "ActionTypeAlreadyExistsException", done=True)
    run("create", file(), told="is there already in eu-central-1, as declared.")


def test_what_passes_is_tried_again_and_told_where_it_does_not_pass(run, codepipeline):
    codepipeline.refuse(LIST, "ThrottlingException", status=400, times=2)
    run("list")
    codepipeline.refuse(LIST, "InternalFailure", status=500, times=3)
    assert "ListActionTypes failed in eu-central-1 (InternalFailure); try again" in run("list", code=1)


def test_who_is_not_codepipeline_is_told(run, codepipeline):
    codepipeline.plant(LIST, 200, b"<html>planted</html>")
    text = run("list", code=1)
    assert "is not CodePipeline." in text
    assert "planted" not in text


def test_an_answer_that_lacks_what_it_must_have_is_told(run, codepipeline):
    codepipeline.plant(LIST, 200, b'{"actionTypes": [{"id": {}}]}')
    assert "is not CodePipeline." in run("list", code=1)


def test_unreachable_is_one_line_without_the_password_of_the_url(capsys, server):
    port = server.server_port
    server.shutdown()
    server.server_close()
    url = f"http://user:planted-secret@127.0.0.1:{port}"
    assert cli.main(["action-type", "list", "--endpoint-url", url]) == 1
    told = capsys.readouterr().err
    assert f"ListActionTypes got no answer from http://127.0.0.1:{port} (EndpointConnectionError)" in told
    assert "planted-secret" not in told
    assert told.count("\n") == 1


def test_no_region_no_credentials_and_no_profile_are_told(run, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert run("list", code=1).startswith("No region is given: name it with --region")
    run("list", "--region", "eu-west-1", told="in eu-west-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no credentials for AWS that can be used (NoCredentialsError)" in run(
        "list", "--region", "eu-west-1", code=1
    )
    assert "no such profile" in run("list", "--profile", "planted", code=1)


def test_settings_that_make_no_client_are_told(capsys, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "planted-secret")
    assert cli.main(["action-type", "list"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("boto3's client could not be made (ValueError): check")
    assert "planted-secret" not in told


def test_a_profile_has_region_and_credentials(run, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(
        "[profile mine]\nregion = eu-west-3\naws_access_key_id = A\naws_secret_access_key = planted-secret\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    run("list", "--profile", "mine", told="in eu-west-3")


@pytest.fixture
def connection(server, monkeypatch):
    extra = {"region_name": "eu-north-1", "endpoint_url": server.url}
    connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "planted-secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps(connection))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    # Those of the environment are to stay unused.
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    return "mine"


def test_an_airflow_connection_has_region_endpoint_and_credentials(connection, capsys, file, codepipeline):
    assert cli.main(["action-type", "create", file(), "--aws-conn-id", connection]) == 0
    assert len(codepipeline.types) == 1
    printed = capsys.readouterr()
    # What Airflow logs is not in it.
    assert "eu-north-1" in json.loads(printed.out)["Statement"][0]["Resource"]
    assert "planted-secret" not in printed.err
    assert cli.main(["action-type", "list", "--aws-conn-id", connection, "--region", "eu-west-1"]) == 0
    assert capsys.readouterr().out.startswith(PATH)


def test_an_airflow_connection_that_is_not_there_is_not_replaced_by_other_credentials(capsys, monkeypatch):
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    assert cli.main(["action-type", "list", "--aws-conn-id", "missing"]) == 1
    assert "There is no Airflow connection 'missing'." in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--profile", "x"], ["--endpoint-url", "http://127.0.0.1:9"]])
def test_a_connection_goes_with_no_profile_and_no_endpoint(capsys, option):
    assert cli.main(["action-type", "list", "--aws-conn-id", "mine", *option]) == 2
    assert "--aws-conn-id goes neither with" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["action-type"],
        ["action-type", "nonsense"],
        ["action-type", "create"],
        ["action-type", "show"],
        ["action-type", "delete"],
        ["action-type", "list", "--endpoint-url", "planted-secret"],
        ["action-type", "list", "--endpoint-url", "ftp://planted-secret"],
        ["action-type", "list", "--endpoint-url", "http://[planted-secret"],
    ],
)
def test_a_wrong_command_line_is_told_with_its_usage(capsys, wrong):
    with pytest.raises(SystemExit) as end:
        cli.main(wrong)
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: python -m airflow_codepipeline_partner")
    assert "planted-secret" not in told


# Airflow's command line.


def ours() -> Any:
    [group] = cli.get_airflow_commands()
    assert group.name == "codepipeline-partner"
    [action_type] = group.subcommands
    assert action_type.name == "action-type"
    return {command.name: command for command in action_type.subcommands}


def test_airflow_has_the_same_commands_with_the_same_arguments():
    commands = ours()
    assert (
        list(commands)
        == [command.name for command in cli.COMMANDS]
        == [
            "create",
            "show",
            "list",
            "delete",
            "policy",
        ]
    )
    for command in cli.COMMANDS:
        arguments = [(arg.flags, arg.kwargs) for arg in commands[command.name].args]
        assert arguments == [(each.flags, each.settings) for each in command.arguments]


def test_airflow_ends_with_our_exit_code(capsys):
    parser = argparse.ArgumentParser()
    command = ours()["policy"]
    for argument in command.args:
        argument.add_to_parser(parser)
    for arguments, code in (([PATH], 0), ([], 2)):
        with pytest.raises(SystemExit) as end:
            command.func(parser.parse_args(arguments))
        assert end.value.code == code
    assert json.loads(capsys.readouterr().out) == worker_policy(ActionType("Build", "Airflow", "1", "Custom"))


def has_provider_commands() -> bool:
    from airflow.providers_manager import ProvidersManager

    return hasattr(ProvidersManager, "cli_command_functions")


def as_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_the_module_runs_and_imports_no_airflow_for_it():
    done = as_process("airflow_codepipeline_partner", "action-type", "policy", "--partner")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == partner_worker_policy()
    program = (
        "import sys\nfrom airflow_codepipeline_partner.cli import main\n"
        "assert main(['action-type', 'policy', '--partner']) == 0\n"
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


@pytest.mark.system
def test_airflows_own_command_line_has_them_and_its_logs_are_not_in_what_is_printed(
    connection, airflow_database, codepipeline, file
):
    if not has_provider_commands():
        pytest.skip("Airflow 3.1 has no commands of providers.")
    assert cli.main(["action-type", "create", file(), "--aws-conn-id", connection]) == 0
    arguments = ("airflow", "codepipeline-partner", "action-type")
    done = as_process(*arguments, "show", PATH, "--aws-conn-id", connection)
    assert done.returncode == 0, done.stderr
    assert CustomActionType.from_declaration(yaml.safe_load(done.stdout)).action_type.provider == "Airflow"
    assert done.stdout.startswith(f"# {PATH} in eu-north-1.")
    assert "planted-secret" not in done.stdout + done.stderr
    done = as_process(*arguments, "show", "Test/Airflow/1", "--aws-conn-id", connection)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"there are {PATH}.\n")


@pytest.mark.system
def test_a_connection_in_airflows_database_is_found(server, airflow_database, monkeypatch, codepipeline):
    monkeypatch.delenv("_AIRFLOW_PROCESS_CONTEXT", raising=False)
    extra = json.dumps({"region_name": "eu-north-1", "endpoint_url": server.url})
    stored = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "planted-secret", "extra": extra}
    added = as_process("airflow", "connections", "add", "stored", "--conn-json", json.dumps(stored))
    assert added.returncode == 0, added.stderr
    done = as_process("airflow_codepipeline_partner", "action-type", "list", "--aws-conn-id", "stored")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("There is no custom action type in eu-north-1.\n")
    assert done.stdout == ""
