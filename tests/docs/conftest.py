# SPDX-License-Identifier: Apache-2.0
"""What the pages about steps of pipelines share: their action type, and a worker that runs a step."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

from airflow_codepipeline_partner.cli import main
from airflow_codepipeline_partner.dags import step_tasks
from tests.docs.pages import blocks_of

STEPS_PAGE = "docs/dag-steps.md"


@pytest.fixture
def declare(emulator, aws_connection, tmp_path, monkeypatch, capsys):
    """Return a function that creates an action type by the page's command, and returns its declaration."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.chdir(tmp_path)

    def create(declaration):
        (tmp_path / "airflow-dag.yaml").write_text(declaration)
        [command] = blocks_of(STEPS_PAGE, "bash")
        arguments = command.split(" > ")[0].split()[3:]
        assert main([*arguments, "--endpoint-url", emulator.url, "--region", "us-east-1"]) == 0
        assert "PollForJobs" in capsys.readouterr().out
        return yaml.safe_load(declaration)

    return create


@pytest.fixture
def do_step(dags_folder, load_dags, make_hook, monkeypatch):
    """Return a function that has the worker of the page, or another one, do the next job of a kind."""
    code = blocks_of(STEPS_PAGE, "python")
    [trained] = [block for block in code if "def train_model" in block]

    def do(kind, worker=code[0], query_param=None):
        (dags_folder / "worker_from_dag_steps.py").write_text(worker)
        (dags_folder / "trained_from_dag_steps.py").write_text(trained)
        [job] = make_hook().poll(kind, query_param=query_param)
        done = SimpleNamespace(started=[])
        dags = load_dags()
        stepped = dags.run("train_model", codepipeline={"pipeline_execution_id": "7ce2"})
        monkeypatch.setattr(step_tasks, "is_paused", lambda ti, dag_id: False)
        monkeypatch.setattr(step_tasks, "start_run", lambda *given, note: done.started.append(given) or True)
        monkeypatch.setattr(
            step_tasks, "get_run_state", lambda dag_id, run_id: stepped.state if done.started else None
        )
        monkeypatch.setattr(
            step_tasks,
            "value_from_run",
            lambda ti, dag_id, run_id, task_id, key: stepped.xcoms.get((task_id, key)),
        )
        done.run, done.dags = dags.run("codepipeline_step_job", **job.to_xcom()), dags
        return done

    return do
