# SPDX-License-Identifier: Apache-2.0
"""
What is counted of a job's life, at the moments when a task learns it first.

A retry knows by its records what an earlier try has counted. A task counts after it has recorded, so that a
death in between loses one count, and nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_codepipeline_partner import _metrics
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._worker.claiming import Write
from airflow_codepipeline_partner._worker.records import ResultRecord

_CLAIMS = {
    ClaimState.CLAIMED: _metrics.JOBS_CLAIMED,
    ClaimState.LOST: _metrics.JOBS_LOST,
    ClaimState.UNKNOWN: _metrics.JOBS_UNKNOWN,
    ClaimState.REFUSED: _metrics.JOBS_REFUSED,
}


def count_claim(step: Write, context: Mapping[str, Any] | None = None) -> None:
    """
    Count what a claim has come to, if that was not known before.

    :param step: The step that has recorded it.
    :param context: The task's context, if it claims an action's first job. If its run was started for the
        job, this measures how long the job has waited.
    """
    metric = _CLAIMS.get(step.state)
    if metric is None or not step.is_first:
        return
    kind = step.job.job.action_type
    _metrics.count(metric, kind)
    with _metrics.harmless():
        _measure_delay(step, context)


def _measure_delay(step: Write, context: Mapping[str, Any] | None) -> None:
    run = (context or {}).get("dag_run")
    due = getattr(run, "run_after", None)
    conf = getattr(run, "conf", None) or {}
    by_asset = getattr(run, "run_type", None) == "asset_triggered"
    if step.state is ClaimState.CLAIMED and due and (by_asset or conf.get("job_id") == step.job.job.job_id):
        waited = (datetime.now(UTC) - due).total_seconds()
        _metrics.measure(_metrics.JOBS_CLAIM_DELAY, waited, step.job.job.action_type)


def count_result(record: ResultRecord, job: OfferedJob, claimed_at: datetime | None) -> None:
    """
    Count a result that was put, or that the job did not take.

    :param record: Its record.
    :param job: The job.
    :param claimed_at: When the job was claimed, if that is known.
    """
    with _metrics.harmless():
        _count_result(record, job, claimed_at)


def _count_result(record: ResultRecord, job: OfferedJob, claimed_at: datetime | None) -> None:
    kind = job.action_type
    if record.state != "done":
        _metrics.count(_metrics.JOBS_RESULT_REFUSED, kind)
        return
    if record.result == "failure":
        details = record.arguments.get("failureDetails") or {}
        _metrics.count(_metrics.JOBS_FAILED, kind, failure_type=str(details.get("type")))
    else:
        is_over = record.result == "success"
        _metrics.count(_metrics.JOBS_SUCCEEDED if is_over else _metrics.JOBS_CONTINUED, kind)
    if claimed_at is not None:
        lasted = (datetime.now(UTC) - claimed_at).total_seconds()
        _metrics.measure(_metrics.JOBS_DURATION, lasted, kind, result=record.result)
