# SPDX-License-Identifier: Apache-2.0
"""The command line: serving, controlling, and AWS's own command line against it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest

from airflow_codepipeline_partner.emulator import cli

MODULE = "airflow_codepipeline_partner.emulator"
ACTION_TYPE = "category=Deploy,owner=ThirdParty,provider=Example,version=1"


@pytest.fixture
def run(world, capsys):
    """Run a command against an emulator, and return what it printed."""
    w = world()

    def call(*arguments, code=0):
        assert cli.main([arguments[0], "--url", w.emu.url, *arguments[1:]]) == code
        printed = capsys.readouterr()
        return json.loads(printed.out) if code == 0 else printed.err

    call.w = w
    return call


def test_a_whole_story_from_the_command_line(run, tmp_path):
    customer = run("add-customer", "--client-token", "t1")
    (tmp_path / "in.txt").write_bytes(b"source")
    run(
        "add-pipeline",
        "said",
        "--client-id",
        customer["client_id"],
        "--action-type",
        "Test/ThirdParty/Cli/1",
        "--configuration",
        "Project=p=1",
        "--secret-configuration",
        "Password=hush",
        "--input-artifact",
        "In",
        "--output-artifact",
        "Out",
        "--stage-name",
        "Ship",
        "--job-timeout",
        "90",
        "--execution-url-template",
        "https://x/{ExternalExecutionId}",
    )
    stage = run.w.emu.state.pipelines["said"].stages[1]
    [action] = stage.actions
    assert dict(action.configuration) == {"Project": "p=1", "Password": "hush"}
    assert action.shown(action.configuration)["Password"] == "****"
    assert (stage.name, action.name, action.job_timeout) == ("Ship", "Partner", 90)
    started = run("start-execution", "said", "--artifact", f"In={tmp_path / 'in.txt'}")
    [job] = run("jobs")["jobs"]
    assert job["pipeline_execution_id"] == started["pipeline_execution_id"]
    assert run("state", "said")["stageStates"][1]["stageName"] == "Ship"
    run("advance", "3600")
    assert run("jobs")["jobs"][0]["status"] == "TimedOut"
    assert run("rotate-token", customer["client_id"], "--overlap", "5")["client_token"] != "t1"
    assert [entry["operation"] for entry in run("ledger", "kind=control")["ledger"]][-1] == "RotateToken"
    assert "request=" in run("connect", customer["client_id"], "https://partner.example")["url"]
    assert run("settings", "lease_seconds=5")["lease_seconds"] == 5
    assert run("settings")["lease_seconds"] == 5
    assert run("pipelines")["pipelines"] == ["pipeline", "said"]
    assert run("add-action-type", "Test/ThirdParty/New/1") == {}
    assert "Test/ThirdParty/New/1" in [
        "/".join(known.id) for known in run.w.emu.state.action_types.in_region(None)
    ]
    assert run("clock")["now"] == run.w.emu.now().isoformat()
    assert run("reset") == {}
    assert run("jobs")["jobs"] == []
    assert run("settings")["lease_seconds"] == 5
    run("reset", "lease_seconds=7")
    assert run("settings")["lease_seconds"] == 7


def test_a_pipeline_needs_only_a_name_and_a_customer(run):
    run("add-pipeline", "plain", "--client-id", run.w.customer.client_id)
    [_, action] = run.w.emu.state.pipelines["plain"].actions()
    assert action.input_artifacts == ("SourceOutput",)


def test_faults_from_the_command_line(run):
    fault = run("inject", "omit", "--param", 'members=["data"]', "--job-id", "j", "--always")
    assert (fault["times"], fault["params"], fault["job_id"]) == (None, {"members": ["data"]}, "j")
    fault = run("inject", "error", "--param", "code=OddException", "--times", "2", "--seed", "1")
    assert (fault["times"], fault["params"]["code"]) == (2, "OddException")
    assert run("faults")["faults"][1] == fault
    assert run("clear-faults") == {}
    assert run.w.emu.faults() == []


def test_a_refusal_is_an_exit_code_and_a_reason(run):
    assert "no pipeline 'none'" in run("state", "none", code=1)
    missing = run("start-execution", "pipeline", "--artifact", "In=/nonexistent", code=1)
    assert missing == "cannot read /nonexistent: No such file or directory\n"


def test_no_proxy_stands_before_the_loopback(run, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # urllib keeps the first opener that it made.
    monkeypatch.setattr(urllib.request, "_opener", None)
    assert run("jobs") == {"jobs": []}


def test_what_keeps_it_from_serving_is_said_in_a_line(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    taken = world().emu.url.rpartition(":")[2]
    for arguments, reason in (
        (["--port", taken], f"cannot listen on port {taken}: Address already in use"),
        (
            ["--port-file", str(tmp_path / "none" / "port")],
            f"cannot write {tmp_path / 'none' / 'port'}: No such",
        ),
    ):
        assert cli.main(["serve", *arguments]) == 1
        printed = capsys.readouterr()
        assert printed.err.startswith(reason)
        assert (printed.err.count("\n"), printed.out) == (1, "")


def test_an_emulator_that_is_not_there_is_an_exit_code_too(world, capsys):
    w = world()
    url = w.emu.url
    assert cli.main(["jobs", "--url", f"{url}/nowhere"]) in (0, 1)
    w.emu.stop()
    assert cli.main(["jobs", "--url", url]) == 1
    assert cli.main(["jobs", "--url", "file:///etc"]) == 1
    assert "no answer" in capsys.readouterr().err


def test_wrong_command_lines_are_refused_with_help(capsys, monkeypatch):
    monkeypatch.delenv(cli.URL_VARIABLE, raising=False)
    for wrong in (
        ["nonsense"],
        ["jobs"],
        ["serve", "--setting", "x"],
        ["serve", "--port", "x"],
        ["serve", "--port", "65536"],
        ["serve", "--port", "-1"],
        ["add-action-type", "--url", "http://localhost", "Test/P"],
        ["add-pipeline", "--url", "http://localhost", "p", "--client-id", "c", "--action-type", "a/b/c/d/e"],
    ):
        with pytest.raises(SystemExit) as stopped:
            cli.main(wrong)
        assert stopped.value.code == 2
    assert cli.main(["serve", "--setting", "nonsense=1"]) == 2
    assert cli.main(["--setting", "nonsense=1"]) == 2
    assert "no such setting" in capsys.readouterr().err


def test_the_url_can_come_from_the_environment(world, capsys, monkeypatch):
    w = world()
    monkeypatch.setenv(cli.URL_VARIABLE, w.emu.url)
    assert cli.main(["jobs"]) == 0
    assert json.loads(capsys.readouterr().out) == {"jobs": []}


def test_help_names_every_command():
    command = [sys.executable, "-m", MODULE, "--help"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for command in ("serve", "add-customer", "inject", "ledger", "reset", cli.URL_VARIABLE):
        assert command in printed


@pytest.fixture
def serve():
    """Serve in a process of its own; returns the process and the URL that it printed."""
    running = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", "-m", MODULE, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serving_prints_one_line_and_stops_on_a_signal(serve, tmp_path, number, http):
    port_file = tmp_path / "port"
    process, url = serve("--port-file", str(port_file), "--setting", "lease_seconds=3")
    assert url == f"http://127.0.0.1:{port_file.read_text().strip()}"
    assert http(f"{url}/_emu/settings")[1]["lease_seconds"] == 3
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_serving_can_be_stopped_by_the_function_too(monkeypatch, capsys, tmp_path):
    """In this process, so that it counts as tested."""
    handlers = {}
    monkeypatch.setattr(cli.signal, "signal", lambda number, handler: handlers.update({number: handler}))

    class Event(cli.threading.Event().__class__):
        def wait(self, timeout=None):
            handlers[signal.SIGTERM](signal.SIGTERM, None)
            return super().wait(timeout)

    monkeypatch.setattr(cli.threading, "Event", Event)
    monkeypatch.setattr(sys, "argv", [MODULE])
    emulators = []
    monkeypatch.setattr(
        cli, "Emulator", lambda **options: emulators.append(_Quiet(**options)) or emulators[-1]
    )
    assert cli.main() == 0
    assert capsys.readouterr().out == "http://127.0.0.1:1\n"
    assert cli.main(["serve", "--port-file", str(tmp_path / "port")]) == 0
    assert (tmp_path / "port").read_text() == "1\n"
    assert set(handlers) == {signal.SIGTERM, signal.SIGINT}


class _Quiet:
    url = "http://127.0.0.1:1"

    def __init__(self, port, settings):
        assert port == 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


def test_the_command_line_of_aws_drives_it(world):
    w = world()
    w.start()
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": "AKIAADMIN",
        "AWS_SECRET_ACCESS_KEY": "admin",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }

    def aws(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "awscli", "--endpoint-url", w.emu.url, "codepipeline", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    [job] = aws("poll-for-third-party-jobs", "--action-type-id", ACTION_TYPE, "--max-batch-size", "5")["jobs"]
    assert job["clientId"] == w.customer.client_id
    state = aws("get-pipeline-state", "--name", "pipeline")
    assert state["stageStates"][1]["latestExecution"]["status"] == "InProgress"
    refused = aws(
        "acknowledge-third-party-job", "--job-id", job["jobId"], "--nonce", "1", "--client-token", "wrong"
    )
    assert "InvalidClientTokenException" in refused
