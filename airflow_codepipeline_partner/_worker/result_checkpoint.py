# SPDX-License-Identifier: Apache-2.0
"""
What a task that puts a result knows of the result of its earlier tries.

:class:`ResultCheckpoint` is for a task that claims and reports, :func:`result_store` for a task that only
reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_codepipeline_partner._compat import TaskStateStore, task_state_store
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker.copies import lasting_store
from airflow_codepipeline_partner._worker.job_life import Results
from airflow_codepipeline_partner._worker.record_search import ClaimInRun
from airflow_codepipeline_partner._worker.record_store import RecordStore, adjacent_task
from airflow_codepipeline_partner._worker.records import NO_RESULT, RESULT_KEY, ResultRecord
from airflow_codepipeline_partner._worker.report import ResultStore

#: Member of a stored result: it was certainly not put.
_WITHDRAWN = "withdrawn"


class _TaskStateResults:
    """
    Store a result in the task state store of the task that puts it.

    :param store: The task's store.
    """

    def __init__(self, store: TaskStateStore) -> None:
        self._store = store

    def read_results(self, job_id: str) -> Results:
        """Return the record of this job's result."""
        return Results.of(ResultRecord.of_job(job_id, self._store.get(RESULT_KEY)))

    def write_result(self, record: ResultRecord) -> None:
        """Write the record of a result."""
        self._store.set(RESULT_KEY, record.to_xcom())

    def withdraw_result(self, job_id: str) -> None:
        """Forget an intended result that was certainly not put."""
        self._store.set(RESULT_KEY, dict(NO_RESULT))


def result_store(context: Mapping[str, Any], claim: ClaimInRun | None) -> ResultStore:
    """
    Return the store for a job's result: one that a retry of the running task does not clear.

    The first of these that exists: the XCom of the task that claimed the job in this run; the XCom of an
    adjacent task; the running task's state store. Before Airflow 3.3 the last resort is the XCom of the
    running task itself.

    :param context: The running task's context.
    :param claim: This run's claim of the job, or None.
    """
    own = TaskInstanceRef.of(context["ti"])
    records = claim.store if claim is not None else adjacent_task(context["dag"], own)
    store = task_state_store(context)
    if records is None and store is not None:
        return _TaskStateResults(store)
    return records or RecordStore.of(context["ti"])


class ResultCheckpoint:
    """
    The result that a task reports for a job that it claimed itself, recorded in two stores.

    One is the task's own XCom, where other tasks look for it. The other is a store that a retry does not
    clear, so that a task that was killed after it had put a result does not do its work again.

    :param context: The task's context.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._records = RecordStore.of_claiming_task(context)
        self._store = lasting_store(context)

    def read_results(self, job_id: str) -> Results:
        """Return all records of this job's result. Restore the own one in XCom if a retry has cleared it."""
        results = self._records.read_results(job_id)
        if results.own is not None or results.left or self._stored().get(_WITHDRAWN):
            return results
        own = ResultRecord.of_job(job_id, self._stored())
        if own is None:
            return results
        self._records.write(RESULT_KEY, own.to_xcom())
        return Results.of(own, results.others)

    def write_result(self, record: ResultRecord) -> None:
        """Write the record of a result, first in XCom: only that one is of use if this is the last try."""
        self._records.write_result(record)
        self._set_stored(record.to_xcom())

    def withdraw_result(self, job_id: str) -> None:
        """Forget that a result may have been put. Keep the work's own result, unless it was a failure."""
        self._records.withdraw_result(job_id)
        stored = self._stored()
        # The next try may fail differently, or not at all.
        self._set_stored({**stored, _WITHDRAWN: True} if stored.get("result") != "failure" else NO_RESULT)

    def result_of_earlier_try(self, job: OfferedJob) -> Call | None:
        """Return the result of an earlier try's work, put or not; None if there is none."""
        record = self._earlier(job)
        if record is None or (record.state == "left" and record.result == "failure"):
            # This try may fail differently, or not at all.
            return None
        return record.call(job)

    def is_of_ended_run(self, job: OfferedJob, run: Any) -> bool:
        """
        Return whether the result of an earlier try is from before a user cleared the run, which had ended.

        :param job: The job.
        :param run: The DAG run.
        """
        if not run.clear_number or not run.start_date:
            return False
        record = self._earlier(job)
        return record is not None and bool(record.at < run.start_date)

    def _earlier(self, job: OfferedJob) -> ResultRecord | None:
        return self.read_results(job.job_id).best or ResultRecord.of_job(job.job_id, self._stored())

    def leave_to_others(self, call: Call) -> None:
        """
        Leave a result that could not be put to the finishing task or the callback, unless there is another.

        They treat it as a result that may have been put. This task has failed, so the run is not green.
        """
        results = self._records.read_results(call.arguments["jobId"])
        if results.best is None and not results.left:
            self._records.write_result(ResultRecord.of_call("intended", call))

    def _stored(self) -> Mapping[str, Any]:
        return (None if self._store is None else self._store.get(RESULT_KEY)) or NO_RESULT

    def _set_stored(self, value: Mapping[str, Any]) -> None:
        if self._store is not None:
            self._store.set(RESULT_KEY, dict(value))
