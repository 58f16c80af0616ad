# SPDX-License-Identifier: Apache-2.0
"""
The recommended worker: an asset starts a run of this DAG as soon as jobs are offered.

The asset's watcher polls in the triggerer while this DAG is not paused. It shares its poll with every other
DAG and sensor for the same action type and connection. Each job gets a run of ``example_claim_work_finish``.
To run this DAG by hand, or with ``airflow dags test``, give it a conf with ``jobs``.
"""

from __future__ import annotations

from airflow.sdk import dag

from airflow_codepipeline_partner.assets import codepipeline_jobs, dispatch_jobs

# The watcher exists before any run, so these values cannot be params.
JOBS = codepipeline_jobs(
    "example_partner_jobs",
    "Deploy/ThirdParty/Example/1",
    poll_interval=5,
    aws_conn_id="aws_default",
)


@dag(schedule=[JOBS], max_active_runs=16, tags=["codepipeline"])
def example_jobs_as_asset_events() -> None:
    # None: the jobs of the events that started this run.
    dispatch_jobs(None, "example_claim_work_finish")


example_jobs_as_asset_events()
