# SPDX-License-Identifier: Apache-2.0
"""The emulated CodePipeline: its state, and how jobs and actions move on."""

from __future__ import annotations

import functools
import threading
import uuid
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Protocol

from airflow_codepipeline_partner.emulator.action_types import CUSTOM, ActionTypeId, ActionTypes
from airflow_codepipeline_partner.emulator.clock import Clock, Timers
from airflow_codepipeline_partner.emulator.credentials import CredentialStore
from airflow_codepipeline_partner.emulator.customers import Customers
from airflow_codepipeline_partner.emulator.errors import ControlError
from airflow_codepipeline_partner.emulator.faults import Faults
from airflow_codepipeline_partner.emulator.jobs import (
    Job,
    JobEvent,
    JobQueue,
    JobSnapshot,
    JobStatus,
    new_nonce,
)
from airflow_codepipeline_partner.emulator.ledger import Ledger, LedgerEntry, moment
from airflow_codepipeline_partner.emulator.pipelines import (
    ActionExecution,
    Artifact,
    Pipeline,
    PipelineExecution,
)
from airflow_codepipeline_partner.emulator.settings import Settings


class TimeSource(Protocol):
    """What the core needs of a clock."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""

    def advance(self, seconds: float) -> float:
        """Move the time forward, and return it."""


class Core:
    """
    Hold all state, and move jobs and actions on.

    Everything that changes it holds :attr:`lock` and calls :meth:`tick` first. It knows no HTTP.

    :param settings: How to behave where AWS documents nothing.
    :param clock: The time. Defaults to the machine's, which can be advanced.
    """

    def __init__(self, settings: Settings | None = None, clock: TimeSource | None = None) -> None:
        self.lock = threading.RLock()
        self.settings = settings or Settings()
        self.clock: TimeSource = clock or Clock()
        self.faults = Faults()
        self._now = 0.0
        self.reset()

    def reset(self, settings: Settings | None = None) -> None:
        """
        Forget everything but the time.

        :param settings: New settings. Defaults to those that hold.
        """
        with self.lock:
            self.settings = settings or self.settings
            self.customers = Customers()
            self.pipelines: dict[str, Pipeline] = {}
            self.executions: dict[str, list[PipelineExecution]] = {}
            self.start_tokens: dict[tuple[str, str], str] = {}
            self.action_types = ActionTypes()
            self.queues: dict[tuple[ActionTypeId, str | None], JobQueue] = defaultdict(JobQueue)
            self.jobs: dict[str, Job] = {}
            self.credentials = CredentialStore()
            self.faults.clear()
            self._allowances: dict[str, tuple[float, float]] = {}
            self.ledger = Ledger()
            self._timers = Timers()

    def tick(self) -> float:
        """Do what is due by now, and return the time, which never goes back even where a machine's does."""
        self._now = max(self._now, self.clock.now())
        self._timers.run(self._now)
        return self._now

    def allows(self, operation: str) -> bool:
        """Return whether one more call keeps to ``Settings.max_requests_per_second``, and count it."""
        rate = self.settings.max_requests_per_second
        if rate is None:
            return True
        now, burst = self.tick(), max(1.0, rate)
        left, at = self._allowances.get(operation, (burst, now))
        left = min(burst, left + (now - at) * rate)
        self._allowances[operation] = (left - 1 if left >= 1 else left, now)
        return left >= 1

    def record(self, kind: str, operation: str, at: float, job: Job | None = None, **values: Any) -> None:
        """Write an entry of the ledger; :class:`LedgerEntry` says what the values mean."""
        if job is not None:
            values = {
                "job_id": job.job_id,
                "client_id": job.client_id,
                "pipeline_name": job.action.pipeline.name,
                "pipeline_execution_id": job.action.execution.pipeline_execution_id,
                "action_execution_id": job.action.action_execution_id,
                "status_after": job.status.value,
            } | values
        number = len(self.ledger) + 1
        self.ledger.append(LedgerEntry(number, moment(at), kind, operation, **values))

    # What a pipeline does.

    def add_pipeline(self, pipeline: Pipeline) -> None:
        """Add a pipeline."""
        with self.lock:
            now = self.tick()
            if pipeline.name in self.pipelines:
                raise ControlError(f"there is already a pipeline {pipeline.name}", 409)
            if pipeline.client_id is not None and pipeline.client_id not in self.customers:
                raise ControlError(f"there is no customer {pipeline.client_id}", 404)
            self.action_types.register(pipeline.action_type)
            self.pipelines[pipeline.name] = pipeline
            self.executions[pipeline.name] = []
            self.record(
                "control", "AddPipeline", now, pipeline_name=pipeline.name, client_id=pipeline.client_id
            )

    def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline."""
        with self.lock:
            if not isinstance(name, str) or name not in self.pipelines:
                raise ControlError(f"there is no pipeline {name!r}", 404)
            return self.pipelines[name]

    def start_execution(self, pipeline: Pipeline, inputs: tuple[Artifact, ...], trigger: str) -> str:
        """
        Start a pipeline whose source artifacts are in their places, and return the execution's id.

        Executions do not wait for each other, as in a pipeline with the execution mode PARALLEL.
        """
        with self.lock:
            now = self.tick()
            execution = PipelineExecution(
                pipeline=pipeline, started_at=now, updated_at=now, trigger=trigger, inputs=inputs
            )
            self.executions[pipeline.name].append(execution)
            details = {"trigger": trigger}
            self.record("control", "StartExecution", now, **_named(execution), details=details)
            self.start_action(execution, now)
            return execution.pipeline_execution_id

    def start_action(self, execution: PipelineExecution, now: float) -> None:
        """Start the worker's action of an execution."""
        outputs = tuple(execution.pipeline.new_artifact(name) for name in execution.pipeline.output_artifacts)
        action = ActionExecution(execution=execution, started_at=now, updated_at=now, outputs=outputs)
        execution.actions.append(action)
        custom = execution.pipeline.action_type.owner == CUSTOM
        seconds = self.settings.custom_action_timeout if custom else self.settings.action_timeout
        self._timers.at(now + seconds, functools.partial(self._action_due, action))
        self._make_available(self._new_job(action, None, now), now)

    def stop_execution(self, execution: PipelineExecution, abandon: bool, reason: str | None) -> None:
        """Stop an execution: abandon its action, or wait for it to end."""
        now = self.tick()
        execution.status, execution.stop_reason, execution.updated_at = "Stopping", reason, now
        self._record_call("StopPipelineExecution", now, execution, abandon=abandon, reason=reason)
        action = execution.actions[-1]
        if abandon:
            self._end_job(action, JobEvent.WITHDRAW, now)
            self.end_action(action, "Abandoned", now)

    def retry_execution(self, execution: PipelineExecution) -> None:
        """Run the worker's action of an execution again."""
        now = self.tick()
        execution.status, execution.updated_at = "InProgress", now
        self._record_call("RetryStageExecution", now, execution)
        self.start_action(execution, now)

    def _record_call(self, operation: str, now: float, execution: PipelineExecution, **details: Any) -> None:
        self.record("call", operation, now, **_named(execution), details=details)

    # What befalls a job.

    def _new_job(self, action: ActionExecution, continuation_token: str | None, now: float) -> Job:
        job = Job(
            job_id=str(uuid.uuid4()),
            action=action,
            continuation_token=continuation_token,
            created_at=now,
            nonce=new_nonce(),
        )
        self.jobs[job.job_id] = job
        action.current_job_id = job.job_id
        return job

    def _make_available(self, job: Job, at: float) -> None:
        if job.after(JobEvent.BECOME_AVAILABLE) is None:
            return
        before = self.apply(job, JobEvent.BECOME_AVAILABLE, at)
        self.queues[job.action.pipeline.queue].add(job)
        self.record("job", "Queued", at, job, status_before=before)

    def apply(self, job: Job, event: JobEvent, at: float) -> str:
        """
        Move a job to the status that an event leads to, and return the status before.

        :raises ValueError: The event cannot happen now; the caller asks ``job.after`` first.
        """
        before, after = job.status, job.after(event)
        if after is None:
            raise ValueError(f"a job that is {before} cannot {event.name}")
        job.status = after
        if after.ended:
            job.ended_at = at
            self.queues[job.action.pipeline.queue].remove(job)
            self._timers.at(at + self.settings.retention, functools.partial(self._retention_due, job))
        return before.value

    def hand_out(self, job: Job, now: float) -> None:
        """Note that a poll returns the job."""
        before = self.apply(job, JobEvent.HAND_OUT, now)
        job.hand_outs += 1
        self.record("job", "HandedOut", now, job, status_before=before)
        if job.hand_outs > 1 and self.settings.nonce_on_redelivery == "new":
            job.nonce = new_nonce()
        lapse = functools.partial(self._lease_due, job, job.hand_outs)
        self._timers.at(now + self.settings.lease_seconds, lapse)
        if job.first_handed_out_at is None:
            job.first_handed_out_at = now
            if self.settings.job_timeout_from == "hand_out":
                self._start_job_timeout(job, now)

    def acknowledge(self, job: Job, now: float) -> None:
        """Give the job to the caller."""
        self.apply(job, JobEvent.ACKNOWLEDGE, now)
        job.acknowledged_at, job.winning_nonce = now, job.nonce
        self.queues[job.action.pipeline.queue].acknowledged(job)
        if self.settings.job_timeout_from == "acknowledge":
            self._start_job_timeout(job, now)

    def _start_job_timeout(self, job: Job, now: float) -> None:
        seconds = job.action.pipeline.job_timeout or self.settings.job_timeout
        self._timers.at(now + seconds, functools.partial(self._job_due, job, job.requeues))

    def continue_action(self, action: ActionExecution, continuation_token: str, now: float) -> None:
        """Make the next job of an action."""
        job = self._new_job(action, continuation_token, now)
        self.record("job", "Created", now, job)
        due = now + self.settings.continuation_delay
        self._timers.at(due, functools.partial(self._make_available, job))

    def end_action(
        self, action: ActionExecution, status: str, now: float, error: Mapping[str, str] | None = None
    ) -> None:
        """End an action, and with it the pipeline's execution."""
        action.status, action.updated_at = status, now
        action.error_details = dict(error) if error is not None else None
        execution = action.execution
        execution.status = "Stopped" if execution.status == "Stopping" else status
        execution.updated_at = now
        ids = _named(execution) | {"action_execution_id": action.action_execution_id}
        self.record("action", status, now, **ids, details=action.error_details or {})

    def _end_job(self, action: ActionExecution, event: JobEvent, at: float, **details: Any) -> None:
        job = self.jobs.get(action.current_job_id or "")
        if job is not None and job.after(event) is not None:
            before = self.apply(job, event, at)
            self.record("job", job.status.value, at, job, status_before=before, details=details)

    # What is due.

    def _lease_due(self, job: Job, hand_out: int, at: float) -> None:
        if job.status is JobStatus.DISPATCHED and job.hand_outs == hand_out:
            self.queues[job.action.pipeline.queue].add(job)
            self.record("job", "LeaseLapsed", at, job, status_before=job.status.value)

    def _retention_due(self, job: Job, at: float) -> None:
        del self.jobs[job.job_id]

    def _job_due(self, job: Job, requeues: int, at: float) -> None:
        if job.status.ended or job.requeues != requeues:
            return
        if self.settings.job_timeout_effect == "requeue":
            before = self.apply(job, JobEvent.REQUEUE, at)
            job.requeues += 1
            job.first_handed_out_at = job.acknowledged_at = job.winning_nonce = None
            self.queues[job.action.pipeline.queue].add(job)
            self.record("job", "Requeued", at, job, status_before=before)
            return
        self._time_out(job.action, "the job", at)

    def _action_due(self, action: ActionExecution, at: float) -> None:
        if action.status == "InProgress":
            self._time_out(action, "the action", at)

    def _time_out(self, action: ActionExecution, what: str, at: float) -> None:
        self._end_job(action, JobEvent.TIME_OUT, at, cause=f"{what} timed out")
        error = {"code": "JobFailed", "message": f"{what[0].upper()}{what[1:]} timed out."}
        self.end_action(action, "Failed", at, error)

    # What can be seen.

    def snapshots(self) -> list[JobSnapshot]:
        """Return all jobs that are still known, the oldest first."""
        with self.lock:
            self.tick()
            return [JobSnapshot.of(job) for job in self.jobs.values()]

    def entries(self) -> Ledger:
        """Return a copy of the ledger."""
        with self.lock:
            self.tick()
            return Ledger(self.ledger)


def _named(execution: PipelineExecution) -> dict[str, Any]:
    """Return what an entry of the ledger says of an execution."""
    return {
        "pipeline_name": execution.pipeline.name,
        "client_id": execution.pipeline.client_id,
        "pipeline_execution_id": execution.pipeline_execution_id,
    }
