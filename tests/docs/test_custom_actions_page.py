# SPDX-License-Identifier: Apache-2.0
"""What the page about custom actions shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import CUSTOM_TYPE, REPO

from demo.local_airflow import free_port

SECRET = "planted-secret-of-a-configuration"


@pytest.fixture
def own(emulator, aws_connection):
    """The pipeline ``own``, with a custom action."""
    emulator.add_pipeline(
        "own",
        action_type=CUSTOM_TYPE,
        configuration={"ApiKey": SECRET},
        secret_configuration_keys=("ApiKey",),
    )


@pytest.fixture
def hook(make_hook, own):
    return make_hook()


@pytest.fixture
def offer_own(emulator, hook):
    """Start the pipeline and poll: return an offered job, as it lies in XCom."""

    def offer_one():
        emulator.start_execution("own")
        [job] = hook.poll(CUSTOM_TYPE)
        return job.to_xcom()

    return offer_one


def calls(emulator):
    return [entry.operation for entry in emulator.ledger if entry.kind == "call"]


# What the docs show.

DOCS = re.findall(
    r"^```(\w+)\n(.*?)^```$", (REPO / "docs" / "custom-actions.md").read_text(), re.MULTILINE | re.DOTALL
)


def docs_of(kind):
    return [block for found, block in DOCS if found == kind]


def test_all_code_in_the_docs_is_run():
    assert [kind for kind, _ in DOCS] == ["yaml", "bash", "python", "python", "bash", "bash"]


def test_the_commands_in_the_docs_do_what_they_say(emulator, tmp_path):
    [declared] = docs_of("yaml")
    commands, *_ = docs_of("bash")
    (tmp_path / "action-type.yaml").write_text(declared)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
    }
    done = subprocess.run(
        ["bash", "-ec", commands],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    policy = json.loads((tmp_path / "worker-policy.json").read_text())
    assert "codepipeline:PollForJobs" in str(policy)
    assert "Build/Airflow/1" in done.stdout
    asked = [operation for operation in calls(emulator) if operation != "ListActionTypes"]
    assert asked == ["CreateCustomActionType", "DeleteCustomActionType"]


def test_the_dag_in_the_docs_does_what_it_says(emulator, offer_own, dags_folder, load_dags):
    (dags_folder / "custom_from_docs.py").write_text(docs_of("python")[0])
    job = offer_own()
    assert load_dags().run("build_one_custom_job", **job).state == "success"
    [put] = emulator.ledger.terminal_results(job["job_id"])
    assert put.details["outputVariables"] == {"Digest": "0f3a"}


def test_a_dag_of_ones_own_runs_against_the_emulator_as_the_docs_say(dags_folder, tmp_path):
    (dags_folder / "custom_walk_from_docs.py").write_text(docs_of("python")[1])
    (tmp_path / "action-type.yaml").write_text(docs_of("yaml")[0])
    serve, walk = docs_of("bash")[1:]
    script = f"""
        airflow connections delete aws_default
        set -e
        {serve.strip()} &
        trap "kill $!" EXIT
        export CODEPIPELINE_EMULATOR_URL=http://127.0.0.1:8124
        until python -m airflow_codepipeline_partner.emulator clock >/dev/null 2>&1; do sleep 0.1; done
        {walk}
    """
    done = subprocess.run(
        ["bash", "-c", script.replace("8124", str(free_port()))],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    state = json.loads(done.stdout[done.stdout.rindex('{\n  "pipelineName"') :])
    shown = state["stageStates"][1]["actionStates"][0]["latestExecution"]
    assert (shown["status"], shown["summary"]) == ("Succeeded", "Built by shop.")
