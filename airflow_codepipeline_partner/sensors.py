# SPDX-License-Identifier: Apache-2.0
"""The sensors: one waits for jobs, one waits for the work of another system and shows its progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    check_action_type,
    check_job,
    check_literal,
    check_positive,
    check_seconds,
    is_known_later,
    read_job_timeout,
    read_seconds,
    to_templatable,
)
from airflow_codepipeline_partner._compat import (
    AirflowSensorTimeout,
    AirflowSkipException,
    conf,
    failed_wait,
)
from airflow_codepipeline_partner._protocol.choices import CONTINUATION_TIMEOUT
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._protocol.parsing import (
    check_number,
    read_query_param,
    read_wake_queue,
)
from airflow_codepipeline_partner.exceptions import InvalidInput, from_description

if TYPE_CHECKING:
    from airflow_codepipeline_partner._watching import Watching

__all__ = ["CodePipelineJobProgressSensor", "CodePipelineJobSensor"]


class _TriggererSensor(CodePipelineBaseOperator, BaseSensorOperator):
    """A sensor that fails if its wait did not take place: that says nothing about what it waits for."""

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """
        Go on after a deferral.

        :raises AirflowSensorTimeout: No triggerer looked at the wait, whatever ``soft_fail`` and
            ``never_fail`` say. As at each timeout, there is no retry.
        :raises RuntimeError: The triggerer could not wait: for instance, it cannot import this package.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception as error:
            kind = failed_wait(error)
            if kind is None:
                raise
        if kind == "timeout":
            raise AirflowSensorTimeout(
                "No triggerer looked at this wait until its time was over, so it is not known whether there "
                "was anything. Check that a triggerer runs."
            )
        raise RuntimeError(
            "The triggerer could not wait, so it is not known whether there was anything. Its log says why. "
            "Check that this package is installed there, too."
        )


