# SPDX-License-Identifier: Apache-2.0
"""
Long work in another system: a sensor watches it, keeps the action alive and shows its progress.

The sensor renews the job before its timeout: the action continues in a new job, and the customer's console
shows the percentage. The sensor waits in the triggerer and holds no worker slot. The run's conf is the
offered job, and may say how long the work takes. ``example_one_run_per_job`` or
``example_jobs_as_asset_events`` can start such runs if you put this DAG's id into their ``dispatch_jobs``.
"""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk import Param, dag, task

from airflow_codepipeline_partner.jobs import ClaimedJob, ExecutionDetails
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job
from airflow_codepipeline_partner.sensors import CodePipelineJobProgressSensor


def how_far(job: ClaimedJob, started_at: float, seconds: float) -> bool | ExecutionDetails:
    """Ask the other system how far it is; here the clock stands in for it."""
    done = min((time.time() - started_at) / seconds, 1.0)
    return done >= 1 or ExecutionDetails(
        f"Deploying {job.pipeline_name}.", percent_complete=round(100 * done)
    )


@dag(
    schedule=None,
    params={
        "action_type": Param(
            {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"},
            type="object",
        ),
        "aws_conn_id": "aws_default",
        "seconds": Param(7200, type="number", description="How long the work in the other system takes."),
        "progress_interval": Param(
            900, type="number", description="How often progress is shown, in seconds."
        ),
    },
    max_active_runs=16,
    on_failure_callback=CodePipelineJobFailureNotifier(aws_conn_id="{{ params.aws_conn_id }}"),
    tags=["codepipeline"],
)
def example_watch_external_work() -> None:
    aws_conn_id = "{{ params.aws_conn_id }}"
    claim = CodePipelineClaimJobOperator(
        task_id="claim", job="{{ dag_run.conf | tojson }}", aws_conn_id=aws_conn_id
    )

    @task
    def begin(job: dict[str, Any], params: dict[str, Any]) -> dict[str, float]:
        # Start the work here, and return what names it in the other system.
        return {"started_at": time.time(), "seconds": params["seconds"]}

    CodePipelineJobProgressSensor(
        task_id="watch",
        job=claim.output,
        progress=how_far,
        op_kwargs=begin(claim.output),
        job_timeout=3600,
        progress_interval="{{ params.progress_interval }}",
        poke_interval=30,
        poll_interval=5,
        aws_conn_id=aws_conn_id,
    )
    finish_job(claim, execution_details={"summary": "Deployed.", "percent_complete": 100})


example_watch_external_work()
