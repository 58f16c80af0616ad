# SPDX-License-Identifier: Apache-2.0
"""
The operator that finishes a claimed job: it gets exactly one result, however the work ends.

:mod:`~airflow_codepipeline_partner.operators.finish_wiring` has ``finish_job``, which adds it to a DAG. The
calls that report a result are composed in :mod:`~airflow_codepipeline_partner._worker.work_result`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NoReturn

from airflow.sdk import TriggerRule

from airflow_codepipeline_partner import triggers
from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    check_literal,
    check_success_literals,
    check_variables_of_job,
    to_templatable,
)
from airflow_codepipeline_partner._compat import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    is_started_anew,
)
from airflow_codepipeline_partner._protocol import claims
from airflow_codepipeline_partner._protocol.claims import ClaimState, UnknownClaim
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._protocol.results import FailureDetails
from airflow_codepipeline_partner._templates import text_environment
from airflow_codepipeline_partner._worker import awaited_job, next_job, work_result
from airflow_codepipeline_partner._worker.copies import claim_in_run
from airflow_codepipeline_partner._worker.dag import (
    states_before,
    tasks_of_job,
    unended_work,
)
from airflow_codepipeline_partner._worker.former_tasks import end_jobs_of_former_tasks
from airflow_codepipeline_partner._worker.last_look import claim_to_end
from airflow_codepipeline_partner._worker.output_artifacts import (
    MissingOutputs,
    check_is_looked_for,
    check_missing_outputs,
    check_outputs,
    may_have_uploaded,
)
from airflow_codepipeline_partner._worker.record_search import ClaimInRun
from airflow_codepipeline_partner._worker.result_defaults import DEFAULT_FAILURE_TYPE
from airflow_codepipeline_partner._worker.skips import tasks_cut_off
from airflow_codepipeline_partner._worker.wiring import (
    check_fails_the_run,
    check_is_not_skipped,
    check_judges_one_job,
    check_rejections_fail,
    check_shares_group,
    check_waits_for_work,
    observe,
    observe_skip,
)
from airflow_codepipeline_partner._worker.work_failure import failure_of_work, hide_no_failure
from airflow_codepipeline_partner._worker.work_result import ResultValues, refuse_cleared_run
from airflow_codepipeline_partner.exceptions import (
    ArtifactError,
    InvalidInput,
    JobNotFound,
    JobNotInProgress,
    NextJobNotOffered,
    RequestRefused,
)

_RESULT_FIELDS = (
    "current_revision",
    "execution_details",
    "output_variables",
    "failure_message",
    "failure_type",
)


class CodePipelineFinishJobOperator(CodePipelineBaseOperator):
    """
    Finish the job that a claiming task won, however the work ended.

    Use :func:`~airflow_codepipeline_partner.operators.finish_job`, which adds it after the work.

    The task is a teardown: it runs when all tasks before it have ended, however they ended. It sends the
    failure result if any task before it failed or could not run, if somebody ended the run before all of them
    had run, or if all the work was skipped. Otherwise it sends the success result. Teardowns count only if
    they are to fail the run. It never changes a result that the job already has. After a failure result the
    task fails, so that the run fails too. If nothing was claimed, it sends nothing. It is then skipped, or
    fails if a task before it failed.

    It sets its own retries (never fewer than ``MIN_RETRIES``), back-off and priority, and has no execution
    timeout. ``default_args`` do not change these.

    :param claim_task_id: The id of the claiming task.
    :param job: The job with which the claiming task was called. It only serves to check ``output_variables``.
    :param unknown_claim: What to do if the claim is unknown; see :class:`CodePipelineClaimJobOperator`. Use
        the value of the claiming task.
    :param current_revision: See :func:`~airflow_codepipeline_partner.operators.finish_job`. (templated)
    :param execution_details: See :func:`~airflow_codepipeline_partner.operators.finish_job`. (templated)
    :param output_variables: See :func:`~airflow_codepipeline_partner.operators.finish_job`. (templated)
    :param failure_message: See :func:`~airflow_codepipeline_partner.operators.finish_job`. (templated)
    :param failure_type: See :func:`~airflow_codepipeline_partner.operators.finish_job`. (templated)
    :param fail_run: Whether a run whose job gets a failure result fails, too. If False, one customer's broken
        builds cannot pause the DAG by ``max_consecutive_failed_dag_runs``.
    :param missing_outputs: What to do if the work succeeded, but no task uploaded one of the output artifacts
        with this package: ``warn`` in the log (the default), ``fail`` the job, or ``ignore`` it.
    :param allow_untied_tasks: Whether the DAG may have tasks that this task does not wait for although they
        follow the claim, or that are tied to nothing while this task waits for no work at all. Otherwise
        such a DAG is refused when it is parsed.

    Source: PutThirdPartyJobSuccessResult, PutThirdPartyJobFailureResult, PutJobSuccessResult,
    PutJobFailureResult, CodePipeline API 2015-07-09.
    """

    #: Mark the tasks that record results, and those that end jobs.
    puts_result: ClassVar[bool] = True
    ends_job: ClassVar[bool] = True
    #: Fewest retries of the task; each try goes on for the hook's ``retry_deadline`` by itself.
    MIN_RETRIES: ClassVar[int] = 5
    #: Wait before the first retry, doubled each time up to :attr:`MAX_RETRY_DELAY`.
    RETRY_DELAY: ClassVar[timedelta] = timedelta(seconds=10)
    MAX_RETRY_DELAY: ClassVar[timedelta] = timedelta(minutes=5)
    #: Seconds between two polls for an action's next job, if no task before this one waited for it.
    POLL_INTERVAL: ClassVar[float] = 30
    #: Wait between two looks at work that has not ended, doubled up to the most, or for a claim.
    LOOK_AGAIN_AFTER: ClassVar[timedelta] = timedelta(seconds=10)
    MAX_LOOK_PAUSE: ClassVar[timedelta] = timedelta(minutes=1)
    #: For how many seconds the record of a task that skipped itself may be on its way.
    SKIP_RECORD_DELAY: ClassVar[float] = 10.0

    template_fields = (*_RESULT_FIELDS, *CodePipelineBaseOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(_RESULT_FIELDS[:3], "json")

    def __init__(
        self,
        *,
        claim_task_id: str,
        job: Any = None,
        unknown_claim: UnknownClaim = "assume_ours",
        current_revision: Any = None,
        execution_details: Any = None,
        output_variables: Any = None,
        failure_message: Any = None,
        failure_type: Any = DEFAULT_FAILURE_TYPE,
        fail_run: bool = True,
        missing_outputs: MissingOutputs = "warn",
        allow_untied_tasks: bool = False,
        **kwargs: Any,
    ) -> None:
        own = {
            "retries": max(kwargs.get("retries") or 0, self.MIN_RETRIES),
            "retry_delay": self.RETRY_DELAY,
            "retry_exponential_backoff": True,
            "max_retry_delay": self.MAX_RETRY_DELAY,
            "execution_timeout": None,
            # Results go before work: the weight is that of all tasks before it, which Airflow's default rule
            # gives to none of them.
            "priority_weight": kwargs.get("priority_weight") or 1,
            "weight_rule": "upstream",
            "depends_on_past": False,
            "wait_for_downstream": False,
        }
        super().__init__(**{**kwargs, **own})
        check_success_literals(current_revision, execution_details, output_variables)
        check_variables_of_job(job, output_variables)
        check_literal(FailureDetails, failure_message)
        check_literal(lambda kind: FailureDetails("x", kind), failure_type)
        claims.check_unknown_claim(unknown_claim)
        check_missing_outputs(missing_outputs)
        self._unrendered: dict[str, str] = {}
        self.fail_run = fail_run
        self.missing_outputs = missing_outputs
        self.allow_untied_tasks = allow_untied_tasks
        self.claim_task_id = claim_task_id
        self.job = job
        self.unknown_claim = unknown_claim
        self.current_revision = to_templatable(current_revision)
        self.execution_details = to_templatable(execution_details)
        self.output_variables = output_variables
        self.failure_message = failure_message
        self.failure_type = failure_type
        # Without setups: a teardown with setups does not run when its setup, the claim, died.
        self.as_teardown(on_failure_fail_dagrun=True)
        # A teardown's own rule would skip it if a setup just before it failed or was skipped.
        self.trigger_rule = TriggerRule.ALL_DONE
        # Airflow 3.3 would take it from default_args, and with it the retries.
        self.retry_policy = None

    def prepare_template(self) -> None:
        """
        Check, when the DAG is parsed, that this task waits for the work, and have the work observed.

        :raises InvalidInput: It does not, or a branch would skip it, or the run would succeed if it failed,
            or its ``missing_outputs`` would be in vain, or a rejection of the work would read as success,
            or another job's failure would start a task of this one, or keep it from running.
        """
        dag = self.get_dag()
        if dag is None or not dag.has_task(self.claim_task_id):
            return
        claiming = dag.get_task(self.claim_task_id)
        check_shares_group(self, claiming)
        if not self.allow_untied_tasks:
            check_waits_for_work(self, claiming, dag)
        check_is_not_skipped(self, dag)
        check_fails_the_run(self, dag)
        observe_skip(claiming)
        of_job = [dag.get_task(task_id) for task_id in tasks_of_job(dag, self, self.claim_task_id)]
        check_is_looked_for(self, claiming, of_job)
        check_judges_one_job(self, [claiming, *of_job])
        check_rejections_fail(self, of_job)
        for task in of_job:
            observe(task)

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Render the fields. A value that cannot be rendered must not keep the job from its result."""
        self._unrendered = {}
        jinja_env = text_environment(jinja_env or self.get_template_env())
        for name in _RESULT_FIELDS:
            try:
                rendered = self.render_template(getattr(self, name), context, jinja_env)
                # Airflow ends the task if it cannot show a value as JSON: for instance infinity, or a file
                # name in another encoding.
                json.dumps(rendered, allow_nan=False, default=str, ensure_ascii=False).encode()
                setattr(self, name, rendered)
            except Exception as error:
                # Most often the work failed and left nothing to render from. The text may hold a secret.
                self._unrendered[name] = type(error).__name__
                setattr(self, name, None)
        for name in CodePipelineBaseOperator.template_fields:
            setattr(self, name, self.render_template(getattr(self, name), context, jinja_env))

    def execute(self, context: Any) -> None:
        """
        Send the result of the work.

        :raises AirflowSkipException: Nothing was claimed.
        :raises AirflowFailException: A task before this one failed. The result is sent, and this task fails
            so that the run fails too.
        """
        if is_started_anew(context) and (claim := self._claim_in_run(context)) is not None:
            next_job.keep_copies(claim)
        self._finish(context, None)

    def _finish(self, context: Any, at_least: float | None) -> None:
        states = self._states_before(context)
        failure = failure_of_work(context, self.claim_task_id, states, self.SKIP_RECORD_DELAY)
        claim = self._settled_claim(context, states)
        claimed = self._claimed_job(claim)
        if claim is None or claimed is None:
            self._end_without_a_job(context, states, claim, at_least)
        refuse_cleared_run(context["dag_run"], claim)
        result, error = None, None
        try:
            result = self._put(context, states, claim, claimed, failure)
        except (JobNotFound, JobNotInProgress) as found:
            # Any other error may pass: the claim had a token and credentials, so lacking them is temporary.
            error = found
        if result in (None, "continue"):
            # The task that put the continuation may have claimed the next job since.
            newest = self._claim_in_run(context)
            if next_job.has_gone_on(claim, newest):
                return self._finish(context, at_least)
            # If perhaps nobody has claimed the action's next job, it is offered again.
            self._wait_for_next_job(newest, at_least)
        if result is None:
            # Without a chain of exceptions, so that the log is readable.
            raise AirflowFailException(f"{type(error).__name__}: {error}")
        self.show_link(claimed.pipeline_name)
        said = work_result.description_of_end(claimed, result, claim)
        is_good = failure is None and result != "failure"
        if is_good or not self.fail_run:
            self.log.log(logging.INFO if is_good else logging.WARNING, "%s", said)
        if context["ti"].map_index <= 0:
            # One instance of a mapped task is enough: it reads the states of the whole run.
            end_jobs_of_former_tasks(self.hook, context)
        if not is_good and self.fail_run:
            raise AirflowFailException(f"{said} This task fails so that the run does, too.")

    def _states_before(self, context: Any) -> dict[str, list[str | None]]:
        """Return how the tasks before this one ended; wait for those that have not ended."""
        states = states_before(context, self)
        if self.claim_task_id not in states:
            raise AirflowFailException(
                f"{self.task_id} must come after {self.claim_task_id}, whose job it finishes; "
                "finish_job wires it so."
            )
        if unended := unended_work(context["dag"], self, self.claim_task_id, states):
            self._wait_for_work(context, unended)
        return states

    def _put(
        self,
        context: Any,
        states: Mapping[str, Collection[str | None]],
        claim: ClaimInRun,
        claimed: ClaimedJob,
        failure: FailureDetails | None,
    ) -> str:
        """Put the success, or the failure of the work; return the result that the job has now."""
        run = {"dag_id": context["ti"].dag_id, "run_id": context["ti"].run_id}
        values, message = self._values(), self.failure_message
        if failure is None:
            try:
                self._check_outputs(context, claim, states)
                return next_job.put_result(self.hook, claim, values.success(claimed.job, **run))
            except (ArtifactError, InvalidInput, RequestRefused) as error:
                # The author's failure_message is about failed work, which this is not.
                message = work_result.why_not_reportable(error)
                failure = FailureDetails(message)
        return next_job.put_result(self.hook, claim, values.failure(claimed.job, message, failure, **run))

    def _wait_for_work(self, context: Any, task_ids: Collection[str]) -> NoReturn:
        """
        Have Airflow start this task again a little later; each time, wait longer.

        Airflow starts this task when those just before it have ended. A user may clear one of them just then,
        and the trigger rule of one may not wait for all the work. A deferral would need a triggerer, and in
        ``dag.test()`` no other task would run before its end.
        """
        self.log.warning("Waiting for %s, which has not ended.", ", ".join(task_ids))
        looks = context.get("task_reschedule_count") or 0
        pause = min(self.LOOK_AGAIN_AFTER * 2 ** min(looks, 10), self.MAX_LOOK_PAUSE)
        raise AirflowRescheduleException(datetime.now(UTC) + pause)  # type: ignore[no-untyped-call]

    def execute_again(self, context: Any, event: Any = None, looks: int = 1) -> None:
        """
        Put the result of the work, for a task that a former version of this package deferred.

        :param context: The task's context.
        :param event: The trigger's event.
        :param looks: How often that try had looked.
        """
        self._finish(context, None)

    def _wait_for_next_job(self, claim: ClaimInRun | None, at_least: float | None) -> None:
        """Wait for the action's next job, if this run is to claim one and no task before this one did."""
        if claim is None or awaited_job.awaited_token(claim) is None:
            return
        self.log.warning(
            "No task before this one claimed the action's next job for certain. This task waits for its "
            "offer, to end it."
        )
        triggers.defer_for_next_job(
            self,
            claim,
            timeout=awaited_job.CONTINUATION_TIMEOUT,
            poll_interval=self.POLL_INTERVAL,
            method_name="execute_next_job",
            at_least=at_least,
        )

    def execute_next_job(self, context: Any, event: Mapping[str, Any], at_least: float | None = None) -> None:
        """
        Claim the action's next job, and end it.

        :param context: The task's context.
        :param event: The trigger's event.
        :param at_least: Until when this try waits in any case, in seconds since the epoch.
        :raises AirflowFailException: The job was not offered in time.
        """
        claim = self._claim_in_run(context)
        if claim is None:
            raise AirflowFailException(
                f"The claim record of {self.claim_task_id} is gone, so no job can be ended."
            )
        deadline = awaited_job.wait_deadline(claim, awaited_job.CONTINUATION_TIMEOUT, at_least)
        next_job.raise_refusal(event, deadline=deadline)
        try:
            next_job.claim_offered(self.hook, claim, event, deadline=deadline)
        except NextJobNotOffered as error:
            raise AirflowFailException(str(error)) from error
        self._finish(context, at_least)

    def _settled_claim(self, context: Any, states: Mapping[str, Collection[str | None]]) -> ClaimInRun | None:
        """Read the run's claim once it says all that can be known; None if nothing was claimed."""
        found = states[self.claim_task_id]
        claim = claim_to_end(context, self.claim_task_id, self.unknown_claim, found, self.LOOK_AGAIN_AFTER)
        return None if claim is None else next_job.claim_if_unknown(self.hook, claim)

    def _claim_in_run(self, context: Any) -> ClaimInRun | None:
        return claim_in_run(context, self.claim_task_id, self.unknown_claim)

    def _end_without_a_job(
        self,
        context: Any,
        states: Mapping[str, Collection[str | None]],
        claim: ClaimInRun | None,
        at_least: float | None,
    ) -> NoReturn:
        """Put nothing: fail if a task before this one failed, or a user ended the claim; skip otherwise."""
        self._wait_for_next_job(claim, at_least)
        if claim is not None and claim.record.former_job_ids:
            raise AirflowFailException(
                f"The action went on with job {claim.record.job.job_id}, whose claim is "
                f"{claim.record.state}. Another worker may have the job, so this task leaves it."
            )
        end_jobs_of_former_tasks(self.hook, context)
        why = f"{self.claim_task_id} claimed no job, so there is none to end."
        if claim is not None and claim.record.state.is_unknown:
            why = (
                f"The claim of job {claim.record.job.job_id} is unknown (state {claim.record.state}), so "
                'unknown_claim="leave" leaves the job.'
            )
        hide_no_failure(why, states)
        # A claim that succeeds leaves a record of its job, and a lost one skips its task.
        is_marked = "success" in states[self.claim_task_id]
        is_lost = claim is not None and claim.record.state is ClaimState.LOST
        if is_marked or (
            not is_lost and tasks_cut_off(context, states, [self.claim_task_id], self.SKIP_RECORD_DELAY)
        ):
            raise AirflowFailException(
                f"{why} {self.claim_task_id} was ended in Airflow before it was done, so this task fails."
            )
        raise AirflowSkipException(why)

    def _claimed_job(self, claim: ClaimInRun | None) -> ClaimedJob | None:
        """Return the job that this task is to end; None without a record: nothing was asked for then."""
        if claim is None or not claim.counts_as_ours:
            return None
        return replace(claim.record.job, certain=claim.record.is_certain)

    def _check_outputs(
        self, context: Any, claim: ClaimInRun, states: Mapping[str, Collection[str | None]]
    ) -> None:
        """Warn or fail if an output artifact is missing, unless an earlier try has found a result."""
        record = claim.record
        if record.job.output_artifacts and claim.results.best is None:
            check_outputs(
                context,
                record.job,
                may_have_uploaded(states),
                self.missing_outputs,
                former_job_ids=record.former_job_ids,
            )

    def _values(self) -> ResultValues:
        given = {name: getattr(self, name) for name in _RESULT_FIELDS if name != "failure_message"}
        return ResultValues(**given, unrendered=self._unrendered)
