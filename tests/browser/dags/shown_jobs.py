# SPDX-License-Identifier: Apache-2.0
"""DAGs for the page in Airflow: each run's conf says how its job goes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task

from airflow_codepipeline_partner.exceptions import JobFailure
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineContinueJobOperator,
    CodePipelineStartPipelineOperator,
    finish_job,
)

JOB = "{{ dag_run.conf['job'] | tojson }}"


@task
def build(job: Any, **context: Any) -> None:
    """Work until a file is there, if the conf names one; fail with the conf's message, if it has one."""
    conf = context["dag_run"].conf
    while "until" in conf and not Path(conf["until"]).exists():
        time.sleep(0.2)
    if "fails" in conf:
        raise JobFailure(conf["fails"])


@task
def deploy(job: Any) -> None:
    """Do the second half."""


# A partner's: half way, it goes on in another job.
with DAG("deploy_to_edge", schedule=None, max_active_runs=100):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
    half_way = CodePipelineContinueJobOperator(
        task_id="half_way",
        job=claim.output,
        execution_details={"summary": "Built; deploying to 14 locations.", "percentComplete": 50},
        poll_interval=1,
    )
    build(claim.output) >> half_way
    deploy(half_way.output)
    finish_job(claim, execution_details={"summary": "Live in 14 locations.", "percentComplete": 100})

# An account's own.
with DAG("build_image", schedule=None, max_active_runs=100):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
    build(claim.output)
    finish_job(claim, execution_details={"summary": "Image built and scanned.", "percentComplete": 100})

with DAG("release_train", schedule=None, max_active_runs=100):
    CodePipelineStartPipelineOperator(
        task_id="release", pipeline_name="{{ dag_run.conf['pipeline'] }}", deferrable=True, waiter_delay=2
    )
