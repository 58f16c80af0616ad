# SPDX-License-Identifier: Apache-2.0
"""What docs/starting-pipelines.md shows works."""

from __future__ import annotations

import json

import botocore.session

from airflow_codepipeline_partner._protocol.executions import PipelineExecution
from tests.docs.pages import blocks, blocks_of, page

PAGE = "docs/starting-pipelines.md"


def test_every_block_is_looked_at_here():
    assert [language for language, _ in blocks(PAGE)] == ["python", "text", "json", "json"]


def test_the_dag_starts_the_pipeline(emulator, customer, dags_folder, load_dags, make_hook):
    [code] = blocks_of(PAGE, "python")
    # The emulator's pipeline declares no variables, and nobody works on its job.
    shorter = code.replace('"shop"', '"pipe"').replace("\"{{ dag_run.conf['version'] }}\"", '"1"')
    shorter = shorter.replace('        variables={"Version": "1"},\n', "").replace(
        "deferrable=True", "wait_for_completion=False"
    )
    (dags_folder / "from_starting_pipelines.py").write_text(shorter)
    run = load_dags().run("release")
    assert run.state == "success"
    found = make_hook().get_execution("pipe", run.xcoms["release", "return_value"])
    assert found.status == "InProgress"


def test_the_mapping_has_the_members_that_the_page_shows():
    shown = json.loads(blocks_of(PAGE, "json")[0])
    assert PipelineExecution.from_xcom(shown).to_xcom() == shown


def test_the_policy_names_calls_that_there_are():
    policy = json.loads(blocks_of(PAGE, "json")[1])
    named = {
        action
        for statement in policy["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    model = botocore.session.get_session().get_service_model("codepipeline")
    assert {action.removeprefix("codepipeline:") for action in named} <= set(model.operation_names)
    used = {
        name
        for name in model.operation_names
        if name in page("airflow_codepipeline_partner/_protocol/pipeline_calls.py")
    }
    asked_for = {"StartPipelineExecution", "StopPipelineExecution", "RetryStageExecution"}
    assert asked_for <= {action.removeprefix("codepipeline:") for action in named} <= used
