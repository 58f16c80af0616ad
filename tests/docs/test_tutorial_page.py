# SPDX-License-Identifier: Apache-2.0
"""The tutorial works, from its first block to its last, with a real Airflow."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from demo.local_airflow import free_port
from tests.docs.pages import PATH, blocks, blocks_of, in_shell

PAGE = "docs/tutorial.md"
SETTINGS, SERVE, CREATE, UNPAUSE, STANDALONE, RUN, STATE, *REST = blocks_of(PAGE, "bash")
FAIL, STATE_OF_FAILED, PARTNER, STATE_OF_PARTNERS, *ACCOUNT = REST
DEPLOY, PARTNERS_DAG = blocks_of(PAGE, "python")
SUCCEEDED, FAILED, ACTION = map(json.loads, blocks_of(PAGE, "json"))
DECLARED, LINK = blocks_of(PAGE, "yaml")
SECONDS = 240
# The one that the reader installs.
[VERSION] = re.findall(r"\.venv/([\d.]+)/", SETTINGS)


@pytest.fixture
def terminal(tmp_path):
    """Return a function that runs a block in a terminal of its own, maybe in the background."""
    emulator, airflow = free_port(), free_port()
    started = []
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))
    }
    environment |= {
        "PATH": PATH,
        "HOME": str(tmp_path),
        "AIRFLOW__API__PORT": str(airflow),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{airflow}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{airflow}/execution/",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
    }

    def run(block, background=False):
        # The reader's terminal is in the checkout at first; this one begins in the folder.
        block = block.replace("cd tutorial\n", "")
        settings = "" if "source settings.sh" in block else "source settings.sh\n"
        process = subprocess.Popen(
            ["bash", "-ec", (settings + block).replace("8123", str(emulator))],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL if background else subprocess.PIPE,
            stderr=subprocess.DEVNULL if background else subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if background:
            started.append(process)
            return ""
        printed, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, printed
        return printed

    # The reader's environment is made by make; here it is this one.
    own = SETTINGS.replace(f"source ../.venv/{VERSION}/bin/activate\n", "").replace("8123", str(emulator))
    (tmp_path / "settings.sh").write_text(own)
    yield run
    for process in started:
        for each in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, each)
                process.wait(15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass


def ended(terminal, block):
    """Return the action's state, as the block prints it, once its execution has ended."""
    deadline = time.monotonic() + SECONDS
    while True:
        state = json.loads(terminal(block))
        action = state["stageStates"][1]["actionStates"][0].get("latestExecution", {})
        if action.get("status") in ("Succeeded", "Failed"):
            return action
        assert time.monotonic() < deadline, state
        time.sleep(1)


def test_every_block_is_run_here():
    kinds = [language for language, _ in blocks(PAGE)]
    assert (kinds.count("yaml"), kinds.count("json"), len(kinds)) == (2, 3, 17 + 2 + 2 + 3)


@pytest.mark.system
def test_the_tutorial_works_from_beginning_to_end(terminal, tmp_path):
    (tmp_path / "action-type.yaml").write_text(DECLARED)
    dags = tmp_path / "airflow" / "dags"
    dags.mkdir(parents=True)
    terminal(SERVE, background=True)
    terminal(
        "until python -m airflow_codepipeline_partner.emulator clock >/dev/null 2>&1; do sleep 0.2; done"
    )
    assert "codepipeline:PollForJobs" in terminal(CREATE)
    (dags / "deploy.py").write_text(DEPLOY)
    terminal(UNPAUSE)
    terminal(STANDALONE, background=True)
    terminal(RUN)
    assert SUCCEEDED.items() <= ended(terminal, STATE).items()
    terminal(FAIL)
    assert FAILED.items() <= ended(terminal, STATE_OF_FAILED).items()
    (dags / "partner.py").write_text(PARTNERS_DAG)
    terminal(PARTNER)
    assert ended(terminal, STATE_OF_PARTNERS)["summary"] == "Deployed market."


def test_each_terminal_begins_in_the_folder():
    assert [
        block for block in (SERVE, CREATE, STANDALONE, ACCOUNT[0]) if not block.startswith("cd tutorial\n")
    ] == []


@pytest.mark.parametrize(("target", "shown"), [("shop", SUCCEEDED), ("nowhere", FAILED)])
def test_the_dag_ends_a_job_as_it_says(codepipeline, tmp_path, target, shown):
    (tmp_path / "deploy.py").write_text(DEPLOY)
    job = codepipeline.queue_job("Deploy/Custom/Airflow/1", configuration={"Target": target})
    deploy = codepipeline.load_dag(tmp_path / "deploy.py", "deploy")
    codepipeline.run(codepipeline.load_dag(tmp_path / "deploy.py", "take_deploy_jobs"), started=[deploy])
    if target == "shop":
        job.assert_succeeded(summary=shown["summary"], percent_complete=shown["percentComplete"])
    else:
        job.assert_failed(shown["errorDetails"]["code"], message=shown["errorDetails"]["message"])


def test_the_way_to_an_account_works(emulator, tmp_path, monkeypatch):
    _, create, permit_role, permit_user, _, check = ACCOUNT
    (tmp_path / "action-type.yaml").write_text(DECLARED + LINK)
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    made = f"""
aws iam create-role --role-name airflow --assume-role-policy-document '{trust}'
aws iam create-user --user-name airflow
"""
    create = create.replace("eu-central-1", "us-east-1")
    in_shell(made + create + permit_role + permit_user, emulator, tmp_path)
    for kind in ("role", "user"):
        given = f"aws iam get-{kind}-policy --{kind}-name airflow --policy-name codepipeline-jobs"
        assert "codepipeline:PollForJobs" in in_shell(given, emulator, tmp_path)
    show = "python -m airflow_codepipeline_partner action-type show Deploy/Custom/Airflow/1"
    assert LINK.strip() in in_shell(show, emulator, tmp_path)
    connection = {"conn_type": "aws", "extra": {"region_name": "us-east-1"}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    assert "Deploy/Airflow/1 exists." in in_shell(f"{check.strip()} || true", emulator, tmp_path)


def test_the_way_to_an_account_begins_with_the_environment():
    """It sets no variables that lead to the emulator."""
    assert ACCOUNT[0] == f"cd tutorial\n{SETTINGS.splitlines()[0]}\n"


@pytest.mark.system
def test_the_accounts_connection_is_made(airflow_database):
    """It names the region, and leads nowhere else."""
    [words] = [shlex.split(block) for block in ACCOUNT if block.startswith("airflow connections add ")]
    name = "aws_of_the_tutorial"
    words[3] = name
    airflow = [sys.executable, "-m"]
    subprocess.run([*airflow, *words], check=True, capture_output=True)
    get = [*airflow, "airflow", "connections", "get", name, "-o", "json"]
    shown = subprocess.run(get, check=True, capture_output=True, text=True).stdout
    [connection] = json.loads(shown[shown.index("[{") :])
    assert connection["conn_type"] == "aws"
    extra = connection["extra_dejson"]
    assert (json.loads(extra) if isinstance(extra, str) else extra) == {"region_name": "eu-central-1"}


def test_the_action_is_that_of_the_page_about_custom_actions():
    assert [json.loads(block) for block in blocks_of("docs/custom-actions.md", "json")] == [ACTION]
    assert "/".join(ACTION["actionTypeId"].values()) == "Deploy/Custom/Airflow/1"
