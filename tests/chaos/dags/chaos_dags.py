# SPDX-License-Identifier: Apache-2.0
"""For each kind of job: a watched asset, a DAG that starts runs, and the DAG that does a job's work."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_current_context, task

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner.assets import codepipeline_jobs, dispatch_jobs, offered_jobs
from airflow_codepipeline_partner.decorators import JobInProgress
from airflow_codepipeline_partner.jobs import ClaimedJob, ExecutionDetails
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    CodePipelineContinueJobOperator,
    finish_job,
)
from airflow_codepipeline_partner.sensors import CodePipelineJobProgressSensor
from tests.chaos.kinds import KINDS, Kind, outcome_of
from tests.chaos.work_log import WorkEntry, append

#: The only kinds of this Airflow, with a comma between, or nothing for all.
ONLY = os.environ.get("CHAOS_KINDS", "")
#: At most, for jobs that two Airflows share.
HESITATION_SECONDS = 8
RETRIED: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(seconds=1)}


@contextmanager
def logged(job: dict[str, Any], ti: Any) -> Iterator[None]:
    """Have the log of the work say that a function worked on a job."""
    known = (job["job_id"], ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number)
    home = Path(os.environ["AIRFLOW_HOME"])
    append(home, WorkEntry("begin", *known))
    yield
    append(home, WorkEntry("end", *known))


def do_work(job: dict[str, Any], ti: Any) -> None:
    """Do what the name of the job's pipeline says."""
    outcome = outcome_of(job["pipeline_name"])
    if outcome == "fail":
        raise AirflowFailException("as planned")
    if outcome == "stumble" and ti.try_number == 1:
        raise ValueError("as planned")
    time.sleep({"linger": 6, "hang": 600}.get(outcome, 0.5))


@task(**RETRIED)
def jobs_of_events(most_seconds: float) -> list[dict[str, Any]]:
    """Return the jobs of the asset's events, some seconds late: either of two Airflows may be first."""
    time.sleep(random.uniform(0, most_seconds))  # noqa: S311 - no secret
    return offered_jobs()


@task(**RETRIED)
def work(job: dict[str, Any], ti: Any = None) -> None:
    """Stand for a user's function."""
    with logged(job, ti):
        do_work(job, ti)


def look(job: ClaimedJob, started_at: float) -> bool | ExecutionDetails:
    """Stand for a look at work elsewhere, which takes as long as the name of the job's pipeline says."""
    outcome = outcome_of(str(job.pipeline_name))
    if time.time() < started_at + {"linger": 12}.get(outcome, 0):
        return ExecutionDetails("At work.", percent_complete=50)
    with logged(job.to_xcom(), get_current_context()["ti"]):
        if outcome == "fail":
            raise AirflowFailException("as planned")
        return True


@task(**RETRIED)
def now(job: dict[str, Any]) -> float:
    """Return when the work elsewhere began."""
    return time.time()


@task.codepipeline_job(**RETRIED)
def function(job: JobInProgress, ti: Any = None) -> None:
    """Stand for a user's function that is all the work there is."""
    job.progress(50, "Half way.")
    with logged(job.job.to_xcom(), ti):
        do_work(job.job.to_xcom(), ti)


def one_run(kind: Kind) -> None:
    """Make the DAG that claims, works on and finishes one job."""
    with DAG(
        kind.dag_id,
        schedule=None,
        max_active_runs=64,
        dagrun_timeout=None if kind.time_limit is None else timedelta(seconds=kind.time_limit),
        on_failure_callback=CodePipelineJobFailureNotifier(),
    ):
        job = "{{ dag_run.conf | tojson }}"
        if kind.way == "function":
            finish_job(function(job))
            return
        claim = CodePipelineClaimJobOperator(
            task_id="claim", job=job, unknown_claim=kind.unknown_claim, **RETRIED
        )
        if kind.way == "watch":
            CodePipelineJobProgressSensor(
                task_id="watch",
                job=claim.output,
                progress=look,
                op_kwargs={"started_at": now(claim.output)},
                progress_interval=5,
                poke_interval=2,
                poll_interval=1,
                **RETRIED,
            )
        elif kind.way == "go_on":
            going_on = CodePipelineContinueJobOperator(
                task_id="go_on", job=claim.output, poll_interval=1, **RETRIED
            )
            work(going_on.output)
        else:
            work(claim.output)
        finish_job(claim)


for each in [kind for kind in KINDS.values() if not ONLY or kind.name in ONLY.split(",")]:
    with DAG(
        each.watch_dag_id,
        schedule=[codepipeline_jobs(each.name, each.action_type, poll_interval=3)],
        max_active_runs=8,
    ):
        dispatch_jobs(jobs_of_events(HESITATION_SECONDS if each.shared else 0), each.dag_id, **RETRIED)
    one_run(each)
