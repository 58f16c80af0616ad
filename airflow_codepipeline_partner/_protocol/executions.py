# SPDX-License-Identifier: Apache-2.0
"""A pipeline's executions, and the executions of their actions, as CodePipeline describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from airflow_codepipeline_partner._protocol.parsing import read_mapping, without_none
from airflow_codepipeline_partner.exceptions import InvalidInput

#: An execution with one of these statuses changes no more, unless somebody retries a stage of it.
ENDED = ("Succeeded", "Failed", "Stopped", "Superseded", "Cancelled")
#: For how many seconds CodePipeline may not know an execution that it has just started.
KNOWN_WITHIN = 60.0
#: The status of an action's execution that did not do its work.
_NOT_DONE = ("Failed", "Abandoned")
#: What names an execution in an event.
_NAMES = ("pipeline_name", "pipeline_execution_id", "status")


@dataclass(frozen=True)
class ActionExecution:
    """
    One try of one action, in one execution of its pipeline.

    :param stage_name: The stage.
    :param action_name: The action.
    :param status: ``InProgress``, ``Abandoned``, ``Succeeded`` or ``Failed``.
    :param action_execution_id: CodePipeline's id of it, or None.
    :param started_at: When it began, or None.
    :param updated_at: When it last changed, or None.
    :param summary: What the console shows, or None.
    :param url: Where its work can be seen, or None.
    :param external_execution_id: Its id where the work is done. Of a manual approval in a pipeline with the
        execution mode PARALLEL, the token of the approval. Or None.
    :param error_code: Why it failed, in AWS's or the worker's words, such as ``JobFailed``; or None.
    :param error_message: The same for people, or None.

    Source: ActionExecutionDetail, CodePipeline API 2015-07-09.
    """

    stage_name: str
    action_name: str
    status: str
    action_execution_id: str | None = None
    started_at: datetime | None = None
    updated_at: datetime | None = None
    summary: str | None = None
    url: str | None = None
    external_execution_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None

    @classmethod
    def from_api(cls, members: Mapping[str, Any]) -> Self:
        """Return the action execution that ListActionExecutions describes."""
        result = (members.get("output") or {}).get("executionResult") or {}
        error = result.get("errorDetails") or {}
        return cls(
            stage_name=str(members.get("stageName") or ""),
            action_name=str(members.get("actionName") or ""),
            status=str(members.get("status") or ""),
            action_execution_id=members.get("actionExecutionId"),
            started_at=members.get("startTime"),
            updated_at=members.get("lastUpdateTime"),
            summary=result.get("externalExecutionSummary"),
            url=result.get("externalExecutionUrl"),
            external_execution_id=result.get("externalExecutionId"),
            error_code=error.get("code"),
            error_message=error.get("message"),
        )

    @property
    def seconds(self) -> float | None:
        """For how many seconds it ran, until its last change. None if that is not known."""
        if self.started_at is None or self.updated_at is None:
            return None
        return max((self.updated_at - self.started_at).total_seconds(), 0.0)

    @property
    def has_failed(self) -> bool:
        """Whether it has ended without doing its work."""
        return self.status in _NOT_DONE

    def to_xcom(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return without_none(
            stage_name=self.stage_name,
            action_name=self.action_name,
            status=self.status,
            summary=self.summary,
            url=self.url,
            external_execution_id=self.external_execution_id,
            error_code=self.error_code,
            error_message=self.error_message,
        )

    @classmethod
    def from_xcom(cls, members: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_xcom` made."""
        return cls(**members)

    def __str__(self) -> str:
        return f"{self.stage_name} / {self.action_name}"


