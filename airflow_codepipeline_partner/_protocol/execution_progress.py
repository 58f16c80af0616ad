# SPDX-License-Identifier: Apache-2.0
"""What is new in an execution of a pipeline since the last look, as lines for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from airflow_codepipeline_partner._protocol.executions import ActionExecution, oldest_first

#: By how much the clocks of AWS and of Airflow may differ. A line is rather shown twice than never.
_CLOCKS_DIFFER = timedelta(seconds=10)


class ExecutionProgress:
    """
    Compares each look at an execution's actions with the one before.

    :param last_look: When another process has looked, and said what it saw; or None.
    """

    def __init__(self, last_look: datetime | None = None) -> None:
        self._last_look = last_look
        #: Stage, action and try → the last status, and what the console showed.
        self._known: dict[tuple[str, str, str | None], tuple[str, str | None]] = {}

    def lines(self, actions: Iterable[ActionExecution]) -> list[str]:
        """
        Return a line for each action that has begun, changed or ended.

        :param actions: The executions of the actions, as the look found them.
        """
        said = []
        for each in oldest_first(actions):
            key = each.stage_name, each.action_name, each.action_execution_id
            before, shown = self._known.get(key, (None, None))
            self._known[key] = each.status, each.summary
            if before is None and self._was_said(each):
                continue
            if before != each.status:
                said.append(_changed(each, before))
            elif each.summary and shown != each.summary:
                said.append(f"{each}: {each.summary}")
        return said

    def _was_said(self, action: ActionExecution) -> bool:
        return (
            self._last_look is not None
            and action.updated_at is not None
            and action.updated_at < self._last_look - _CLOCKS_DIFFER
        )


def _changed(action: ActionExecution, before: str | None) -> str:
    text = f"{action}: {action.status}" if before is None else f"{action}: {before} → {action.status}"
    if action.status != "InProgress" and action.seconds is not None:
        text += f", {duration(action.seconds)}"
    if action.has_failed and (action.error_code or action.error_message):
        text += f": {failure_of(action)}"
    elif action.summary:
        text += f": {action.summary}"
    return text


def failure_of(action: ActionExecution) -> str:
    """Return why an action failed, in the words of AWS or of its worker."""
    return ": ".join(filter(None, (action.error_code, action.error_message))) or action.status


def duration(seconds: float) -> str:
    """Return a time such as ``1 min 12 s``."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
