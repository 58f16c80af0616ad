# SPDX-License-Identifier: Apache-2.0
"""A job's way through its states, by calls and by timers."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from airflow_codepipeline_partner.emulator.engine.state import State
from airflow_codepipeline_partner.emulator.model.action_types import CUSTOM
from airflow_codepipeline_partner.emulator.model.executions import ActionExecution
from airflow_codepipeline_partner.emulator.model.jobs import Job, JobEvent, JobStatus, new_nonce

EndAction = Callable[[ActionExecution, str, float, Mapping[str, str]], None]


class JobLifecycle:
    """
    Make an action's jobs, and move them through their states.

    Callers hold the state's lock.

    :param state: The state.
    :param end_action: Ends an action that timed out; called with it, its status, the time and the error.
    """

    def __init__(self, state: State, end_action: EndAction) -> None:
        self._state = state
        self._end_action = end_action

    def begin(self, action: ActionExecution, now: float) -> None:
        """Make the first job of an action; it is queued after ``Settings.job_delay``."""
        settings = self._state.settings
        custom = action.action.action_type.owner == CUSTOM
        seconds = settings.custom_action_timeout if custom else settings.action_timeout
        self._state.timers.at(now + seconds, functools.partial(self._action_due, action))
        job = self._new_job(action, None, now)
        if settings.job_delay:
            self._queue_later(job, now, settings.job_delay)
        else:
            self._make_available(job, now)

    def go_on(self, action: ActionExecution, continuation_token: str, now: float) -> None:
        """Make the next job of an action."""
        job = self._new_job(action, continuation_token, now)
        self._queue_later(job, now, self._state.settings.continuation_delay)

    def _queue_later(self, job: Job, now: float, seconds: float) -> None:
        self._state.record("job", "Created", now, job)
        self._state.timers.at(now + seconds, functools.partial(self._make_available, job))

    def _new_job(self, action: ActionExecution, continuation_token: str | None, now: float) -> Job:
        job = Job(
            job_id=str(uuid.uuid4()),
            action=action,
            continuation_token=continuation_token,
            created_at=now,
            nonce=new_nonce(),
        )
        self._state.jobs[job.job_id] = job
        action.current_job_id = job.job_id
        return job

    def _make_available(self, job: Job, at: float) -> None:
        if job.after(JobEvent.BECOME_AVAILABLE) is None:
            return
        before = self.apply(job, JobEvent.BECOME_AVAILABLE, at)
        self._state.queue_of(job).add(job)
        self._state.record("job", "Queued", at, job, status_before=before)

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
            self._state.queue_of(job).remove(job)
            retention = self._state.settings.retention
            self._state.timers.at(at + retention, functools.partial(self._retention_due, job))
        return before.value

    def hand_out(self, job: Job, now: float) -> None:
        """Hand out a job that a poll returns."""
        settings = self._state.settings
        before = self.apply(job, JobEvent.HAND_OUT, now)
        job.hand_outs += 1
        self._state.record("job", "HandedOut", now, job, status_before=before)
        if job.hand_outs > 1 and settings.nonce_on_redelivery == "new":
            job.nonce = new_nonce()
        lapse = functools.partial(self._lease_due, job, job.hand_outs)
        self._state.timers.at(now + settings.lease_seconds, lapse)
        if job.first_handed_out_at is None:
            job.first_handed_out_at = now
            if settings.job_timeout_from == "hand_out":
                self._start_job_timeout(job, now)

    def acknowledge(self, job: Job, now: float) -> None:
        """Let the caller have the job."""
        self.apply(job, JobEvent.ACKNOWLEDGE, now)
        job.acknowledged_at, job.winning_nonce = now, job.nonce
        self._state.queue_of(job).acknowledged(job)
        if self._state.settings.job_timeout_from == "acknowledge":
            self._start_job_timeout(job, now)

    def end(self, action: ActionExecution, event: JobEvent, at: float, **details: Any) -> None:
        """End an action's current job, if the event can end it."""
        job = self._state.jobs.get(action.current_job_id or "")
        if job is not None and job.after(event) is not None:
            before = self.apply(job, event, at)
            self._state.record("job", job.status.value, at, job, status_before=before, details=details)

    def _start_job_timeout(self, job: Job, now: float) -> None:
        seconds = job.action.action.job_timeout or self._state.settings.job_timeout
        self._state.timers.at(now + seconds, functools.partial(self._job_due, job, job.requeues))

    # What is due.

    def _lease_due(self, job: Job, hand_out: int, at: float) -> None:
        if job.status is JobStatus.DISPATCHED and job.hand_outs == hand_out:
            self._state.queue_of(job).add(job)
            self._state.record("job", "LeaseLapsed", at, job, status_before=job.status.value)

    def _retention_due(self, job: Job, at: float) -> None:
        del self._state.jobs[job.job_id]

    def _job_due(self, job: Job, requeues: int, at: float) -> None:
        if job.status.ended or job.requeues != requeues:
            return
        if self._state.settings.job_timeout_effect == "requeue":
            before = self.apply(job, JobEvent.REQUEUE, at)
            job.requeues += 1
            job.first_handed_out_at = job.acknowledged_at = job.winning_nonce = None
            self._state.queue_of(job).add(job)
            self._state.record("job", "Requeued", at, job, status_before=before)
            return
        self._time_out(job.action, "the job", at)

    def _action_due(self, action: ActionExecution, at: float) -> None:
        if action.status == "InProgress":
            self._time_out(action, "the action", at)

    def _time_out(self, action: ActionExecution, what: str, at: float) -> None:
        self.end(action, JobEvent.TIME_OUT, at, cause=f"{what} timed out")
        error = {"code": "JobFailed", "message": f"{what[0].upper()}{what[1:]} timed out."}
        self._end_action(action, "Failed", at, error)
