# SPDX-License-Identifier: Apache-2.0
"""
CodePipeline's events: an execution, a stage or an action has changed its state.

Source: "Monitoring CodePipeline events" in the user guide of CodePipeline,
https://docs.aws.amazon.com/codepipeline/latest/userguide/detect-state-changes-cloudwatch-events.html. Its
numbers are floats, such as ``"version": 1.0``.
"""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Iterable
from typing import Any

from airflow_codepipeline_partner.emulator.model.executions import ActionExecution, PipelineExecution
from airflow_codepipeline_partner.emulator.model.pipelines import (
    ACCOUNT_ID,
    DEFAULT_REGION,
    PipelineArtifact,
)

SOURCE = "aws.codepipeline"
PIPELINE, STAGE, ACTION = (
    f"CodePipeline {what} Execution State Change" for what in ("Pipeline", "Stage", "Action")
)

Detail = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Event:
    """
    An event of EventBridge.

    :param region: The pipeline's.
    :param at: When, in seconds since the epoch.
    :param arn: The pipeline's ARN.
    :param action: The action that it is about; None for an event of a stage or of an execution.
    :param detail: In AWS's shape. It never holds a configuration, a token or a credential.
    """

    detail_type: str
    region: str
    at: float
    arn: str
    action: ActionExecution | None
    detail: Detail
    event_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))

    def as_dict(self) -> dict[str, Any]:
        """Return the event as a target gets it."""
        return {
            "version": "0",
            "id": self.event_id,
            "detail-type": self.detail_type,
            "source": SOURCE,
            "account": ACCOUNT_ID,
            "time": f"{_moment(self.at):%Y-%m-%dT%H:%M:%SZ}",
            "region": self.region,
            "resources": [self.arn],
            "detail": self.detail,
        }


def of_execution(execution: PipelineExecution, state: str, at: float, region: str | None) -> Event:
    """
    Return the event of an execution.

    :param state: AWS's word for what it is now, for instance ``STARTED``.
    :param at: When, in seconds since the epoch.
    :param region: The region of pipelines that have none of their own; None for the default one.
    """
    more: Detail = {}
    if state == "STARTED":
        trigger = execution.trigger
        more["execution-trigger"] = {"trigger-type": trigger.kind, "trigger-detail": trigger.detail}
    if state == "STOPPING" and execution.stop_reason:
        more["stop-execution-comments"] = execution.stop_reason
    return _event(PIPELINE, execution, state, at, region, more)


def of_stage(execution: PipelineExecution, state: str, at: float, region: str | None) -> Event:
    """Return the event of the stage that an execution is in; for the parameters see :func:`of_execution`."""
    more: Detail = {"stage": execution.stage.name}
    if execution.retried_at is not None:
        more["stage-last-retry-attempt-time"] = _text(execution.retried_at)
    return _event(STAGE, execution, state, at, region, more)


def of_action(action: ActionExecution, state: str, at: float, region: str | None) -> Event:
    """Return the event of an action; for the parameters see :func:`of_execution`."""
    more: Detail = {
        "start-time": _text(action.started_at),
        "stage": action.stage_name,
        "action-execution-id": action.action_execution_id,
        "action": action.action.name,
        "region": action.action.region or _region_of(action.execution, region),
        "type": action.action.action_type.as_dict(),
    }
    if state == "STARTED" and action.inputs:
        more["input-artifacts"] = _located(action.inputs)
    if state == "SUCCEEDED" and action.outputs:
        more["output-artifacts"] = _located(action.outputs)
    if state in ("SUCCEEDED", "FAILED"):
        more |= _result(action)
    return _event(ACTION, action.execution, state, at, region, more, action)


def _event(
    detail_type: str,
    execution: PipelineExecution,
    state: str,
    at: float,
    region: str | None,
    more: Detail,
    action: ActionExecution | None = None,
) -> Event:
    pipeline = execution.pipeline
    detail = {
        "pipeline": pipeline.name,
        "execution-id": execution.pipeline_execution_id,
        "start-time": _text(execution.started_at),
        "state": state,
        "version": float(pipeline.version),
        "pipeline-execution-attempt": float(execution.attempt),
    }
    place = _region_of(execution, region)
    return Event(detail_type, place, at, pipeline.arn(region), action, detail | more)


def _region_of(execution: PipelineExecution, region: str | None) -> str:
    return execution.pipeline.declared_in or region or DEFAULT_REGION


def _result(action: ActionExecution) -> Detail:
    error = action.error_details or {}
    result = {
        "external-execution-url": action.execution_url(),
        "external-execution-summary": error.get("message", action.summary),
        "external-execution-id": action.external_execution_id,
        "error-code": error.get("code"),
    }
    known = {name: value for name, value in result.items() if value is not None}
    return {"execution-result": known} if known else {}


def _located(artifacts: Iterable[PipelineArtifact]) -> list[Detail]:
    return [{"name": each.name, "s3location": {"bucket": each.bucket, "key": each.key}} for each in artifacts]


def _moment(epoch: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC)


def _text(epoch: float) -> str:
    return _moment(epoch).isoformat(timespec="milliseconds").replace("+00:00", "Z")
