# SPDX-License-Identifier: Apache-2.0
"""
Long work in several runs: each continuation job is a run of its own, which resumes from the token.

The first run reports 10 % with a continuation token and ends. CodePipeline then makes a new job with that
token, and the next run of this DAG takes it. The token is your own: here it names the work that was begun,
so that the next run finds it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    PutThirdPartyJobSuccessResultOperator,
    finish_job,
)
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor


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
def example_one_run_per_continuation() -> None:
    aws_conn_id = "{{ params.aws_conn_id }}"
    wait_for_job = CodePipelineJobSensor(
        task_id="wait_for_job",
        action_type="{{ params.action_type }}",
        aws_conn_id=aws_conn_id,
        max_batch_size=1,
        poke_interval=5,
        timeout=60,
        soft_fail=True,
        deferrable=True,
    )

    @task
    def first_of(jobs: list[dict[str, Any]]) -> dict[str, Any]:
        return jobs[0]

    claim = CodePipelineClaimJobOperator(
        task_id="claim", job=first_of(wait_for_job.output), aws_conn_id=aws_conn_id
    )

    @task.branch
    def which_step(job: dict[str, Any]) -> str:
        return "begin" if job["continuation_token"] is None else "resume"

    @task
    def begin(job: dict[str, Any]) -> str:
        # Start the long work here; its name in the other system becomes the continuation token.
        return f"deployment-of-{job['action_execution_id']}"

    @task
    def resume(job: dict[str, Any]) -> str:
        return f"Finished {job['continuation_token']}."

    begun = begin(claim.output)
    report_begin = PutThirdPartyJobSuccessResultOperator(
        task_id="report_begin",
        job=claim.output,
        continuation_token=begun,
        execution_details={"summary": "The deployment has begun.", "percent_complete": 10},
        aws_conn_id=aws_conn_id,
    )
    resumed = resume(claim.output)
    which_step(claim.output) >> [begun, resumed]
    begun >> report_begin
    # After resume this ends the job: with success, or with failure if a task failed. After report_begin the
    # job has its result, and there is nothing left to end.
    finish_job(claim, execution_details={"summary": "The deployment is complete.", "percent_complete": 100})


example_one_run_per_continuation()
