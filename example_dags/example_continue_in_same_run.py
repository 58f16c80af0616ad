# SPDX-License-Identifier: Apache-2.0
"""
Long work in one run: between two tasks, the action continues in a new job and shows its progress.

``CodePipelineContinueJobOperator`` ends the job with a continuation token, waits for the new job that
CodePipeline makes, and claims it. So no job takes longer than the tasks between two of these operators, and
waiting holds no worker slot. ``finish_job`` ends the newest job. The run's conf is the offered job:
``example_one_run_per_job`` or ``example_jobs_as_asset_events`` can start such runs if you put this DAG's id
into their ``dispatch_jobs``.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task

from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineContinueJobOperator,
    finish_job,
)


@dag(
    schedule=None,
    params={
        "action_type": Param(
            {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"},
            type="object",
        ),
        "aws_conn_id": "aws_default",
    },
    max_active_runs=16,
    on_failure_callback=CodePipelineJobFailureNotifier(aws_conn_id="{{ params.aws_conn_id }}"),
    tags=["codepipeline"],
)
def example_continue_in_same_run() -> None:
    aws_conn_id = "{{ params.aws_conn_id }}"
    claim = CodePipelineClaimJobOperator(
        task_id="claim", job="{{ dag_run.conf | tojson }}", aws_conn_id=aws_conn_id
    )

    @task
    def build(job: dict[str, Any]) -> str:
        return f"build-of-{job['action_execution_id']}"

    @task
    def deploy(job: dict[str, Any], name: str) -> str:
        return f"Deployed {name} for {job['pipeline_name']}."

    built = build(claim.output)
    half_way = CodePipelineContinueJobOperator(
        task_id="half_way",
        job=claim.output,
        execution_details={"summary": "Built; deploying.", "percent_complete": 50},
        poll_interval=5,
        aws_conn_id=aws_conn_id,
    )
    built >> half_way
    finish_job(claim, execution_details={"summary": deploy(half_way.output, built), "percent_complete": 100})


example_continue_in_same_run()
