# SPDX-License-Identifier: Apache-2.0
"""Manual approvals: actions that wait for a person."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping

from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.executions import ActionExecution
from airflow_codepipeline_partner.emulator.model.pipelines import CALLER_ARN

DEFAULT_TIMEOUT_MINUTES = 7 * 24 * 60  # AWS's quota
_ERROR_CODE = "JobFailed"
_APPROVED = "Approved"

EndAction = Callable[[ActionExecution, str, float, Mapping[str, str] | None], None]


class Approvals:
    """
    Let approval actions wait for an answer.

    Callers hold the state's lock.

    :param state: The state.
    :param end_action: Ends an action that was answered or expired, and begins the next ones.

    Source: PutApprovalResult, CodePipeline API 2015-07-09; "Approve or reject an approval action" in the user
    guide. They do not say with which code a rejected action fails.
    """

    def __init__(self, state: State, end_action: EndAction) -> None:
        self._state = state
        self._end_action = end_action

    def begin(self, action: ActionExecution, now: float) -> None:
        """Ask for an answer, until the action's timeout."""
        action.token = str(uuid.uuid4())
        self._state.approvals[action.token] = action
        minutes = action.action.timeout_minutes or DEFAULT_TIMEOUT_MINUTES
        self._state.timers.at(now + minutes * 60, functools.partial(self._expire, action, minutes))

    def answer(self, action: ActionExecution, status: str, summary: str, now: float) -> None:
        """
        Take an answer.

        :param status: ``Approved`` or ``Rejected``.
        :param summary: The reviewer's words; may be empty.
        :raises ApiError: The action is not waiting any more.
        """
        if action.answered:
            message = "The approval action has already been approved or rejected."
            raise ApiError("ApprovalAlreadyCompletedException", message)
        if action.status != "InProgress":
            raise no_such_approval()
        action.answered = True
        action.summary, action.updated_by = summary or None, CALLER_ARN
        ids = action.execution.ledger_ids | {"action_execution_id": action.action_execution_id}
        details = {"status": status, "summary": summary}
        self._state.record("call", "PutApprovalResult", now, **ids, details=details)
        if status == _APPROVED:
            self._end_action(action, "Succeeded", now, None)
            return
        words = f": {summary}" if summary else "."
        error = {"code": _ERROR_CODE, "message": f"The approval was rejected{words}"}
        self._end_action(action, "Failed", now, error)

    def _expire(self, action: ActionExecution, minutes: int, at: float) -> None:
        if action.status == "InProgress":
            message = f"Nobody approved or rejected within {minutes} minutes."
            self._end_action(action, "Failed", at, {"code": _ERROR_CODE, "message": message})


def no_such_approval() -> ApiError:
    """Return the refusal of an answer to what nobody asks, or asks no more."""
    message = "The approval request already received a response or has expired."
    return ApiError("InvalidApprovalTokenException", message)
