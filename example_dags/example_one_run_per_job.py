# SPDX-License-Identifier: Apache-2.0
"""
A worker with a sensor: it polls all the time, and each job gets a DAG run of its own.

Each job then has its own page, log, callbacks, retries and clear. The run id is made from the job id, so a
job that is offered twice makes one run. Polling claims nothing: a job that this DAG loses is offered again.
If a run ended without a claim (for example because the client token was missing), the job gets another run
when it is offered again. The runs are those of ``example_build_from_artifacts``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Param, dag

from airflow_codepipeline_partner.assets import dispatch_jobs
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor


@dag(
    schedule="@continuous",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "action_type": Param(
            {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"},
            type="object",
        ),
        "aws_conn_id": "aws_default",
    },
    default_args={"retries": 3, "retry_delay": timedelta(seconds=10)},
    tags=["codepipeline"],
)
def example_one_run_per_job() -> None:
    wait_for_jobs = CodePipelineJobSensor(
        task_id="wait_for_jobs",
        action_type="{{ params.action_type }}",
        aws_conn_id="{{ params.aws_conn_id }}",
        poke_interval=5,
        # An hour without a job is no failure: this run ends and the next begins.
        timeout=3600,
        soft_fail=True,
        deferrable=True,
    )

    # The conf's aws_conn_id becomes the param of the run that is started.
    dispatch_jobs(
        wait_for_jobs.output,
        "example_build_from_artifacts",
        task_id="start_run",
        conf={"aws_conn_id": "{{ params.aws_conn_id }}"},
    )


example_one_run_per_job()
