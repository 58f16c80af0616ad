# SPDX-License-Identifier: Apache-2.0
"""DAGs as a team writes them: one for each way in which a DAG takes jobs."""

from __future__ import annotations

import os
import signal
from datetime import datetime, timedelta

from airflow.sdk import dag, task

from airflow_codepipeline_partner.artifacts import Workspace
from airflow_codepipeline_partner.assets import codepipeline_jobs, dispatch_jobs
from airflow_codepipeline_partner.dags import run_dag_step
from airflow_codepipeline_partner.decorators import Completion
from airflow_codepipeline_partner.exceptions import JobFailure
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineContinueJobOperator,
    CodePipelineStartPipelineOperator,
    finish_job,
)
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor

KIND = "Deploy/Custom/Example/1"
CONF = "{{ dag_run.conf | tojson }}"


@dag(schedule=None)
def as_function():
    @task.codepipeline_job(retries=2, retry_delay=timedelta(hours=1))
    def deploy(job, **context):
        wish = job.configuration.get("Wish", "")
        if wish == "fail":
            raise JobFailure("The wish was to fail.", "ConfigurationError")
        if wish == "retry" and context["ti"].try_number < 3:
            raise OSError("Not yet.")
        if wish == "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
        if wish.startswith("leak"):
            raise OSError(f"No server {wish}.")
        job.progress(100, "Deployed shop.")
        return Completion({"summary": "Deployed shop.", "percent_complete": 100}, {"Release": "r7"})

    finish_job(deploy(CONF))


@dag(schedule=timedelta(minutes=1), start_date=datetime(2026, 1, 1), catchup=False)
def by_sensor():
    wait = CodePipelineJobSensor(task_id="wait", action_type=KIND, poke_interval=60, deferrable=True)

    @task.codepipeline_job
    def work(job):
        return {"summary": f"Worked on {job.job.pipeline_name}."}

    work.expand(job=wait.output)


@dag(schedule=[codepipeline_jobs("kit_jobs", KIND, aws_conn_id="another_account")])
def by_asset():
    dispatch_jobs(None, "as_function")


@dag(schedule=timedelta(minutes=1), start_date=datetime(2026, 1, 1), catchup=False, params={"kind": KIND})
def dispatcher():
    wait = CodePipelineJobSensor(task_id="wait", action_type="{{ params.kind }}", deferrable=True)
    dispatch_jobs(wait.output, "as_function")


@dag(schedule=None)
def continuing():
    claim = CodePipelineClaimJobOperator(task_id="claim", job=CONF)
    forty = CodePipelineContinueJobOperator(
        task_id="forty",
        job=claim.output,
        execution_details={"summary": "Built.", "percent_complete": 40},
    )
    eighty = CodePipelineContinueJobOperator(
        task_id="eighty",
        job=forty.output,
        execution_details={"summary": "Copied.", "percent_complete": 80},
    )
    eighty >> finish_job(claim, execution_details={"summary": "Deployed.", "percent_complete": 100})


@dag(schedule=None)
def with_artifacts():
    claim = CodePipelineClaimJobOperator(task_id="claim", job=CONF)

    @task
    def build(job):
        with Workspace(job, CodePipelineHook()) as workspace:
            source = workspace.extract()
            page = source / "index.html"
            page.write_text(page.read_text().upper())
            workspace.upload(None, workspace.pack(source))

    build(claim.output) >> finish_job(claim)


@dag(schedule=None)
def releasing():
    CodePipelineStartPipelineOperator(
        task_id="release",
        pipeline_name="shop",
        variables={"Version": "1.10"},
        deferrable=True,
        waiter_delay=5,
    )


run_dag_step("Invoke/Custom/AirflowDag/1", allowed_dags=["model"], dag_id="step")


@dag(schedule=None)
def model():
    @task
    def train(**context):
        if context["dag_run"].conf.get("day") == "never":
            raise ValueError("There is no such day.")
        return 0.93

    train()


as_function()
by_sensor()
by_asset()
dispatcher()
continuing()
with_artifacts()
releasing()
model()
