# SPDX-License-Identifier: Apache-2.0
"""``@task.codepipeline_job``, and the types that its function gets and may return."""

from __future__ import annotations

from airflow_codepipeline_partner.decorators.codepipeline_job import codepipeline_job_task
from airflow_codepipeline_partner.decorators.job_in_progress import Completion, Continuation, JobInProgress

__all__ = ["Completion", "Continuation", "JobInProgress", "codepipeline_job_task"]
