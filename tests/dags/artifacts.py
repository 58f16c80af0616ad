# SPDX-License-Identifier: Apache-2.0
"""DAGs that move a job's artifacts as the run's conf says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task

from airflow_codepipeline_partner.artifacts import ArchiveLimits, Workspace
from airflow_codepipeline_partner.decorators import JobInProgress
from airflow_codepipeline_partner.exceptions import ArtifactError
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineDownloadArtifactsOperator,
    CodePipelineUploadArtifactsOperator,
    finish_job,
)

for extract in (False, True):
    with DAG(
        f"artifacts_carried_{'extracted' if extract else 'as_they_are'}",
        schedule=None,
        render_template_as_native_obj=True,
    ):
        claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
        download = CodePipelineDownloadArtifactsOperator(
            task_id="download",
            job=claim.output,
            destination="{{ dag_run.conf['destination'] }}",
            artifacts="{{ dag_run.conf.get('inputs') }}",
            extract=extract,
            limits=ArchiveLimits(max_members=10),
            retries=2,
            retry_delay=timedelta(0),
        )
        upload = CodePipelineUploadArtifactsOperator(
            task_id="upload",
            job=claim.output,
            artifacts="{{ dag_run.conf['outputs'] }}",
            retries=2,
            retry_delay=timedelta(0),
        )
        download >> upload
        finish_job(claim)

with DAG("artifacts_in_a_task", schedule=None, render_template_as_native_obj=True):

    @task
    def work(job: Any) -> None:
        with Workspace(job) as workspace:
            workspace.extract()

    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] }}")
    work(claim.output)
    finish_job(claim)

with DAG("artifacts_in_a_function", schedule=None, render_template_as_native_obj=True):

    @task.codepipeline_job
    def build(job: JobInProgress, how: str) -> None:
        with job.workspace() as workspace:
            (workspace.path / "f").write_text("built")
            if how != "at once":
                try:
                    workspace.upload("Built", Path("nowhere"))
                except ArtifactError:
                    if how == "let through":
                        raise
            if how != "never":
                workspace.upload("Built", workspace.path / "f")

    finish_job(build("{{ dag_run.conf['job'] }}", "{{ dag_run.conf['how'] }}"))
