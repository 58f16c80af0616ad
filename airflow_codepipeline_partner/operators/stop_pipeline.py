# SPDX-License-Identifier: Apache-2.0
"""The operator that stops an execution of a pipeline."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from airflow.sdk import BaseOperatorLink

from airflow_codepipeline_partner._base_operator import check_literal, check_positive
from airflow_codepipeline_partner._job_log import pipeline_fields
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.links import CodePipelineExecutionLink
from airflow_codepipeline_partner.operators.waiting_base import PipelineOperator


class CodePipelineStopPipelineOperator(PipelineOperator):
    """
    Stop an execution of a pipeline, and wait until it has ended. Nothing happens if it has ended already.

    The task returns the status with which it has ended, usually ``Stopped``.

    :param pipeline_name: The pipeline. (templated)
    :param execution_id: The execution. (templated)
    :param abandon: Whether to abandon the actions that are in progress. If not, the execution stops when they
        have ended.
    :param reason: Why, for people, cut to 200 characters; or None. (templated)
    :param wait_for_completion: Whether to wait. If not, the task returns the status right after the stop.
    :param waiter_delay: Seconds between two looks, more than 0.
    :param waiter_max_attempts: How many looks at most, at least 1. The default is an hour.

    Source: StopPipelineExecution, GetPipelineExecution, CodePipeline API 2015-07-09.
    """

    template_fields: Sequence[str] = ("execution_id", "reason", *PipelineOperator.template_fields)
    operator_extra_links: Collection[BaseOperatorLink] = (CodePipelineExecutionLink(),)
    #: The address of the link, once the task knows it.
    execution_url: str | None = None

    def __init__(
        self,
        *,
        execution_id: str,
        abandon: bool = False,
        reason: str | None = None,
        wait_for_completion: bool = True,
        waiter_delay: float = 30,
        waiter_max_attempts: int = 120,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_literal(partial(check_text, "pipelineExecutionId"), execution_id)
        check_positive("waiter_delay", waiter_delay)
        check_positive("waiter_max_attempts", waiter_max_attempts * waiter_delay)
        self.execution_id = execution_id
        self.abandon = abandon
        self.reason = reason
        self.wait_for_completion = wait_for_completion
        self.waiter_delay = waiter_delay
        self.waiter_max_attempts = waiter_max_attempts

    def execute(self, context: Any) -> str:
        """
        Stop the execution, and wait until it has ended.

        :raises PipelineNotFound: There is no such pipeline or execution.
        :raises ExecutionNotSucceeded: It has not ended in time.
        """
        from airflow_codepipeline_partner._execution_wait import ExecutionWait
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        with fail_without_retry_if_permanent():
            self.hook.stop_pipeline(
                self.pipeline_name, self.execution_id, abandon=self.abandon, reason=self.reason
            )
            wait = ExecutionWait(self, context, self.pipeline_name, self.execution_id)
            wait.show_link()
            deadline = time.time() + self.waiter_delay * self.waiter_max_attempts
            while not (execution := wait.look()).is_ended and self.wait_for_completion:
                if time.time() + self.waiter_delay > deadline:
                    wait.time_is_over()
                time.sleep(self.waiter_delay)
        with pipeline_fields(self.pipeline_name, self.execution_id):
            self.log.info("%s, execution %s: %s.", self.pipeline_name, self.execution_id, execution.status)
        return execution.status
