# SPDX-License-Identifier: Apache-2.0
"""DAGs whose tasks wait or work until a user comes, and go on with their action in a new job."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineContinueJobOperator,
    finish_job,
)


@task
def work(job: dict[str, Any] | None, **context: Any) -> None:
    time.sleep(context["dag_run"].conf.get("work", 0))


@task.short_circuit(retries=1, retry_delay=timedelta(hours=1))
def gate() -> bool:
    raise RuntimeError("ask again in an hour")


@task
def last() -> None:
    """Do the last step."""


with DAG("gated", schedule=None):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] | tojson }}")
    work(claim.output) >> gate() >> last()
    finish_job(claim)


@task(retries=1, retry_delay=timedelta(seconds=15))
def deploy(job: Any, **context: Any) -> None:
    if context["ti"].try_number == 1:
        raise ConnectionError("not yet")


@task
def check(job: Any) -> None:
    raise ValueError("it is wrong")


with DAG("retries_beside_a_failure", schedule=None):
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] | tojson }}")
    # It cannot run, so Airflow starts finish_job while the deployment waits for its retry.
    [deploy(claim.output), check(claim.output)] >> last()
    finish_job(claim)

for dag_id, poll_interval, timeout in (
    ("goes_on", 1, None),
    # The next job is there long before this one looks.
    ("goes_on_out_of_time", 600, timedelta(seconds=60)),
):
    with DAG(
        dag_id,
        schedule=None,
        dagrun_timeout=timeout,
        on_failure_callback=CodePipelineJobFailureNotifier(),
    ):
        claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf['job'] | tojson }}")
        go_on = CodePipelineContinueJobOperator(
            task_id="go_on",
            job=claim.output,
            execution_details={"percentComplete": 50},
            poll_interval=poll_interval,
        )
        work(go_on.output)
        finish_job(claim).POLL_INTERVAL = 1
