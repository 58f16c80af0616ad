# SPDX-License-Identifier: Apache-2.0
"""
The whole job in one Python function: ``@task.codepipeline_job`` claims it, runs the function and reports.

If the function raises an exception, the task is retried with the same job. If no retry is left, the job
fails. ``finish_job`` reports what the task cannot report itself: that it was killed in its last try. The
DAG's callback reports what no task can: ``dagrun_timeout``. The run's conf is the offered job, as
``dispatch_jobs`` gives it.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag, task

from airflow_codepipeline_partner.decorators import JobInProgress
from airflow_codepipeline_partner.exceptions import JobFailure
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import finish_job


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
def example_work_as_function() -> None:
    @task.codepipeline_job(
        aws_conn_id="{{ params.aws_conn_id }}", retries=2, retry_delay=timedelta(seconds=10)
    )
    def deploy(job: JobInProgress) -> dict[str, object]:
        # The configuration may hold the customer's secrets: return only what everybody may see.
        target = job.configuration.get("Target", "production")
        if not target.isidentifier():
            raise JobFailure("Target must be the name of an environment.", "ConfigurationError")
        job.progress(50, "Deploying.")
        revisions = [artifact.revision for artifact in job.job.input_artifacts if artifact.revision]
        job.current_revision = {
            "revision": revisions[0] if revisions else job.job_id,
            "change_identifier": job.job_id,
        }
        return {"summary": "Deployed by a function in Airflow.", "percent_complete": 100}

    finish_job(deploy("{{ dag_run.conf | tojson }}"))


example_work_as_function()
