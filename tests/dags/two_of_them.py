# SPDX-License-Identifier: Apache-2.0
"""DAGs in which more than one job, or more than one claim, is in play."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineContinueJobOperator,
    PutThirdPartyJobFailureResultOperator,
    PutThirdPartyJobSuccessResultOperator,
    finish_job,
)
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor

ACTION_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
JOB = "{{ dag_run.conf['job'] }}"


@task
def work(job: Any) -> None:
    """Do nothing."""


@task(retries=1)
def work_at_the_second_try(job: Any, **context: Any) -> None:
    if context["ti"].try_number == 1:
        raise ConnectionError("not yet")


with DAG("polls_and_works", schedule=None, render_template_as_native_obj=True):
    wait = CodePipelineJobSensor(
        task_id="wait", action_type=ACTION_TYPE, max_batch_size=1, poke_interval=0.1, timeout=20
    )
    claim = CodePipelineClaimJobOperator(
        task_id="claim", job="{{ ti.xcom_pull(task_ids='wait')[0] }}", retries=1
    )
    wait >> claim
    work_at_the_second_try(claim.output)
    finish_job(claim)

for dag_id in ("the_second_claim_wins", "the_second_claim_wins_and_puts"):
    with DAG(dag_id, schedule=None, render_template_as_native_obj=True):
        stale = CodePipelineClaimJobOperator(
            task_id="a_stale_claim", job="{{ dag_run.conf['stale'] }}", finished_elsewhere=True
        )
        claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB, trigger_rule="all_done")
        stale >> claim
        if dag_id.endswith("puts"):
            put = PutThirdPartyJobSuccessResultOperator(task_id="put", job=claim.output)
            work(claim.output) >> put
        else:
            go_on = CodePipelineContinueJobOperator(task_id="go_on", job=claim.output, poll_interval=0.1)
            work(go_on.output)
            finish_job(claim)

with DAG("puts_what_was_never_claimed", schedule=None, render_template_as_native_obj=True):

    @task
    def prepare() -> None:
        raise ValueError("before the claim")

    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
    prepare() >> claim
    work(claim.output) >> PutThirdPartyJobFailureResultOperator(
        task_id="put", job=JOB, message="work failed", trigger_rule="all_done"
    )

with DAG("passes_the_token_on", schedule=None, render_template_as_native_obj=True):
    claim = CodePipelineClaimJobOperator(task_id="claim", job=JOB)
    go_on = CodePipelineContinueJobOperator(task_id="go_on", job=claim.output, poll_interval=0.1)
    PutThirdPartyJobSuccessResultOperator(
        task_id="put",
        job=go_on.output,
        continuation_token="{{ ti.xcom_pull(task_ids='go_on')['continuation_token'] }}",
    )
    finish_job(claim)