class CodePipelineJobSensor(_TriggererSensor):
    """
    Wait until CodePipeline offers jobs of an action type, and return them.

    The jobs are offered, not claimed. A job that no task claims is offered again. All three ways to wait
    (``mode`` poke or reschedule, ``deferrable``) return the same result.

    :param action_type: What to poll for: an :class:`~airflow_codepipeline_partner.jobs.ActionType`, AWS's
        mapping, or a template that renders to it. (templated)
    :param max_batch_size: The most jobs to return, at least 1. CodePipeline may return fewer. (templated)
    :param query_param: A filter for custom jobs: ``{property name: value}``. CodePipeline returns only jobs
        whose queryable property has this value, of at most 50 characters. Required if the action type has a
        queryable property, refused if it has none. (templated)
    :param poke_interval: Seconds between two polls, varied by a tenth.
    :param wake_queue: The URL of an SQS queue with CodePipeline's events of started actions, which an
        EventBridge rule puts there. If it holds an event of this action type, the triggerer polls at once.
        Whatever is wrong with the queue, the polls at the interval go on. Only for a deferrable sensor. If
        None, there is no such queue. (templated)
    :param deferrable: Wait in the triggerer, without a worker slot. The task defers before its first poll. If
        None, Airflow's ``[operators] default_deferrable`` is used.

    Source: PollForThirdPartyJobs, PollForJobs, CodePipeline API 2015-07-09.
    """

    template_fields = (
        "action_type",
        "max_batch_size",
        "query_param",
        "wake_queue",
        *CodePipelineBaseOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"action_type": "json", "query_param": "json"}
    #: By this mark ``finish_job`` finds the action type of the claimed jobs.
    offers_jobs: ClassVar[bool] = True

    def __init__(
        self,
        *,
        action_type: Any,
        max_batch_size: Any = 10,
        query_param: Any = None,
        poke_interval: float | timedelta = 30,
        wake_queue: str | None = None,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        check_seconds("timeout", self.timeout)
        check_action_type(action_type, query_param)
        check_positive("poke_interval", self.poke_interval)
        check_literal(lambda size: check_number("maxBatchSize", size), max_batch_size)
        self.action_type = to_templatable(action_type)
        self.max_batch_size = max_batch_size
        self.query_param = query_param
        if deferrable is not None:
            self.deferrable = deferrable
        check_literal(read_wake_queue, wake_queue)
        if wake_queue is not None and not self.deferrable:
            raise InvalidInput(
                f"{type(self).__name__} {self.task_id} has a wake_queue, which only the triggerer reads: set "
                "deferrable=True."
            )
        self.wake_queue = wake_queue

    @cached_property
    def deferrable(self) -> bool:
        """Whether it waits in the triggerer. Airflow's default is looked up only if it matters."""
        return bool(conf.getboolean("operators", "default_deferrable", fallback=False))

    def execute(self, context: Any) -> Any:
        """Wait in the worker, or in the triggerer. The task defers before its first poll."""
        if not self.deferrable:
            return super().execute(context)
        from airflow_codepipeline_partner.triggers import DEFERRAL_MARGIN, CodePipelineJobTrigger

        trigger = CodePipelineJobTrigger(
            action_type=ActionType.from_value(self.action_type),
            max_batch_size=check_number("maxBatchSize", self.max_batch_size),
            poll_interval=self.poke_interval,
            timeout_deadline=time.time() + self.timeout,
            query_param=read_query_param(self.query_param),
            wake_queue=self.wake_queue,
            **AwsParameters.of(self).to_arguments(),
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout + DEFERRAL_MARGIN),
        )

    def poke(self, context: Any) -> PokeReturnValue:
        """Poll once."""
        # No longer than the whole wait: an answer that comes after it helps nobody.
        self.hook.retry_deadline = min(self.hook.retry_deadline, self.timeout)
        jobs = self.hook.poll(ActionType.from_value(self.action_type), self.max_batch_size, self.query_param)
        return PokeReturnValue(is_done=bool(jobs), xcom_value=[job.to_xcom() for job in jobs])

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """
        Return the jobs that the trigger was offered.

        :param context: The task's context.
        :param event: The trigger's event.
        :raises AirflowSensorTimeout: No job was offered in time.
        :raises CodePipelineProviderError: The poll failed for good, with the error that a poke would raise.
        :raises AirflowSkipException: One of these errors happened, and ``never_fail`` is set.
        """
        if event["status"] == "offered":
            jobs: list[dict[str, Any]] = event["jobs"]
            return jobs
        failure: Exception = AirflowSensorTimeout(
            f"No job of {ActionType.from_value(self.action_type)} was offered within {self.timeout:g} s."
        )
        if event["status"] == "error":
            failure = from_description(event["error"])
        if self.never_fail:
            # Airflow sees to that only while it pokes.
            raise AirflowSkipException("Skipped, since never_fail is set.") from failure
        raise failure

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        from airflow_codepipeline_partner._polling.clock import SYSTEM_CLOCK

        return SYSTEM_CLOCK.vary(super()._get_next_poke_interval(*args, **kwargs))


