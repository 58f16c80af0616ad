# SPDX-License-Identifier: Apache-2.0
"""The actions of an execution's stage: how they begin, and how they end."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping

from airflow_codepipeline_partner.emulator.engine.approvals import Approvals
from airflow_codepipeline_partner.emulator.engine.built_in_actions import BuiltInActions
from airflow_codepipeline_partner.emulator.engine.events import Events
from airflow_codepipeline_partner.emulator.engine.job_lifecycle import JobLifecycle
from airflow_codepipeline_partner.emulator.engine.moto_store import MotoStore
from airflow_codepipeline_partner.emulator.engine.nested_pipelines import NestedPipelines, Start
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ActionFailed
from airflow_codepipeline_partner.emulator.model.executions import ActionExecution, PipelineExecution
from airflow_codepipeline_partner.emulator.model.jobs import JobEvent
from airflow_codepipeline_partner.emulator.model.pipelines import (
    INVOKE_PIPELINE,
    MANUAL_APPROVAL,
    SOURCE_CATEGORY,
    Action,
)
from airflow_codepipeline_partner.emulator.model.variables import resolve

EndAction = Callable[[ActionExecution, str, float, Mapping[str, str] | None], None]
_log = logging.getLogger(__name__)


class ActionRunner:
    """
    Begin actions, and end them.

    Callers hold the state's lock.

    :param state: The state.
    :param store: Where artifacts are kept.
    :param events: What tells of changes.
    :param end_action: Ends an action later, and begins the next ones.
    :param start: Starts a pipeline for an action.
    """

    def __init__(
        self, state: State, store: MotoStore, events: Events, end_action: EndAction, start: Start
    ) -> None:
        self._state = state
        self._built_in = BuiltInActions(store)
        self._events = events
        self.jobs = JobLifecycle(state, end_action)
        self._nested = NestedPipelines(state, start)
        self.approvals = Approvals(state, end_action)

    def begin(
        self,
        execution: PipelineExecution,
        actions: list[Action],
        now: float,
        beside: list[ActionExecution] | None = None,
    ) -> None:
        """
        Begin actions that run in parallel; those that the emulator does itself have ended when this returns.

        :param beside: Actions of the same group that began before.
        """
        begun = [
            ActionExecution(
                execution=execution,
                stage_name=execution.stage.name,
                action=action,
                started_at=now,
                updated_at=now,
                configuration=action.configuration,
                inputs=tuple(
                    execution.artifacts[name]
                    for name in action.input_artifacts
                    if name in execution.artifacts
                ),
            )
            for action in actions
        ]
        execution.group = [*(beside or ()), *begun]
        execution.actions += begun
        for action in begun:
            self._state.note_run(action)
            self._events.action(action, "STARTED", now)
            try:
                self._run(action, now)
            except ActionFailed as failed:
                self.close(action, "Failed", now, {"code": failed.code, "message": str(failed)})
            except Exception as error:
                # What moto cannot do must not leave an execution that never ends.
                _log.debug("an action could not be run", exc_info=True)
                message = f"The emulator could not run this action: {type(error).__name__}."
                self.close(action, "Failed", now, {"code": "InternalError", "message": message})

    def _run(self, begun: ActionExecution, now: float) -> None:
        action, execution = begun.action, begun.execution
        self._fail_as_planned(begun)
        try:
            hidden = action.secret_configuration_keys
            begun.configuration = resolve(action.configuration, execution.variables, hidden)
        except ActionFailed:
            if action.is_emulated:
                raise
        missing = [name for name in action.input_artifacts if name not in execution.artifacts]
        if missing:
            raise ActionFailed("ConfigurationError", f"No action has made the artifact {missing[0]}.")
        if action.action_type.category == SOURCE_CATEGORY and action.name in execution.put_revisions:
            begun.current_revision = dict(execution.put_revisions[action.name])
        begun.outputs = tuple(execution.pipeline.new_artifact(name) for name in action.output_artifacts)
        if action.action_type == MANUAL_APPROVAL:
            self.approvals.begin(begun, now)
            return
        if action.action_type == INVOKE_PIPELINE:
            self._nested.begin(begun, now)
            return
        if not action.makes_jobs:
            self._built_in.perform(begun)
            self.close(begun, "Succeeded", now)
            return
        if begun.configuration != action.configuration:
            counts = len(action.input_artifacts), len(action.output_artifacts)
            known = self._state.action_types.as_it_was(action.action_type, execution.pipeline.declared_in)
            for fault in known.faults_of(begun.configuration, *counts):
                raise ActionFailed("ConfigurationError", f"With the variables' values {fault}.")
        self.jobs.begin(begun, now)

    def _fail_as_planned(self, begun: ActionExecution) -> None:
        place = begun.pipeline.name, begun.stage_name, begun.action.name
        planned = self._state.planned_failures.get(place)
        if planned is None:
            return
        if planned.hits():
            raise ActionFailed(planned.code, planned.message)
        del self._state.planned_failures[place]

    def abandon(self, execution: PipelineExecution, now: float) -> None:
        """Abandon the actions of an execution that still run."""
        for action in execution.group:
            if action.status == "InProgress":
                self.jobs.end(action, JobEvent.WITHDRAW, now)
                self.close(action, "Abandoned", now)

    def close(
        self, action: ActionExecution, status: str, now: float, error: Mapping[str, str] | None = None
    ) -> None:
        """End an action, and keep its artifacts and variables."""
        execution = action.execution
        action.status, action.updated_at, execution.updated_at = status, now, now
        action.error_details = dict(error) if error is not None else None
        if status == "Succeeded":
            if action.action.action_type.category == SOURCE_CATEGORY and action.current_revision is not None:
                revision = action.current_revision["revision"]
                action.outputs = tuple(
                    dataclasses.replace(each, revision=revision) for each in action.outputs
                )
            execution.artifacts |= {artifact.name: artifact for artifact in action.outputs}
            if action.action.namespace is not None:
                execution.variables[action.action.namespace] = _variables_of(action)
        ids = execution.ledger_ids | {"action_execution_id": action.action_execution_id}
        place = {"stageName": action.stage_name, "actionName": action.action.name}
        self._state.record("action", status, now, **ids, details=place | (action.error_details or {}))
        self._events.action(action, status.upper(), now)


def _variables_of(run: ActionExecution) -> dict[str, str] | None:
    """Return the variables that later actions can read; None if only AWS would know them."""
    return dict(run.output_variables or {}) if run.action.is_emulated else None
