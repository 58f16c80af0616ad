# SPDX-License-Identifier: Apache-2.0
"""What the operators share that set an execution of a pipeline going, and wait for its end."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from airflow.sdk import BaseOperatorLink

from airflow_codepipeline_partner._base_operator import (
    CodePipelineBaseOperator,
    MayDefer,
    check_literal,
    check_positive,
)
from airflow_codepipeline_partner._protocol.parsing import check_text
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.links import CodePipelineExecutionLink

#: As long as a manual approval may wait, at 30 s for each look.
A_WEEK_OF_LOOKS = 7 * 24 * 120
_STOP_WAYS = (False, True, "wait", "abandon")


class PipelineOperator(CodePipelineBaseOperator):
    """
    An operator that does something with a pipeline.

    :param pipeline_name: The pipeline. (templated)
    """

    template_fields: Sequence[str] = ("pipeline_name", *CodePipelineBaseOperator.template_fields)

    def __init__(self, *, pipeline_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_literal(partial(check_text, "pipelineName"), pipeline_name)
        self.pipeline_name = pipeline_name


class WaitingOperator(MayDefer, PipelineOperator):
    """
    An operator that sets an execution going, and waits for its end.

    :param wait_for_completion: Whether to wait. If not, the task ends when the execution is in progress.
    :param deferrable: Wait in the triggerer, without a worker slot. If None, Airflow's ``[operators]
        default_deferrable`` is used.
    :param waiter_delay: Seconds between two looks, more than 0.
    :param waiter_max_attempts: How many looks at most; with ``waiter_delay``, how long to wait.
    :param stop_pipeline_on_kill: Whether to stop the execution if somebody ends the task.
    :param fail_on_superseded: Whether the task fails if a newer execution has overtaken this one.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (CodePipelineExecutionLink(),)
    #: The address of the link, once the task knows it.
    execution_url: str | None = None

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        waiter_delay: float = 30,
        waiter_max_attempts: int = A_WEEK_OF_LOOKS,
        stop_pipeline_on_kill: bool | str = False,
        fail_on_superseded: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_positive("waiter_delay", waiter_delay)
        check_positive("waiter_max_attempts", waiter_max_attempts * waiter_delay)
        if stop_pipeline_on_kill not in _STOP_WAYS:
            raise InvalidInput("stop_pipeline_on_kill must be False, True, 'wait' or 'abandon'.")
        self.wait_for_completion = wait_for_completion
        if deferrable is not None:
            self.deferrable = deferrable
        self.waiter_delay = waiter_delay
        self.waiter_max_attempts = waiter_max_attempts
        self.stop_pipeline_on_kill = stop_pipeline_on_kill
        self.fail_on_superseded = fail_on_superseded
        self._execution_id: str | None = None

    @property
    def stop_on_kill(self) -> str | None:
        """How to stop the execution if somebody ends the task; None if it is left alone."""
        if isinstance(self.stop_pipeline_on_kill, bool):
            return "wait" if self.stop_pipeline_on_kill else None
        return self.stop_pipeline_on_kill

    @abstractmethod
    def set_going(self, context: Any) -> str:
        """Make the call, and return the execution's id."""

    def execute(self, context: Any) -> str:
        """
        Set the execution going, and wait for its end.

        :raises ExecutionNotSucceeded: It did not succeed, or did not end in time.
        :raises PipelineNotFound: There is no such pipeline.
        :raises InvalidInput: A value does not fit. Nothing was called.
        """
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        with fail_without_retry_if_permanent():
            execution_id = self._execution_id = self.set_going(context)
            wait = self._wait_for(context, execution_id)
            wait.show_link()
            if not self.wait_for_completion:
                return execution_id
            deadline = time.time() + self.waiter_delay * self.waiter_max_attempts
            if self.deferrable:
                wait.defer(self.waiter_delay, deadline)
            wait.wait(self.waiter_delay, deadline)
        return execution_id

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> str:
        """
        Go on with the trigger's event.

        :raises ExecutionNotSucceeded: The execution did not succeed, or did not end in time.
        """
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        with fail_without_retry_if_permanent():
            execution_id: str = event["pipeline_execution_id"]
            wait = self._wait_for(context, execution_id)
            wait.show_link()
            if not wait.resume(event).is_ended:
                # Somebody has retried its stage.
                wait.defer(self.waiter_delay, event["timeout_deadline"])
        return execution_id

    def on_kill(self) -> None:
        """Stop the execution, if the task was told to."""
        if self.stop_on_kill is not None and self._execution_id is not None:
            self.hook.stop_pipeline(
                self.pipeline_name,
                self._execution_id,
                abandon=self.stop_on_kill == "abandon",
                reason="The Airflow task that started it was ended.",
            )

    def _wait_for(self, context: Any, execution_id: str) -> Any:
        # Not needed by a DAG file.
        from airflow_codepipeline_partner._execution_wait import ExecutionWait

        return ExecutionWait(self, context, self.pipeline_name, execution_id)
