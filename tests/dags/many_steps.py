# SPDX-License-Identifier: Apache-2.0
"""A worker for many steps at once, and the DAG that each of them runs."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_codepipeline_partner.dags import run_dag_step

run_dag_step(
    "Invoke/Custom/ManySteps/1",
    allowed_dags=["step_of_many"],
    dag_id="many_steps",
    poll_interval=2,
    poke_interval=5,
    # One job for each action, however long it takes.
    progress_interval=None,
)

with DAG("step_of_many", schedule=None, max_active_runs=64):

    @task
    def work(dag_run: Any = None) -> int:
        """Return the number that the action's configuration has."""
        number: int = dag_run.conf["number"]
        return number

    work()
