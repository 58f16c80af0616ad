# SPDX-License-Identifier: Apache-2.0
"""
The shape of the records of a claim and of its result.

They are stored in the XCom of the task instance that claimed. Airflow clears a task's own XCom when the task
is retried. If claim, work and report are separate tasks, the claim does not run again during the work, so its
records outlive a retry, or a death, of the task that reports. A task that does all three keeps a second copy,
see :mod:`~airflow_codepipeline_partner._worker.copies`.

The finishing task and the callback read these records, never the claim's return value. They hold no client
token, no partner's nonce, no credential, and no configuration value except the one that custom jobs were
polled with, which is no secret.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self, TypeVar

from airflow_codepipeline_partner._protocol.choices import UNKNOWN_CLAIM_CHOICES
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
from airflow_codepipeline_partner._protocol.parsing import read_mapping
from airflow_codepipeline_partner._protocol.requests import Call, result_of
from airflow_codepipeline_partner._worker.former_jobs import former_jobs_from_xcom
from airflow_codepipeline_partner.exceptions import InvalidInput

#: XCom key of the claim's record: the claimed job with ``state`` and ``at``.
CLAIM_KEY = "codepipeline_claim"
#: XCom key of the same record if the claim is certain, before Airflow 3.3: there a try that Airflow holds for
#: dead may still write the other one.
CERTAIN_CLAIM_KEY = "codepipeline_certain_claim"
#: XCom key of a copy of it, in the XCom of a task that claimed an action's next job.
NEXT_CLAIM_KEY = "codepipeline_next_claim"
#: XCom key of the result's record: ``state``, ``result``, ``job_id``, ``call``, ``at``.
RESULT_KEY = "codepipeline_result"
#: XCom key of a copy of it, in the XCom of a task that ends a job with its own continuation token.
CONTINUED_KEY = "codepipeline_continued"
#: XCom key, in the XCom of a task that ends jobs: it found no certain claim, and looks a last time.
LAST_LOOK_KEY = "codepipeline_last_look"
#: XCom key of the newest progress of a function that works on a job, which only the page shows: ``job_id``,
#: ``percent``, ``summary``, ``at``.
PROGRESS_KEY = "codepipeline_progress"
#: XCom key of the output artifacts that a task has uploaded, in its own XCom: job id → names.
UPLOADS_KEY = "codepipeline_uploads"
#: XCom key of a task that skipped itself.
SKIP_KEY = "codepipeline_skip"
#: XCom key of the failure that a failed task records: ``message`` and ``type``, as in the failure result.
FAILURE_KEY = "codepipeline_failure"
#: The value of ``RESULT_KEY`` if there is no result yet, or none any more.
NO_RESULT: Mapping[str, Any] = {"job_id": None}
ResultState = Literal["intended", "done", "refused", "left"]
#: Result → the status of a job that ended with it.
STATUS_OF = {"success": "Succeeded", "continue": "Succeeded", "failure": "Failed"}

#: What is needed of a job to end it, beside its action type.
_NEEDED = ("job_id", "client_id", "nonce", "certain", "continuation_token")

log = logging.getLogger(__name__)

Record = TypeVar("Record")


def _read_time(value: object) -> datetime:
    """Return the time of a record; now if it is no time."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        return datetime.now(UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def readable(read: Callable[[Any], Record], value: Any, task_id: str) -> Record | None:
    """
    Return the record that a value holds; None, with a line in the log, if it cannot be read.

    :param read: What reads it.
    :param value: The value.
    :param task_id: The task in whose XCom it lies, for the log.
    """
    try:
        return read(value)
    except Exception as error:
        # Of whatever kind. The text of an error may hold anything.
        log.error("A record of the task %s cannot be read: %s.", task_id, type(error).__name__)
        return None


