# SPDX-License-Identifier: Apache-2.0
"""
The operators: one that claims a job, one that finishes it, and one for each call that gives a result.

The results carry defaults that lead the customer back to the DAG run; see the README.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from airflow_codepipeline_partner import protocol, reporting
from airflow_codepipeline_partner._compat import (
    AirflowFailException,
    AirflowSkipException,
)
from airflow_codepipeline_partner.exceptions import CodePipelinePartnerError, InvalidInput
from airflow_codepipeline_partner.jobs import (
    ClaimedJob,
    CurrentRevision,
    ExecutionDetails,
    FailureDetails,
    OfferedJob,
)
from airflow_codepipeline_partner.links import remember_link
from airflow_codepipeline_partner.parameters import (
    AWS_PARAMETERS,
    CodePipelineParameters,
    check_literal,
    is_known_later,
)
from airflow_codepipeline_partner.protocol import Call, Claim, ClaimState, UnknownClaim
from airflow_codepipeline_partner.records import (
    ClaimMemory,
    Place,
    mapped_group_of,
    place_for_result,
)
from airflow_codepipeline_partner.task_states import states_before


@contextmanager
def _no_retry_where_none_helps() -> Iterator[None]:
    """Have Airflow fail the task at once where trying the same again cannot help."""
    try:
        yield
    except CodePipelinePartnerError as error:
        if error.retryable:
            raise
        raise AirflowFailException(f"{type(error).__name__}: {error}") from error


def _check_result_literals(current_revision: object, execution_details: object) -> None:
    check_literal(
        CurrentRevision.from_value,
        current_revision,
        revision="x",
        changeIdentifier="x",
        change_identifier="x",
    )
    check_literal(ExecutionDetails.from_value, execution_details)


class _PutResultOperator(CodePipelineParameters):
    """
    Give a job one result.

    :param job: What the sensor or the claim returned, or a mapping with ``job_id`` and ``client_id``.
        (templated)
    :param job_id: Instead of ``job``: the job's id. (templated)
    :param client_id: With ``job_id``: whose job it is; the client token is looked up by it. (templated)
    """

    template_fields = ("job", "job_id", "client_id", *CodePipelineParameters.template_fields)

    def __init__(
        self,
        *,
        job: Any = None,
        job_id: str | None = None,
        client_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (job is None) == (job_id is None):
            raise InvalidInput(
                f"{type(self).__name__} {self.task_id} takes either job or job_id (with client_id); "
                f"{'neither' if job is None else 'both'} was given."
            )
        if job is None and client_id is None:
            raise InvalidInput(
                f"{type(self).__name__} {self.task_id} needs client_id beside job_id: "
                "the client token is looked up by it."
            )
        if isinstance(job, Mapping) and not is_known_later(job):
            OfferedJob.from_value(job)
        self.job = job
        self.job_id = job_id
        self.client_id = client_id

    def compose(self, job: OfferedJob, dag_id: str, run_id: str) -> Call:
        """Return the call that gives the result."""
        raise NotImplementedError(type(self).__name__)

    def execute(self, context: Any) -> None:
        """Put the result, unless the job's record says that it has it already."""
        ti = context["ti"]
        given = {"job_id": self.job_id, "client_id": self.client_id} if self.job is None else self.job
        with _no_retry_where_none_helps():
            job = OfferedJob.from_value(given)
            call = self.compose(job, ti.dag_id, ti.run_id)
            place = place_for_result(context, job.job_id)
            reporting.put_once(self.hook, place, call)
            claim = place.read_claim()
            if claim is not None:
                remember_link(context, self.hook.location, claim.job.pipeline_name)


