# SPDX-License-Identifier: Apache-2.0
"""
The work on one job, in a run of its own: claim, work, finish. ``example_partner_events`` starts the runs.

A run's conf is the offered job. Whatever becomes of the work, the job gets exactly one result: by
``finish_job``, and by the DAG's callback where Airflow lets no task run any more (``dagrun_timeout``).
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
def example_partner_job() -> None:
    claim = CodePipelineClaimJobOperator(
        task_id="claim",
        job="{{ dag_run.conf | tojson }}",
        aws_conn_id="{{ params.aws_conn_id }}",
    )

    @task
    def work(job: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        # The configuration may hold the customer's secrets: it is asked for where it is used, and what is
        # returned from here (and so lies in XCom) is only what everybody may see.
        details = CodePipelineHook(aws_conn_id=params["aws_conn_id"]).details(job)
        revisions = [artifact.revision for artifact in details.input_artifacts if artifact.revision]
        revision = revisions[0] if revisions else job["job_id"]
        return {"revision": revision, "change_identifier": job["job_id"]}

    revision = work(claim.output)
    finish_job(
        claim,
        current_revision=revision,
        execution_details={"summary": "Deployed by Airflow.", "percentComplete": 100},
    )


example_partner_job()
