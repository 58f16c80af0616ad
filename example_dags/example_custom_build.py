# SPDX-License-Identifier: Apache-2.0
"""
A build as a custom action, with output variables; ``example_custom_worker`` starts the runs.

What the action tells of its result, later actions of the pipeline can use in their configuration: where the
action has the namespace ``Build``, as ``#{Build.Digest}``. The action type is declared in
``demo/action-type.yaml``. No customer and no client token are in this: who may work is for IAM to say.
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
def example_custom_build() -> None:
    @task.codepipeline_job(aws_conn_id="{{ params.aws_conn_id }}")
    def build(job: JobInProgress) -> Completion:
        with job.workspace() as workspace:
            source = workspace.extract()
            files = sum(path.is_file() for path in source.rglob("*"))
            archive = workspace.pack(source)
            with archive.open("rb") as packed:
                digest = hashlib.file_digest(packed, "sha256").hexdigest()
            workspace.upload(None, archive)
        job.current_revision = {"revision": digest, "changeIdentifier": job.job_id}
        return Completion(
            {"summary": f"Built from {files} files by Airflow.", "percentComplete": 100},
            {"Digest": digest, "Files": str(files)},
        )

    finish_job(build("{{ dag_run.conf | tojson }}"))


example_custom_build()
