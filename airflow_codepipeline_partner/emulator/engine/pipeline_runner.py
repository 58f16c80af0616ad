# SPDX-License-Identifier: Apache-2.0
"""Executions on their way from stage to stage and from action to action."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any

from airflow_codepipeline_partner.emulator.engine.action_runner import ActionRunner
from airflow_codepipeline_partner.emulator.engine.events import Events
from airflow_codepipeline_partner.emulator.engine.moto_store import MotoStore
from airflow_codepipeline_partner.emulator.engine.nested_pipelines import error_of
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.errors import ApiError
from airflow_codepipeline_partner.emulator.model.executions import (
    ActionExecution,
    PipelineExecution,
    Trigger,
)
from airflow_codepipeline_partner.emulator.model.pipelines import (
    PARALLEL,
    SUPERSEDED,
    Pipeline,
    Stage,
)
from airflow_codepipeline_partner.emulator.model.start_requests import StartRequest
from airflow_codepipeline_partner.emulator.model.transitions import Transition
from airflow_codepipeline_partner.emulator.model.variables import OF_EXECUTION, OF_PIPELINE

_RETRIED = ("Failed", "Abandoned")


class PipelineRunner:
    """
    Run pipelines.

    :param state: The state.
    :param store: Where artifacts are kept.
    """

    def __init__(self, state: State, store: MotoStore) -> None:
        self._state = state
        self._events = Events(state)
        self._actions = ActionRunner(state, store, self._events, self.end_action, self._start_for)
        self.jobs = self._actions.jobs
        self.approvals = self._actions.approvals
        # Executions that may be able to continue; empty while the lock is free.
        self._ready: deque[PipelineExecution] = deque()
        self._is_going_on = False

    def start(
        self,
        pipeline: Pipeline,
        trigger: Trigger,
        asked: StartRequest,
        given: Mapping[str, bytes] | None = None,
    ) -> str:
        """
        Start a pipeline, and return the execution's id.

        :param trigger: What to show as having started it.
        :param asked: What it is started with.
        :param given: Contents of source artifacts by name, instead of what their source would give.
        """
        with self._state.lock:
            now = self._state.tick()
            execution = _new(pipeline, trigger, asked, now)
            execution.given = given or {}
            self._begin(execution, now)
            return execution.pipeline_execution_id

    def _start_for(
        self, pipeline: Pipeline, asked: StartRequest, action: ActionExecution, now: float
    ) -> None:
        """Start a pipeline for an action that waits for its end."""
        trigger = Trigger(action.pipeline.arn(self._state.settings.region))
        execution = _new(pipeline, trigger, asked, now)
        execution.started_by = action
        action.external_execution_id = execution.pipeline_execution_id
        self._begin(execution, now)

    def _begin(self, execution: PipelineExecution, now: float, place: int = 0) -> None:
        """Begin an execution at one of its stages."""
        known = self._state.executions[execution.pipeline.name]
        execution.number = len(known) + 1
        known[execution.pipeline_execution_id] = execution
        details = {"trigger": execution.trigger.detail}
        self._state.record("control", "StartExecution", now, **execution.ledger_ids, details=details)
        self._events.execution(execution, "STARTED", now)
        self._arrive(execution, place, now)
        self._go_on(execution, now)

    def stop(self, execution: PipelineExecution, abandon: bool, reason: str | None) -> None:
        """Stop an execution: abandon its actions, or let those that have begun end."""
        now = self._state.tick()
        execution.status, execution.updated_at = "Stopping", now
        execution.stop_reason = reason or execution.stop_reason
        self._record_call("StopPipelineExecution", now, execution, abandon=abandon, reason=reason)
        self._events.execution(execution, "STOPPING", now)
        if execution.waiting:
            self._state.waiting[execution.pipeline.name, execution.stage.name].remove(execution)
            execution.waiting = False
            self._finish(execution, "Stopped", now)
            self._go_on_with_ready(now)
            return
        self._stage_is(execution, "Stopping", now)
        if abandon:
            self._actions.abandon(execution, now)
        self._go_on(execution, now)

    def retry(self, execution: PipelineExecution, all_actions: bool) -> None:
        """
        Run the failed actions of an execution's last stage again, or all of that stage's.

        A stopped execution continues with the actions that had not begun. Failed actions can run again while
        parallel ones still run.

        :raises ApiError: There is nothing to retry, or it cannot be done now.
        """
        pipeline = execution.pipeline
        again = [each for each in execution.group if each.status in _RETRIED]
        running = any(each.status == "InProgress" for each in execution.group)
        if execution.status not in ("InProgress", "Failed", "Stopped"):
            raise _not_retryable(f"its execution is {execution.status}")
        if running and all_actions:
            raise _not_retryable("actions of it still run")
        if not again and execution.status != "Stopped":
            raise _not_retryable("it has no failed action")
        if self._state.pipelines[pipeline.name].version != pipeline.version:
            raise _not_retryable("the pipeline has changed since")
        if self._occupant(execution) not in (None, execution) or self._is_outrun(execution):
            message = "A newer execution has entered the stage."
            raise ApiError("NotLatestPipelineExecutionException", message)
        if not execution.in_progress:
            self._state.check_concurrency(pipeline)
        now = self._state.tick()
        execution.status, execution.stop_reason, execution.updated_at = "InProgress", None, now
        execution.attempt, execution.retried_at = execution.attempt + 1, now
        stage_name = execution.stage.name
        execution.stage_retries[stage_name] = execution.stage_retries.get(stage_name, 0) + 1
        self._record_call("RetryStageExecution", now, execution)
        self._events.execution(execution, "RESUMED", now)
        self._occupy(execution)
        self._events.stage(execution, "RESUMED", now)
        if all_actions:
            self._begin_stage(execution, now)
        elif again:
            kept = [each for each in execution.group if each not in again]
            self._actions.begin(execution, [each.action for each in again], now, kept)
        self._go_on(execution, now)

    def roll_back(self, target: PipelineExecution, stage: Stage, trigger: Trigger) -> str:
        """
        Run a stage again with the artifacts and variables of an execution, and return the new one's id.

        :param target: An execution of the pipeline's current version that succeeded in the stage.
        :raises ApiError: Another execution is in the stage.
        """
        pipeline, now = target.pipeline, self._state.tick()
        execution = PipelineExecution(
            pipeline=pipeline,
            started_at=now,
            updated_at=now,
            trigger=trigger,
            rollback_target=target,
            artifacts=dict(target.artifacts),
        )
        execution.variables = dict(target.variables)
        execution.variables[OF_EXECUTION] = {"PipelineExecutionId": execution.pipeline_execution_id}
        execution.place = pipeline.stages.index(stage)
        if not self._may_enter(execution):
            raise cannot_roll_back(f"an execution is in the stage {stage.name}")
        self._record_call("RollbackStage", now, execution, stageName=stage.name)
        self._begin(execution, now, execution.place)
        return execution.pipeline_execution_id

    def set_transition(self, pipeline: Pipeline, stage: Stage, disabled_reason: str | None) -> None:
        """
        Enable or disable the transition into a stage; what waits for it enters as soon as it may.

        :param disabled_reason: Why it is disabled; None to enable it.
        """
        now, place = self._state.tick(), (pipeline.name, stage.name)
        self._state.transitions[place] = Transition(now, disabled_reason)
        self._let_in(place, now)
        self._go_on_with_ready(now)

    def _is_outrun(self, execution: PipelineExecution) -> bool:
        """Return whether a newer execution has been in this execution's stage."""
        if execution.pipeline.execution_mode == PARALLEL:
            return False
        executions = self._state.executions[execution.pipeline.name].values()
        newer = itertools.takewhile(lambda each: each is not execution, reversed(executions))
        return any(execution.stage.name in each.stage_statuses for each in newer)

    def end_action(
        self, action: ActionExecution, status: str, now: float, error: Mapping[str, str] | None = None
    ) -> None:
        """End an action, and begin the next ones."""
        self._actions.close(action, status, now, error)
        self._go_on(action.execution, now)

    def withdraw(self, name: str) -> None:
        """Forget a pipeline, and abandon its executions."""
        now = self._state.tick()
        for execution in self._state.executions.get(name, {}).values():
            if execution.in_progress:
                self._actions.abandon(execution, now)
                self._finish(execution, "Stopped", now)
        self._state.remove_pipeline(name)
        self._go_on_with_ready(now)

    # Stages.

    def _arrive(self, execution: PipelineExecution, place: int, now: float) -> None:
        """Let an execution enter a stage, or wait for it."""
        execution.place, execution.group, execution.updated_at = place, [], now
        pipeline, stage = execution.pipeline, execution.stage
        if self._may_enter(execution):
            self._occupy(execution)
            self._events.stage(execution, "STARTED", now)
            self._begin_stage(execution, now)
            return
        waiting = self._state.waiting[pipeline.name, stage.name]
        if pipeline.execution_mode == SUPERSEDED:
            for older in waiting:
                older.waiting = False
                self._finish(older, "Superseded", now)
            waiting.clear()
        waiting.append(execution)
        execution.waiting = True

    def _may_enter(self, execution: PipelineExecution) -> bool:
        transition = self._state.transitions.get((execution.pipeline.name, execution.stage.name))
        is_open = transition is None or transition.enabled or execution.rollback_target is not None
        return is_open and self._occupant(execution) is None

    def _occupant(self, execution: PipelineExecution) -> PipelineExecution | None:
        """Return the execution for whose leaving the stage this one has to wait."""
        if execution.pipeline.execution_mode == PARALLEL:
            return None
        return self._state.occupants.get((execution.pipeline.name, execution.stage.name))

    def _occupy(self, execution: PipelineExecution) -> None:
        execution.stage_statuses[execution.stage.name] = "InProgress"
        self._state.note_entry(execution)
        if execution.pipeline.execution_mode != PARALLEL:
            self._state.occupants[execution.pipeline.name, execution.stage.name] = execution

    def _stage_is(self, execution: PipelineExecution, status: str, now: float) -> None:
        execution.stage_statuses[execution.stage.name] = status
        self._events.stage(execution, status.upper(), now)

    def _leave(self, execution: PipelineExecution, now: float) -> None:
        """Let an execution leave its stage, and let the one that waited longest enter."""
        place = execution.pipeline.name, execution.stage.name
        if self._state.occupants.get(place) is not execution:
            return
        del self._state.occupants[place]
        self._let_in(place, now)

    def _let_in(self, place: tuple[str, str], now: float) -> None:
        """Let executions that wait for a stage enter, the one that waited longest first."""
        waiting = self._state.waiting[place]
        while waiting and self._may_enter(waiting[0]):
            following = waiting.pop(0)
            following.waiting = False
            self._arrive(following, following.place, now)
            self._ready.append(following)

    def _finish(self, execution: PipelineExecution, status: str, now: float) -> None:
        execution.status, execution.updated_at = status, now
        self._events.execution(execution, status.upper(), now)
        caller = execution.started_by
        if caller is not None and caller.status == "InProgress":
            error = error_of(execution)
            self._actions.close(caller, "Succeeded" if error is None else "Failed", now, error)
            self._ready.append(caller.execution)

    # Actions.

    def _go_on(self, execution: PipelineExecution, now: float) -> None:
        """Do all that can be done now; in a loop, since a pipeline may have hundreds of actions."""
        self._ready.append(execution)
        self._go_on_with_ready(now)

    def _go_on_with_ready(self, now: float) -> None:
        if self._is_going_on:
            # An action started another pipeline: the loop below goes on with it.
            return
        self._is_going_on = True
        try:
            while self._ready:
                current = self._ready.popleft()
                while self._step(current, now):
                    pass
        finally:
            self._is_going_on = False

    def _step(self, execution: PipelineExecution, now: float) -> bool:
        """Begin the next actions if the current ones have ended, and return whether there are any."""
        if not execution.in_progress or execution.waiting:
            return False
        statuses = {action.status for action in execution.group}
        if "InProgress" in statuses:
            return False
        stage = execution.stage
        done = {action.action.run_order for action in execution.group}
        # moto accepts a stage without actions; there is nothing to do in it.
        later = [each for each in stage.run_orders() if each > max(done)] if done else []
        if execution.status == "Stopping" or statuses - {"Succeeded"}:
            status = "Stopped" if execution.status == "Stopping" else "Failed"
            self._stage_is(execution, status, now)
            self._finish(execution, status, now)
            self._leave(execution, now)
            return False
        if later:
            self._begin_group(execution, later[0], now)
            return True
        last = execution.ends_here
        execution.given = {}
        self._stage_is(execution, "Succeeded", now)
        if last:
            self._finish(execution, "Succeeded", now)
        self._leave(execution, now)
        if not last:
            self._arrive(execution, execution.place + 1, now)
        return not last

    def _begin_stage(self, execution: PipelineExecution, now: float) -> None:
        self._begin_group(execution, min(execution.stage.run_orders(), default=1), now)

    def _begin_group(self, execution: PipelineExecution, order: int, now: float) -> None:
        actions = [action for action in execution.stage.actions if action.run_order == order]
        self._actions.begin(execution, actions, now)

    def _record_call(self, operation: str, now: float, execution: PipelineExecution, **details: Any) -> None:
        self._state.record("call", operation, now, **execution.ledger_ids, details=details)


def _new(pipeline: Pipeline, trigger: Trigger, asked: StartRequest, now: float) -> PipelineExecution:
    """Return an execution with its variables, which has not begun."""
    execution = PipelineExecution(
        pipeline=pipeline,
        started_at=now,
        updated_at=now,
        trigger=trigger,
        source_revisions=asked.source_revisions,
        put_revisions=asked.put_revisions,
    )
    own = {name: value for name, value in pipeline.variables.items() if value is not None}
    execution.variables = {
        OF_EXECUTION: {"PipelineExecutionId": execution.pipeline_execution_id},
        OF_PIPELINE: own | dict(asked.variables),
    }
    return execution


def cannot_roll_back(why: str) -> ApiError:
    """Return the refusal of a rollback."""
    return ApiError("UnableToRollbackStageException", f"The stage cannot be rolled back: {why}.")


def _not_retryable(why: str) -> ApiError:
    return ApiError("StageNotRetryableException", f"The stage cannot be retried: {why}.")
