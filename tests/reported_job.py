# SPDX-License-Identifier: Apache-2.0
"""What the tests of reporting share: a job, its results, and a hook that notes what is sent."""

from __future__ import annotations

from typing import Any

from record_memory import RecordMemory

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker.records import ResultRecord
from airflow_codepipeline_partner.exceptions import (
    JobNotFound,
    JobNotInProgress,
)
from airflow_codepipeline_partner.jobs import ExecutionDetails, OfferedJob

JOB = OfferedJob("job-1", "client-1")
SUCCESS = requests.success(JOB, execution_details=ExecutionDetails("Done."))
CONTINUE = requests.success(JOB, continuation_token="step-2")
FAILURE = requests.failure(JOB, message="Broken.")
#: What a job answers that has ended, soon or later.
TAKES_NO_RESULT = [JobNotInProgress, JobNotFound]


def recorded(state: Any, call: Call) -> ResultRecord:
    return ResultRecord.of_call(state, call)


def own(memory: RecordMemory) -> ResultRecord | None:
    """The running task's record of the job's result."""
    return memory.results.get("job-1")


class Hook:
    """
    Notes what is sent, and when in the record's life, and fails if asked to.

    :param error: What each call fails with.
    :param status: The status that the job has, once it has ended.
    """

    def __init__(self, memory: RecordMemory, error: BaseException | None = None, status: str | None = None):
        self.memory = memory
        self.error = error
        self.status = status
        self.puts: list[Call] = []
        #: The jobs whose status was asked for.
        self.asked: list[OfferedJob] = []

    def send_result(self, call: Call) -> None:
        assert own(self.memory) in (recorded("intended", call), recorded("refused", call))
        self.puts.append(call)
        if self.error is not None:
            raise self.error

    def status_of_ended(self, job: OfferedJob) -> str | None:
        self.asked.append(job)
        return self.status
