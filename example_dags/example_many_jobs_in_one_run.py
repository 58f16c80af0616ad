# SPDX-License-Identifier: Apache-2.0
"""
The simplest worker: many jobs in one run. A mapped task group claims, works on and finishes each of them.

The sensor waits in the triggerer. Runs may overlap, so new jobs are taken while older ones are worked on.
Any owner will do: with a custom action type as ``action_type``, the same DAG takes custom jobs.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, task, task_group

from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor

#: The name of a task's instance, in the place of its number.
NAME = "{{ task.op_kwargs.job.pipeline_name }} / {{ task.op_kwargs.job.stage_name }}"


@dag(
    schedule=timedelta(minutes=1),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=8,
    params={
        "action_type": Param(
            {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"},
            type="object",
        ),
        "aws_conn_id": "aws_default",
    },
    on_failure_callback=CodePipelineJobFailureNotifier(aws_conn_id="{{ params.aws_conn_id }}"),
    tags=["codepipeline"],
)
def example_many_jobs_in_one_run() -> None:
    wait_for_jobs = CodePipelineJobSensor(
        task_id="wait_for_jobs",
        action_type="{{ params.action_type }}",
        aws_conn_id="{{ params.aws_conn_id }}",
        poke_interval=5,
        timeout=60,
        soft_fail=True,
        deferrable=True,
    )

    @task_group
    def handle(job: dict[str, Any]) -> None:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=job, aws_conn_id="{{ params.aws_conn_id }}")

        @task(map_index_template=NAME)
        def work(job: dict[str, Any]) -> str:
            return f"Worked on {job['action_name']} of {job['pipeline_name']}."

        finish_job(claim, execution_details={"summary": work(job=claim.output)})

    handle.expand(job=wait_for_jobs.output)


example_many_jobs_in_one_run()
