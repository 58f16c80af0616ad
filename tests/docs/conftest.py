# SPDX-License-Identifier: Apache-2.0
"""What the pages about steps of pipelines share: their action type, and a worker that runs a step."""

from __future__ import annotations

import pytest
import yaml

from airflow_codepipeline_partner.cli import main
from tests.docs.pages import blocks_of

STEPS_PAGE = "docs/dag-steps.md"


@pytest.fixture
def declare(codepipeline, tmp_path, monkeypatch, capsys):
    """Return a function that creates an action type by the page's command, and returns its declaration."""
    monkeypatch.chdir(tmp_path)

    def create(declaration):
        (tmp_path / "airflow-dag.yaml").write_text(declaration)
        [command] = blocks_of(STEPS_PAGE, "bash")
        arguments = command.split(" > ")[0].split()[3:]
        assert main([*arguments, "--endpoint-url", codepipeline.emulator.url, "--region", "us-east-1"]) == 0
        assert "PollForJobs" in capsys.readouterr().out
        return yaml.safe_load(declaration)

    return create


@pytest.fixture
def do_step(codepipeline, make_hook, tmp_path):
    """Return a function that has the worker of the page, or another one, do the next job of a kind."""
    code = blocks_of(STEPS_PAGE, "python")
    [trained] = [block for block in code if "def train_model" in block]

    def do(kind, worker=code[0], query_param=None):
        (tmp_path / "worker_from_dag_steps.py").write_text(worker)
        (tmp_path / "trained_from_dag_steps.py").write_text(trained)
        [job] = make_hook().poll(kind, query_param=query_param)
        worker = codepipeline.load_dag(tmp_path / "worker_from_dag_steps.py", "codepipeline_step_job")
        train_model = codepipeline.load_dag(tmp_path / "trained_from_dag_steps.py", "train_model")
        return codepipeline.run(worker, conf=job.to_xcom(), started=[train_model])

    return do
