# SPDX-License-Identifier: Apache-2.0
"""Each control is one method, one HTTP route and one command, with the same arguments."""

from __future__ import annotations

import base64
import inspect
import json

import pytest
from declaring import CUSTOM_TYPE

from airflow_codepipeline_partner.emulator import ControlError, Emulator, Settings, cli
from airflow_codepipeline_partner.emulator.control_table import (
    ACTION_TYPE,
    CONTROLS,
    FILES,
    LIST,
    NUMBER,
    OBJECT,
    SETTINGS,
    TEXT,
    WHOLE,
)
from airflow_codepipeline_partner.emulator.controls import Controls


def named(control):
    return f"{control.http_method} {control.path}"


COMMANDS = [control for control in CONTROLS if control.command is not None]
#: Of each kind what the method takes, what HTTP takes, and what the command line takes.
SAMPLES = {
    TEXT: ("a", "a", ["a"]),
    NUMBER: (2.5, 2.5, ["2.5"]),
    WHOLE: (2, 2, ["2"]),
    LIST: (["a", "b"], ["a", "b"], ["a", "b"]),
    OBJECT: ({"a": "1", "b": "2"}, {"a": "1", "b": "2"}, ["a=1", "b=2"]),
    SETTINGS: (
        Settings(connect_parameter="doc", region="eu"),
        {"connect_parameter": "doc", "region": "eu"},
        ["connect_parameter=doc", "region=eu"],
    ),
    ACTION_TYPE: ("Build/Custom/Own/1", "Build/Custom/Own/1", ["Build/Custom/Own/1"]),
}


@pytest.fixture
def sample(tmp_path):
    (tmp_path / "file").write_bytes(b"zip")
    files = ({"a": b"zip"}, {"a": base64.b64encode(b"zip").decode()}, [f"a={tmp_path / 'file'}"])

    def make(control, argument):
        if argument.name in control.choices:
            return (control.choices[argument.name][0],) * 2 + (control.choices[argument.name][:1],)
        return files if argument.kind is FILES else SAMPLES[argument.kind]

    return make


def option(control, argument):
    if argument.name == "secret_configuration_keys" and "configuration" in control.arguments:
        return "--secret-configuration"
    singular = argument.name.removesuffix("s") if argument.kind in (LIST, OBJECT, FILES) else argument.name
    return f"--{singular.replace('_', '-')}"


def command_line(control, sample):
    """Return the command line with every argument of a control."""
    positional, options = [], []
    for argument in control.arguments.values():
        texts = sample(control, argument)[2]
        if option(control, argument) == "--secret-configuration":
            texts = [f"{key}=hush" for key in texts]
        if argument.required or argument.kind is SETTINGS:
            positional += texts
        else:
            options += [part for text in texts for part in (option(control, argument), text)]
    if control.keywords is not None:
        key = ["--param"] if control.arguments else []
        options += [*key, "number=5"]
    return [control.command, "--url", "http://localhost", *options, *positional]


def request(arguments):
    return cli._request(cli._parser().parse_args(arguments))


# The command settings shows them if it is given nothing.
@pytest.mark.parametrize("control", [each for each in COMMANDS if named(each) != "GET /settings"], ids=named)
def test_a_command_sends_every_argument_to_its_route(control, sample):
    found, members = request(command_line(control, sample))
    assert found is control
    expected = {name: sample(control, each)[1] for name, each in control.arguments.items()}
    if {"configuration", "secret_configuration_keys"} <= control.arguments.keys():
        expected["configuration"] = {"a": "hush", "b": "hush"}
    if control.keywords is not None:
        expected["number"] = 5 if control.arguments else "5"
    assert members == expected


@pytest.mark.parametrize("control", CONTROLS, ids=named)
def test_a_route_hands_every_argument_to_its_method(control, sample):
    members = {name: sample(control, each)[1] for name, each in control.arguments.items()}
    expected = {name: sample(control, each)[0] for name, each in control.arguments.items()}
    assert control.read(members) == expected
    inspect.signature(control.method).bind(None, **control.read(members))


@pytest.mark.parametrize("control", COMMANDS, ids=named)
def test_what_is_not_given_is_not_sent(control, sample):
    required = [
        part for each in control.arguments.values() if each.required for part in sample(control, each)[2]
    ]
    found, members = request([control.command, "--url", "http://localhost", *required])
    assert members == {
        name: sample(control, each)[1] for name, each in control.arguments.items() if each.required
    }
    assert found.command == control.command


def test_every_public_method_of_the_controls_is_a_control():
    public = {name for name in vars(Controls) if not name.startswith("_")}
    methods = {control.method.__name__ for control in COMMANDS}
    assert {name.removeprefix("_") for name in methods} == public
    assert all(hasattr(Emulator, name) for name in public)


def test_routes_are_unique_and_commands_change_one_thing():
    routes = [(control.http_method, control.path) for control in CONTROLS]
    assert len(set(routes)) == len(routes)
    changing = [control.command for control in COMMANDS if control.http_method == "POST"]
    assert len(set(changing)) == len(changing)


@pytest.mark.parametrize("control", COMMANDS, ids=named)
def test_every_control_and_argument_has_a_help(control, capsys):
    assert control.help
    assert all(argument.help for argument in control.arguments.values())
    with pytest.raises(SystemExit) as stopped:
        cli.main([control.command, "--help"])
    assert stopped.value.code == 0
    assert control.help in " ".join(capsys.readouterr().out.split())


def test_null_and_nothing_have_options_of_their_own():
    url = ["--url", "http://localhost"]
    assert request(["inject", *url, "slow", "--always"])[1] == {"kind": "slow", "times": None}
    none = request(["add-pipeline", *url, "p", "--no-input-artifacts"])[1]
    assert none == {"name": "p", "input_artifacts": []}
    with pytest.raises(SystemExit):
        request(["inject", *url, "slow", "--always", "--times", "2"])


@pytest.mark.parametrize("action_type", [CUSTOM_TYPE, "Build/Custom/Own/1"])
def test_an_action_type_is_a_mapping_or_a_text(start_emulator, http, capsys, action_type):
    emu = start_emulator()
    emu.add_action_type(action_type)
    emu.add_pipeline("python", action_type=action_type, input_artifacts=())
    for path, members in (("action-types", {}), ("pipelines", {"name": "http", "input_artifacts": []})):
        body = members | {"action_type": action_type}
        assert http(f"{emu.url}/_emu/{path}", body)[0] == 200
    assert cli.main(["add-pipeline", "--url", emu.url, "cli", "--action-type", "Build/Custom/Own/1"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "cli"}
    assert emu.pipelines() == ["cli", "http", "python"]
    [known] = emu.state.action_types.in_region(None)
    assert known.id.as_dict() == CUSTOM_TYPE


@pytest.mark.parametrize(
    "wrong", ["Build/Custom/Own", "Build/Custom/Own/1/x", "", {"category": "Build"}, 5, None]
)
def test_an_action_type_has_exactly_four_parts(start_emulator, wrong):
    emu = start_emulator()
    with pytest.raises(ControlError, match="an action type has"):
        emu.add_action_type(wrong)
    with pytest.raises(ControlError, match="an action type has"):
        emu.add_pipeline("p", action_type=wrong)


def test_an_action_type_of_another_type_is_refused_over_http(start_emulator, http):
    status, answer, _ = http(f"{start_emulator().url}/_emu/action-types", {"action_type": ["Build"]})
    assert (status, answer["error"]) == (400, "action_type is an object or a text")
