# SPDX-License-Identifier: Apache-2.0
"""
The standard run for one job: claim, work, finish. The run's conf is the offered job.

``finish_job`` gives the job exactly one result, even if the work fails. If Airflow runs no more tasks
(``dagrun_timeout``), the DAG's callback does. ``example_jobs_as_asset_events`` starts the runs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job


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
    dagrun_timeout=timedelta(minutes=50),
    on_failure_callback=CodePipelineJobFailureNotifier(aws_conn_id="{{ params.aws_conn_id }}"),
    tags=["codepipeline"],
)
def example_claim_work_finish() -> None:
    claim = CodePipelineClaimJobOperator(
        task_id="claim",
        job="{{ dag_run.conf | tojson }}",
        aws_conn_id="{{ params.aws_conn_id }}",
    )

    @task
    def work(job: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        # The configuration may hold the customer's secrets: ask for it only where you use it. The return
        # value goes to XCom, so return only what everybody may see.
        details = CodePipelineHook(aws_conn_id=params["aws_conn_id"]).details(job)
        revisions = [artifact.revision for artifact in details.input_artifacts if artifact.revision]
        revision = revisions[0] if revisions else job["job_id"]
        return {"revision": revision, "change_identifier": job["job_id"]}

    revision = work(claim.output)
    finish_job(
        claim,
        current_revision=revision,
        execution_details={"summary": "Deployed by Airflow.", "percent_complete": 100},
    )


example_claim_work_finish()
