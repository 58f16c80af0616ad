# SPDX-License-Identifier: Apache-2.0
"""DAGs that a pipeline runs as steps, with its artifacts."""

from __future__ import annotations

from airflow.sdk import dag, task

from airflow_codepipeline_partner.artifacts import Workspace
from airflow_codepipeline_partner.operators import (
    CodePipelineDownloadArtifactsOperator,
    CodePipelineUploadArtifactsOperator,
)

JOB = "{{ dag_run.conf['codepipeline'] | tojson }}"


@dag(schedule=None)
def build_in_python():
    @task
    def build(dag_run=None):
        with Workspace(dag_run.conf["codepipeline"]) as workspace:
            source = workspace.extract("SourceOutput")
            (workspace.path / "report.txt").write_text((source / "a").read_text().upper())
            workspace.upload("Report", workspace.path)

    build()


@dag(schedule=None)
def build_with_operators():
    folder = "{{ dag_run.conf['folder'] }}"
    CodePipelineDownloadArtifactsOperator(
        task_id="fetch", job=JOB, destination=folder, extract=True
    ) >> CodePipelineUploadArtifactsOperator(
        task_id="store", job=JOB, artifacts={"Report": f"{folder}/SourceOutput/a"}
    )


@dag(schedule=None, tags=["for-pipelines"])
def build_nothing():
    @task
    def build():
        pass

    build()


build_in_python()
build_with_operators()
build_nothing()
