# SPDX-License-Identifier: Apache-2.0
"""What docs/partner-actions.md shows works."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import action_state

from demo.local_airflow import free_port
from tests.docs.pages import blocks, blocks_of

PAGE = "docs/partner-actions.md"
ONBOARDING, SERVE, WALK = blocks_of(PAGE, "bash")
[DAG] = blocks_of(PAGE, "python")


def test_every_block_is_run_here():
    assert [language for language, _ in blocks(PAGE)] == ["bash", "python", "bash", "bash"]


def test_the_dag_does_what_it_says(emulator, customer, dags_folder, load_dags):
    (dags_folder / "from_partner_actions.py").write_text(DAG)
    emulator.start_execution("pipe")
    run = load_dags().run("deploy_for_codepipeline")
    assert run.state == "success"
    assert action_state(emulator)["status"] == "Succeeded"
    assert action_state(emulator)["summary"] == "Deployed pipe."
    assert action_state(emulator)["percentComplete"] == 100


@pytest.mark.system
def test_the_command_that_adds_a_connection_adds_it(airflow_database):
    environment = {**os.environ, "CLIENT_TOKEN": "a-token-of-a-customer"}
    arguments = [
        word.replace("$CLIENT_TOKEN", environment["CLIENT_TOKEN"]) for word in shlex.split(ONBOARDING)
    ]
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


@pytest.mark.system
def test_the_dag_runs_against_the_emulator_as_it_says(dags_folder, tmp_path):
    (dags_folder / "from_partner_actions.py").write_text(DAG)
    wait = "until python -m airflow_codepipeline_partner.emulator clock >/dev/null 2>&1; do sleep 0.1; done"
    script = f"""
        airflow connections delete codepipeline_client_6f0d6e0c_2f3b_4c55_9d5e_0d3a1b2c3d4e
        airflow connections delete aws_default
        set -e
        {ONBOARDING}
        {SERVE.strip()} &
        trap "kill $!" EXIT
        export CODEPIPELINE_EMULATOR_URL=http://127.0.0.1:8123
        {wait}
        {WALK}
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
