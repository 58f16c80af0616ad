# SPDX-License-Identifier: Apache-2.0
"""
Event-driven: a run as soon as jobs wait, and one run of ``example_partner_job`` for each of them.

The asset's watcher polls in the triggerer while this DAG is switched on. It needs no task that waits, and
shares its poll with every other DAG and sensor for the same action type and connection. To run it by hand, or
with ``airflow dags test``, give it a conf with ``jobs``.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from airflow_codepipeline_partner.assets import codepipeline_jobs, dispatch_jobs, offered_jobs

# A watcher exists before any run, so these are no params.
JOBS = codepipeline_jobs(
    "example_partner_jobs",
    {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"},
    poll_interval=5,
    aws_conn_id="aws_default",
)


@dag(schedule=[JOBS], max_active_runs=16, tags=["codepipeline"])
def example_partner_events() -> None:
    @task
    def jobs() -> list[dict[str, Any]]:
        return offered_jobs()

    dispatch_jobs(jobs(), "example_partner_job")


example_partner_events()
