# SPDX-License-Identifier: Apache-2.0
"""The state of the emulated CodePipeline."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Protocol

from airflow_codepipeline_partner.emulator.clock import Clock, Timers
from airflow_codepipeline_partner.emulator.errors import ApiError, ControlError
from airflow_codepipeline_partner.emulator.faults import Faults
from airflow_codepipeline_partner.emulator.ledger import Ledger, LedgerEntry, moment
from airflow_codepipeline_partner.emulator.model.action_types import ActionTypeId, ActionTypeRegistry
from airflow_codepipeline_partner.emulator.model.credentials import CredentialStore
from airflow_codepipeline_partner.emulator.model.customers import Customers
from airflow_codepipeline_partner.emulator.model.events import Event
from airflow_codepipeline_partner.emulator.model.executions import ActionExecution, PipelineExecution
from airflow_codepipeline_partner.emulator.model.jobs import Job, JobQueue, JobSnapshot
from airflow_codepipeline_partner.emulator.model.pipelines import Pipeline, Stage
from airflow_codepipeline_partner.emulator.model.planned_failures import PlannedFailure
from airflow_codepipeline_partner.emulator.model.stage_views import StageView
from airflow_codepipeline_partner.emulator.model.transitions import Transition
from airflow_codepipeline_partner.emulator.model.webhooks import Webhook
from airflow_codepipeline_partner.emulator.settings import Settings


class TimeSource(Protocol):
    """What the state needs of a clock."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""

    def advance(self, seconds: float) -> float:
        """Move the time forward, and return it."""


