# SPDX-License-Identifier: Apache-2.0
"""The commands on custom action types: what they do and what they print."""

from __future__ import annotations

import io
import json
import sys

import pytest
import yaml
from action_type_server import CREATE, DECLARATION, DELETE, LIST, PATH, as_process

from airflow_codepipeline_partner import cli
from airflow_codepipeline_partner.action_types import CustomActionType, partner_worker_policy, worker_policy
from airflow_codepipeline_partner.jobs import ActionType


def test_a_whole_story(run, codepipeline, file):
    policy = json.loads(run("create", file(), said=f"Created {PATH} in eu-central-1."))
    [created] = codepipeline.asked(CREATE)
    assert created == CustomActionType.from_declaration(yaml.safe_load(DECLARATION)).to_api()
    place = {"region": "eu-central-1", "partition": "aws"}
    assert policy == worker_policy(ActionType("Build", "Airflow", "1", "Custom"), **place)
    assert run("list") == f"{PATH}\t0-1 input artifacts\t0-5 output artifacts\t2 properties\n"
    shown = run("show", PATH)
    assert shown.splitlines()[0] == (
        f"# {PATH} in eu-central-1. CodePipeline does not return its tags or all types of its properties."
    )
    assert run("show", file()) == shown
    # What is there as declared is done: as it was declared, and as it was shown.
    said = f"{PATH} already exists in eu-central-1, as declared. (Tags are not compared"
    assert json.loads(run("create", file(), said=said)) == policy
    run("create", file(shown), said=f"{PATH} already exists in eu-central-1, as declared. The IAM")
    # What is there otherwise is refused with what differs and what to do.
    changed = {"{maximumCount: 1}": "{maximumCount: 2}", "key: true": "key: false"}
    refused = run("create", file(**changed), code=1)
    assert f"{PATH} already exists in eu-central-1, and" in refused
    assert "inputArtifactDetails, configurationProperties[0].key." in refused
    assert "under a version that was never used" in refused
    assert "action-type show Build/Custom/Airflow/1" in refused
    assert "action-type delete Build/Custom/Airflow/1" in refused
    assert len(codepipeline.asked(CREATE)) == 1
    run("delete", PATH, "--yes", said=f"Deleted {PATH} in eu-central-1.")
    assert codepipeline.types == []
    assert run("list", said="There is no custom action type in eu-central-1.") == ""
    # What was deleted can be had back as it was, and only so.
    refused = run("create", file(**changed), code=1)
    assert refused.startswith(f"{CREATE} was refused in eu-central-1 (ActionTypeAlreadyExistsException)")
    assert "It is not listed, so it was deleted" in refused
    assert codepipeline.types == []
    assert json.loads(run("create", file(), said=f"Created {PATH} in eu-central-1.")) == policy
    assert run("show", PATH) == shown


def test_a_wrong_declaration_calls_nothing(run, codepipeline, file):
    wrong = file(**{"category: Build": "category: Fly", "secret: true": "secret: perhaps", "tags": "tugs"})
    said = run("create", wrong, code=2)
    assert said.startswith(f"{wrong}: The declaration of a custom action type has 3 faults:\n")
    assert "  category: must be one of Source, Build" in said
    assert "  configurationProperties[1].secret: must be true or false" in said
    assert "did you mean 'tags'?" in said
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
    said = run("show", "build/Airflow/1", code=2)
    assert "cannot be read" in said
    assert "'build/Airflow/1' is not CATEGORY/Custom/PROVIDER/VERSION, so it was read as a file." in said
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
    said = run("show", PATH, code=1)
    assert said == f"There is no custom action type {PATH} in eu-central-1; there are none at all.\n"
    for version in range(1, 8):
        run("create", file(**{"version: 1": f"version: {version}"}))
    said = run("show", "Test/Airflow/1", code=1)
    names = ", ".join(f"Build/Airflow/{version}" for version in range(1, 6))
    assert said.endswith(f"there are {names} and 2 more (action-type list).\n")
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
        said=f"Delete {PATH} in eu-central-1? Polls for its jobs fail",
    )
    assert (codepipeline.types == []) is deleted


def test_without_a_terminal_nothing_is_deleted_unasked(run, codepipeline, file, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    assert "Without a terminal the deletion" in run("delete", PATH, code=2)
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
    assert "--partner cannot be combined" in run("policy", PATH, "--partner", code=2)
    assert "--partner cannot be combined" in run("policy", "--partner", "--region", "eu-central-1", code=2)
    arn = "arn:aws:sqs:eu-central-1:111122223333:started"
    named = json.loads(run("policy", PATH, "--wake-queue", arn))
    assert named == worker_policy(action_type, wake_queue_arn=arn)
    assert "--partner cannot be combined" in run("policy", "--partner", "--wake-queue", arn, code=2)
    assert "must be the ARN of an SQS queue" in run("policy", PATH, "--wake-queue", "started", code=2)
    assert "account_id (3 characters) must match" in run("policy", PATH, "--account-id", "123", code=2)
    assert codepipeline.calls == []


def test_who_may_create_and_delete_need_not_list(run, codepipeline, file):
    codepipeline.refuse(LIST, "AccessDeniedException")
    run("create", file(), said="Created")
    codepipeline.refuse(LIST, "AccessDeniedException")
    run("delete", PATH, "--yes", said="Deleted")
    codepipeline.refuse(LIST, "AccessDeniedException")
    assert "ListActionTypes is not allowed in eu-central-1" in run("list", code=1)
    codepipeline.refuse(LIST, "AccessDeniedException", times=2)
    codepipeline.refuse(CREATE, "ActionTypeAlreadyExistsException")
    # Whether it was deleted, nobody knows then.
    assert run("create", file(), code=1).endswith("(ActionTypeAlreadyExistsException): planted\n")


def test_a_create_whose_answer_was_lost_is_found(run, codepipeline, file):
    codepipeline.refuse(CREATE, "ActionTypeAlreadyExistsException", done=True)
    run("create", file(), said="already exists in eu-central-1, as declared.")


@pytest.mark.parametrize("option", [["--profile", "x"], ["--endpoint-url", "http://127.0.0.1:9"]])
def test_a_connection_goes_with_no_profile_and_no_endpoint(capsys, option):
    assert cli.main(["action-type", "list", "--aws-conn-id", "mine", *option]) == 2
    assert "--aws-conn-id cannot be combined with" in capsys.readouterr().err


def has_provider_commands() -> bool:
    from airflow.providers_manager import ProvidersManager

    return hasattr(ProvidersManager, "cli_command_functions")


@pytest.mark.system
def test_airflows_own_command_line_has_the_commands(connection, airflow_database, codepipeline, file):
    """Airflow's logs are not in what is printed."""
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
