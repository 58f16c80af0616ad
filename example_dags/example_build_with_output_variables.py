# SPDX-License-Identifier: Apache-2.0
"""
Output variables: a custom action gives values to later actions of the pipeline.

If the action has the namespace ``Build``, later actions can write ``#{Build.Digest}`` in their
configuration. A custom action has no customer and no client token: IAM decides who may work on it. Its
action type is declared in ``demo/action-type.yaml``. ``example_custom_jobs_by_query`` starts the runs.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from airflow.sdk import Param, dag, task

from airflow_codepipeline_partner.decorators import Completion, JobInProgress
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import finish_job


@dag(
    schedule=None,
    params={
        "action_type": Param(
            {"category": "Build", "owner": "Custom", "provider": "Airflow", "version": "1"},
            type="object",
        ),
        "aws_conn_id": "aws_default",
    },
    max_active_runs=16,
    dagrun_timeout=timedelta(minutes=50),
    on_failure_callback=CodePipelineJobFailureNotifier(aws_conn_id="{{ params.aws_conn_id }}"),
    tags=["codepipeline"],
)
def example_build_with_output_variables() -> None:
    @task.codepipeline_job(aws_conn_id="{{ params.aws_conn_id }}", missing_outputs="fail")
    def build(job: JobInProgress) -> Completion:
        with job.workspace() as workspace:
            source = workspace.extract()
            files = sum(path.is_file() for path in source.rglob("*"))
            archive = workspace.pack(source)
            with archive.open("rb") as packed:
                digest = hashlib.file_digest(packed, "sha256").hexdigest()
            workspace.upload(None, archive)
        job.current_revision = {"revision": digest, "change_identifier": job.job_id}
        return Completion(
            {"summary": f"Built from {files} files by Airflow.", "percent_complete": 100},
            {"Digest": digest, "Files": str(files)},
        )

    finish_job(build("{{ dag_run.conf | tojson }}"))


example_build_with_output_variables()
