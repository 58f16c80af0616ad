# SPDX-License-Identifier: Apache-2.0
"""What docs/dag-steps.md shows works."""

from __future__ import annotations

import json

import pytest
import yaml

from airflow_codepipeline_partner.cli import main
from airflow_codepipeline_partner.dags import step_tasks
from tests.docs.pages import blocks, blocks_of

PAGE = "docs/dag-steps.md"


def test_every_block_is_run_here():
    languages = [language for language, _ in blocks(PAGE)]
    assert languages == ["yaml", "bash", "python", "json", "python"]


@pytest.fixture
def action_type(emulator, aws_connection, tmp_path, monkeypatch, capsys):
    """The action type of the page, created by the command of the page."""
    [declaration] = blocks_of(PAGE, "yaml")
    [command] = blocks_of(PAGE, "bash")
    (tmp_path / "airflow-dag.yaml").write_text(declaration)
    monkeypatch.chdir(tmp_path)
    arguments = command.split(" > ")[0].split()[3:]
    place = ["--endpoint-url", emulator.url, "--region", "us-east-1"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    assert main([*arguments, *place]) == 0
    assert "PollForJobs" in capsys.readouterr().out
    return yaml.safe_load(declaration)


def test_a_pipeline_runs_the_dag(action_type, emulator, dags_folder, load_dags, make_hook, monkeypatch):
    worker, trained = blocks_of(PAGE, "python")
    (dags_folder / "worker_from_dag_steps.py").write_text(worker)
    (dags_folder / "trained_from_dag_steps.py").write_text(trained)
    shown = json.loads(blocks_of(PAGE, "json")[0])
    assert {each["name"] for each in action_type["configurationProperties"]} >= set(shown["configuration"])
    kind = "/".join(shown["actionTypeId"][part] for part in ("category", "owner", "provider", "version"))
    emulator.add_pipeline("own", action_type=kind, configuration=shown["configuration"])
    emulator.start_execution("own")
    [job] = make_hook().poll(kind)
    started = []
    trained_run = load_dags().run("train_model", codepipeline={"pipeline_execution_id": "7ce2"})
    monkeypatch.setattr(step_tasks, "is_paused", lambda ti, dag_id: False)
    monkeypatch.setattr(step_tasks, "start_run", lambda *given: started.append(given) or True)
    monkeypatch.setattr(step_tasks, "get_run_state", lambda dag_id, run_id: trained_run.state)
    monkeypatch.setattr(
        step_tasks,
        "value_from_run",
        lambda ti, dag_id, run_id, task_id, key: trained_run.xcoms.get((task_id, key)),
    )
    assert load_dags().run("codepipeline_step_job", **job.to_xcom()).state == "success"
    [(dag_id, _, conf)] = started
    assert (dag_id, conf["day"]) == ("train_model", "2026-01-31")
    [succeeded] = [entry for entry in emulator.ledger if entry.operation == "PutJobSuccessResult"][-1:]
    assert succeeded.details["outputVariables"] == {"Accuracy": "0.93", "Model": "s3://models/7ce2"}
