# SPDX-License-Identifier: Apache-2.0
"""The calls that report what the work came to, why they cannot be sent, and what the log says of the end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._job_log import name_of
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.choices import DEFAULT_FAILURE_TYPE
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.results import (
    CurrentRevision,
    ExecutionDetails,
    FailureDetails,
    read_output_variables,
)
from airflow_codepipeline_partner._worker import result_defaults
from airflow_codepipeline_partner._worker.record_search import ClaimInRun
from airflow_codepipeline_partner.exceptions import (
    ArtifactError,
    ClientConnectionError,
    InvalidInput,
    RequestRefused,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResultValues:
    """
    The values that the DAG's author gives for a result, rendered.

    :param current_revision: For success: a CurrentRevision or a mapping of that kind, or None.
    :param execution_details: For success: an ExecutionDetails or a mapping of that kind, or None.
    :param output_variables: For the success of a custom job: a mapping of names to texts, or None.
    :param failure_type: For failure: a failure type of the API; None and JobFailed take that of the failure.
    :param unrendered: Name of a value that could not be rendered → class name of the error.
    """

    current_revision: Any
    execution_details: Any
    output_variables: Any
    failure_type: Any
    unrendered: Mapping[str, str]

    def success(self, job: OfferedJob, *, dag_id: str, run_id: str) -> Call:
        """
        Compose the success result.

        :param job: The job.
        :param dag_id: The DAG that did the work.
        :param run_id: Its run.
        :raises InvalidInput: A value does not fit, or could not be rendered.
        """
        for name in ("current_revision", "execution_details", "output_variables"):
            if name in self.unrendered:
                raise InvalidInput(f"{name} could not be rendered ({self.unrendered[name]}).")
        given = ExecutionDetails.from_value(self.execution_details)
        details = result_defaults.with_defaults(given, dag_id=dag_id, run_id=run_id)
        return requests.success(
            job,
            current_revision=CurrentRevision.from_value(self.current_revision),
            execution_details=details,
            output_variables=read_output_variables(self.output_variables),
        )

    def failure(
        self, job: OfferedJob, message: Any, why: FailureDetails, *, dag_id: str, run_id: str
    ) -> Call:
        """
        Compose the failure result.

        :param job: The job.
        :param message: The message for the customer; None takes that of the failure.
        :param why: The failure of the work.
        :param dag_id: The DAG that did the work.
        :param run_id: Its run.
        """
        run = {"dag_id": dag_id, "run_id": run_id}
        is_given = self.failure_type not in (None, DEFAULT_FAILURE_TYPE)
        kind = self.failure_type if is_given else why.type
        try:
            return result_defaults.failure(
                job, message or why.message, kind, **run, external_id=self._external_id()
            )
        except InvalidInput as error:
            log.error("%s The default message is reported instead.", error)
            return result_defaults.failure(job, why.message, why.type, **run)

    def _external_id(self) -> str | None:
        """Return where the work can be seen, if the author's execution details say it."""
        try:
            details = ExecutionDetails.from_value(self.execution_details)
        except InvalidInput:
            return None
        return (
            None
            if details is None or "execution_details" in self.unrendered
            else details.external_execution_id
        )


def why_not_reportable(error: ArtifactError | InvalidInput | RequestRefused) -> str:
    """
    Return why a success cannot be reported, in words for the customer; raise an error that may pass.

    :param error: The error that composing or putting the success raised.
    """
    if isinstance(error, RequestRefused):
        if error.in_doubt or error.retryable:
            raise error
        # CodePipeline would refuse the same result again, and the job would wait for its timeout.
        why = "The work was done in Airflow, but CodePipeline does not take its result."
    elif isinstance(error, ClientConnectionError):
        raise error
    elif isinstance(error, ArtifactError):
        # An output artifact is missing.
        log.error("The job fails: %s", error)
        return str(error)
    else:
        why = f"The work was done in Airflow, but its result cannot be sent: {error}"
    log.error("The work was done, but its result cannot be reported: %s", error)
    return why


def description_of_end(claimed: ClaimedJob, result: str, claim: ClaimInRun) -> str:
    """
    Describe the result of a job whose work failed: first what the customer reads, then where.

    :param claimed: The job.
    :param result: Its result.
    :param claim: Its claim. For a failure, the record of its result is read anew.
    """
    if result != "failure":
        return f"The job has the result {result} already, although the work failed: {name_of(claimed)}."
    record = claim.anew().results.best
    details = {} if record is None else record.arguments.get("failureDetails") or {}
    said = "Reported as failed"
    if details:
        said += f', {details.get("type")}: "{details.get("message")}"'
    return f"{said} ({name_of(claimed)}). To run the action again, retry it in CodePipeline."


def refuse_cleared_run(run: Any, claim: ClaimInRun) -> None:
    """
    Fail if tasks were cleared after the job had its result: their new work does not reach the customer.

    :param run: The DAG run.
    :param claim: The job's claim. In a run that was cleared, the record of its result is read.
    :raises AirflowFailException: The job had its result before.
    """
    # A run begins anew only when a user clears tasks of it after its end.
    if not run.clear_number or not run.start_date:
        return
    result = claim.results.best
    if result is None or result.state != "done":
        return
    if result.awaited_by is not None:
        # It is no last result: the action's next job may still have to be ended.
        return
    if result.at < run.start_date:
        raise AirflowFailException(
            f"The job keeps the result {result.result}, which it had before tasks of this run were cleared "
            f"(job {result.job_id}). To run the action again, retry it in CodePipeline, which makes a new "
            "job."
        )
