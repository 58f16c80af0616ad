# SPDX-License-Identifier: Apache-2.0
"""The sensor that waits for the end of a pipeline's execution."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperatorLink

from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    MayDefer,
    check_literal,
    check_positive,
    check_seconds,
)
from airflow_codepipeline_partner._compat import AirflowSensorTimeout, AirflowSkipException
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.links import CodePipelineExecutionLink
from airflow_codepipeline_partner.sensors.triggerer_sensor import TriggererSensor


class CodePipelineExecutionSensor(MayDefer, TriggererSensor):
    """
    Wait until an execution of a pipeline has succeeded. It may have been started by anybody.

    The task returns the execution: ``pipeline_name``, ``pipeline_execution_id``, ``status``,
    ``status_summary`` and ``failed_actions``. If the execution has ended otherwise, the task fails. Its log
    shows what the actions do while it waits.

    :param pipeline_name: The pipeline. (templated)
    :param execution_id: The execution. (templated)
    :param fail_on_superseded: Whether the task fails if a newer execution has overtaken this one. If not, it
        succeeds, and ``status`` is ``Superseded``.
    :param poke_interval: Seconds between two looks.
    :param deferrable: Wait in the triggerer, without a worker slot. If None, Airflow's ``[operators]
        default_deferrable`` is used.

    Source: GetPipelineExecution, ListPipelineExecutions, ListActionExecutions, CodePipeline API 2015-07-09.
    """

    template_fields: Sequence[str] = (
        "pipeline_name",
        "execution_id",
        *CodePipelineBaseOperator.template_fields,
    )
    operator_extra_links: Collection[BaseOperatorLink] = (CodePipelineExecutionLink(),)
    #: The address of the link, once the task knows it.
    execution_url: str | None = None
    #: A sensor only looks: it stops nothing.
    stop_on_kill: str | None = None

    def __init__(
        self,
        *,
        pipeline_name: str,
        execution_id: str,
        fail_on_superseded: bool = True,
        poke_interval: float | timedelta = 30,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        check_seconds("timeout", self.timeout)
        check_positive("poke_interval", self.poke_interval)
        check_literal(lambda name: check_text("pipelineName", name), pipeline_name)
        check_literal(lambda text: check_text("pipelineExecutionId", text), execution_id)
        self.pipeline_name = pipeline_name
        self.execution_id = execution_id
        self.fail_on_superseded = fail_on_superseded
        if deferrable is not None:
            self.deferrable = deferrable

    def execute(self, context: Any) -> Any:
        """Wait in the worker, or in the triggerer."""
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        with fail_without_retry_if_permanent():
            check_text("pipelineName", self.pipeline_name)
            check_text("pipelineExecutionId", self.execution_id)
        if not self.deferrable:
            return super().execute(context)
        wait = self._wait(context)
        wait.show_link()
        wait.defer(self.poke_interval, time.time() + self.timeout)

    def poke(self, context: Any) -> Any:
        """
        Look once.

        :raises ExecutionNotSucceeded: The execution did not succeed.
        """
        from airflow.sdk import PokeReturnValue

        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        with fail_without_retry_if_permanent():
            wait = self._wait(context)
            if self.execution_url is None:
                wait.show_link()
            execution = wait.look_if_known()
            if execution is None or not execution.is_ended:
                return PokeReturnValue(is_done=False)
            return PokeReturnValue(is_done=True, xcom_value=wait.judge(execution).to_xcom())

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> dict[str, Any]:
        """
        Go on with the trigger's event.

        :raises AirflowSensorTimeout: The execution did not end in time.
        :raises ExecutionNotSucceeded: It did not succeed.
        :raises AirflowSkipException: One of these errors happened, and ``never_fail`` is set.
        """
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        wait = self._wait(context)
        wait.show_link()
        try:
            if event["status"] == "timeout":
                raise AirflowSensorTimeout(f"The {wait} has not ended within {self.timeout:g} s.")
            with fail_without_retry_if_permanent():
                execution = wait.resume(event)
                if not execution.is_ended:
                    # Somebody has retried its stage.
                    wait.defer(self.poke_interval, event["timeout_deadline"])
                ended: dict[str, Any] = execution.to_xcom()
                return ended
        except Exception as failure:
            if not self.never_fail:
                raise
            # Airflow sees to that only while it pokes.
            raise AirflowSkipException("Skipped, since never_fail is set.") from failure

    def _wait(self, context: Any) -> Any:
        # Not needed by a DAG file.
        from airflow_codepipeline_partner._execution_wait import ExecutionWait

        self._waiting = getattr(self, "_waiting", None) or ExecutionWait(
            self, context, self.pipeline_name, self.execution_id, **self._former_pokes(context)
        )
        return self._waiting

    def _former_pokes(self, context: Any) -> dict[str, datetime]:
        """Return when the wait began, and when it last looked, if other processes have done so."""
        first = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        if first is None:
            return {}
        if self.exponential_backoff:
            # Nobody knows when it looked.
            return {"began": first}
        # It may have stood in a queue for a while. A line is rather shown twice than never.
        return {"began": first, "last_look": datetime.now(UTC) - 2 * timedelta(seconds=self.poke_interval)}
