# SPDX-License-Identifier: Apache-2.0
"""
How a result reaches CodePipeline exactly once.

This module carries out the steps of :mod:`~airflow_codepipeline_partner._worker.reporting`. A task's intent
is recorded before the call is sent, and what came of it afterwards. So the next task that reports (a retry,
the finishing task, the callback) repeats an intended call unchanged, and does nothing only if the result is
done.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow_codepipeline_partner import _spans
from airflow_codepipeline_partner._job_log import in_line, job_fields, place_of, progress_text
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker import job_counts
from airflow_codepipeline_partner._worker.job_life import Results
from airflow_codepipeline_partner._worker.records import ResultRecord
from airflow_codepipeline_partner._worker.reporting import (
    Answer,
    AskStatus,
    Read,
    Reply,
    Withdraw,
    Write,
    reporting,
)
from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
    JobNotFound,
    JobNotInProgress,
    RequestRefused,
)

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)

#: Our name of a result → what the customer sees of the action.
_RESULTS = {"success": "Succeeded", "continue": "InProgress, in a next job", "failure": "Failed"}


class ResultStore(Protocol):
    """A store for the records of a job's result: the running task's own, and those of the other tasks."""

    def read_results(self, job_id: str) -> Results:
        """Return all records of this job's result."""

    def write_result(self, record: ResultRecord) -> None:
        """Write the running task's own record of a result."""

    def withdraw_result(self, job_id: str) -> None:
        """Forget the running task's own intent, which was certainly not carried out."""


def put_once(
    hook: CodePipelineHook,
    store: ResultStore,
    call: Call,
    *,
    certain: bool = True,
    was_claimed: bool = True,
    is_next: bool = False,
    lacks_records: bool = False,
    claimed_at: datetime | None = None,
    keeps_records: bool = True,
) -> str:
    """
    Report a job's result, unless the records say that it has one.

    :param hook: The hook that sends the call.
    :param store: The store of the result's records.
    :param call: The wanted result. If another call was intended before and may have been carried out, that
        one is repeated instead: a result is never replaced by another.
    :param certain: Whether the job is certainly ours.
    :param was_claimed: Whether that is known from its claim. If not, the job may not be claimed yet.
    :param is_next: Whether it continues an action of this run, so that no other run claims it.
    :param lacks_records: Whether another task may have put a result, of which the record is cleared.
    :param claimed_at: When the job was claimed, for the metric of how long it took; None if it is not known.
    :param keeps_records: Whether the store keeps what is written. If not, an ended job may have had a result
        that no record shows, so only what is put here is counted.
    :return: Which result the job has now: ``success``, ``continue`` or ``failure``.
    :raises JobNotInProgress: The job takes no result any more. The next try sends the same call once more.
    :raises CodePipelineError: The result could not be put.
    """
    job = call.job
    assert job is not None  # noqa: S101 - a result is always some job's
    steps = reporting(
        ResultRecord.of_call("intended", call),
        certain=certain,
        was_claimed=was_claimed,
        is_next=is_next,
        lacks_records=lacks_records,
    )
    error: CodePipelineProviderError | None = None
    taken: Call | None = None
    came_of_it: Any = None
    while True:
        try:
            action = steps.send(came_of_it)
        except StopIteration as end:
            if end.value is None:
                raise error or _left(job) from None
            _log_result(job, str(end.value), taken)
            return str(end.value)
        came_of_it = None
        if isinstance(action, Read):
            came_of_it = store.read_results(job.job_id)
        elif isinstance(action, Write):
            store.write_result(action.record)
            if action.is_first and (keeps_records or taken is not None):
                job_counts.count_result(action.record, job, claimed_at)
        elif isinstance(action, Withdraw):
            store.withdraw_result(job.job_id)
        elif isinstance(action, AskStatus):
            came_of_it = hook.status_of_ended(job)
        else:
            if action.is_repeated:
                log.warning(
                    "Repeating the result %s of %s, which was intended before.",
                    action.record.result,
                    place_of(job),
                )
            sent = action.record.call(job)
            with _spans.span("report", job_id=job.job_id, result=action.record.result):
                came_of_it, error = _send(hook, sent)
            taken = sent if error is None else taken


def _log_result(job: OfferedJob, result: str, taken: Call | None) -> None:
    """
    Log which result a job has, in one line.

    :param job: The job.
    :param result: Its result.
    :param taken: The call that this task has put, or None if another task, or an earlier try, has.
    """
    with job_fields(job):
        if taken is None:
            log.info("%s has its result already: %s.", place_of(job), _RESULTS.get(result, result))
        elif result == "failure":
            failure = taken.arguments.get("failureDetails") or {}
            why = f"{failure.get('type')}: {in_line(failure.get('message'))}"
            log.warning("Reported %s to CodePipeline: Failed, %s", place_of(job), why)
        else:
            said = progress_text(taken.arguments.get("executionDetails"))
            text = ", ".join(filter(None, (_RESULTS.get(result, result), said)))
            log.info("Reported %s to CodePipeline: %s", place_of(job), text)


def _left(job: OfferedJob) -> JobNotInProgress:
    """Return the error of a job that is left alone, without a call."""
    return JobNotInProgress(
        "The job has ended, or another run may have it, so nothing more is sent: its claim is unknown, and "
        f"it took no result before (job {job.job_id}).",
        job_id=job.job_id,
    )


def _send(hook: CodePipelineHook, call: Call) -> tuple[Answer, CodePipelineProviderError | None]:
    """Send a call, and return what came of it."""
    try:
        hook.send_result(call)
    except CodePipelineProviderError as error:
        log.warning("CodePipeline has not taken the result %s: %s", requests.result_of(call), error)
        return Answer(_reply(error), error.in_doubt), error
    return Answer(Reply.TAKEN), None


def _reply(error: CodePipelineProviderError) -> Reply:
    if isinstance(error, JobNotFound):
        return Reply.FORGOTTEN
    if isinstance(error, JobNotInProgress):
        return Reply.NO_RESULT_TAKEN
    is_final = isinstance(error, RequestRefused) and not error.retryable
    return Reply.NEVER_TAKEN if is_final else Reply.NONE
