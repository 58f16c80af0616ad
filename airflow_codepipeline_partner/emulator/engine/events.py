# SPDX-License-Identifier: Apache-2.0
"""Events on their way: made while the state's lock is held, and sent when it is free."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

from airflow_codepipeline_partner.emulator.engine import event_bus
from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.faults import EVENTS
from airflow_codepipeline_partner.emulator.model import events as shapes
from airflow_codepipeline_partner.emulator.model.events import Event
from airflow_codepipeline_partner.emulator.model.executions import ActionExecution, PipelineExecution
from airflow_codepipeline_partner.emulator.model.pipelines import DEFAULT_REGION

_OPERATIONS = dict(zip((shapes.PIPELINE, shapes.STAGE, shapes.ACTION), EVENTS, strict=True))
_LOST, _DOUBLED, _DELAYED = "lose_event", "double_event", "delay_event"


class Events:
    """
    Send CodePipeline's events to moto's EventBridge, and to the queues that the control named.

    An event that nobody waits for is not made. Whoever notes one holds the state's lock; moto is called
    after the lock is free, so that a target may call the emulator. The order stays.

    :param state: The state.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._sending = threading.Lock()
        state.lock.when_free = self._send_all

    def execution(self, execution: PipelineExecution, state: str, now: float) -> None:
        """Note that an execution has this state now, in AWS's words."""
        self._note(execution, lambda region: shapes.of_execution(execution, state, now, region))

    def stage(self, execution: PipelineExecution, state: str, now: float) -> None:
        """Note that the stage that an execution is in has this state now."""
        self._note(execution, lambda region: shapes.of_stage(execution, state, now, region))

    def action(self, action: ActionExecution, state: str, now: float) -> None:
        """Note that an action has this state now."""
        self._note(action.execution, lambda region: shapes.of_action(action, state, now, region))

    def _note(self, execution: PipelineExecution, make: Callable[[str | None], Event]) -> None:
        region = self._state.settings.region
        place = execution.pipeline.declared_in or region or DEFAULT_REGION
        if not self._state.event_queues and not event_bus.has_rules(place):
            return
        event = make(region)
        job_id = event.action.current_job_id if event.action is not None else None
        client_id = execution.pipeline.client_id
        faults = self._state.faults.match(_OPERATIONS[event.detail_type], job_id, client_id)
        kinds = [fault.kind for fault in faults]
        self._record(event, execution, tuple(kinds))
        if _LOST in kinds:
            return
        seconds = sum(fault.params["seconds"] for fault in faults if fault.kind == _DELAYED)
        for _ in range(2 if _DOUBLED in kinds else 1):
            if seconds:
                self._state.timers.at(event.at + seconds, functools.partial(self._due, event))
            else:
                self._state.outbox.append(event)

    def _due(self, event: Event, at: float) -> None:
        self._state.outbox.append(event)

    def _record(self, event: Event, execution: PipelineExecution, faults: tuple[str, ...]) -> None:
        names = ("state", "stage", "action")
        self._state.record(
            "event",
            event.detail_type,
            event.at,
            pipeline_name=execution.pipeline.name,
            pipeline_execution_id=execution.pipeline_execution_id,
            action_execution_id=event.detail.get("action-execution-id"),
            client_id=execution.pipeline.client_id,
            faults=faults,
            details={name: event.detail[name] for name in names if name in event.detail},
        )

    def _send_all(self) -> None:
        """
        Send what has been noted, in order.

        If another thread is sending, it sends these too: a target that calls the emulator must not wait for
        its own sender.
        """
        while self._state.outbox and self._sending.acquire(blocking=False):
            try:
                while (event := self._next()) is not None:
                    self._send(event)
            finally:
                self._sending.release()

    def _next(self) -> Event | None:
        try:
            return self._state.outbox.popleft()
        except IndexError:
            return None

    def _send(self, event: Event) -> None:
        for region, name in list(self._state.event_queues):
            event_bus.send_to_queue(event, region, name)
        event_bus.send(event)
