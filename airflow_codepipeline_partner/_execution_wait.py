# SPDX-License-Identifier: Apache-2.0
"""How a task waits for the end of a pipeline's execution, and what it makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn

from airflow_codepipeline_partner import _metrics, triggers
from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._job_log import pipeline_fields
from airflow_codepipeline_partner._protocol.execution_progress import ExecutionProgress, failure_of
from airflow_codepipeline_partner._protocol.executions import (
    KNOWN_WITHIN,
    PipelineExecution,
    is_unknown_execution,
)
from airflow_codepipeline_partner.exceptions import (
    ExecutionNotSucceeded,
    PipelineNotFound,
    from_description,
)
from airflow_codepipeline_partner.links import execution_url

#: Under this key a task that has waited leaves the execution in XCom.
EXECUTION_KEY = "pipeline_execution"
#: What an execution that did not succeed has come to.
_ENDS = {
    "Failed": "has failed",
    "Stopped": "was stopped",
    "Superseded": "was superseded by a newer execution",
    "Cancelled": "was cancelled, since the pipeline was changed",
}


class ExecutionWait:
    """
    A task's wait for an execution.

    :param task: The operator or sensor. It has a ``hook``, ``stop_on_kill`` and ``fail_on_superseded``.
    :param context: Its context.
    :param pipeline_name: The pipeline.
    :param execution_id: The execution.
    :param began: When the wait began, if that was in another process.
    :param last_look: When that process looked.
    """

    def __init__(
        self,
        task: Any,
        context: Any,
        pipeline_name: str,
        execution_id: str,
        *,
        began: datetime | None = None,
        last_look: datetime | None = None,
    ) -> None:
        self._task = task
        self._context = context
        self._pipeline_name = pipeline_name
        self._execution_id = execution_id
        self._progress = ExecutionProgress(last_look)
        self._known_by = (began.timestamp() if began else time.time()) + KNOWN_WITHIN

    def show_link(self) -> None:
        """Link the task's page to the execution."""
        try:
            partition, region_name = self._task.hook.location
            self._task.execution_url = execution_url(
                partition, region_name, self._pipeline_name, self._execution_id
            )
        except Exception as error:
            # A link is an extra: it never fails a task.
            self._task.log.warning("There is no link to the execution: %s.", type(error).__name__)

    def look_if_known(self) -> PipelineExecution | None:
        """
        Look once. Return None if CodePipeline does not know the execution yet.

        :raises PipelineNotFound: There is no such pipeline or execution.
        """
        try:
            return self.look()
        except PipelineNotFound as error:
            if not is_unknown_execution(error) or time.time() > self._known_by:
                raise
            return None

    def look(self) -> PipelineExecution:
        """
        Look once, and log what the actions have done since the last look.

        :raises PipelineNotFound: There is no such pipeline or execution.
        """
        hook = self._task.hook
        execution: PipelineExecution = hook.get_execution(self._pipeline_name, self._execution_id)
        actions = hook.get_action_executions(self._pipeline_name, self._execution_id)
        with pipeline_fields(self._pipeline_name, self._execution_id):
            for line in self._progress.lines(actions):
                self._task.log.info(line)
        return execution.with_actions(actions)

    def wait(
        self, interval: float, deadline: float, sleep: Callable[[float], None] = time.sleep
    ) -> PipelineExecution:
        """
        Wait on the worker until the execution has ended well, and return it.

        :param interval: Seconds between two looks.
        :param deadline: Until when to wait, in seconds since the epoch; it looks once at least.
        :param sleep: Waits the given seconds. For tests.
        :raises ExecutionNotSucceeded: It has ended otherwise, or goes on.
        """
        while (execution := self.look_if_known()) is None or not execution.is_ended:
            if time.time() + interval > deadline:
                self.time_is_over()
            sleep(interval)
        return self.judge(execution)

    def defer(self, interval: float, deadline: float, method_name: str = "execute_complete") -> NoReturn:
        """Wait in the triggerer; the named method of the task goes on with the event."""
        self._task.defer(
            trigger=triggers.CodePipelineExecutionTrigger(
                pipeline_name=self._pipeline_name,
                execution_id=self._execution_id,
                poll_interval=interval,
                timeout_deadline=deadline,
                stop_on_kill=self._task.stop_on_kill,
                **AwsParameters.of(self._task).to_arguments(),
            ),
            method_name=method_name,
            # A triggerer that is away for a while must not end the wait early.
            timeout=timedelta(seconds=max(deadline - time.time(), 0) + 2 * triggers.LEAST_WAIT_FOR_EXECUTION),
        )
        raise AssertionError("A task that is deferred does not go on.")

    def resume(self, event: Mapping[str, Any]) -> PipelineExecution:
        """
        Go on with the trigger's event, and return the execution, which may be in progress once more.

        :raises ExecutionNotSucceeded: The execution did not succeed, or did not end in time.
        :raises CodePipelineProviderError: CodePipeline refused the looks, or did not answer.
        """
        if event["status"] == "error":
            raise from_description(event["error"])
        if event["status"] == "timeout":
            self.time_is_over()
        execution = PipelineExecution.from_xcom(event["execution"])
        if execution.status != "Succeeded":
            # The trigger saw the newest actions of the pipeline only. Somebody may have retried it meanwhile.
            execution = self.look()
        return execution if not execution.is_ended else self.judge(execution)

    def judge(self, execution: PipelineExecution) -> PipelineExecution:
        """
        Leave an execution that has ended in XCom, and return it.

        :raises ExecutionNotSucceeded: It did not succeed.
        """
        self._context["ti"].xcom_push(key=EXECUTION_KEY, value=execution.to_xcom())
        self._count(execution.status)
        is_fine = execution.status == "Succeeded" or (
            execution.status == "Superseded" and not self._task.fail_on_superseded
        )
        if is_fine:
            with pipeline_fields(self._pipeline_name, self._execution_id):
                place = f"{self._pipeline_name}, execution {self._execution_id}"
                self._task.log.info("%s: %s.", place, execution.status)
            return execution
        failed = execution.failed_actions
        what = "; ".join(f"{each}: {failure_of(each)}" for each in failed) or execution.status_summary or ""
        said = f"The {execution} {_ENDS.get(execution.status, f'has ended as {execution.status}')}"
        link = next((each.url for each in failed if each.url), None) or self._task.execution_url
        raise ExecutionNotSucceeded(
            f"{said}{f': {what}' if what else '.'}{f' See {link}' if link else ''}",
            status=execution.status,
            code=next((each.error_code for each in failed if each.error_code), ""),
        )

    def time_is_over(self) -> NoReturn:
        """
        Give up.

        :raises ExecutionNotSucceeded: Always.
        """
        self._count("InProgress")
        raise ExecutionNotSucceeded(
            f"The {self} has not ended in time. It goes on; a retry of this task waits for it once more.",
            status="InProgress",
        )

    def _count(self, status: str) -> None:
        _metrics.count(_metrics.EXECUTION_WAITS_ENDED, pipeline=self._pipeline_name, status=status)

    def __str__(self) -> str:
        return f"execution {self._execution_id} of pipeline {self._pipeline_name}"
