# SPDX-License-Identifier: Apache-2.0
"""
A DAG as a step of a pipeline: an action names ``example_train_model``, and ends as its run does.

``run_dag_step`` makes two DAGs: ``example_run_dag_step`` polls, and ``example_run_dag_step_job`` works on one
job. The action type is declared in ``demo/airflow-dag.yaml``. An action has a configuration such as
``Dag: example_train_model``, ``Conf: {"day": "2026-01-31"}`` and
``Outputs: Accuracy=evaluate, Model=train:uri``. Pipelines cannot run any other DAG.
"""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk import Param, dag, task

from airflow_codepipeline_partner.dags import run_dag_step

run_dag_step(
    "Invoke/Custom/AirflowDag/1",
    allowed_dags=["example_train_model"],
    dag_id="example_run_dag_step",
    poll_interval=5,
    poke_interval=5,
    progress_interval=60,
)


@dag(
    schedule=None,
    params={
        "day": Param("2026-01-31", type="string", format="date"),
        "seconds": Param(0, type="number", description="How long each step of the training takes."),
    },
    tags=["codepipeline"],
)
def example_train_model() -> None:
    @task
    def load(params: dict[str, Any]) -> str:
        time.sleep(params["seconds"])
        return f"sales of {params['day']}"

    @task
    def train(data: str, params: dict[str, Any], **context: Any) -> None:
        time.sleep(params["seconds"])
        # Which pipeline it is, and where its artifacts are; nothing if somebody starts the DAG by hand.
        about = context["dag_run"].conf.get("codepipeline", {})
        model = about.get("pipeline_execution_id", "by-hand")
        context["ti"].xcom_push(key="uri", value=f"s3://models/{model}")
        print(f"Trained with the {data}.")

    @task
    def evaluate(params: dict[str, Any]) -> float:
        time.sleep(params["seconds"])
        return 0.93

    train(load()) >> evaluate()


example_train_model()
