# SPDX-License-Identifier: Apache-2.0
"""
How a result reaches CodePipeline exactly once.

The result is recorded before the put and after it. So the next task that reports (a retry, the finishing
task, the callback) repeats an intended call unchanged, and does nothing only if the result is done.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
    JobNotInProgress,
    RequestRefused,
)

if TYPE_CHECKING:
    from airflow_codepipeline_partner._worker.checkpoints import ResultStore
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)


def put_once(
    hook: CodePipelineHook,
    store: ResultStore,
    call: Call,
    *,
    certain: bool = True,
    was_claimed: bool = True,
) -> str:
    """
    Report a job's result, unless the record says that it has one.

    :param hook: The hook that puts the result.
    :param store: The store of the result's record.
    :param call: The result. If another result was intended before and may have been put, that one is
        repeated instead: a result is never replaced by another.
    :param certain: Whether the job is certainly ours.
    :param was_claimed: Whether that is known from its claim. If not, the job may not be claimed yet.
    :return: Which result the job has now: ``success``, ``continue`` or ``failure``.
    :raises JobNotInProgress: The job takes no result any more. The next try puts the same result once more.
    :raises CodePipelineError: The result could not be put.
    """
    job = call.job
    assert job is not None  # noqa: S101 - a result is always some job's
    record = store.read_result(job.job_id)
    if record is not None and record.state == "done":
        log.info(
            "Job %s already has the result %s. To run the action again, retry it in CodePipeline.",
            record.job_id,
            record.result,
        )
        return record.result
    if record is not None and record.state == "refused":
        # Most likely the job has ended. If it has not, the same result is still the right one.
        log.info("Job %s did not take the result %s; trying once more.", record.job_id, record.result)
        # The record stays as it is: if this task dies here, the next refusal does not mean that it was put.
        return _put(hook, store, record.call(job), intended_before=False, certain=certain)
    if record is not None:
        log.warning(
            "Job %s: result %s was about to be put before; repeating it.", record.job_id, record.result
        )
        try:
            return _put(hook, store, record.call(job), intended_before=True, certain=certain)
        except RequestRefused as refusal:
            if refusal.retryable or refusal.in_doubt:
                raise
            log.warning("Job %s: it was not put, since CodePipeline does not take it.", record.job_id)
    store.write_result("intended", call)
    try:
        return _put(hook, store, call, intended_before=False, certain=certain)
    except CodePipelineProviderError as error:
        left = store.read_result(job.job_id)
        # An intent of another result is another task's, which handles its own errors.
        ours = left is not None and left.state == "intended" and left.result == requests.result_of(call)
        if ours and not error.in_doubt:
            if certain and was_claimed and isinstance(error, JobNotInProgress):
                # We acknowledged the job, so it has ended: no other result is to be tried.
                store.write_result("refused", call)
            else:
                # Nothing was put, so another result may be put: the failure, for instance.
                store.withdraw_result(job.job_id)
        raise


def _put(
    hook: CodePipelineHook, store: ResultStore, call: Call, *, intended_before: bool, certain: bool
) -> str:
    # Our own token needs no certainty: the task that puts it waits for the action's next job. That job has
    # the token, which proves that our put was carried out. If it was not, no such job comes in time.
    goes_on = TaskInstanceRef.from_token(call.arguments.get("continuationToken")) is not None
    hook.put(call, intended_before=intended_before, certain=certain or goes_on)
    store.write_result("done", call)
    return requests.result_of(call)