@dataclass(frozen=True)
class PipelineExecution:
    """
    One execution of a pipeline.

    :param pipeline_name: The pipeline.
    :param execution_id: CodePipeline's id of the execution.
    :param status: ``InProgress``, ``Stopping``, ``Succeeded``, ``Failed``, ``Stopped``, ``Superseded`` (a
        newer execution went on in its place) or ``Cancelled`` (the pipeline was changed meanwhile).
    :param status_summary: More about the status, for people, or None.
    :param failed_actions: Actions that did not do their work, as far as somebody asked for them.
    :param updated_at: When it last changed, in UTC, by AWS's clock. None if CodePipeline was asked for this
        execution alone.

    Source: PipelineExecution, PipelineExecutionSummary, CodePipeline API 2015-07-09.
    """

    pipeline_name: str
    execution_id: str
    status: str
    status_summary: str | None = None
    failed_actions: tuple[ActionExecution, ...] = ()
    updated_at: datetime | None = None

    @classmethod
    def from_api(cls, pipeline_name: str, members: Mapping[str, Any]) -> Self:
        """
        Return the execution that GetPipelineExecution or ListPipelineExecutions describes.

        :param pipeline_name: The pipeline that was asked for.
        :param members: The execution, or one of the summaries.
        """
        return cls(
            pipeline_name=pipeline_name,
            execution_id=str(members.get("pipelineExecutionId") or ""),
            status=str(members.get("status") or ""),
            status_summary=members.get("statusSummary"),
            updated_at=members.get("lastUpdateTime"),
        )

    @property
    def is_ended(self) -> bool:
        """Whether it has ended, well or not."""
        return self.status in ENDED

    def with_actions(self, actions: Iterable[ActionExecution]) -> Self:
        """
        Return the execution with those of its actions that did not do their work.

        :param actions: All executions of its actions. Of one action that was tried more than once, the last
            one counts.
        """
        newest: dict[tuple[str, str], ActionExecution] = {}
        for each in oldest_first(actions):
            newest[each.stage_name, each.action_name] = each
        return replace(self, failed_actions=tuple(each for each in newest.values() if each.has_failed))

    def to_xcom(self) -> dict[str, Any]:
        """Return it as JSON values, for XCom and for a trigger's event."""
        return {
            "pipeline_name": self.pipeline_name,
            "pipeline_execution_id": self.execution_id,
            "status": self.status,
            "status_summary": self.status_summary,
            "failed_actions": [each.to_xcom() for each in self.failed_actions],
        }

    @classmethod
    def from_xcom(cls, members: Mapping[str, Any]) -> Self:
        """Return what :meth:`to_xcom` made."""
        return cls(
            pipeline_name=members["pipeline_name"],
            execution_id=members["pipeline_execution_id"],
            status=members["status"],
            status_summary=members.get("status_summary"),
            failed_actions=tuple(map(ActionExecution.from_xcom, members.get("failed_actions") or ())),
        )

    def to_event(self) -> dict[str, Any]:
        """Return it as JSON values, for an asset's event: without its actions, which nobody asked for."""
        return {name: value for name, value in self.to_xcom().items() if name != "failed_actions"}

    @classmethod
    def from_event(cls, value: object) -> Self:
        """
        Return what :meth:`to_event` made, or what a user wrote in its place.

        :raises InvalidInput: It names no execution.
        """
        given = read_mapping(value, "An execution", _NAMES)
        for needed in _NAMES:
            if not isinstance(given.get(needed), str) or not given[needed]:
                raise InvalidInput(f"An execution needs {needed}, a text.")
        name, execution_id, status = (given[name] for name in _NAMES)
        summary = given.get("status_summary")
        return cls(name, execution_id, status, None if summary is None else str(summary))

    def __str__(self) -> str:
        return f"execution {self.execution_id} of pipeline {self.pipeline_name}"


def is_unknown_execution(error: object) -> bool:
    """Return whether an error says that a pipeline has no such execution. That may pass."""
    return getattr(error, "code", None) == "PipelineExecutionNotFoundException"


def oldest_first(actions: Iterable[ActionExecution]) -> list[ActionExecution]:
    """Return executions of actions in the order of their start; CodePipeline gives the newest first."""
    reverse = list(actions)[::-1]
    return sorted(reverse, key=lambda each: each.started_at.timestamp() if each.started_at else 0.0)
