# SPDX-License-Identifier: Apache-2.0
"""The sensor that waits for the work of another system, and keeps the job alive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator

from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    check_job,
    check_literal,
    check_positive,
    check_seconds,
    is_known_later,
    read_job_timeout,
    read_seconds,
    to_templatable,
)
from airflow_codepipeline_partner._protocol.choices import CONTINUATION_TIMEOUT
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.sensors.triggerer_sensor import TriggererSensor

if TYPE_CHECKING:
    from airflow_codepipeline_partner._watching import Watching


class CodePipelineJobProgressSensor(TriggererSensor):
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
