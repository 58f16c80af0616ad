# SPDX-License-Identifier: Apache-2.0
"""
A worker for some of the jobs of a custom action type: those with one value of its queryable property.

The param ``query_param`` names the property and the value. It is empty by default, because the action type
in ``demo/action-type.yaml`` has no queryable property. Each job gets a run of
``example_build_with_output_variables``. A custom job is claimed with the nonce of its offer, which is valid
until the job is offered again. If that happens before the run claims the job, the run is skipped, and the
new offer gets another run.
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
def example_custom_jobs_by_query() -> None:
    wait_for_jobs = CodePipelineJobSensor(
        task_id="wait_for_jobs",
        action_type="{{ params.action_type }}",
        query_param="{{ params.query_param }}",
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
        "example_build_with_output_variables",
        task_id="start_run",
        conf={"aws_conn_id": "{{ params.aws_conn_id }}"},
    )


example_custom_jobs_by_query()
