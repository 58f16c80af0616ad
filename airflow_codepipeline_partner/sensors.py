# SPDX-License-Identifier: Apache-2.0
"""The sensor that waits for jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_codepipeline_partner import protocol
from airflow_codepipeline_partner._compat import AirflowSensorTimeout, AirflowSkipException, conf
from airflow_codepipeline_partner.exceptions import InvalidInput, from_description
from airflow_codepipeline_partner.hook_parameters import aws_parameters_of
from airflow_codepipeline_partner.jobs import ActionType
from airflow_codepipeline_partner.limits import check_number
from airflow_codepipeline_partner.parameters import (
    CodePipelineParameters,
    check_literal,
    is_known_later,
    renderable,
)
from airflow_codepipeline_partner.poll_hub import with_jitter
from airflow_codepipeline_partner.triggers import CodePipelineJobTrigger

#: How much later than its own deadline Airflow may end a deferral whose trigger does not run, in seconds.
DEFERRAL_MARGIN = 60


class CodePipelineJobSensor(CodePipelineParameters, BaseSensorOperator):
    """
    Wait until CodePipeline offers jobs of an action type, and return them.

    The jobs are offered, not claimed: what no task claims is offered again. All three ways to wait (``mode``
    poke or reschedule, ``deferrable``) give the same result.

    :param action_type: What to poll for: an :class:`~airflow_codepipeline_partner.jobs.ActionType`, AWS's
        mapping, or a template that renders to it. (templated)
    :param max_batch_size: Most jobs to be offered at once, at least 1; CodePipeline may give fewer.
        (templated)
    :param poke_interval: Seconds between two polls, varied by a tenth.
    :param deferrable: Wait in the triggerer, at once and without a worker slot; the default is Airflow's
        ``[operators] default_deferrable``.

    Source: PollForThirdPartyJobs, CodePipeline API 2015-07-09.
    """

    template_fields = ("action_type", "max_batch_size", *CodePipelineParameters.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {"action_type": "json"}

    def __init__(
        self,
        *,
        action_type: Any,
        max_batch_size: Any = 10,
        poke_interval: float | timedelta = 30,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        if not is_known_later(action_type):
            protocol.dialect_of(ActionType.from_value(action_type))
        if self.poke_interval <= 0:
            raise InvalidInput(
                f"poke_interval must be more than 0 seconds; {self.poke_interval:g} was given."
            )
        check_literal(lambda size: check_number("maxBatchSize", size), max_batch_size)
        self.action_type = renderable(action_type)
        self.max_batch_size = max_batch_size
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False)
            if deferrable is None
            else deferrable
        )

    def execute(self, context: Any) -> Any:
        """Wait in the worker or, without a poke first, in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        trigger = CodePipelineJobTrigger(
            action_type=ActionType.from_value(self.action_type),
            max_batch_size=check_number("maxBatchSize", self.max_batch_size),
            poll_interval=self.poke_interval,
            timeout_deadline=time.time() + self.timeout,
            **aws_parameters_of(self),
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
        jobs = self.hook.poll(ActionType.from_value(self.action_type), self.max_batch_size)
        return PokeReturnValue(is_done=bool(jobs), xcom_value=[job.to_xcom() for job in jobs])

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """
        Return the jobs that the trigger was offered.

        :param context: The task's context.
        :param event: The trigger's event.
        :raises AirflowSensorTimeout: None was offered in time.
        :raises CodePipelinePartnerError: The poll failed for good, with the error that a poke would raise.
        :raises AirflowSkipException: Either of them, with ``never_fail``.
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
        return with_jitter(super()._get_next_poke_interval(*args, **kwargs))
