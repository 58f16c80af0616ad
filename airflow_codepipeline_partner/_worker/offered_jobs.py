# SPDX-License-Identifier: Apache-2.0
"""The jobs for which a run was started: from an asset's events, or from the run's conf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._worker.run_events import RunEvents
from airflow_codepipeline_partner.exceptions import InvalidJobReference

JOBS = RunEvents(
    member="jobs",
    one="job",
    maker="codepipeline_jobs",
    by_hand='{"jobs": [{"job_id": …, "client_id": …}]}, or the jobs that a sensor returned',
    read=OfferedJob.from_value,
    id_of=lambda job: job.job_id,
    error=InvalidJobReference,
)


def jobs_of_run(context: Mapping[str, Any]) -> list[OfferedJob]:
    """
    Return the jobs for which a run was started, each job once.

    :param context: The context of one of its tasks.
    :raises InvalidJobReference: There are no jobs, or the values are not jobs.
    """
    return JOBS.of_run(context)


def readable_jobs(values: Any) -> list[OfferedJob]:
    """
    Return the jobs that values name. What names none is logged: it must not hold up the other jobs.

    :raises InvalidJobReference: None of them names a job.
    """
    return JOBS.readable(values)