class PutThirdPartyJobSuccessResultOperator(_PutResultOperator):
    """
    End a partner job with success, or with a continuation token, for which CodePipeline makes a new job.

    The client token is taken from the connection of the job's client, never from an argument: a literal
    would lie in clear in the serialized DAG.

    :param job: What the sensor or the claim returned, or a mapping with ``job_id`` and ``client_id``.
        (templated)
    :param job_id: Instead of ``job``: the job's id. (templated)
    :param client_id: With ``job_id``: whose job it is. (templated)
    :param current_revision: A :class:`~airflow_codepipeline_partner.jobs.CurrentRevision` or a mapping with
        AWS's or snake_case keys, or None. (templated)
    :param continuation_token: 1 to 2048 characters: the action goes on, in a new job that carries this
        token. None: the action is complete. (templated)
    :param execution_details: An :class:`~airflow_codepipeline_partner.jobs.ExecutionDetails` or a mapping
        with AWS's or snake_case keys. What is missing gets a default: a summary with the DAG's name, and an
        external execution id that leads to the DAG run; ``percentComplete`` stays unset. (templated)

    Source: PutThirdPartyJobSuccessResult, CodePipeline API 2015-07-09.
    """

    template_fields = (
        "current_revision",
        "continuation_token",
        "execution_details",
        *_PutResultOperator.template_fields,
    )

    def __init__(
        self,
        *,
        current_revision: Any = None,
        continuation_token: Any = None,
        execution_details: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _check_result_literals(current_revision, execution_details)
        check_literal(protocol.check_continuation_token, continuation_token)
        self.current_revision = current_revision
        self.continuation_token = continuation_token
        self.execution_details = execution_details

    def compose(self, job: OfferedJob, dag_id: str, run_id: str) -> Call:
        """Return the call that gives the result."""
        return protocol.success(
            job,
            current_revision=self.current_revision,
            continuation_token=self.continuation_token,
            execution_details=reporting.with_defaults(
                self.execution_details,
                dag_id=dag_id,
                run_id=run_id,
                continued=self.continuation_token is not None,
            ),
        )


class PutThirdPartyJobFailureResultOperator(_PutResultOperator):
    """
    End a partner job with failure.

    :param job: What the sensor or the claim returned, or a mapping with ``job_id`` and ``client_id``.
        (templated)
    :param job_id: Instead of ``job``: the job's id. (templated)
    :param client_id: With ``job_id``: whose job it is. (templated)
    :param message: What the customer reads; cut to 5000 characters. (templated)
    :param failure_type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
        RevisionUnavailable, SystemUnavailable. (templated)
    :param external_execution_id: The id of the work in our own system, 1 to 1500 characters; None leads to
        the DAG run. (templated)

    Source: PutThirdPartyJobFailureResult, CodePipeline API 2015-07-09.
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
        failure_type: Any = "JobFailed",
        external_execution_id: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_literal(FailureDetails, message)
        check_literal(lambda kind: FailureDetails("x", kind), failure_type)
        check_literal(lambda name: FailureDetails("x", external_execution_id=name), external_execution_id)
        self.message = message
        self.failure_type = failure_type
        self.external_execution_id = external_execution_id

    def compose(self, job: OfferedJob, dag_id: str, run_id: str) -> Call:
        """Return the call that gives the result."""
        return protocol.failure(
            job,
            message=self.message,
            failure_type=self.failure_type,
            external_execution_id=(
                self.external_execution_id or protocol.external_execution_id(dag_id, run_id)
            ),
        )


class CodePipelineClaimJobOperator(CodePipelineParameters):
    """
    Claim an offered job, so that no other worker takes it; skip where another has it.

    Returns the claimed job: the offered job with its continuation token, the names of pipeline, stage and
    action, and its artifacts; neither credentials nor configuration values, for which the task that needs
    them asks the hook for the details. Every claimed job has to get a result: see :func:`finish_job`.

    :param job: A job that the sensor returned, or a mapping with ``job_id`` and ``client_id``. (templated)
    :param unknown_claim: What to do where the answer to our acknowledgement was lost and the job shows as
        acknowledged: ``assume_ours`` (right where one Airflow polls the action type) or ``leave`` (right
        where rivals poll it too; if it was ours after all, it ends by its timeout).

    Source: GetThirdPartyJobDetails, AcknowledgeThirdPartyJob, CodePipeline API 2015-07-09.
    """

    template_fields = ("job", *CodePipelineParameters.template_fields)
    #: By this the finishing piece and the callbacks know which tasks keep claim records.
    claims_job: ClassVar[bool] = True

    def __init__(self, *, job: Any, unknown_claim: UnknownClaim = "assume_ours", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(job, Mapping) and not is_known_later(job):
            OfferedJob.from_value(job)
        protocol.check_unknown_claim(unknown_claim)
        self.job = job
        self.unknown_claim = unknown_claim

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Claim the job and return it.

        :raises AirflowSkipException: Another worker has it.
        """
        memory = ClaimMemory(context)
        with _no_retry_where_none_helps():
            job = OfferedJob.from_value(self.job)
            claim = memory.claim_of_earlier_try(job.job_id) or self._claim(job, memory)
            if not claim.is_ours(self.unknown_claim):
                raise AirflowSkipException(
                    f"The claim of job {job.job_id} is {claim.state}; another worker may have it."
                )
            remember_link(context, self.hook.location, claim.job.pipeline_name)
            return claim.job.to_xcom()

    def _claim(self, job: OfferedJob, memory: ClaimMemory) -> Claim:
        """Claim the job; the record says in the end how that went, whatever happens in between."""
        state = ClaimState.REFUSED
        claimed = ClaimedJob(job)

        def intend(about_to_claim: ClaimedJob) -> None:
            nonlocal state, claimed
            state, claimed = ClaimState.INTENT, about_to_claim
            memory.write(state, claimed)

        in_doubt = memory.acknowledged_before(job.job_id)
        try:
            claim = self.hook.try_claim(job, in_doubt=in_doubt, before_acknowledge=intend)
        except CodePipelinePartnerError as error:
            asked = state is ClaimState.INTENT and getattr(error, "in_doubt", False)
            memory.write(ClaimState.UNKNOWN if asked or in_doubt else ClaimState.REFUSED, claimed)
            raise
        if claim.state is ClaimState.UNKNOWN:
            claim = replace(claim, job=replace(claim.job, certain=False))
        memory.write(claim.state, claim.job)
        return claim


class CodePipelineCompleteJobOperator(CodePipelineParameters):
    """
    Finish the job that a claiming task won, whatever became of the work; see :func:`finish_job`.

    A teardown: it runs when all tasks before it have ended, however they ended. It puts nothing where
    nothing was claimed (then it is skipped); the failure result if any task before it failed or could not
    run, or if all the work was skipped; else the success result. It never works against a result that the
    job already has. Having put a failure it fails itself, so that the run is not green.

    Its retries (never fewer than ``MIN_RETRIES``), their back-off, its priority and the absence of an
    execution timeout are its own: ``default_args`` do not take them away.

    :param claim_task_id: The id of the claiming task.
    :param job: What the claiming task was given; only used where that task died without a record.
    :param unknown_claim: What a claim in doubt counts as, as for the claiming task.
    :param current_revision: For success: a CurrentRevision or a mapping of that kind, or None. (templated)
    :param execution_details: For success: an ExecutionDetails or a mapping of that kind; what is missing
        gets a default. (templated)
    :param failure_message: What the customer reads on failure; None names the tasks that failed. (templated)
    :param failure_type: One of JobFailed, ConfigurationError, PermissionError, RevisionOutOfSync,
        RevisionUnavailable, SystemUnavailable. (templated)

    Source: PutThirdPartyJobSuccessResult, PutThirdPartyJobFailureResult, CodePipeline API 2015-07-09.
    """

    #: Fewest retries of the task; each try goes on for the hook's ``retry_deadline`` by itself.
    MIN_RETRIES: ClassVar[int] = 5
    #: Wait before the first retry, doubled each time up to :attr:`MAX_RETRY_DELAY`.
    RETRY_DELAY: ClassVar[timedelta] = timedelta(seconds=10)
    MAX_RETRY_DELAY: ClassVar[timedelta] = timedelta(minutes=5)
    #: Above what people give their tasks, so that results are put before new work begins.
    PRIORITY_WEIGHT: ClassVar[int] = 10_000

    template_fields = (
        "current_revision",
        "execution_details",
        "failure_message",
        "failure_type",
        *CodePipelineParameters.template_fields,
    )

    def __init__(
        self,
        *,
        claim_task_id: str,
        job: Any = None,
        unknown_claim: UnknownClaim = "assume_ours",
        current_revision: Any = None,
        execution_details: Any = None,
        failure_message: Any = None,
        failure_type: Any = "JobFailed",
        **kwargs: Any,
    ) -> None:
        own = {
            "retries": max(kwargs.get("retries") or 0, self.MIN_RETRIES),
            "retry_delay": self.RETRY_DELAY,
            "retry_exponential_backoff": True,
            "max_retry_delay": self.MAX_RETRY_DELAY,
            "execution_timeout": None,
            "priority_weight": max(kwargs.get("priority_weight") or 0, self.PRIORITY_WEIGHT),
            "weight_rule": "absolute",
            "depends_on_past": False,
            "wait_for_downstream": False,
        }
        super().__init__(**{**kwargs, **own})
        _check_result_literals(current_revision, execution_details)
        check_literal(FailureDetails, failure_message)
        check_literal(lambda kind: FailureDetails("x", kind), failure_type)
        protocol.check_unknown_claim(unknown_claim)
        self.claim_task_id = claim_task_id
        self.job = job
        self.unknown_claim = unknown_claim
        self.current_revision = current_revision
        self.execution_details = execution_details
        self.failure_message = failure_message
        self.failure_type = failure_type
        # Without setups: a teardown with setups does not run when its setup, the claim, died.
        self.as_teardown(on_failure_fail_dagrun=True)

    def execute(self, context: Any) -> None:
        """
        Put the result that the work came to.

        :raises AirflowSkipException: Nothing was claimed.
        :raises AirflowFailException: The work failed, and so does the run, now that CodePipeline knows.
        """
        states = states_before(context, self)
        place = self._place_of_claim(context)
        job = self._claimed_job(context, place, states[self.claim_task_id])
        if job is None:
            raise AirflowSkipException(f"{self.claim_task_id} claimed no job; there is nothing to finish.")
        ti = context["ti"]
        leaves = self.upstream_task_ids - {self.claim_task_id}
        failure = reporting.failure_of_run(ti.dag_id, states, leaves)
        with _no_retry_where_none_helps():
            result = reporting.put_once(self.hook, place, self._compose(job, failure, ti.dag_id, ti.run_id))
        if failure is not None or result == "failure":
            raise AirflowFailException(
                f"Job {job.job_id} has the result {result}. {failure or 'It was reported as failed.'} "
                "This task fails so that the run does, too."
            )

    def _place_of_claim(self, context: Any) -> Place:
        own = Place.of(context["ti"])
        claim = context["dag"].get_task(self.claim_task_id)
        same_group = mapped_group_of(claim) is not None
        return replace(own, task_id=self.claim_task_id, map_index=own.map_index if same_group else -1)

    def _claimed_job(self, context: Any, place: Place, states: list[str | None]) -> OfferedJob | None:
        """Return the job that is ours to end, by the claim's record, or None."""
        record = place.read_claim()
        if record is not None:
            return record.job.job if record.may_be_ours(self.unknown_claim) else None
        if "failed" not in states or self.unknown_claim != "assume_ours":
            return None
        # The claim died after a retry had cleared its record: in doubt, like an intent left over.
        try:
            return OfferedJob.from_value(self.render_template(self.job, context))
        except Exception:
            self.log.warning("%s failed before it knew which job to claim.", self.claim_task_id)
            return None

    def _compose(self, job: OfferedJob, failure: str | None, dag_id: str, run_id: str) -> Call:
        if failure is not None:
            message = self.failure_message or failure
            return reporting.failure(job, message, self.failure_type, dag_id=dag_id, run_id=run_id)
        details = reporting.with_defaults(self.execution_details, dag_id=dag_id, run_id=run_id)
        return protocol.success(job, current_revision=self.current_revision, execution_details=details)


def finish_job(
    claim: Any, *, task_id: str = "finish_job", **parameters: Any
) -> CodePipelineCompleteJobOperator:
    """
    Have a claimed job finished, whatever becomes of the work: call it when the work is wired.

    It makes a :class:`CodePipelineCompleteJobOperator` in the current DAG or task group and puts it behind
    all that follows the claim so far. In a mapped task group, each job is finished on its own.

    :param claim: The claiming task, or its output.
    :param task_id: The id of the new task.
    :param parameters: Any parameter of :class:`CodePipelineCompleteJobOperator`; the AWS parameters are
        the claiming task's where they are not given.
    :raises InvalidInput: ``claim`` claims no job, is mapped by itself instead of in a task group, lies in
        another mapped task group, or has a finishing task already.
    """
    claim = getattr(claim, "operator", claim)
    if not isinstance(claim, CodePipelineClaimJobOperator):
        raise InvalidInput(
            f"finish_job takes a CodePipelineClaimJobOperator (or its output), not a {type(claim).__name__}. "
            "Where the claim is to be mapped, expand a task group that holds claim, work and finish_job."
        )
    followers = claim.get_flat_relatives(upstream=False)
    for follower in followers:
        if isinstance(follower, CodePipelineCompleteJobOperator):
            raise InvalidInput(f"{claim.task_id} is finished by {follower.task_id} already; one is enough.")
    inherited = {name: getattr(claim, name) for name in (*AWS_PARAMETERS, "job", "unknown_claim")}
    finish = CodePipelineCompleteJobOperator(
        task_id=task_id, claim_task_id=claim.task_id, **{**inherited, **parameters}
    )
    if mapped_group_of(finish) is not mapped_group_of(claim):
        raise InvalidInput(
            f"{finish.task_id} and {claim.task_id} must lie in the same mapped task group: call finish_job "
            "inside the group that holds the claim."
        )
    leaves = [task for task in followers if not task.downstream_task_ids]
    finish.set_upstream(leaves or [claim])
    return finish
