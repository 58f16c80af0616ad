# SPDX-License-Identifier: Apache-2.0
"""
The smallest worker: one run takes one job, and one task sends its result with one API call.

The task ``work`` passes the job id and the continuation token through XCom to the operator. The first job of
an action ends with a continuation token, so CodePipeline makes a second job that carries the token. A job
that carries the token ends the action. This DAG has no finishing task: if ``work`` fails, CodePipeline waits
for the job's timeout. ``example_claim_work_finish`` avoids that wait.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task

from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    PutThirdPartyJobSuccessResultOperator,
)
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor


@dag(
    schedule=None,
    params={
        "action_type": Param(
            {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"},
            type="object",
        ),
        "aws_conn_id": "aws_default",
    },
    tags=["codepipeline"],
)
def example_put_success_result() -> None:
    aws_conn_id = "{{ params.aws_conn_id }}"
    wait_for_job = CodePipelineJobSensor(
        task_id="wait_for_job",
        action_type="{{ params.action_type }}",
        aws_conn_id=aws_conn_id,
        max_batch_size=1,
        poke_interval=5,
        timeout=600,
    )
    claim = CodePipelineClaimJobOperator(
        task_id="claim",
        job="{{ ti.xcom_pull('wait_for_job')[0] }}",
        aws_conn_id=aws_conn_id,
    )

    @task
    def work(job: dict[str, Any]) -> dict[str, Any]:
        is_first = job["continuation_token"] is None
        return {
            "job_id": job["job_id"],
            "client_id": job["client_id"],
            "continuation_token": "second-step" if is_first else None,
            "percent": 50 if is_first else 100,
        }

    put_result = PutThirdPartyJobSuccessResultOperator(
        task_id="put_result",
        job_id="{{ ti.xcom_pull('work')['job_id'] }}",
        client_id="{{ ti.xcom_pull('work')['client_id'] }}",
        continuation_token="{{ ti.xcom_pull('work')['continuation_token'] }}",
        execution_details={"percent_complete": "{{ ti.xcom_pull('work')['percent'] }}"},
        aws_conn_id=aws_conn_id,
    )
    wait_for_job >> claim
    work(claim.output) >> put_result


example_put_success_result()
