# SPDX-License-Identifier: Apache-2.0
"""
How a result reaches CodePipeline exactly once.

This module carries out what :mod:`~airflow_codepipeline_partner._worker.job_life` decides. A task's intent is
recorded before the call is sent, and what came of it afterwards. So the next task that reports (a retry, the
finishing task, the callback) repeats an intended call unchanged, and does nothing only if the result is done.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker.job_life import Refusal, Results, Step, meaning_of_refusal
from airflow_codepipeline_partner._worker.records import ResultRecord, ResultState
from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
    JobNotFound,
    JobNotInProgress,
    RequestRefused,
)

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)


class ResultStore(Protocol):
    """A store for the records of a job's result: the running task's own, and those of the other tasks."""

    def read_results(self, job_id: str) -> Results:
        """Return all records of this job's result."""

    def write_result(self, state: ResultState, call: Call) -> None:
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
) -> str:
    """
    Report a job's result, unless the records say that it has one.

    :param hook: The hook that sends the call.
    :param store: The store of the result's records.
    :param call: The wanted result. If another call was intended before and may have been carried out, that
        one is repeated instead: a result is never replaced by another.
    :param certain: Whether the job is certainly ours.
    :param was_claimed: Whether that is known from its claim. If not, the job may not be claimed yet.
    :return: Which result the job has now: ``success``, ``continue`` or ``failure``.
    :raises JobNotInProgress: The job takes no result any more. The next try sends the same call once more.
    :raises CodePipelineError: The result could not be put.
    """
    job = call.job
    assert job is not None  # noqa: S101 - a result is always some job's
    report = _Report(hook, store, certain, was_claimed)
    results = store.read_results(job.job_id)
    step, known = results.step, results.best
    if step is Step.PUT_WANTED or known is None:
        return report.send(call)
    if step is Step.NOTHING:
        log.info(
            "Job %s already has the result %s. To run the action again, retry it in CodePipeline.",
            known.job_id,
            known.result,
        )
        return known.result
    if step is Step.TRY_REFUSED:
        # Most likely the job has ended. If it has not, the same result is still the right one.
        log.info("Job %s did not take the result %s; trying once more.", known.job_id, known.result)
        return report.send(known.call(job), is_recorded=True)
    intended = results.own if step is Step.REPEAT_OWN else results.intended_by_others
    assert intended is not None  # noqa: S101 - the step says so
    log.warning("Job %s: result %s was about to be put before; repeating it.", job.job_id, intended.result)
    try:
        return report.send(intended.call(job), may_be_taken=True, is_recorded=step is Step.REPEAT_OWN)
    except RequestRefused as refusal:
        if refusal.retryable or refusal.in_doubt:
            raise
        log.warning("Job %s: it was not put, since CodePipeline does not take it.", job.job_id)
    return report.send(call)


@dataclass(frozen=True)
class _Report:
    """Sends results of one job, and records what comes of it."""

    hook: CodePipelineHook
    store: ResultStore
    certain: bool
    was_claimed: bool

    def send(self, call: Call, *, may_be_taken: bool = False, is_recorded: bool = False) -> str:
        """
        Send a call, and return which result the job has now.

        :param call: The call.
        :param may_be_taken: Whether the same call may have been carried out before.
        :param is_recorded: Whether the running task's record is of this call already. A record of a refusal
            stays as it is: if this task dies here, the next refusal does not mean that the result was put.
        """
        if not is_recorded:
            self.store.write_result("intended", call)
        try:
            self.hook.send_result(call)
        except (JobNotFound, JobNotInProgress) as error:
            return self._refused(call, error, may_be_taken=may_be_taken or error.in_doubt)
        except CodePipelineProviderError as error:
            if not error.in_doubt and not may_be_taken and not is_recorded:
                # Nothing was put, so another result may be put: the failure, for instance.
                self.store.withdraw_result(call.arguments["jobId"])
            raise
        return self._done(call)

    def _refused(self, call: Call, error: JobNotFound | JobNotInProgress, *, may_be_taken: bool) -> str:
        """Return which result the job has, although it took none now."""
        job_id = call.arguments["jobId"]
        # After the refusal, so that the intent of the task whose call was taken is there.
        results = self.store.read_results(job_id)
        # Our own token needs no certainty: the task that puts it waits for the action's next job. That job
        # has the token, which proves that our call was carried out. If not, no such job comes in time.
        goes_on = TaskInstanceRef.from_token(call.arguments.get("continuationToken")) is not None
        sent = ResultRecord.of_call("intended", call)
        # Asking is an acknowledgement: never for a job that perhaps nobody has claimed.
        is_unclear = may_be_taken or results.intended_by_others is not None
        job = call.job if self.certain and self.was_claimed and is_unclear else None
        status = None if job is None else self.hook.status_of_ended(job)
        meaning = meaning_of_refusal(
            sent,
            results.others,
            may_be_taken=may_be_taken,
            certain=self.certain or (goes_on and may_be_taken),
            status=status,
        )
        log.warning("Job %s takes no result any more: %s.", job_id, meaning)
        if meaning is Refusal.OURS_WAS_TAKEN:
            return self._done(call)
        if meaning is Refusal.ANOTHERS_WAS_TAKEN:
            taken = results.taken_of_others(sent, status)
            self.store.write_result("refused", call)
            return taken.result
        if meaning is Refusal.ENDED_WITHOUT_US and self.was_claimed:
            # We acknowledged the job, so it has ended: no other result is to be tried.
            self.store.write_result("refused", call)
        elif meaning is not Refusal.ONE_OF_TWO_WAS_TAKEN and not may_be_taken:
            self.store.withdraw_result(job_id)
        raise error

    def _done(self, call: Call) -> str:
        log.info("Job %s: result %s was put.", call.arguments["jobId"], requests.result_of(call))
        self.store.write_result("done", call)
        return requests.result_of(call)
