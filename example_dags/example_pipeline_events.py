# SPDX-License-Identifier: Apache-2.0
"""
A run for each end of a pipeline: an asset starts it when executions have succeeded or failed.

The asset's watcher looks at the pipeline in the triggerer while this DAG is not paused. Two runs may
have the same execution, so work that must not be done twice should ask whether it was. To run this DAG
by hand, or with ``airflow dags test``, give it a conf with ``pipeline_name``, ``pipeline_execution_id``
and ``status``.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from airflow_codepipeline_partner.assets import codepipeline_events, ended_executions

# The watcher exists before any run, so these values cannot be params.
ENDS = codepipeline_events(
    "example_pipeline_ends",
    "shop",
    states=("Succeeded", "Failed"),
    aws_conn_id="aws_default",
)


@dag(schedule=[ENDS], max_active_runs=16, tags=["codepipeline"])
def example_pipeline_events() -> None:
    @task
    def ended() -> list[dict[str, Any]]:
        return ended_executions()

    @task
    def announce(execution: dict[str, Any]) -> str:
        text = "{pipeline_name}: {status} ({pipeline_execution_id})".format_map(execution)
        print(text)
        return text

    announce.expand(execution=ended())


example_pipeline_events()
