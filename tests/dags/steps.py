# SPDX-License-Identifier: Apache-2.0
"""A worker that runs DAGs as steps of pipelines."""

from __future__ import annotations

from airflow_codepipeline_partner._compat import READS_OTHER_DAGS
from airflow_codepipeline_partner.dags import run_dag_step

run_dag_step(
    "Build/Custom/Airflow/1",
    allowed_dags=["train_model", "paused"],
    dag_id="step",
    poll_interval=1,
    poke_interval=0.1,
)

BUILDS = ["build_in_python", "build_with_operators", "build_nothing"]
run_dag_step(
    "Build/Custom/Airflow/1",
    allowed_dags=BUILDS,
    dag_id="build_step",
    poll_interval=1,
    poke_interval=0.1,
    missing_outputs="fail",
)
run_dag_step(
    "Build/Custom/Airflow/1",
    allowed_dags=BUILDS,
    dag_id="long_build_step",
    poll_interval=0.1,
    poke_interval=0.1,
    progress_interval=0.3,
    missing_outputs="fail",
)

if READS_OTHER_DAGS:
    run_dag_step(
        "Build/Custom/Airflow/1",
        allowed_tag="for-pipelines",
        dag_id="tagged_step",
        tags=["for-pipelines"],
        poll_interval=1,
        poke_interval=0.1,
    )
