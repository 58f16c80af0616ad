# SPDX-License-Identifier: Apache-2.0
"""The executions of pipelines and of their actions."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_codepipeline_partner.emulator.model.action_types import ActionTypeId
from airflow_codepipeline_partner.emulator.model.pipelines import (
    SOURCE_CATEGORY,
    Action,
    Pipeline,
    PipelineArtifact,
    Stage,
)


class Trigger(NamedTuple):
    """
    What started an execution.

    :param detail: Who or what, for instance a caller's ARN.
    :param kind: In which way, in AWS's words.
    """

    detail: str
    kind: str = "StartPipelineExecution"

    @property
    def shape(self) -> dict[str, str]:
        """AWS's shape."""
        return {"triggerType": self.kind, "triggerDetail": self.detail}


@dataclasses.dataclass(eq=False, slots=True)
class PipelineExecution:
    """
    An execution of a pipeline.

    :param pipeline: The pipeline as it was when this began.
    :param trigger: Who or what started it, and in which way.
    :param given: Contents of source artifacts, by name, that the test gives instead of the source.
    :param source_revisions: By source action and type of revision, what it takes instead of the newest.
    :param number: Which execution of its pipeline it is, from 1.
    :param put_revisions: By source action, the revision that it is started for.
    :param started_by: The action of another pipeline that waits for its end; None if there is none.
    :param rollback_target: Of a rollback: the execution whose revisions and variables it takes.
    :param place: The index of the stage that it is in or waits for, from 0.
    :param waiting: Whether it waits for that stage, because another execution is in it.
    :param stage_statuses: The status of each stage that it entered.
    :param stage_retries: How often each stage was retried.
    :param attempt: 1, and one more with each retry of a stage.
    :param retried_at: When a stage was last retried; None if none was.
    :param group: The actions that run in parallel now, or ran last.
    :param artifacts: What its actions have made so far, by name.
    :param variables: Values by namespace and name; None if one of AWS's own actions would give values
        that the emulator does not know.
    """

    pipeline: Pipeline
    started_at: float
    trigger: Trigger
    given: Mapping[str, bytes] = dataclasses.field(default_factory=dict, repr=False)
    source_revisions: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    number: int = 1
    put_revisions: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    started_by: ActionExecution | None = None
    rollback_target: PipelineExecution | None = None
    pipeline_execution_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "InProgress"
    updated_at: float = 0.0
    stop_reason: str | None = None
    place: int = 0
    waiting: bool = False
    stage_statuses: dict[str, str] = dataclasses.field(default_factory=dict)
    stage_retries: dict[str, int] = dataclasses.field(default_factory=dict)
    attempt: int = 1
    retried_at: float | None = None
    group: list[ActionExecution] = dataclasses.field(default_factory=list)
    actions: list[ActionExecution] = dataclasses.field(default_factory=list)
    artifacts: dict[str, PipelineArtifact] = dataclasses.field(default_factory=dict)
    variables: dict[str, dict[str, str] | None] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def stage(self) -> Stage:
        """The stage that it is in, or waits for."""
        return self.pipeline.stages[self.place]

    @property
    def in_progress(self) -> bool:
        """Whether it has not ended."""
        return self.status in ("InProgress", "Stopping")

    @property
    def kind(self) -> str:
        """Its type, in AWS's words."""
        return "STANDARD" if self.rollback_target is None else "ROLLBACK"

    @property
    def ends_here(self) -> bool:
        """Whether the stage that it is in is its last one; of a rollback, each is."""
        return self.rollback_target is not None or self.stage is self.pipeline.stages[-1]

    @property
    def ledger_ids(self) -> dict[str, Any]:
        """The values of a ledger entry about it."""
        return {
            "pipeline_name": self.pipeline.name,
            "client_id": self.pipeline.client_id,
            "pipeline_execution_id": self.pipeline_execution_id,
        }

    def source_actions(self) -> list[ActionExecution]:
        """Return the last run of each source action, with what it found; of a rollback, its target's."""
        if self.rollback_target is not None:
            return self.rollback_target.source_actions()
        last = {
            (each.stage_name, each.action.name): each
            for each in self.actions
            if each.action.action_type.category == SOURCE_CATEGORY
        }
        return list(last.values())


@dataclasses.dataclass(eq=False, slots=True)
class ActionExecution:
    """
    An execution of an action. A worker's has one job, or several with continuations.

    :param configuration: With the values of variables filled in.
    :param token: Of an approval: what its answer has to name.
    :param answered: Whether an approval was approved or rejected.
    :param updated_by: The ARN of the caller who ended it; None if it ended by itself.
    """

    execution: PipelineExecution
    stage_name: str
    action: Action
    started_at: float
    configuration: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    inputs: tuple[PipelineArtifact, ...] = ()
    outputs: tuple[PipelineArtifact, ...] = ()
    action_execution_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "InProgress"
    updated_at: float = 0.0
    current_job_id: str | None = None
    summary: str | None = None
    external_execution_id: str | None = None
    percent_complete: int | None = None
    error_details: dict[str, str] | None = None
    current_revision: dict[str, Any] | None = None
    output_variables: dict[str, str] | None = None
    token: str | None = dataclasses.field(default=None, repr=False)
    answered: bool = False
    updated_by: str | None = None

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline whose action this is."""
        return self.execution.pipeline

    @property
    def queue(self) -> tuple[ActionTypeId, str | None, str | None]:
        """The key of the queue that its jobs wait in: action type, value of the query, region."""
        key = self.action.queryable
        value = None if key is None else self.configuration.get(key)
        return self.action.action_type, value, self.pipeline.declared_in

    @property
    def open_token(self) -> str | None:
        """The token of an approval that waits for its answer."""
        return self.token if self.status == "InProgress" else None

    @property
    def external_id(self) -> str | None:
        """The id of what it does elsewhere; of an approval its token, which AWS lists as that id."""
        return self.external_execution_id or self.token

    def execution_url(self) -> str | None:
        """Return the link to the worker's own page, or None if there is none yet."""
        url = self.action.execution_url_template
        return self.action.link(url, self.configuration, self.external_execution_id)