def _job_in(held: Mapping[str, Any]) -> ClaimedJob:
    """
    Return the job in the record of a claim.

    What only the work needs may be unreadable, or of a later version: to end the job, less is enough.

    :raises InvalidInput: It names no job, or not whose it is.
    """
    try:
        return ClaimedJob.from_value(held)
    except InvalidInput as error:
        fewer: dict[str, Any] = {name: held.get(name) for name in _NEEDED}
        kind = held.get("action_type")
        if isinstance(kind, Mapping):
            fewer["action_type"] = {
                name: kind.get(name) for name in ("category", "owner", "provider", "version")
            }
        job = ClaimedJob.from_value(fewer)
        log.error("Job %s: a part of the record of its claim is left out. %s", job.job_id, error)
        return job


@dataclass(frozen=True)
class ClaimRecord:
    """
    The state of the claim of a job.

    If an action has gone on in a new job, the record is of the newest one.

    :param state: See :class:`~airflow_codepipeline_partner._protocol.claims.ClaimState`.
    :param job: The job, with its details if they were asked for.
    :param former_job_ids: The action's earlier jobs, which this run ended with our continuation token.
    :param at: When it was written.
    :param unknown_claim: What an unknown claim counts as, by the claiming task's parameter; None in records
        of earlier versions.
    :param former_jobs: What is kept of the earlier jobs for people to read, as
        :mod:`~airflow_codepipeline_partner._worker.former_jobs` has it; none in records of earlier versions.
    """

    state: ClaimState
    job: ClaimedJob
    former_job_ids: tuple[str, ...] = ()
    at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)
    unknown_claim: str | None = None
    former_jobs: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    @classmethod
    def from_xcom(cls, value: Mapping[str, Any]) -> Self:
        """
        Return the record that an XCom value holds.

        A state that this version does not know, or none, counts as an unknown claim: the record shows that
        somebody was about to claim the job.

        :raises InvalidInput: It names no job, or not whose it is.
        """
        held = read_mapping(value, "The record of a claim")
        state = held.get("state")
        former = held.get("former_job_ids") or ()
        policy = held.get("unknown_claim")
        return cls(
            ClaimState(state) if state in list(ClaimState) else ClaimState.UNKNOWN,
            _job_in(held),
            tuple(map(str, former)) if isinstance(former, list | tuple) else (),
            _read_time(held.get("at")),
            policy if policy in UNKNOWN_CLAIM_CHOICES else None,
            former_jobs_from_xcom(held.get("former_jobs")),
        )

    @classmethod
    def from_returned(cls, value: Mapping[str, Any]) -> Self:
        """
        Return the record of a claim whose task returned the claimed job: it returns none that is not ours.

        :raises InvalidInput: The value names no job, or not whose it is.
        """
        held = read_mapping(value, "A claimed job")
        is_certain = held.get("certain") is True
        return cls(ClaimState.CLAIMED if is_certain else ClaimState.UNKNOWN, _job_in(held))

    def to_xcom(self) -> dict[str, Any]:
        """Return the XCom value."""
        return {
            **self.job.to_xcom(),
            "state": str(self.state),
            "at": self.at.isoformat(),
            **({"former_job_ids": list(self.former_job_ids)} if self.former_job_ids else {}),
            **({"former_jobs": [dict(job) for job in self.former_jobs]} if self.former_jobs else {}),
            # The default is left out, as in the records of earlier versions.
            **({"unknown_claim": self.unknown_claim} if self.unknown_claim == "leave" else {}),
        }

    @property
    def is_certain(self) -> bool:
        """Whether the job is certainly ours."""
        return self.state is ClaimState.CLAIMED

    def is_about(self, job_id: str) -> bool:
        """Return whether this is the record of a job, or of one that followed it."""
        return job_id == self.job.job_id or job_id in self.former_job_ids

    def is_of_same_job(self, other: ClaimRecord) -> bool:
        """Return whether two records are of one job."""
        return self.job.job_id == other.job.job_id

    def counts_as_ours(self, unknown_claim: str) -> bool:
        """Return whether the job is ours to end; see :meth:`ClaimState.counts_as_ours`."""
        return self.state.counts_as_ours(unknown_claim)


