# SPDX-License-Identifier: Apache-2.0
"""
How a task that claims a job, and the one that is to end it, do not miss each other.

A user may end the claiming task, and its process goes on for a moment. The task that ends the job starts
meanwhile, and may read the claim's record before it is written. So a task that ends jobs and finds no certain
claim says so before it looks a last time. A task that claims asks for that after it has recorded its claim,
and then ends the job itself; see :mod:`~airflow_codepipeline_partner._worker.cut_off`. At least one of the
two sees the other, whatever their order is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from airflow_codepipeline_partner._protocol.choices import UnknownClaim
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.copies import claim_in_run
from airflow_codepipeline_partner._worker.record_search import ClaimInRun
from airflow_codepipeline_partner._worker.record_store import RETURN_KEY, RecordStore
from airflow_codepipeline_partner._worker.records import LAST_LOOK_KEY, ClaimRecord, readable

log = logging.getLogger(__name__)


def say_last_look(ti: Any) -> None:
    """Say that the running task, which ends jobs, found no certain claim, and looks a last time."""
    RecordStore.of(ti).write(LAST_LOOK_KEY, True)


def is_last_look_said(ref: TaskInstanceRef) -> bool:
    """Return whether a task that ends jobs has said that it looks a last time."""
    return bool(RecordStore(ref).read(LAST_LOOK_KEY))


def may_be_written(states: Collection[str | None]) -> bool:
    """
    Return whether a process may still write the record of a claim, although its task has ended.

    A user may have ended the task, or may just have cleared it alone. If it never began, there is no process.

    :param states: The states of the claiming task's instances.
    """
    return not {"success", "failed", "skipped"}.isdisjoint(states)


def claim_to_end(
    context: Mapping[str, Any],
    claim_task_id: str,
    unknown_claim: UnknownClaim,
    states: Collection[str | None],
    pause: timedelta,
) -> ClaimInRun | None:
    """
    Return the claim whose job the running task ends, once nobody writes its record any more, or None.

    :param context: The running task's context.
    :param claim_task_id: The claiming task.
    :param unknown_claim: What an unknown claim counts as, unless its record says so.
    :param states: The states of the claiming task's instances.
    :param pause: How long to wait for a record that a process may still write.
    """
    claim = claim_in_run(context, claim_task_id, unknown_claim)
    if claim is not None and claim.record.is_certain:
        return claim
    if not may_be_written(states):
        return claim
    state = None if claim is None else claim.record.state
    is_ours = claim is not None and claim.counts_as_ours
    is_unwritten = state in (None, ClaimState.INTENT) and "failed" in states
    if is_unwritten or ("success" in states and (state is ClaimState.INTENT or not is_ours)):
        # If a user ended the claiming task just as a retry of it began, Airflow had cleared its records. Its
        # process lives some seconds more, and may have written them anew by then. Without a deferral, since
        # it is not certain that a triggerer runs.
        log.warning("%s has ended without a claim that counts. Looking again.", claim_task_id)
        time.sleep(pause.total_seconds())
    say_last_look(context["ti"])
    claim = claim_in_run(context, claim_task_id, unknown_claim)
    if claim is not None and not claim.counts_as_ours and "success" in states:
        return _with_what_it_returned(claim)
    return claim


def _with_what_it_returned(claim: ClaimInRun) -> ClaimInRun:
    """
    Return a claim by what its task returned, if that says more than its record.

    A user may have cleared the task. Its older process may have written the record last, but it was the next
    try that ended. Of an action's later jobs, it says nothing.
    """
    if claim.record.former_job_ids:
        return claim
    returned = claim.store.read(RETURN_KEY)
    record = readable(ClaimRecord.from_returned, returned, claim.store.ref.task_id) if returned else None
    if record is None or not record.is_of_same_job(claim.record):
        return claim
    log.warning("Job %s is ours by what %s returned.", record.job.job_id, claim.store.ref.task_id)
    return replace(claim, record=record)
