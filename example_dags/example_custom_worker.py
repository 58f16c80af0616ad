# SPDX-License-Identifier: Apache-2.0
"""
The worker for a custom action type: it polls all the time and starts ``example_custom_build`` for each.

A custom job is claimed with the nonce of its offer, which holds until the job is offered again: should that
be before its run claims it, the run is skipped, and the new offer gets a run of its own. Where the action
type has a queryable property, ``query_param`` names it with the one value that this worker is for.
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
            {"category": "Build", "owner": "Custom", "provider": "Airflow", "version": "1"},
            type="object",
        ),
        "query_param": Param({}, type="object"),
        "aws_conn_id": "aws_default",
    },
    default_args={"retries": 3, "retry_delay": timedelta(seconds=10)},
    tags=["codepipeline"],
)
def example_custom_worker() -> None:
    wait_for_jobs = CodePipelineJobSensor(
        task_id="wait_for_jobs",
        action_type="{{ params.action_type }}",
        query_param="{{ params.query_param }}",
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
        "example_custom_build",
        task_id="start_run",
        conf={"aws_conn_id": "{{ params.aws_conn_id }}"},
    )


example_custom_worker()