@dataclass(frozen=True)
class ResultRecord:
    """
    The result that a job is to get, or got.

    :param state: ``intended`` before the put, ``done`` after it; ``refused`` if the job did not take it. Most
        likely the job has ended; or its claim is unknown, it continues an action, and nobody has it. ``left``
        if an action's first job, whose claim is unknown, did not take it: it has ended, or it was never ours.
    :param job_id: The job.
    :param result: ``success``, ``continue`` or ``failure``.
    :param arguments: The arguments of the put, without the client token.
    :param at: When it was written.
    """

    state: ResultState
    job_id: str
    result: str
    arguments: Mapping[str, Any]
    at: datetime = field(default_factory=lambda: datetime.now(UTC), compare=False)

    @classmethod
    def from_xcom(cls, value: Mapping[str, Any]) -> Self:
        """
        Return the record that an XCom value holds.

        :raises InvalidInput: It is no record of a result.
        """
        held = read_mapping(value, "The record of a result")
        call = read_mapping(held.get("call"), "The call in the record of a result")
        state, result, job_id = (held.get(name) for name in ("state", "result", "job_id"))
        if not isinstance(job_id, str) or not isinstance(result, str) or result not in STATUS_OF:
            raise InvalidInput("The record of a result names no job, or no result.")
        # Whatever else the state may be: the call may have been sent.
        known: ResultState = state if state in ("done", "refused", "left") else "intended"
        fits = call.get("jobId") == job_id and ("failureDetails" in call) == (result == "failure")
        if known in ("intended", "refused") and not fits:
            # It may be sent again.
            raise InvalidInput("The call in the record of a result puts another result.")
        return cls(known, job_id, str(result), call, _read_time(held.get("at")))

    @classmethod
    def of_job(cls, job_id: str, value: Any) -> Self | None:
        """Return the record that an XCom value holds, if it is of this job and can be read; else None."""
        if not isinstance(value, Mapping) or value.get("job_id") != job_id:
            return None
        try:
            return cls.from_xcom(value)
        except Exception as error:
            # Of whatever kind: the job is to get its result.
            said = str(error) if isinstance(error, InvalidInput) else type(error).__name__
            log.error("Job %s: the record of its result is left out. %s", job_id, said)
            return None

    @classmethod
    def of_call(cls, state: ResultState, call: Call) -> Self:
        """Return the record of the call that puts a result."""
        return cls(state, call.arguments["jobId"], result_of(call), dict(call.arguments))

    def to_xcom(self) -> dict[str, Any]:
        """Return the XCom value."""
        return {
            "state": self.state,
            "result": self.result,
            "job_id": self.job_id,
            "call": self.arguments,
            "at": self.at.isoformat(),
        }

    def with_state(self, state: ResultState) -> Self:
        """Return the record of the same call in another state, written now."""
        return replace(self, state=state, at=datetime.now(UTC))

    def refused_at(self, at: datetime) -> Self:
        """Return the record of the same call, which a job refused at that time."""
        return replace(self, state="refused", at=at)

    def may_have_led_to(self, status: str | None) -> bool:
        """Return whether a job with this result may have a status; None is not known, so it may."""
        return status is None or STATUS_OF[self.result] == status

    def is_same_call(self, other: ResultRecord) -> bool:
        """Return whether two records are of one and the same call."""
        return self.result == other.result and dict(self.arguments) == dict(other.arguments)

    @property
    def awaited_by(self) -> TaskInstanceRef | None:
        """The task that our token names, which claims the next job; None for any other result."""
        return self.names if self.state in ("intended", "done") else None

    @property
    def names(self) -> TaskInstanceRef | None:
        """The task that the call's token names, whether or not the job took it; None if it is not ours."""
        return TaskInstanceRef.from_token(self.arguments.get("continuationToken"))

    def call(self, job: OfferedJob) -> Call:
        """Return the intended call, to be sent again unchanged."""
        dialect = job.dialect
        operation = dialect.failure if self.result == "failure" else dialect.success
        return Call(operation, self.arguments, job)
