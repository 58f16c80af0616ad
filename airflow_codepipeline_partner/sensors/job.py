# SPDX-License-Identifier: Apache-2.0
"""The sensor that waits for jobs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from airflow.sdk import BaseOperatorLink, PokeReturnValue

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    MayDefer,
    check_action_type,
    check_literal,
    check_positive,
    check_seconds,
    to_templatable,
)
from airflow_codepipeline_partner._compat import AirflowSensorTimeout, AirflowSkipException
from airflow_codepipeline_partner._job_log import job_fields, name_of
from airflow_codepipeline_partner._protocol.jobs import ActionType, OfferedJob
from airflow_codepipeline_partner._protocol.parsing import (
    check_number,
    read_query_param,
    read_wake_queue,
)
from airflow_codepipeline_partner.exceptions import InvalidInput, from_description
from airflow_codepipeline_partner.sensors.triggerer_sensor import TriggererSensor


class CodePipelineJobSensor(MayDefer, TriggererSensor):
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
    #: What it waits for may be of many pipelines, or of none.
    operator_extra_links: Collection[BaseOperatorLink] = ()
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
        self._log_offers(jobs)
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
            self._log_offers(map(OfferedJob.from_value, jobs))
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

    def _log_offers(self, jobs: Iterable[OfferedJob]) -> None:
        for job in jobs:
            with job_fields(job):
                self.log.info("Offered: %s.", name_of(job))

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        from airflow_codepipeline_partner._polling.clock import SYSTEM_CLOCK

        return SYSTEM_CLOCK.vary(super()._get_next_poke_interval(*args, **kwargs))
