# SPDX-License-Identifier: Apache-2.0
"""
``@task.codepipeline_job``: the task claims the job, runs the function and reports the result.

::

    @task.codepipeline_job
    def deploy(job: JobInProgress):
        if "Target" not in job.configuration:
            raise JobFailure("The action's configuration names no Target.", "ConfigurationError")
        job.progress(50, "Half way.")
        return {"summary": "Deployed.", "percentComplete": 100}

    finish_job(deploy("{{ dag_run.conf | tojson }}"))

Call the task with the offered job; the function gets the :class:`JobInProgress`. After an exception, Airflow
retries the task as usual, with the same job. When no retry is left, the exception is reported as the job's
failure; see :mod:`~airflow_codepipeline_partner._worker.failures`.

With ``finish_job`` after the task, the job also ends if the task cannot report: if it is killed in its last
try, or if a user marks it. Without ``finish_job``, only a ``CodePipelineJobFailureNotifier`` in the DAG's
``on_failure_callback`` does that. Airflow does not call it if a user marks the run, or the task as success.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow_codepipeline_partner._base_operator import check_job_to_claim, to_templatable
from airflow_codepipeline_partner._claiming_operator import ClaimingOperator
from airflow_codepipeline_partner._compat import (
    OUTLIVES_SILENCE,
    AirflowFailException,
    DecoratedOperator,
    KeywordParameters,
    context_names,
    ends_task_otherwise,
    is_retried,
    task_decorator_factory,
)
from airflow_codepipeline_partner._job_log import job_fields, name_of
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.choices import MissingOutputs, UnknownClaim, check_missing_outputs
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.results import ExecutionDetails
from airflow_codepipeline_partner._worker import failures, report, result_defaults
from airflow_codepipeline_partner._worker.claim import claim_job
from airflow_codepipeline_partner._worker.claim_checkpoint import ClaimCheckpoint, restore_claim
from airflow_codepipeline_partner._worker.cut_off import is_cut_off, is_ended_for_others
from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent
from airflow_codepipeline_partner._worker.output_artifacts import (
    check_outputs,
)
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner._worker.result_checkpoint import ResultCheckpoint
from airflow_codepipeline_partner._worker.wiring import check_fails_the_run, with_callback
from airflow_codepipeline_partner.decorators.job_in_progress import (
    Completion,
    Continuation,
    JobInProgress,
    check_uploads,
)
from airflow_codepipeline_partner.exceptions import (
    ArtifactError,
    CodePipelineProviderError,
    InvalidInput,
    JobNotFound,
    JobNotInProgress,
    RequestRefused,
)

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import TaskDecorator


_NAME = "@task.codepipeline_job"
_MAY_RETURN = (
    "return nothing, execution details (ExecutionDetails, or a mapping with summary, externalExecutionId, "
    "percentComplete), a Completion, or a Continuation"
)


class _CodePipelineJobDecoratedOperator(DecoratedOperator, ClaimingOperator):
    """
    Claim a job, run a function that works on it, and report the result.

    :param python_callable: The function. Its first parameter gets the :class:`JobInProgress`.
    :param op_args: The positional arguments; the first is the offered job. (templated)
    :param op_kwargs: The arguments by name, one of which may be the offered job. (templated)
    :param unknown_claim: What to do if the claim is unknown, ``assume_ours`` or ``leave``; see
        :class:`~airflow_codepipeline_partner.operators.CodePipelineClaimJobOperator`.
    :param missing_outputs: What to do if the work succeeded, but no task uploaded one of the output artifacts
        with this package: ``warn`` in the log (the default), ``fail`` the job, or ``ignore`` it.

    Source: GetThirdPartyJobDetails, AcknowledgeThirdPartyJob, PutThirdPartyJobSuccessResult,
    PutThirdPartyJobFailureResult, and the same calls for custom jobs, CodePipeline API 2015-07-09.
    """

    template_fields = (*DecoratedOperator.template_fields, *ClaimingOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"op_args": "py", "op_kwargs": "py"}
    custom_operator_name = _NAME
    #: Mark the tasks that record results, and those that end jobs.
    puts_result: ClassVar[bool] = True
    ends_job: ClassVar[bool] = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        unknown_claim: UnknownClaim = "assume_ours",
        missing_outputs: MissingOutputs = "warn",
        **kwargs: Any,
    ) -> None:
        check_missing_outputs(missing_outputs)
        self._parameter = _parameter_of(python_callable)
        args, named = list(op_args or ()), dict(op_kwargs or {})
        if self._parameter in named:
            named[self._parameter] = to_templatable(named[self._parameter])
        elif args:
            args[0] = to_templatable(args[0])
        else:
            name = python_callable.__name__
            raise InvalidInput(
                f"{_NAME} {name} was called without a job. Call it with the offered job, as in "
                f'{name}("{{{{ dag_run.conf | tojson }}}}") or {name}.expand({self._parameter}=wait.output): '
                "the function's first parameter then gets the claimed job."
            )
        check_job_to_claim(named.get(self._parameter, args[0] if args else None))
        super().__init__(
            python_callable=python_callable,
            op_args=args,
            op_kwargs=named,
            unknown_claim=unknown_claim,
            **kwargs,
        )
        # Beside those of the user, which may come from the DAG's default_args.
        self.on_failure_callback = with_callback(self.on_failure_callback, restore_claim)
        self.missing_outputs = missing_outputs

    @property
    def job(self) -> Any:
        """The offered job, as the task was called with it."""
        by_name = self._parameter in self.op_kwargs
        return self.op_kwargs[self._parameter] if by_name else next(iter(self.op_args))

    def prepare_template(self) -> None:
        """
        Check, when the DAG is parsed, that the run fails if this task does, unless ``finish_job`` follows.

        :raises InvalidInput: The run would succeed.
        """
        dag = self.get_dag()
        if dag is not None and not self._finishing_tasks(dag):
            check_fails_the_run(self, dag)

    def _finishing_tasks(self, dag: Any) -> list[Any]:
        """Return the tasks that finish the job of this one."""
        return [task for task in dag.tasks if getattr(task, "claim_task_id", None) == self.task_id]

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Claim, work and report. If an earlier try has a result already, only report it.

        :raises AirflowSkipException: Another worker, or another run, has the job.
        :raises AirflowFailException: No retry can help.
        """
        with fail_without_retry_if_permanent():
            task = context["dag"].get_task(self.task_id)
            if task.is_mapped and not self._finishing_tasks(context["dag"]):
                # A mapped task is not checked when the DAG is parsed. Nothing is claimed yet.
                check_fails_the_run(task, context["dag"])
            offered = OfferedJob.from_value(self.job)
            # Before anything is recorded.
            offered.check_claimable()
        try:
            is_retry = context["ti"].try_number > 1
            # Before anything else: if this try dies, the finishing task still finds it.
            known = ClaimCheckpoint(context).restore(offered.job_id) if is_retry else None
            RecordStore.of_claiming_task(context).expect_result()
            checkpoint = ResultCheckpoint(context)
            call = checkpoint.result_of_earlier_try(offered)
            # The start of this try has cleared what the finishing task had recorded.
            lacks_records = bool(self._finishing_tasks(context["dag"])) and checkpoint.is_of_ended_run(
                offered, context["dag_run"]
            )
            claimed_at = None if known is None else known.at
            if call is None:
                claimed = claim_job(self.hook, context, offered, self.unknown_claim, ends_with_claim=False)
                claimed_at = claimed_at or datetime.now(UTC)
                call = self._work(context, claimed)
            else:
                claimed = known.job if known is not None else ClaimedJob(offered, certain=False)
                with job_fields(claimed):
                    self.log.info("Reporting only %s: an earlier try did the work.", name_of(claimed))
            self._leave_to_finish(context)
        except BaseException as error:
            self._end(context, offered.job_id, error)
            raise
        known_facts = {"certain": claimed.certain, "lacks_records": lacks_records, "claimed_at": claimed_at}
        with job_fields(claimed):
            result = self._report(context, checkpoint, call, **known_facts)
        self.show_job(context, claimed)
        if result == "failure":
            raise AirflowFailException(
                f"Reported as failed, as an earlier try had intended: {name_of(claimed)}. To run the action "
                "again, retry it in CodePipeline."
            )
        return claimed.to_xcom()

    def _leave_to_finish(self, context: Any) -> None:
        """
        Put nothing if a user has ended this try, although its process goes on, and ``finish_job`` follows.

        :raises AirflowFailException: A user has. What the job comes to is what the user has decided.
        """
        try:
            is_left = is_ended_for_others(context["ti"])
        except Exception as trouble:
            self.log.warning("The state of this task cannot be read: %s.", type(trouble).__name__)
            return
        if is_left:
            raise AirflowFailException("Airflow has ended this try, so the task that follows ends the job.")

    def _work(self, context: Any, claimed: ClaimedJob) -> Call:
        """Run the function, and return the call that reports its result."""
        from airflow_codepipeline_partner._worker.progress_record import ProgressRecord

        record = ProgressRecord(RecordStore.of(context["ti"])) if OUTLIVES_SILENCE else None
        in_progress = JobInProgress(claimed, self.hook, record)
        args, named = list(self.op_args), dict(self.op_kwargs)
        if self._parameter in named:
            named[self._parameter] = in_progress
        else:
            args[0] = in_progress
        wanted = KeywordParameters.determine(self.python_callable, args, {**context, **named})
        return self._result(context, in_progress, self.python_callable(*args, **wanted.unpacking()))

    def _result(self, context: Any, in_progress: JobInProgress, returned: object) -> Call:
        """
        Return the call that reports a function's return value as the result.

        :raises InvalidInput: The value is no result, or one that cannot be sent.
        :raises ArtifactError: An upload failed, even if the function caught the error; or an output artifact
            is missing, and ``missing_outputs`` is ``fail``.
        """
        check_uploads(in_progress)
        continuation = returned if isinstance(returned, Continuation) else None
        completion = returned if isinstance(returned, Completion) else None
        result = continuation or completion
        details = returned if result is None else result.execution_details
        if not isinstance(details, ExecutionDetails | Mapping | None):
            raise InvalidInput(
                f"The function {self.python_callable.__name__} returned a value of type "
                f"{type(returned).__name__}. Have it {_MAY_RETURN}.",
                job_id=in_progress.job_id,
            )
        if continuation is None:
            self._check_outputs(context, in_progress)
        ti = context["ti"]
        with_defaults = result_defaults.with_defaults(
            in_progress._progress if details is None else ExecutionDetails.from_value(details),
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            continued=continuation is not None,
        )
        return requests.success(
            in_progress.job.job,
            current_revision=in_progress.current_revision,
            continuation_token=None if continuation is None else continuation.token,
            execution_details=with_defaults,
            output_variables=None if completion is None else completion.output_variables,
        )

    def _check_outputs(self, context: Any, in_progress: JobInProgress) -> None:
        """Warn or fail if the function has not uploaded an output artifact."""
        try:
            check_outputs(context, in_progress.job, {self.task_id}, self.missing_outputs)
        except ArtifactError:
            raise
        except Exception as error:
            # The work is done. A record that cannot be read is no reason to do it again, or to fail the job.
            self.log.warning("The record of uploads cannot be read: %s.", type(error).__name__)

    def _report(self, context: Any, checkpoint: ResultCheckpoint, call: Call, **known: Any) -> str:
        """Put the result of the work, and return the result that the job has now; see :func:`put_once`."""
        try:
            return report.put_once(self.hook, checkpoint, call, **known)
        except (JobNotFound, JobNotInProgress) as error:
            # Without a chain of exceptions, so that the log is readable.
            raise AirflowFailException(f"{type(error).__name__}: {error}") from None
        except CodePipelineProviderError as error:
            refused = isinstance(error, RequestRefused) and not error.retryable
            if refused and not error.in_doubt:
                # CodePipeline would refuse the same result again.
                self.log.error("The work was done, but CodePipeline refused its result: %s", error)
                self._end(
                    context,
                    call.arguments["jobId"],
                    InvalidInput("CodePipeline does not take it.", job_id=error.job_id),
                )
            checkpoint.leave_to_others(call)
            raise
        except BaseException as error:
            # A time limit, most likely.
            self._end(context, call.arguments["jobId"], error)
            raise

    def _end(self, context: Any, job_id: str, error: BaseException) -> None:
        """
        Report a failure if no retry is left for it and the job is ours.

        :param context: The task's context.
        :param job_id: The job.
        :param error: The error that the task is about to raise.
        :raises AirflowFailException: Another try would not help, or the task would not fail by itself.
        """
        record = ClaimCheckpoint(context).restore(job_id)
        if record is None or not record.counts_as_ours(self.unknown_claim):
            return
        no_retry = failures.cannot_be_sent(error) or ends_task_otherwise(error)
        forgets = not ClaimCheckpoint(context).outlives_a_retry
        if not no_retry and not forgets and self._is_retried(context, error):
            return
        self._leave_to_finish(context)
        job = record.job.job
        outcome = self._report_failure(context, record, error)
        if no_retry:
            raise AirflowFailException(
                f"{type(error).__name__}: {error} Job {job.job_id} {outcome}. The function of {_NAME} must "
                f"{_MAY_RETURN}, or raise an error."
            ) from error
        if forgets and is_retried(context, error):
            raise AirflowFailException(
                f"Not retried after {type(error).__name__}: before Airflow 3.3, a task with no task beside "
                "it knows nothing of its earlier tries, so a retry would leave the job. Put finish_job after "
                f"this task. Job {job.job_id} {outcome}."
            ) from error

    def _is_retried(self, context: Any, error: BaseException) -> bool:
        """Return whether Airflow begins another try of this task, as far as can be known."""
        if not is_retried(context, error):
            return False
        try:
            # If a user has ended this task meanwhile, its finishing task may have found no claim.
            return not is_cut_off(context["ti"])
        except Exception as trouble:
            self.log.warning("The state of this task cannot be read: %s.", type(trouble).__name__)
            return True

    def _report_failure(self, context: Any, record: ClaimRecord, error: BaseException) -> str:
        """Put the failure, and return the outcome in words. No error here may hide why the work failed."""
        job = record.job.job
        run = {"dag_id": context["ti"].dag_id, "run_id": context["ti"].run_id}
        why = failures.failure_of(error, dag_id=run["dag_id"], task_id=self.task_id)
        call = result_defaults.failure(job, why.message, why.type, **run)
        checkpoint = ResultCheckpoint(context)
        try:
            with job_fields(record.job):
                result = report.put_once(
                    self.hook, checkpoint, call, certain=record.is_certain, claimed_at=record.at
                )
            outcome = f"has the result {result}"
        except Exception as trouble:
            ours = isinstance(trouble, CodePipelineProviderError)
            self.log.error("The failure was not put: %s: %s", type(trouble).__name__, trouble if ours else "")
            if ours and not isinstance(trouble, JobNotFound | JobNotInProgress):
                checkpoint.leave_to_others(call)
            outcome = "is not ended by this task"
        return outcome