class StateLock:
    """
    A lock that a thread can take again while it has it.

    What is done when it is free must not be done while it is taken: others may wait for it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._taken = 0
        #: Called each time the lock is free again, in the thread that had it.
        self.when_free: Callable[[], None] = lambda: None

    def __enter__(self) -> None:
        self._lock.acquire()
        self._taken += 1

    def __exit__(self, *_: object) -> None:
        self._taken -= 1
        free = not self._taken
        self._lock.release()
        if free:
            self.when_free()


class State:
    """
    Hold all state.

    Whatever changes it holds :attr:`lock` and calls :meth:`tick` first. It knows nothing of HTTP.

    :param settings: How to behave if AWS documents nothing.
    :param clock: The time. Defaults to the machine's, which can be advanced.
    """

    def __init__(self, settings: Settings | None = None, clock: TimeSource | None = None) -> None:
        self.lock = StateLock()
        #: Events that are sent as soon as the lock is free.
        self.outbox: deque[Event] = deque()
        self.settings = settings or Settings()
        self.clock: TimeSource = clock or Clock()
        self.faults = Faults()
        self._now = 0.0
        self.reset()

    def reset(self, settings: Settings | None = None) -> None:
        """
        Forget everything except the time.

        :param settings: New settings. Defaults to the current ones.
        """
        with self.lock:
            self.settings = settings or self.settings
            self.customers = Customers()
            self.pipelines: dict[str, Pipeline] = {}
            #: What GetPipeline answers for each version of a pipeline that moto has, too.
            self.versions: dict[str, dict[int, dict[str, Any]]] = {}
            #: By pipeline and by their ids, the oldest first.
            #: By pipeline and stage, or by pipeline, stage and action: what GetPipelineState shows.
            self._newest_in_stage: dict[tuple[str, str], PipelineExecution] = {}
            self._newest_runs: dict[tuple[str, str, str], ActionExecution] = {}
            self.executions: dict[str, dict[str, PipelineExecution]] = {}
            #: By pipeline and stage: the execution in it, and those that wait for it. Not with PARALLEL.
            self.occupants: dict[tuple[str, str], PipelineExecution] = {}
            self.waiting: dict[tuple[str, str], list[PipelineExecution]] = defaultdict(list)
            #: By pipeline and stage, the transitions into stages that were ever changed.
            self.transitions: dict[tuple[str, str], Transition] = {}
            #: By pipeline, stage and action.
            self.planned_failures: dict[tuple[str, str, str], PlannedFailure] = {}
            #: By pipeline, stage, action and revision, the execution that PutActionRevision started.
            self.put_revisions: dict[tuple[str, str, str, str], str] = {}
            self.start_tokens: dict[tuple[str, str], str] = {}
            self.action_types = ActionTypeRegistry()
            #: By action type and value of the query, then by region, so that no poll walks all of them.
            self.queues: dict[tuple[ActionTypeId, str | None], dict[str | None, JobQueue]] = defaultdict(
                lambda: defaultdict(JobQueue)
            )
            self.jobs: dict[str, Job] = {}
            #: By their ids.
            self.action_executions: dict[str, ActionExecution] = {}
            #: By region and name.
            self.webhooks: dict[tuple[str, str], Webhook] = {}
            #: By their tokens, also those that have ended.
            self.approvals: dict[str, ActionExecution] = {}
            self.credentials = CredentialStore()
            #: By upload id and number, what a job has uploaded of an object; what it is, only HTTP knows.
            self.uploaded_parts: dict[str, dict[int, Any]] = {}
            #: The queues that get all events: region and name.
            self.event_queues: set[tuple[str, str]] = set()
            self.outbox.clear()
            self.faults.clear()
            self._allowances: dict[str, tuple[float, float]] = {}
            self.ledger = Ledger()
            self.timers = Timers()

    def tick(self) -> float:
        """Do what is due by now, and return the time; it never goes back, even if the machine's does."""
        self._now = max(self._now, self.clock.now())
        self.timers.run(self._now)
        return self._now

    def allows(self, operation: str) -> bool:
        """Count a call, and return whether it is within ``Settings.max_requests_per_second``."""
        rate = self.settings.max_requests_per_second
        if rate is None:
            return True
        with self.lock:
            now, burst = self.tick(), max(1.0, rate)
            left, at = self._allowances.get(operation, (burst, now))
            left = min(burst, left + (now - at) * rate)
            self._allowances[operation] = (left - 1 if left >= 1 else left, now)
            return left >= 1

    def record(self, kind: str, operation: str, at: float, job: Job | None = None, **values: Any) -> None:
        """Write an entry to the ledger; :class:`LedgerEntry` says what the values mean."""
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

    def queues_of(self, type_id: ActionTypeId, queried: str | None, region: str | None) -> list[JobQueue]:
        """Return the queues that a poll in a region takes jobs from; None stands for all regions."""
        by_region = self.queues.get((type_id, queried), {})
        return [queue for place, queue in by_region.items() if region is None or place in (None, region)]

    def queue_of(self, job: Job) -> JobQueue:
        """Return the queue that a job waits in."""
        type_id, queried, region = job.action.queue
        return self.queues[type_id, queried][region]

    # The pipelines.

    def add_pipeline(self, pipeline: Pipeline) -> None:
        """Add a pipeline."""
        with self.lock:
            now = self.tick()
            if pipeline.name in self.pipelines:
                raise ControlError(f"there is already a pipeline {pipeline.name}", 409)
            if pipeline.client_id is not None and pipeline.client_id not in self.customers:
                raise ControlError(f"there is no customer {pipeline.client_id}", 404)
            for action in pipeline.actions():
                if action.makes_jobs:
                    self.action_types.register(action.action_type)
            self.pipelines[pipeline.name] = pipeline
            self.executions[pipeline.name] = {}
            self.record(
                "control", "AddPipeline", now, pipeline_name=pipeline.name, client_id=pipeline.client_id
            )

    def remove_pipeline(self, name: str) -> None:
        """Forget a pipeline and its executions."""
        for execution in self.executions[name].values():
            for action in execution.actions:
                del self.action_executions[action.action_execution_id]
                self.approvals.pop(action.token or "", None)
        del self.pipelines[name], self.executions[name]
        self.versions.pop(name, None)
        kept: list[dict[Any, Any]] = [self.occupants, self.waiting, self.transitions, self._newest_runs]
        for places in (
            *kept,
            self._newest_in_stage,
            self.planned_failures,
            self.put_revisions,
            self.start_tokens,
        ):
            for key in [key for key in places if key[0] == name]:
                del places[key]

    def note_entry(self, execution: PipelineExecution) -> None:
        """Note that an execution has entered the stage that it is in."""
        place = execution.pipeline.name, execution.stage.name
        known = self._newest_in_stage.get(place)
        if known is None or known.number <= execution.number:
            self._newest_in_stage[place] = execution

    def note_run(self, run: ActionExecution) -> None:
        """Note that an action has begun."""
        self.action_executions[run.action_execution_id] = run
        place = run.pipeline.name, run.stage_name, run.action.name
        known = self._newest_runs.get(place)
        if known is None or known.execution.number <= run.execution.number:
            self._newest_runs[place] = run

    def stage_view(self, pipeline: Pipeline, stage: Stage) -> StageView:
        """Return a stage as GetPipelineState sees it."""
        place = pipeline.name, stage.name
        runs = {each.name: self._newest_runs.get((*place, each.name)) for each in stage.actions}
        return StageView(
            newest=self._newest_in_stage.get(place),
            runs={name: run for name, run in runs.items() if run is not None},
            inbound=self.waiting.get(place, ()),
            transition=self.transitions.get(place),
        )

    def check_concurrency(self, pipeline: Pipeline) -> None:
        """
        Refuse one more execution of a pipeline, if as many as allowed are in progress.

        :raises ApiError: There are ``Settings.max_concurrent_executions``.
        """
        most = self.settings.max_concurrent_executions
        if most is None:
            return
        if sum(each.in_progress for each in self.executions[pipeline.name].values()) >= most:
            message = f"The pipeline {pipeline.name} has reached the limit of {most} concurrent executions."
            raise ApiError("ConcurrentPipelineExecutionsLimitExceededException", message)

    def is_own_pipeline(self, name: object) -> bool:
        """Return whether this is a pipeline that only the emulator has, not moto."""
        found = self.pipelines.get(name) if isinstance(name, str) else None
        return found is not None and found.declared_in is None

    def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline."""
        with self.lock:
            if not isinstance(name, str) or name not in self.pipelines:
                raise ControlError(f"there is no pipeline {name!r}", 404)
            return self.pipelines[name]

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
