# SPDX-License-Identifier: Apache-2.0
"""DAGs that start a pipeline, or wait for an execution, as the run's conf says."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_codepipeline_partner.operators import CodePipelineStartPipelineOperator
from airflow_codepipeline_partner.sensors import CodePipelineExecutionSensor

for deferrable in (False, True):
    how = "deferred" if deferrable else "on_the_worker"
    with DAG(f"start_pipeline_{how}", schedule=None):
        CodePipelineStartPipelineOperator(
            task_id="start",
            pipeline_name="{{ dag_run.conf['pipeline'] }}",
            variables="{{ dag_run.conf.get('variables') }}",
            waiter_delay=0.1,
            waiter_max_attempts=100,
            deferrable=deferrable,
            retries=1,
            retry_delay=timedelta(0),
        )
    with DAG(f"wait_for_execution_{how}", schedule=None):
        CodePipelineExecutionSensor(
            task_id="wait",
            pipeline_name="{{ dag_run.conf['pipeline'] }}",
            execution_id="{{ dag_run.conf['execution'] }}",
            poke_interval=0.1,
            timeout=20,
            deferrable=deferrable,
        )
