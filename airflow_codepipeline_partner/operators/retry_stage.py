# SPDX-License-Identifier: Apache-2.0
"""The operator that has a failed stage of a pipeline run again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow_codepipeline_partner._base_operator import check_literal
from airflow_codepipeline_partner._compat import task_state_store
from airflow_codepipeline_partner._job_log import pipeline_fields
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.exceptions import CodePipelineError
from airflow_codepipeline_partner.operators.waiting_base import WaitingOperator

#: Refusals that an earlier try of this task may have brought about.
_RUNS_ALREADY = ("StageNotRetryableException", "NotLatestPipelineExecutionException")
#: Under this key a task notes, where a retry finds it, that the stage runs again.
_RETRIED_KEY = "codepipeline_stage_retried"


class CodePipelineRetryStageOperator(WaitingOperator):
    """
    Have a stage that has failed run again, in the same execution, and wait until the execution has ended.

    The task returns the execution's id, and leaves the execution in XCom as
    :class:`~airflow_codepipeline_partner.operators.CodePipelineStartPipelineOperator` does. From Airflow 3.3
    on, a retry of the task waits on for the stage that an earlier try has started. Before that, it does so
    unless the execution has failed again; then it has the stage run once more.

    :param pipeline_name: The pipeline. (templated)
    :param stage_name: The stage. (templated)
    :param execution_id: The execution. CodePipeline takes only the last one that came to the stage.
        (templated)
    :param retry_mode: ``FAILED_ACTIONS`` has the failed actions run again, ``ALL_ACTIONS`` all of the stage.
    :param wait_for_completion: Whether to wait. If not, the task ends when the stage runs.
    :param deferrable: Wait in the triggerer, without a worker slot. If None, Airflow's ``[operators]
        default_deferrable`` is used.
    :param waiter_delay: Seconds between two looks, more than 0.
    :param waiter_max_attempts: How many looks at most, at least 1; with ``waiter_delay``, how long to wait.
        The default is a week. Then the task fails, and the execution goes on.
    :param stop_pipeline_on_kill: Whether to stop the execution if somebody ends the task: ``wait`` (or True)
        stops it when its actions in progress have ended, ``abandon`` at once. While the task is deferred,
        this works from Airflow 3.3 on.
    :param fail_on_superseded: Whether the task fails if a newer execution has overtaken this one.

    Source: RetryStageExecution, GetPipelineExecution, CodePipeline API 2015-07-09.
    """

    template_fields: Sequence[str] = ("stage_name", "execution_id", *WaitingOperator.template_fields)

    def __init__(
        self, *, stage_name: str, execution_id: str, retry_mode: str = "FAILED_ACTIONS", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_literal(partial(check_text, "stageName"), stage_name)
        check_literal(partial(check_text, "pipelineExecutionId"), execution_id)
        check_text("retryMode", retry_mode, named="retry_mode")
        self.stage_name = stage_name
        self.execution_id = execution_id
        self.retry_mode = retry_mode

    def set_going(self, context: Any) -> str:
        """Have the stage run again, unless an earlier try of this task did."""
        ti, store = context["ti"], task_state_store(context)
        note = {"execution_id": self.execution_id, "stage_name": self.stage_name, "max_tries": ti.max_tries}
        if store is not None and store.get(_RETRIED_KEY) == note:
            return self.execution_id
        try:
            self.hook.retry_stage(
                self.pipeline_name, self.stage_name, self.execution_id, retry_mode=self.retry_mode
            )
        except CodePipelineError as error:
            # An answer may have been lost, or the process of an earlier try may have ended after its call.
            may_be_done = error.in_doubt or ti.try_number > 1
            if error.code not in _RUNS_ALREADY or not may_be_done:
                raise
            status = self.hook.get_execution(self.pipeline_name, self.execution_id).status
            if status in ("Failed", "Stopped", "Cancelled"):
                raise
        if store is not None:
            store.set(_RETRIED_KEY, note)
        with pipeline_fields(self.pipeline_name, self.execution_id, stage=self.stage_name):
            place = f"{self.pipeline_name} / {self.stage_name}"
            self.log.info("Running again: %s, execution %s.", place, self.execution_id)
        return self.execution_id
