# SPDX-License-Identifier: Apache-2.0
"""
The operator that finishes a claimed job: it gets exactly one result, however the work ends.

:mod:`~airflow_codepipeline_partner.operators.finish_wiring` has ``finish_job``, which adds it to a DAG.
:mod:`~airflow_codepipeline_partner.operators.finishing` has what the task does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import TriggerRule

from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    check_literal,
    check_success_literals,
    check_variables_of_job,
    details_to_templatable,
)
from airflow_codepipeline_partner._protocol.choices import (
    DEFAULT_FAILURE_TYPE,
    MissingOutputs,
    UnknownClaim,
    check_failure_type,
    check_missing_outputs,
    check_unknown_claim,
)
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner._templates import text_environment
from airflow_codepipeline_partner._worker.dag import tasks_of_job
from airflow_codepipeline_partner._worker.wiring import (
    check_fails_the_run,
    check_is_looked_for,
    check_is_not_skipped,
    check_judges_one_job,
    check_rejections_fail,
    check_shares_group,
    check_waits_for_work,
    observe,
    observe_skip,
)

if TYPE_CHECKING:
    from airflow_codepipeline_partner.operators.finishing import Finishing

#: The parameters of the result.
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

    #: Field that could not be rendered → the name of the error; set by each rendering.
    unrendered: Mapping[str, str] = MappingProxyType({})

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
        check_literal(partial(check_text, "failureDetails.message"), failure_message)
        check_literal(check_failure_type, failure_type)
        check_unknown_claim(unknown_claim)
        check_missing_outputs(missing_outputs)
        self.fail_run = fail_run
        self.missing_outputs = missing_outputs
        self.allow_untied_tasks = allow_untied_tasks
        self.claim_task_id = claim_task_id
        self.job = job
        self.unknown_claim = unknown_claim
        self.current_revision = details_to_templatable(current_revision)
        self.execution_details = details_to_templatable(execution_details)
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
        unrendered: dict[str, str] = {}
        self.unrendered = unrendered
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
                unrendered[name] = type(error).__name__
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
        self._in_task(context).execute()

    def execute_again(self, context: Any, event: Any = None, looks: int = 1) -> None:
        """
        Put the result of the work, for a task that a former version of this package deferred.

        :param context: The task's context.
        :param event: The trigger's event.
        :param looks: How often that try had looked.
        """
        self._in_task(context).finish(None)

    def execute_next_job(self, context: Any, event: Mapping[str, Any], at_least: float | None = None) -> None:
        """
        Claim the action's next job, and end it.

        :param context: The task's context.
        :param event: The trigger's event.
        :param at_least: Until when this try waits in any case, in seconds since the epoch.
        :raises AirflowFailException: The job was not offered in time.
        """
        self._in_task(context).execute_next_job(event, at_least)

    def _in_task(self, context: Any) -> Finishing:
        # Not needed by a DAG file, which Airflow parses again and again: the jobs, their records, the calls.
        from airflow_codepipeline_partner.operators.finishing import Finishing

        return Finishing(self, context)
