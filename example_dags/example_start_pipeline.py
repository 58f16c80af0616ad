# SPDX-License-Identifier: Apache-2.0
"""
Start a pipeline and wait, without a worker slot, until it has ended.

The task's log shows what the pipeline's actions do, and its page links to the execution. If the execution
fails, the error names the stage, the action, its error code and its message. A retry waits for the same
execution, and starts no second one. The pipeline declares the variable ``Version``.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task

from airflow_codepipeline_partner.operators import CodePipelineStartPipelineOperator


@dag(
    schedule=None,
    params={
        "pipeline_name": Param("shop", type="string"),
        "version": Param("1.0", type="string"),
        "aws_conn_id": "aws_default",
    },
    tags=["codepipeline"],
)
def example_start_pipeline() -> None:
    release = CodePipelineStartPipelineOperator(
        task_id="release",
        pipeline_name="{{ params.pipeline_name }}",
        variables={"Version": "{{ params.version }}"},
        aws_conn_id="{{ params.aws_conn_id }}",
        deferrable=True,
        waiter_delay=5,
    )

    @task
    def announce(execution_id: Any, params: dict[str, Any]) -> str:
        return f"Version {params['version']} is out, by execution {execution_id}."

    announce(release.output)


example_start_pipeline()
