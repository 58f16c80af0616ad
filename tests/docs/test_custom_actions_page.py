# SPDX-License-Identifier: Apache-2.0
"""What docs/custom-actions.md shows works."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
from support import ACTION_TYPE, CUSTOM_TYPE

from demo.local_airflow import free_port
from tests.docs.pages import PATH, blocks, blocks_of, in_shell, page

PAGE = "docs/custom-actions.md"


@pytest.fixture
def own(emulator, aws_connection):
    """The pipeline ``own``, with a custom action."""
    emulator.add_pipeline("own", action_type=CUSTOM_TYPE)


def test_every_block_is_run_here():
    assert [language for language, _ in blocks(PAGE)] == [
        "yaml",
        "bash",
        "python",
        "bash",
        "python",
        "python",
        "bash",
        "bash",
    ]


def test_the_commands_do_what_they_say(emulator, tmp_path):
    [declared] = blocks_of(PAGE, "yaml")
    commands, *_ = blocks_of(PAGE, "bash")
    (tmp_path / "action-type.yaml").write_text(declared)
    printed = in_shell(commands, emulator, tmp_path)
    policy = json.loads((tmp_path / "worker-policy.json").read_text())
    assert "codepipeline:PollForJobs" in str(policy)
    assert "Build/Airflow/1" in printed
    calls = [entry.operation for entry in emulator.ledger if entry.kind == "call"]
    changes = [operation for operation in calls if operation != "ListActionTypes"]
    assert changes == ["CreateCustomActionType", "DeleteCustomActionType"]


def test_the_function_does_what_it_says(emulator, own, make_hook, dags_folder, load_dags):
    (dags_folder / "custom_from_docs.py").write_text(blocks_of(PAGE, "python")[0])
    emulator.start_execution("own")
    [job] = make_hook().poll(CUSTOM_TYPE)
    assert load_dags().run("build_one_custom_job", **job.to_xcom()).state == "success"
    [put] = emulator.ledger.terminal_results(job.job_id)
    assert put.details["outputVariables"] == {"Digest": "0f3a"}


@pytest.mark.parametrize(
    ("action_type", "pipeline", "has_variables"), [(ACTION_TYPE, "pipe", False), (CUSTOM_TYPE, "own", True)]
)
def test_the_template_gives_variables_to_custom_jobs_only(
    emulator, customer, own, dags_folder, load_dags, make_hook, action_type, pipeline, has_variables
):
    [template] = re.findall(r'`output_variables="(\{\{.*?\}\})"`', page(PAGE))
    (dags_folder / "both_owners_from_docs.py").write_text(
        f"""
from airflow.sdk import DAG, Param
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

with DAG("both_owners", schedule=None, params={{"action_type": Param({{}}, type="object")}}):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{{{ dag_run.conf.job }}}}")
    finish = finish_job(claim, output_variables={template!r})
    claim >> EmptyOperator(task_id="work") >> finish
"""
    )
    emulator.start_execution(pipeline)
    [job] = make_hook().poll(action_type)
    run = load_dags().run("both_owners", job=job.to_xcom(), action_type=action_type)
    assert run.state == "success"
    [put] = emulator.ledger.terminal_results(job.job_id)
    assert put.details.get("outputVariables") == ({"Release": run.run_id} if has_variables else None)


@pytest.mark.system
def test_a_dag_of_ones_own_runs_against_the_emulator_as_it_says(dags_folder, tmp_path):
    (dags_folder / "custom_walk_from_docs.py").write_text(blocks_of(PAGE, "python")[-1])
    (tmp_path / "action-type.yaml").write_text(blocks_of(PAGE, "yaml")[0])
    serve, walk = blocks_of(PAGE, "bash")[2:]
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
        env={**os.environ, "PATH": PATH},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    state = json.loads(done.stdout[done.stdout.rindex('{\n  "pipelineName"') :])
    shown = state["stageStates"][1]["actionStates"][0]["latestExecution"]
    assert (shown["status"], shown["summary"]) == ("Succeeded", "Built by shop.")


# moto passes over the policy of a queue.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
def test_the_wake_queues_commands_do_what_they_say(emulator, tmp_path):
    printed = in_shell(blocks_of(PAGE, "bash")[1], emulator, tmp_path)
    assert "Successfully created/updated stack - airflow-build-jobs" in printed
    assert "sqs:ReceiveMessage" in printed
    names = {}
    exec(compile(blocks_of(PAGE, "python")[1], PAGE, "exec"), names)  # noqa: S102 - that is what it is for
    [watcher] = names["build_jobs"].watchers
    assert watcher.trigger.serialize()[1]["wake_queue"].endswith("/started")
