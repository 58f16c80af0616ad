# SPDX-License-Identifier: Apache-2.0
"""
The recommended worker: it polls all the time and starts one run of ``example_partner_build`` per job.

Each job has a page, a log, callbacks, retries and a clear of its own. The run id is made from the job id, so
that a job which is offered twice makes one run. The poller claims nothing: what it loses is offered again.
A job whose run ended without a claim (no client token, for instance) gets another run when it is offered
again.
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
def example_partner_worker() -> None:
    wait_for_jobs = CodePipelineJobSensor(
        task_id="wait_for_jobs",
        action_type="{{ params.action_type }}",
        aws_conn_id="{{ params.aws_conn_id }}",
        poke_interval=5,
        # No job for an hour is no failure: this run ends, the next begins.
        timeout=3600,
        soft_fail=True,
        deferrable=True,
    )

    # The conf's aws_conn_id becomes the param of the run that is started.
    dispatch_jobs(
        wait_for_jobs.output,
        "example_partner_build",
        task_id="start_run",
        conf={"aws_conn_id": "{{ params.aws_conn_id }}"},
    )


example_partner_worker()
