# SPDX-License-Identifier: Apache-2.0
"""A worker that runs DAGs as steps of pipelines."""

from __future__ import annotations

from airflow_codepipeline_partner.dags import run_dag_step

run_dag_step(
    "Build/Custom/Airflow/1",
    allowed_dags=["train_model", "paused"],
    dag_id="step",
    poll_interval=1,
    poke_interval=0.1,
)
