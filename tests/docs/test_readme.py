# SPDX-License-Identifier: Apache-2.0
"""What the README shows works: every code block in it is run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import botocore.session
import pytest
from support import ACTION_TYPE, action_state

from demo.local_airflow import free_port
from tests.docs.pages import REPO, page
from tests.docs.pages import blocks as blocks_in

README = page("README.md")
BLOCKS = blocks_in("README.md")


def blocks(language):
    found = [text for kind, text in BLOCKS if kind == language]
    assert found
    return found


def test_every_block_is_of_a_kind_that_is_run_here():
    assert {kind for kind, _ in BLOCKS} == {"python", "bash", "json", "text"}
    assert README.count("```") == 2 * len(BLOCKS)


def test_it_is_short():
    assert len(README.splitlines()) < 250


def test_the_dag_does_what_it_says(emulator, customer, dags_folder, load_dags):
    [code] = [block for block in blocks("python") if "@dag" in block]
    (dags_folder / "from_readme.py").write_text(code)
    emulator.start_execution("pipe")
    run = load_dags().run("deploy_for_codepipeline")
    assert run.state == "success"
    assert action_state(emulator)["status"] == "Succeeded"
    assert action_state(emulator)["summary"] == "Deployed pipe."
    assert action_state(emulator)["percentComplete"] == 100


def test_the_function_does_what_it_says(emulator, offer, dags_folder, load_dags):
    [code] = [block for block in blocks("python") if "@task.codepipeline_job" in block]
    (dags_folder / "function_from_readme.py").write_text(code)
    run = load_dags().run("deploy_one_job", **offer())
    assert run.state == "failed"
    error = action_state(emulator)["errorDetails"]
    assert error == {"code": "ConfigurationError", "message": "The action's configuration names no Target."}


def test_the_other_python_runs(capsys):
    for code in blocks("python"):
        if "@dag" not in code:
            exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - that is what it is for
    assert "http://127.0.0.1:" in capsys.readouterr().out


def lines(*commands):
    """Return the shell commands of the README that begin with one of these words."""
    return [line for block in blocks("bash") for line in block.splitlines() if line.startswith(commands)]


def test_every_command_is_tried_here():
    tried = lines("make ", "airflow ", "export ", "python -m airflow_codepipeline_partner.emulator")
    assert sorted(tried) == sorted(line for block in blocks("bash") for line in block.splitlines())


@pytest.mark.parametrize("command", lines("make "))
def test_each_make_target_is_there(command):
    # Only what it would do: one is this suite itself, the other is run on its own by CI.
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=REPO, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.system
def test_the_command_that_adds_a_connection_adds_it(airflow_database):
    [command] = lines("airflow connections add codepipeline_client")
    environment = {**os.environ, "CLIENT_TOKEN": "a-token-of-a-customer"}
    arguments = [word.replace("$CLIENT_TOKEN", environment["CLIENT_TOKEN"]) for word in shlex.split(command)]
    airflow = [sys.executable, "-m", "airflow"]
    subprocess.run([*airflow, *arguments[1:]], check=True, capture_output=True)
    shown = subprocess.run(
        [*airflow, "connections", "get", arguments[3], "-o", "json"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    [connection] = json.loads(shown[shown.index("[{") :])
    assert connection["conn_type"] == "codepipeline_partner_client"
    assert arguments[3] == "codepipeline_client_" + connection["login"].replace("-", "_")


def test_the_emulators_command_runs():
    [command] = lines("python -m airflow_codepipeline_partner.emulator --help")
    shown = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]], check=True, capture_output=True, text=True
    ).stdout
    assert "serve" in shown


@pytest.mark.system
def test_a_dag_of_ones_own_runs_against_the_emulator_as_it_says(dags_folder, tmp_path):
    [dag] = [block for block in blocks("python") if "@dag" in block]
    (dags_folder / "from_readme.py").write_text(dag)
    [onboarding] = [block for block in blocks("bash") if "connections add codepipeline_client" in block]
    [serve] = lines("python -m airflow_codepipeline_partner.emulator serve")
    [walk] = [block for block in blocks("bash") if "start-execution" in block]
    wait = "until python -m airflow_codepipeline_partner.emulator clock >/dev/null 2>&1; do sleep 0.1; done"
    script = f"""
        airflow connections delete codepipeline_client_6f0d6e0c_2f3b_4c55_9d5e_0d3a1b2c3d4e
        airflow connections delete aws_default
        set -e
        {onboarding}
        {serve} &
        trap "kill $!" EXIT
        export CODEPIPELINE_EMULATOR_URL=http://127.0.0.1:8123
        {wait}
        {walk}
    """
    done = subprocess.run(
        ["bash", "-c", script.replace("8123", str(free_port()))],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CLIENT_TOKEN": "-a-token-that-looks-like-an-option",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    state = json.loads(done.stdout[done.stdout.rindex('{\n  "pipelineName"') :])
    assert state["stageStates"][1]["actionStates"][0]["latestExecution"]["status"] == "Succeeded"


def test_the_policy_allows_what_is_called_and_nothing_else():
    from airflow_codepipeline_partner.jobs import ActionType

    [policy] = map(json.loads, blocks("json"))
    [statement] = policy["Statement"]
    operations = {action.removeprefix("codepipeline:") for action in statement["Action"]}
    dialect = ActionType.from_value(ACTION_TYPE).dialect
    assert operations == {
        *(dialect.poll, dialect.details, dialect.acknowledge, dialect.success, dialect.failure)
    }
    assert operations <= set(botocore.session.get_session().get_service_model("codepipeline").operation_names)


def test_the_table_of_examples_names_each_of_them_once():
    table = README.partition("## The examples")[2].partition("\n## ")[0]
    named = re.findall(r"^\|.*\| `(example_\w+)` \|$", table, re.MULTILINE)
    assert sorted(named) == sorted(path.stem for path in (REPO / "example_dags").glob("example_*.py"))


def test_a_row_about_failures_is_one_line_on_a_screen():
    table = README.partition("## When something fails")[2].partition("\n### ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) > 5
    assert max(map(len, rows)) <= 120


def test_the_compatibility_is_that_of_the_package():
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    compatibility = textwrap.dedent(README.partition("## Compatibility")[2].partition("##")[0])
    [lowest] = [
        requirement.partition(">=")[2]
        for requirement in project["dependencies"]
        if requirement.startswith("apache-airflow-providers-amazon")
    ]
    assert f"from {lowest}" in " ".join(compatibility.split())
    assert project["requires-python"] == ">=3.11"
    for version in re.findall(r"3\.\d\.\d", compatibility):
        assert (REPO / "constraints" / f"airflow-{version}.txt").exists()
