# SPDX-License-Identifier: Apache-2.0
"""
What a task of the work records of its end: that it skipped itself, or its JobFailure.

These are Airflow's callbacks. A DAG file gets them when it is parsed, and they run in a task: so what they
need is imported in them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


def record_skip(context: Mapping[str, Any]) -> None:
    """Record that the running task skipped itself; an ``on_skipped_callback``."""
    from airflow_codepipeline_partner._worker.record_store import RecordStore
    from airflow_codepipeline_partner._worker.records import SKIP_KEY

    try:
        RecordStore.of(context["ti"]).write(SKIP_KEY, True)
    except Exception as error:
        log.warning("It is not recorded that this task skipped itself: %s.", type(error).__name__)


def record_job_failure(context: Mapping[str, Any]) -> None:
    """Record what the customer reads of a ``JobFailure`` of the work; an ``on_failure_callback``."""
    from airflow_codepipeline_partner._worker.failures import cause_of
    from airflow_codepipeline_partner._worker.record_store import RecordStore
    from airflow_codepipeline_partner._worker.records import FAILURE_KEY
    from airflow_codepipeline_partner.exceptions import JobFailure

    error = context.get("exception")
    error = cause_of(error) if isinstance(error, BaseException) else None
    if not isinstance(error, JobFailure):
        return
    try:
        RecordStore.of(context["ti"]).write(
            FAILURE_KEY, {"message": error.message, "type": error.failure_type}
        )
    except Exception as trouble:
        # This must not hide why the task failed.
        log.warning("The failure of this task is not recorded for the customer: %s.", type(trouble).__name__)
