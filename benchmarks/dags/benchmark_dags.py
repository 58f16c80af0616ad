# SPDX-License-Identifier: Apache-2.0
"""
DAGs that work on jobs, and DAGs of the same shape whose tasks are plain.

The dispatching DAG is started by an asset's event, and starts a run of the other DAG for each job or id.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Asset, dag, task, task_group

from airflow_codepipeline_partner.assets import codepipeline_jobs, dispatch_jobs, offered_jobs
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

MAX_ACTIVE_RUNS = 16


@task
def work(job: dict[str, Any]) -> str:
    """Stand for a user's work."""
    return "Done."


@dag(
    schedule=[codepipeline_jobs("benchmark_jobs", "Build/ThirdParty/Example/1", poll_interval=1)],
    max_active_runs=MAX_ACTIVE_RUNS,
)
def job_dispatch() -> None:
    """Start a run for each job."""
    dispatch_jobs(None, "job_run")


@dag(schedule=None, max_active_runs=MAX_ACTIVE_RUNS)
def job_run() -> None:
    """Claim, work on and finish one job."""
    claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf | tojson }}")
    result: Any = claim.output
    work(result)
    finish_job(claim, task_id="finish")


@dag(
    schedule=[codepipeline_jobs("benchmark_all", "Build/ThirdParty/All/1", poll_interval=1)],
    max_active_runs=MAX_ACTIVE_RUNS,
)
def job_all() -> None:
    """Claim, work on and finish all jobs of an event in one run."""

    @task
    def jobs() -> list[dict[str, Any]]:
        return offered_jobs()

    @task_group
    def one(job: Any) -> None:
        claim = CodePipelineClaimJobOperator(task_id="claim", job=job)
        result: Any = claim.output
        work(result)
        finish_job(claim, task_id="finish")

    one.expand(job=jobs())


@dag(
    schedule=[
        codepipeline_jobs(
            "benchmark_woken",
            "Build/Custom/Woken/1",
            poll_interval=60,
            wake_queue=os.environ.get("BENCHMARK_WAKE_QUEUE"),
        )
    ],
    max_active_runs=MAX_ACTIVE_RUNS,
)
def job_woken() -> None:
    """Start a run for each job of an action whose events wake the poll."""
    dispatch_jobs(None, "job_run")


@dag(schedule=[Asset("benchmark_ids")], max_active_runs=MAX_ACTIVE_RUNS)
def plain_dispatch() -> None:
    """Start a run for each id."""

    @task
    def list_runs(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        events = [event for some in triggering_asset_events.values() for event in some]
        ids = [each for event in events for each in event.extra["ids"]]
        return [{"trigger_run_id": f"plain__{each}", "conf": {"job_id": each}} for each in ids]

    runs: Any = list_runs()
    # Airflow's own operator starts one run in each task.
    TriggerDagRunOperator.partial(
        task_id="dispatch_jobs", trigger_dag_id="plain_run", logical_date=None
    ).expand_kwargs(runs)


@dag(schedule=None, max_active_runs=MAX_ACTIVE_RUNS)
def plain_run() -> None:
    """Three tasks, of which the last is a teardown."""

    @task
    def claim(dag_run: Any = None) -> dict[str, Any]:
        return dict(dag_run.conf)

    @task
    def finish() -> None:
        pass

    claimed: Any = claim()
    working = work(claimed)
    working >> finish().as_teardown(setups=claimed, on_failure_fail_dagrun=True)


@dag(schedule=[Asset("benchmark_event")], max_active_runs=MAX_ACTIVE_RUNS)
def plain_event() -> None:
    """Do one thing when the asset has an event."""

    @task
    def first() -> None:
        pass

    first()


job_dispatch()
job_run()
job_all()
job_woken()
plain_dispatch()
plain_run()
plain_event()
