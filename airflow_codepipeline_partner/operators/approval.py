# SPDX-License-Identifier: Apache-2.0
"""The operator that answers a manual approval of a pipeline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_codepipeline_partner._base_operator import check_literal, check_positive
from airflow_codepipeline_partner._job_log import pipeline_fields
from airflow_codepipeline_partner._protocol.parsing import check_text, is_missing
from airflow_codepipeline_partner.exceptions import RequestRefused
from airflow_codepipeline_partner.operators.waiting_base import PipelineOperator

if TYPE_CHECKING:
    from airflow_codepipeline_partner._protocol.approvals import Approval


#: By how much the clocks of AWS and of Airflow may differ.
_CLOCKS_DIFFER = timedelta(minutes=1)


class CodePipelinePutApprovalResultOperator(PipelineOperator):
    """
    Approve, or reject, at a manual approval of a pipeline. The task finds the approval's token by itself.

    A retry finds the answer that an earlier try has given, by ``summary``, and gives no second one, whatever
    waits by then. It looks at the newest 1000 executions of actions. So if you write a summary, let it name
    the run, such as ``{{ run_id }}``.

    :param pipeline_name: The pipeline. (templated)
    :param stage_name: The approval's stage. (templated)
    :param action_name: The approval's action. (templated)
    :param status: ``Approved`` or ``Rejected``. (templated)
    :param summary: Why, for people, cut to 512 characters. If empty, it names the DAG run. (templated)
    :param execution_id: The execution whose approval it is. If None, the one that waits now. Needed if the
        pipeline's execution mode is PARALLEL. (templated)
    :param wait_for_approval: Whether to wait, on the worker, until the approval comes up. If not, and none
        waits, the task fails.
    :param waiter_delay: Seconds between two looks, more than 0.
    :param waiter_max_attempts: How many looks at most, at least 1. The default is an hour.

    Source: GetPipelineState, ListActionExecutions, PutApprovalResult, CodePipeline API 2015-07-09.
    """

    template_fields: Sequence[str] = (
        "stage_name",
        "action_name",
        "status",
        "summary",
        "execution_id",
        *PipelineOperator.template_fields,
    )

    def __init__(
        self,
        *,
        stage_name: str,
        action_name: str,
        status: str = "Approved",
        summary: str = "",
        execution_id: str | None = None,
        wait_for_approval: bool = False,
        waiter_delay: float = 30,
        waiter_max_attempts: int = 120,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_literal(partial(check_text, "stageName"), stage_name)
        check_literal(partial(check_text, "actionName"), action_name)
        check_literal(partial(check_text, "approval.status", named="status"), status)
        check_literal(partial(check_text, "pipelineExecutionId"), execution_id)
        check_positive("waiter_delay", waiter_delay)
        check_positive("waiter_max_attempts", waiter_max_attempts * waiter_delay)
        self.stage_name = stage_name
        self.action_name = action_name
        self.status = status
        self.summary = summary
        self.execution_id = execution_id
        self.wait_for_approval = wait_for_approval
        self.waiter_delay = waiter_delay
        self.waiter_max_attempts = waiter_max_attempts

    def execute(self, context: Any) -> None:
        """
        Answer the approval.

        :raises RequestRefused: No approval waits, or there is no such stage or action.
        :raises PipelineNotFound: There is no such pipeline or execution.
        """
        from airflow_codepipeline_partner._worker.failures import fail_without_retry_if_permanent

        ti = context["ti"]
        said = self.summary or f"{self.status} by Airflow: {ti.dag_id}, run {ti.run_id}."
        # Cut as CodePipeline gets it, so that a retry knows its own answer.
        summary = check_text("approval.summary", said, named="summary")
        self.show_link(self.pipeline_name)
        with fail_without_retry_if_permanent():
            # After a clear, the first try is another wish.
            is_retry = ti.try_number > ti.max_tries - self.retries + 1
            if is_retry and self._was_answered(summary, context):
                self._log("Answered by an earlier try")
                return
            token = self._token()
            self.hook.put_approval_result(
                self.pipeline_name,
                self.stage_name,
                self.action_name,
                token=token,
                status=self.status,
                summary=summary,
            )
        self._log("Answered")

    def _log(self, what: str) -> None:
        named = {"stage": self.stage_name, "action": self.action_name}
        with pipeline_fields(self.pipeline_name, self.execution_id, **named):
            place = f"{self.pipeline_name} / {self.stage_name} / {self.action_name}"
            self.log.info("%s: %s, %s.", what, place, self.status)

    def _was_answered(self, summary: str, context: Any) -> bool:
        """Return whether an earlier try has answered the approval."""
        from airflow_codepipeline_partner._protocol import approvals

        names = self.stage_name, self.action_name
        if self.execution_id is None or is_missing(self.execution_id):
            actions = self.hook.get_newest_action_executions(self.pipeline_name, pages=10)
            found = [each for of_one in actions.values() for each in of_one]
        else:
            found = self.hook.get_action_executions(self.pipeline_name, self.execution_id)
        began = getattr(context.get("dag_run"), "start_date", None)
        return any(
            approvals.among([each], *names).has_answer(self.status, summary)
            # Another run may have written the same.
            and (began is None or each.updated_at is None or each.updated_at > began - _CLOCKS_DIFFER)
            for each in found
        )

    def _token(self) -> str:
        """Return the token of the approval that waits."""
        execution_id = None if is_missing(self.execution_id) else self.execution_id
        names = self.pipeline_name, self.stage_name, self.action_name
        for left in range(self.waiter_max_attempts if self.wait_for_approval else 1, 0, -1):
            found: Approval = self.hook.find_approval(*names, execution_id)
            if found.token is not None:
                return found.token
            if left > 1:
                time.sleep(self.waiter_delay)
        raise RequestRefused(
            f"No approval waits at {self.stage_name} / {self.action_name} of pipeline {self.pipeline_name}. "
            "It may have been answered before, or no execution has come there.",
            code="NoApprovalWaits",
        )
