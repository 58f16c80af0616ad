# SPDX-License-Identifier: Apache-2.0
"""DAGs in which the author's own parts of a task, or its shape, meet a job that the task has claimed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task, task_group

from airflow_codepipeline_partner._compat import AirflowSkipException
from airflow_codepipeline_partner.decorators import JobInProgress
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

JOB = "{{ dag_run.conf['job'] }}"
RETRY = {"retries": 1, "retry_delay": timedelta(0)}


def is_retry(context: Any) -> bool:
    return context["ti"].try_number > 1


def skip_a_retry(context: Any) -> None:
    if is_retry(context):
        raise AirflowSkipException("maintenance")


def unless_retry(try_number: int) -> str:
    if try_number > 1:
        raise AirflowSkipException("maintenance")
    return "x"


@task.codepipeline_job(**RETRY)
def fails(job: JobInProgress, *more: Any) -> None:
    raise ValueError("x")


class ClaimThatFails(CodePipelineClaimJobOperator):
    """Claims the job, and fails then."""

    def execute(self, context: Any) -> Any:
        super().execute(context)
        raise ValueError("x")


@task
def work(job: Any) -> None:
    """Do nothing."""


with DAG("skipped_by_condition", schedule=None):
    finish_job(task.skip_if(is_retry)(fails)(JOB))

with DAG("skipped_by_pre_execute", schedule=None):
    finish_job(fails.override(pre_execute=skip_a_retry)(JOB))

with DAG("skipped_by_macro", schedule=None, user_defined_macros={"unless_retry": unless_retry}):
    finish_job(fails(JOB, "{{ unless_retry(ti.try_number) }}"))

with DAG("skipped_alone", schedule=None):
    fails.override(pre_execute=skip_a_retry)(JOB)

with DAG("skipped_claim", schedule=None, render_template_as_native_obj=True):
    claim = ClaimThatFails(task_id="claim", job=JOB, pre_execute=skip_a_retry, **RETRY)
    work(claim.output)
    finish_job(claim)


@task
def jobs(**context: Any) -> list[Any]:
    return [context["dag_run"].conf["job"]]


@task.codepipeline_job
def handle(job: JobInProgress) -> None:
    """Do nothing."""


with DAG("hides_a_failure_of_functions", schedule=None):
    handle.expand(job=jobs()) >> EmptyOperator(task_id="end", trigger_rule="all_done")


@task.codepipeline_job
def deploy(job: JobInProgress, region: str) -> None:
    """Do nothing."""


with DAG("one_job_for_three_instances", schedule=None, render_template_as_native_obj=True):
    deploy.partial(job=JOB).expand(region=["eu", "us", "ap"])

with DAG("one_job_for_three_groups", schedule=None, render_template_as_native_obj=True):

    @task_group
    def everywhere(region: str) -> None:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
        work(claim.output)
        finish_job(claim)

    everywhere.expand(region=["eu", "us", "ap"])