def codepipeline_job_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """
    Make a task of a function that works on a CodePipeline job.

    The task claims the job, runs the function and reports the result. Call the task with the offered job; the
    function's first parameter gets the :class:`JobInProgress`. The function returns the job's result: nothing
    or execution details for success, a :class:`Completion` for success with output variables, a
    :class:`Continuation` if the action continues in a new job. The task itself returns the claimed job. If
    another worker has the job, the task is skipped.

    :param python_callable: The function, if the decorator is used without parentheses.
    :param kwargs: ``unknown_claim``, ``missing_outputs``, the AWS parameters, and the parameters of every
        operator (``retries``, ``execution_timeout``).
    :raises InvalidInput: The function takes no job, or is not a plain function.
    """
    if kwargs.pop("multiple_outputs", None):
        raise InvalidInput(f"{_NAME} has no multiple_outputs: the task returns one value, the claimed job.")

    def decorate(function: Callable[..., Any]) -> TaskDecorator:
        _parameter_of(function)
        return task_decorator_factory(
            function,
            multiple_outputs=False,
            decorated_operator_class=_CodePipelineJobDecoratedOperator,
            **kwargs,
        )

    if python_callable is None:
        return cast("TaskDecorator", decorate)
    return decorate(python_callable)


def _parameter_of(function: Callable[..., Any]) -> str:
    """
    Return the name of the function's first parameter, which gets the job.

    :raises InvalidInput: There is none, or the function is not a plain function.
    """
    name = getattr(function, "__name__", None)
    if name is None:
        raise InvalidInput(
            f"{_NAME} takes a plain function, not a {type(function).__name__}. Call it in a function: "
            "def work(job)."
        )
    plain = inspect.unwrap(function)
    if (
        inspect.iscoroutinefunction(plain)
        or inspect.isgeneratorfunction(plain)
        or inspect.isasyncgenfunction(plain)
    ):
        raise InvalidInput(
            f"{_NAME} {name} must be a plain function (def, without yield) that has done the work when it "
            "returns. To run a coroutine, call asyncio.run in it."
        )
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or first.kind in (first.VAR_POSITIONAL, first.VAR_KEYWORD):
        is_wrapped = first is not None and first.kind is first.VAR_POSITIONAL
        hint = " If a decorator wraps the function, give that one functools.wraps." if is_wrapped else ""
        raise InvalidInput(
            f"{_NAME} {name} needs a first parameter, which gets the job: def {name}(job).{hint}"
        )
    if first.name in context_names():
        raise InvalidInput(
            f"The first parameter of {_NAME} {name} gets the job, and cannot be {first.name}, which is of "
            f"Airflow's context: def {name}(job, {first.name}=None)."
        )
    return first.name
