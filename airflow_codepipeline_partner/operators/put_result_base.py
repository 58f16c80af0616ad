# SPDX-License-Identifier: Apache-2.0
"""What the operators that put a result have in common."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    check_literal,
    check_success_literals,
    details_to_templatable,
    is_known_later,
    to_templatable,
)
from airflow_codepipeline_partner._protocol.choices import (
    DEFAULT_FAILURE_TYPE,
    MissingOutputs,
    check_failure_type,
    check_missing_outputs,
)
from airflow_codepipeline_partner._protocol.dialects import CUSTOM, THIRD_PARTY
from airflow_codepipeline_partner._protocol.jobs import OfferedJob
from airflow_codepipeline_partner._protocol.parsing import check_text, is_missing
from airflow_codepipeline_partner.exceptions import InvalidInput, InvalidJobReference

if TYPE_CHECKING:
    from airflow_codepipeline_partner._protocol.requests import Call
    from airflow_codepipeline_partner._worker.record_search import ClaimInRun
    from airflow_codepipeline_partner.operators.putting import Putting


class _PutResultOperator(CodePipelineBaseOperator):
    """
    Report a job's result.

    :param job: The job that the sensor or the claim returned, or a mapping that names a job. (templated)
    :param job_id: The job's id. Use it instead of ``job``. (templated)
    """

    template_fields = ("job", "job_id", *CodePipelineBaseOperator.template_fields)
    #: Mark the tasks that record results, and those that end jobs.
    puts_result: ClassVar[bool] = True
    ends_job: ClassVar[bool] = True
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(
        ("job", "current_revision", "execution_details", "output_variables"), "json"
    )
    #: Seconds between two polls for a job that is to be offered again.
    POLL_INTERVAL: ClassVar[float] = 30
    #: The owner whose jobs the call is for, and the operator for the other owner's jobs.
    job_owner: ClassVar[str]
    others: ClassVar[str]

    def __init__(self, *, job: Any = None, job_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if (job is None) == (job_id is None):
            raise InvalidInput(
                f"{type(self).__name__} {self.task_id} takes either job or job_id; "
                f"{'neither' if job is None else 'both'} was given."
            )
        self.job = to_templatable(job)
        self.job_id = job_id
        if not is_known_later(self._given):
            self.named_job()
        check_literal(lambda value: check_text("jobId", value), job_id)

    @property
    def _given(self) -> Any:
        """The given value that names the job."""
        return {"job_id": self.job_id} if self.job is None else self.job

    def named_job(self) -> OfferedJob:
        """
        Return the job.

        :raises InvalidInput: No job is named, or another call reports the result of this job, or none does.
        """
        job = OfferedJob.from_value(self._given, owner=self.job_owner)
        job.check_served()
        if job.owner != self.job_owner:
            raise InvalidJobReference(
                f"{type(self).__name__} {self.task_id} is for jobs of owner {self.job_owner}, but job "
                f"{job.job_id} is of owner {job.owner}. Use {self.others}, or finish_job, which serves both.",
                job_id=job.job_id,
            )
        return job

    def compose(self, job: OfferedJob, dag_id: str, run_id: str) -> Call:
        """Return the call that puts the result."""
        raise NotImplementedError(type(self).__name__)

    def check_outputs(self, context: Any, claim: ClaimInRun) -> None:
        """Check that what the result needs is there."""

    def execute(self, context: Any) -> None:
        """
        Put the result of the action's newest job, unless its record says that it has one already.

        If this run is to claim the action's next job, and no task has, wait for its offer in the triggerer,
        claim it, and put the result of that job. So it is, too, if perhaps nobody has claimed the newest job.

        :raises AirflowSkipException: The run did not win the job.
        :raises AirflowFailException: The job has another result, or takes none. Or a task before this one
            claims jobs, and none has claimed this one. Or the run did not win the job, and a task before
            this one failed.
        """
        self._in_task(context).put(None)

    def execute_complete(self, context: Any, event: Mapping[str, Any], at_least: float | None = None) -> None:
        """
        Claim the job, if it was offered, and put the result.

        :param context: The task's context.
        :param event: The trigger's event.
        :param at_least: Until when this try waits in any case, in seconds since the epoch.
        :raises AirflowFailException: The job was not offered in time.
        """
        self._in_task(context).execute_complete(event, at_least)

    def _in_task(self, context: Any) -> Putting:
        # Not needed by a DAG file, which Airflow parses again and again: the jobs, their records, the calls.
        from airflow_codepipeline_partner.operators.putting import Putting

        return Putting(self, context)


class _OfPartner(_PutResultOperator):
    """
    Report the result of a partner's job.

    The client token comes from the connection of the job's client, never from an argument. A literal would be
    in plain text in the serialized DAG.

    :param client_id: The job's client id, which leads to the client token. Use it with ``job_id``.
        (templated)
    """

    template_fields = ("client_id", *_PutResultOperator.template_fields)
    job_owner = THIRD_PARTY

    def __init__(self, *, client_id: str | None = None, **kwargs: Any) -> None:
        self.client_id = client_id
        name = f"{type(self).__name__} {kwargs.get('task_id')}"
        if kwargs.get("job") is not None and client_id is not None:
            raise InvalidInput(f"{name} takes either job or job_id (with client_id); both were given.")
        if kwargs.get("job_id") is not None and client_id is None:
            raise InvalidInput(f"{name} needs client_id with job_id: the client token is looked up by it.")
        super().__init__(**kwargs)

    @property
    def _given(self) -> Any:
        return {"job_id": self.job_id, "client_id": self.client_id} if self.job is None else self.job


class _OfAccount(_PutResultOperator):
    """Report the result of a custom job."""

    job_owner = CUSTOM


class _Success(_PutResultOperator):
    """
    Put a success.

    :param current_revision: A CurrentRevision, a mapping with its members, or None. (templated)
    :param continuation_token: 1 to 2048 characters, or None. (templated)
    :param execution_details: An ExecutionDetails, a mapping with its members, or None. (templated)
    :param missing_outputs: What to do if an output artifact is missing.
    """

    template_fields = (
        "current_revision",
        "continuation_token",
        "execution_details",
        *_PutResultOperator.template_fields,
    )
    #: The result of a partner's job has none.
    output_variables: Any = None

    def __init__(
        self,
        *,
        current_revision: Any = None,
        continuation_token: Any = None,
        execution_details: Any = None,
        missing_outputs: MissingOutputs = "warn",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_success_literals(current_revision, execution_details)
        self.missing_outputs = check_missing_outputs(missing_outputs)
        if continuation_token is not None:
            from airflow_codepipeline_partner._protocol.requests import check_users_token

            check_literal(check_users_token, continuation_token)
        self.current_revision = details_to_templatable(current_revision)
        self.continuation_token = continuation_token
        self.execution_details = details_to_templatable(execution_details)

    def check_outputs(self, context: Any, claim: ClaimInRun) -> None:
        """Warn or fail if no task before this one has uploaded an output artifact, and the action ends."""
        from airflow_codepipeline_partner._worker.dag import states_before
        from airflow_codepipeline_partner._worker.output_artifacts import check_outputs, may_have_uploaded

        record = claim.record
        is_last = self.continuation_token is None
        if is_last and record.job.output_artifacts and claim.results.best is None:
            before = may_have_uploaded(states_before(context, self))
            former = record.former_job_ids
            check_outputs(context, record.job, before, self.missing_outputs, former_job_ids=former)

    def compose(self, job: OfferedJob, dag_id: str, run_id: str) -> Call:
        """Return the call that puts the result."""
        from airflow_codepipeline_partner._protocol import requests
        from airflow_codepipeline_partner._protocol.results import (
            CurrentRevision,
            ExecutionDetails,
            read_output_variables,
        )
        from airflow_codepipeline_partner._worker import result_defaults

        if self.continuation_token is not None:
            requests.check_users_token(self.continuation_token)
        return requests.success(
            job,
            current_revision=CurrentRevision.from_value(self.current_revision),
            continuation_token=self.continuation_token,
            execution_details=result_defaults.with_defaults(
                ExecutionDetails.from_value(self.execution_details),
                dag_id=dag_id,
                run_id=run_id,
                continued=self.continuation_token is not None,
            ),
            output_variables=read_output_variables(self.output_variables),
        )


class _Failure(_PutResultOperator):
    """
    Put a failure.

    :param message: The message for the customer, cut to 5000 characters. If its template gives None or
        nothing, the message is a sentence with the DAG's id. (templated)
    :param failure_type: One of the failure types of the API. (templated)
    :param external_execution_id: The id of the work in your own system, or None. (templated)
    """

    template_fields = (
        "message",
        "failure_type",
        "external_execution_id",
        *_PutResultOperator.template_fields,
    )

    def __init__(
        self,
        *,
        message: Any,
        failure_type: Any = DEFAULT_FAILURE_TYPE,
        external_execution_id: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not is_known_later(message):
            check_text("failureDetails.message", message)
        check_literal(check_failure_type, failure_type)
        check_literal(partial(check_text, "failureDetails.externalExecutionId"), external_execution_id)
        self.message = message
        self.failure_type = failure_type
        self.external_execution_id = external_execution_id

    def compose(self, job: OfferedJob, dag_id: str, run_id: str) -> Call:
        """Return the call that puts the result."""
        from airflow_codepipeline_partner._protocol import requests
        from airflow_codepipeline_partner._worker import result_defaults

        return requests.failure(
            job,
            message=result_defaults.failure_message(dag_id) if is_missing(self.message) else self.message,
            failure_type=self.failure_type,
            external_execution_id=(
                self.external_execution_id or result_defaults.external_execution_id(dag_id, run_id)
            ),
        )
