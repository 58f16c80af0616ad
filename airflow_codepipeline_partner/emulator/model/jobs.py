# SPDX-License-Identifier: Apache-2.0
"""A job, its states, and the queue it waits in."""

from __future__ import annotations

import dataclasses
import enum
import heapq
import itertools
import secrets

from airflow_codepipeline_partner.emulator.model.executions import ActionExecution


class JobStatus(enum.StrEnum):
    """AWS's JobStatus, and ``Withdrawn`` for a job whose action was abandoned."""

    CREATED = "Created"
    QUEUED = "Queued"
    DISPATCHED = "Dispatched"
    IN_PROGRESS = "InProgress"
    TIMED_OUT = "TimedOut"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    WITHDRAWN = "Withdrawn"

    @property
    def ended(self) -> bool:
        """Whether this is a final status."""
        return self in _ENDED

    @property
    def on_the_wire(self) -> str:
        """The status in AWS's words, which do not have ``Withdrawn``."""
        return JobStatus.FAILED.value if self is JobStatus.WITHDRAWN else self.value


_ENDED = frozenset({JobStatus.TIMED_OUT, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.WITHDRAWN})


class JobEvent(enum.Enum):
    """What can happen to a job."""

    BECOME_AVAILABLE = enum.auto()
    HAND_OUT = enum.auto()
    ACKNOWLEDGE = enum.auto()
    SUCCEED = enum.auto()
    FAIL = enum.auto()
    SUCCEED_UNACKNOWLEDGED = enum.auto()
    FAIL_UNACKNOWLEDGED = enum.auto()
    TIME_OUT = enum.auto()
    REQUEUE = enum.auto()
    WITHDRAW = enum.auto()


_S, _E = JobStatus, JobEvent

# Everything that can happen to a job; nothing else can.
TRANSITIONS: dict[tuple[JobStatus, JobEvent], JobStatus] = {
    (_S.CREATED, _E.BECOME_AVAILABLE): _S.QUEUED,
    (_S.QUEUED, _E.HAND_OUT): _S.DISPATCHED,
    (_S.DISPATCHED, _E.HAND_OUT): _S.DISPATCHED,
    (_S.DISPATCHED, _E.ACKNOWLEDGE): _S.IN_PROGRESS,
    (_S.IN_PROGRESS, _E.SUCCEED): _S.SUCCEEDED,
    (_S.IN_PROGRESS, _E.FAIL): _S.FAILED,
    # Only if Settings.put_before_acknowledge is "accept".
    (_S.DISPATCHED, _E.SUCCEED_UNACKNOWLEDGED): _S.SUCCEEDED,
    (_S.DISPATCHED, _E.FAIL_UNACKNOWLEDGED): _S.FAILED,
    # The job's own timeout, and the action's; the latter can end a job that was never handed out.
    (_S.CREATED, _E.TIME_OUT): _S.TIMED_OUT,
    (_S.QUEUED, _E.TIME_OUT): _S.TIMED_OUT,
    (_S.DISPATCHED, _E.TIME_OUT): _S.TIMED_OUT,
    (_S.IN_PROGRESS, _E.TIME_OUT): _S.TIMED_OUT,
    # Only if Settings.job_timeout_effect is "requeue".
    (_S.DISPATCHED, _E.REQUEUE): _S.QUEUED,
    (_S.IN_PROGRESS, _E.REQUEUE): _S.QUEUED,
    (_S.CREATED, _E.WITHDRAW): _S.WITHDRAWN,
    (_S.QUEUED, _E.WITHDRAW): _S.WITHDRAWN,
    (_S.DISPATCHED, _E.WITHDRAW): _S.WITHDRAWN,
    (_S.IN_PROGRESS, _E.WITHDRAW): _S.WITHDRAWN,
}


