# SPDX-License-Identifier: Apache-2.0
"""DAGs whose task processes kill themselves, with SIGKILL, where the run's conf says so."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job


def die() -> None:
    """End this process as the kernel's out-of-memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_as_told(context: Any) -> None:
    """Have this process die just after CodePipeline carried out an operation, in the task's first try."""
    operation = context["dag_run"].conf.get("die_after")
    if context["ti"].try_number > 1:
        return
    send = Transport.send

    def dying(self: Transport, call: Any, *args: Any, **kwargs: Any) -> Any:
        answer = send(self, call, *args, **kwargs)
        if call.operation == operation:
            die()
        return answer

    Transport.send = dying


@task
def work(job: dict[str, Any], **context: Any) -> None:
    if context["dag_run"].conf.get("die_after") == "work":
        die()


for retries in (0, 1):
    with DAG(f"deaths_{retries}_retries", schedule=None):
        claim = CodePipelineClaimJobOperator(
            task_id="claim",
            job="{{ dag_run.conf['job'] | tojson }}",
            retries=retries,
            retry_delay=timedelta(seconds=1),
            pre_execute=die_as_told,
        )
        work(claim.output)
        finish_job(claim, pre_execute=die_as_told).retry_delay = timedelta(seconds=1)


@task.codepipeline_job
def deploy(job: Any, **context: Any) -> None:
    if context["dag_run"].conf.get("die_after") == "work" and context["ti"].try_number == 1:
        die()


for retries in (0, 1):
    with DAG(f"deaths_of_a_function_{retries}_retries", schedule=None):
        finish_job(
            deploy.override(retries=retries, retry_delay=timedelta(seconds=1), pre_execute=die_as_told)(
                "{{ dag_run.conf['job'] | tojson }}"
            )
        )

with DAG(
    "runs_out_of_time",
    schedule=None,
    dagrun_timeout=timedelta(seconds=30),
    on_failure_callback=CodePipelineJobFailureNotifier(),
):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] | tojson }}")

    @task
    def endless(job: dict[str, Any]) -> None:
        time.sleep(300)

    endless(claim.output)
    finish_job(claim)