class CodePipelineJobProgressSensor(_TriggererSensor):
    """
    Wait for the work of another system. Meanwhile, keep the action alive and show the progress.

    Every ``poke_interval`` seconds your function looks at the work. Before the job's timeout, the task renews
    the job: it ends the job with a continuation token, which shows the progress in the customer's console,
    and claims the new job of the same action. It returns the newest job. Following tasks, such as
    ``finish_job``, use that job. All waits are in the triggerer and hold no worker slot. ``mode``,
    ``exponential_backoff`` and ``max_wait`` have no effect. A retry continues where the try before it
    stopped, with a ``timeout`` of its own. During a renewal, ``timeout`` is not looked at.

    :param job: The job that the claim, or a continuation, returned. It may be any job of the action that this
        run claimed. (templated)
    :param progress: Your function. It is called with the claimed job
        (:class:`~airflow_codepipeline_partner.jobs.ClaimedJob`) and ``op_kwargs``. It returns True when the
        work is done. Until then it returns an :class:`~airflow_codepipeline_partner.jobs.ExecutionDetails`, a
        mapping with ``percentComplete`` and ``summary``, or None if there is nothing to report. Any other
        value fails the task at once. An exception fails the task, which Airflow retries as usual; before a
        retry that might come too late for the job, the task renews it. With ``silent_fail``, an exception
        other than :class:`~airflow_codepipeline_partner.exceptions.JobFailure` only means that the work is
        not done yet. The function cannot skip, defer or reschedule the task: that fails it at once.
    :param op_kwargs: More arguments of the function. (templated)
    :param job_timeout: The job timeout of the action type, in seconds. AWS allows 60 to 43200; more is
        refused. The job is renewed when half of this time has passed since the claim. (templated)
    :param progress_interval: Renew the job after this many seconds at the latest, so that the customer sees
        progress more often. If None, only ``job_timeout`` counts. A renewal takes about half a minute. Your
        function is not called during it. (templated)
    :param poke_interval: Seconds between two calls of your function.
    :param poll_interval: Seconds between two polls for the new job, varied by a tenth.
    :param continuation_timeout: How long to wait for a new job, in seconds. If the customer has stopped the
        pipeline, CodePipeline offers no new job.

    Source: PutThirdPartyJobSuccessResult, PollForThirdPartyJobs, GetThirdPartyJobDetails,
    AcknowledgeThirdPartyJob, and the same calls for custom jobs, CodePipeline API 2015-07-09.
    """

    template_fields = (
        "job",
        "op_kwargs",
        "job_timeout",
        "progress_interval",
        *CodePipelineBaseOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"job": "json", "op_kwargs": "py"}
    #: By this it is known which tasks keep records of results.
    puts_result: ClassVar[bool] = True
    #: Marks the tasks that claim the action's next jobs.
    claims_next_job: ClassVar[bool] = True

    def __init__(
        self,
        *,
        job: Any,
        progress: Callable[..., Any],
        op_kwargs: Any = None,
        job_timeout: Any = 3600,
        progress_interval: Any = None,
        poke_interval: float | timedelta = 60,
        poll_interval: float = 30,
        continuation_timeout: float = CONTINUATION_TIMEOUT,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        check_seconds("timeout", self.timeout)
        if self.soft_fail or self.never_fail:
            raise InvalidInput(
                f"{type(self).__name__} {self.task_id} takes neither soft_fail nor never_fail: work that "
                "failed, or was not done in time, would be skipped, and the customer might read success."
            )
        if type(self).poke is not BaseSensorOperator.poke:
            raise InvalidInput(
                f"{type(self).__name__} {self.task_id} overrides poke, which is never called: give progress "
                "what looks at the work."
            )
        check_job(job)
        if not callable(progress):
            raise InvalidInput(f"progress must be a function, not a {type(progress).__name__}.")
        if not is_known_later(job_timeout):
            read_job_timeout(job_timeout)
        check_literal(partial(read_seconds, "progress_interval"), progress_interval)
        for name, seconds in (
            ("poke_interval", self.poke_interval),
            ("poll_interval", poll_interval),
            ("continuation_timeout", continuation_timeout),
        ):
            check_positive(name, seconds)
        self.job = to_templatable(job)
        self.progress = progress
        self.op_kwargs = op_kwargs
        self.job_timeout = job_timeout
        self.progress_interval = progress_interval
        self.poll_interval = poll_interval
        self.continuation_timeout = continuation_timeout

    def execute(self, context: Any) -> dict[str, Any]:
        """
        Look at the work from time to time, and return the newest job when the work is done.

        :raises AirflowSensorTimeout: The work was not done in time.
        :raises AirflowSkipException: The run did not win the job.
        :raises JobNotInProgress: The job has another result.
        """
        return self._in_task(context).look(None)

    def execute_again(self, context: Any, event: Any = None, deadline: float | None = None) -> dict[str, Any]:
        """Look at the work once more, after a wait."""
        return self._in_task(context).look(deadline)

    def execute_complete(
        self,
        context: Any,
        event: Mapping[str, Any],
        deadline: float | None = None,
        at_least: float | None = None,
    ) -> dict[str, Any]:
        """Claim the action's next job, if it was offered to the trigger, and continue."""
        return self._in_task(context).take_offer(event, deadline, at_least)

    def _in_task(self, context: Any) -> Watching:
        # Not needed by a DAG file, which Airflow parses again and again: the jobs, their records, the calls.
        from airflow_codepipeline_partner._watching import Watching

        return Watching(self, context)