@dataclasses.dataclass(slots=True)
class Job:
    """
    A job: one step of an action execution.

    :param continuation_token: The token of the job before it; None for the first.
    """

    job_id: str
    action: ActionExecution
    continuation_token: str | None
    created_at: float
    status: JobStatus = JobStatus.CREATED
    nonce: str = dataclasses.field(default="", repr=False)
    winning_nonce: str | None = dataclasses.field(default=None, repr=False)
    hand_outs: int = 0
    first_handed_out_at: float | None = None
    acknowledged_at: float | None = None
    ended_at: float | None = None
    # Like hand_outs: shows a timer of an earlier turn that it is outdated.
    requeues: int = 0

    def after(self, event: JobEvent) -> JobStatus | None:
        """Return the status that the event leads to, or None if it cannot happen now."""
        return TRANSITIONS.get((self.status, event))

    @property
    def client_id(self) -> str | None:
        """The client whose job it is, also of a continuation; None for a custom job."""
        return self.action.action.client_id


@dataclasses.dataclass(frozen=True)
class JobSnapshot:
    """What the emulator knows of a job at one moment, without secrets; times in epoch seconds."""

    job_id: str
    client_id: str | None
    status: str
    pipeline_name: str
    stage_name: str
    action_name: str
    pipeline_execution_id: str
    action_execution_id: str
    continuation_token: str | None
    hand_outs: int
    created_at: float
    acknowledged_at: float | None
    ended_at: float | None

    @classmethod
    def of(cls, job: Job) -> JobSnapshot:
        """Take the snapshot."""
        action = job.action
        return cls(
            job_id=job.job_id,
            client_id=job.client_id,
            status=job.status.value,
            pipeline_name=action.pipeline.name,
            stage_name=action.stage_name,
            action_name=action.action.name,
            pipeline_execution_id=action.execution.pipeline_execution_id,
            action_execution_id=action.action_execution_id,
            continuation_token=job.continuation_token,
            hand_outs=job.hand_outs,
            created_at=job.created_at,
            acknowledged_at=job.acknowledged_at,
            ended_at=job.ended_at,
        )


class JobQueue:
    """
    The jobs of one action type, or with one value of its queryable property.

    First in, first out; the cost of a poll does not grow with their number.
    """

    def __init__(self) -> None:
        self._count = itertools.count()
        self._place: dict[str, int] = {}
        self._waiting: list[tuple[int, int, Job]] = []
        # Handed out, and neither ended nor back in the queue.
        self._out: dict[str, Job] = {}

    def add(self, job: Job) -> None:
        """Add a job. One that comes back keeps its former place, before younger ones."""
        self._out.pop(job.job_id, None)
        place = self._place.setdefault(job.job_id, next(self._count))
        heapq.heappush(self._waiting, (place, next(self._count), job))

    def take(self, limit: int) -> list[Job]:
        """Take up to ``limit`` waiting jobs, the oldest first."""
        taken: list[Job] = []
        while self._waiting and len(taken) < limit:
            job = heapq.heappop(self._waiting)[2]
            # A job that was acknowledged or has ended while it waited is dropped only now.
            if job.job_id not in self._out and job.after(JobEvent.HAND_OUT) is not None:
                self._out[job.job_id] = job
                taken.append(job)
        return taken

    def handed_out(self, in_progress: bool) -> list[Job]:
        """
        Return the jobs that are handed out, in the order in which they were.

        :param in_progress: Whether to include those that were acknowledged.
        """
        jobs = self._out.values()
        return [job for job in jobs if in_progress or job.status is JobStatus.DISPATCHED]

    def acknowledged(self, job: Job) -> None:
        """Note that a job was acknowledged, possibly after its lease lapsed."""
        self._out[job.job_id] = job

    def remove(self, job: Job) -> None:
        """Forget a job that ended."""
        self._out.pop(job.job_id, None)
        self._place.pop(job.job_id, None)


def new_nonce() -> str:
    """Return a nonce: AWS says "a system-generated random number"."""
    return str(secrets.randbelow(10**18))
