# SPDX-License-Identifier: Apache-2.0
"""
One DAG for partner and custom actions: the param ``action_type`` decides which API is called.

Each run takes the jobs that wait, claims, works on and finishes each of them. Only a custom action has output
variables, so that the template makes nothing of them for a partner's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import Param, dag, task, task_group

from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor


@dag(
    schedule="* * * * *",
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
    tags=["codepipeline"],
)
def example_any_owner() -> None:
    aws_conn_id = "{{ params.aws_conn_id }}"
    wait_for_jobs = CodePipelineJobSensor(
        task_id="wait_for_jobs",
        action_type="{{ params.action_type }}",
        aws_conn_id=aws_conn_id,
        timeout=60,
        soft_fail=True,
        deferrable=True,
    )

    @task
    def work(job: dict[str, Any]) -> str:
        return f"Done for {job['pipeline_name']}."

    @task_group
    def handle(job: Any) -> None:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=job, aws_conn_id=aws_conn_id)
        finish_job(
            claim,
            execution_details={"summary": work(claim.output), "percentComplete": 100},
            output_variables="{{ {'Release': run_id} if params.action_type.owner == 'Custom' else none }}",
        )

    handle.expand(job=wait_for_jobs.output)


example_any_owner()
