# SPDX-License-Identifier: Apache-2.0
"""An asset that is watched, and a run for each of its jobs."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_codepipeline_partner.assets import codepipeline_jobs, dispatch_jobs
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

WATCHED = {"category": "Test", "owner": "ThirdParty", "provider": "Watched", "version": "1"}

with DAG("watches", schedule=[codepipeline_jobs("watched_jobs", WATCHED, poll_interval=1)]):
    dispatch_jobs(None, "watched_job")

with DAG("watched_job", schedule=None):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf | tojson }}")
    finish_job(claim, execution_details={"summary": "Watched."})
