# SPDX-License-Identifier: Apache-2.0
"""What the README shows works: every code block in it is run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import textwrap
import tomllib

import pytest

from tests.docs.pages import REPO, blocks, blocks_of, page

README = page("README.md")
BLOCKS = blocks("README.md")
[DAG] = blocks_of("README.md", "python")
COMMANDS = [line for code in blocks_of("README.md", "bash") for line in code.splitlines()]
KIND = "Deploy/Custom/Airflow/1"


def test_every_block_is_of_a_kind_that_is_run_here():
    assert {kind for kind, _ in BLOCKS} == {"python", "bash"}
    assert README.count("```") == 2 * len(BLOCKS)


def test_it_is_short():
    assert len(README.splitlines()) < 150


@pytest.fixture
def job(emulator, aws_connection, make_hook):
    """A job of the README's action type."""
    emulator.add_pipeline("shop", action_type=KIND)
    emulator.start_execution("shop")
    [offered] = make_hook().poll(KIND)
    return offered.to_xcom()


def test_the_function_ends_the_job_as_it_says(emulator, job, dags_folder, load_dags):
    (dags_folder / "from_readme.py").write_text(DAG)
    assert load_dags().run("deploy", **job).state == "success"
    [put] = emulator.ledger.terminal_results(job["job_id"])
    details = put.details["executionDetails"]
    assert (details["summary"], details["percentComplete"]) == ("Deployed shop.", 100)


@pytest.mark.system
def test_the_offers_start_a_run_for_each_job(job, dags_folder, load_dags):
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    (dags_folder / "from_readme.py").write_text(DAG)
    for command in (["reserialize"], ["unpause", "take_deploy_jobs"], ["unpause", "deploy"]):
        subprocess.run([sys.executable, "-m", "airflow", "dags", *command], check=True, capture_output=True)
    dags = load_dags()
    assert dags.run("take_deploy_jobs", jobs=[job]).state == "success"
    with create_session() as session:
        started = list(session.scalars(select(DagRun).where(DagRun.dag_id == "deploy")))
    assert job["job_id"] in [run.conf["job_id"] for run in started]


def test_it_is_installed_without_a_change_to_airflow():
    """With a pinned Airflow and the constraints of the same version, for a Python that it runs on."""
    install, *_ = COMMANDS
    pip, command, what, pin, option, url = shlex.split(install)
    assert (pip, command, what, option) == ("pip", "install", ".", "--constraint")
    version = pin.removeprefix("apache-airflow==")
    assert (REPO / "constraints" / f"airflow-{version}.txt").exists()
    assert re.search(r"/constraints-(\S+)/constraints-(3\.\d+)\.txt$", url).groups() == (version, "3.11")


def test_there_are_two_commands_to_try_it():
    assert COMMANDS[1:] == ["make demo", "make test"]


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_each_make_target_is_there(command):
    # Only what it would do: one is this suite itself, the other is run on its own by CI.
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=REPO, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_table_of_examples_names_each_of_them_once():
    named = re.findall(r"^\|.*\| `(example_\w+)` \|$", page("docs/examples.md"), re.MULTILINE)
    assert sorted(named) == sorted(path.stem for path in (REPO / "example_dags").glob("example_*.py"))


def test_a_row_about_failures_is_one_line_on_a_screen():
    table = page("docs/failures.md").partition("\n## ")[0]
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
