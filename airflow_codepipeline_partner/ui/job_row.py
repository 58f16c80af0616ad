# SPDX-License-Identifier: Apache-2.0
"""
What the page shows of one job, made from its records. Pure: no database, no clock.

A row takes only what it names from a record. So nothing else that a record may hold, such as a nonce or a
continuation token, can reach a page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner.links import execution_url, pipeline_url

#: No job's timeout is longer; what a job's own timeout is, no API says.
#: Source: ActionTypeExecutor.jobTimeout, CodePipeline API 2015-07-09.
MAX_JOB_TIMEOUT = timedelta(hours=12)
#: States of a run that may still send a result.
_LIVING_RUNS = ("queued", "running")


class JobState(StrEnum):
    """What became of a job, as the page filters by it."""

    CLAIMING = "claiming"
    IN_PROGRESS = "in-progress"
    NEXT_JOB = "next-job"
    REPORTING = "reporting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CONTINUED = "continued"
    NO_RESULT = "no-result"
    NOT_TAKEN = "not-taken"
    UNKNOWN = "unknown"
    LOST = "lost"
    REFUSED = "refused"
    UNREADABLE = "unreadable"

    @property
    def label(self) -> str:
        """Its name for people."""
        return _LABELS[self][0]

    @property
    def symbol(self) -> str:
        """A sign beside the name, so that nobody needs the colour."""
        return _LABELS[self][1]

    @property
    def tone(self) -> str:
        """How it is coloured: ``good``, ``bad``, ``busy`` or ``quiet``."""
        return _LABELS[self][2]

    @property
    def explanation(self) -> str:
        """What it means, in a sentence."""
        return _LABELS[self][3]


_LABELS: dict[JobState, tuple[str, str, str, str]] = {
    JobState.CLAIMING: ("Being claimed", "…", "busy", "The acknowledgement is on its way."),
    JobState.IN_PROGRESS: ("In progress", "▶", "busy", "The run has claimed the job and works on it."),
    JobState.NEXT_JOB: ("Waits for next job", "↻", "busy", "The action goes on in a next job."),
    JobState.REPORTING: ("Sending result", "↑", "busy", "The result is chosen and on its way."),
    JobState.SUCCEEDED: ("Succeeded", "✓", "good", "CodePipeline has the result: success."),
    JobState.FAILED: ("Failed", "✗", "bad", "CodePipeline has the result: failure."),
    JobState.CONTINUED: ("Continued", "→", "good", "The job was ended with a continuation token."),
    JobState.NO_RESULT: (
        *("No recorded result", "?", "bad"),
        "The run has ended. A callback, or your own code, may have ended the job: neither leaves a record.",
    ),
    JobState.NOT_TAKEN: ("Result not taken", "!", "bad", "CodePipeline took no result: the job had ended."),
    JobState.UNKNOWN: ("Claim unknown", "?", "bad", "The answer to the acknowledgement was lost."),
    JobState.LOST: ("Lost", "–", "quiet", "Another worker has the job. That is no error."),
    JobState.REFUSED: ("Not claimed", "!", "bad", "Nothing was acknowledged: the claim was refused."),
    JobState.UNREADABLE: ("Record unreadable", "?", "bad", "The record of the claim cannot be read."),
}
_STATE_OF_CLAIM: dict[str, JobState] = {
    ClaimState.INTENT: JobState.CLAIMING,
    ClaimState.CLAIMED: JobState.IN_PROGRESS,
    ClaimState.LOST: JobState.LOST,
    ClaimState.REFUSED: JobState.REFUSED,
}


@dataclass(frozen=True)
class Place:
    """
    The task instance whose XCom holds a job's records.

    :param dag_run_id: The number of its DAG run in Airflow's database.
    :param dag_id: The DAG.
    :param run_id: The DAG run.
    :param task_id: The task.
    :param map_index: Its map index; -1 if it is not mapped.
    :param run_state: The state of the DAG run, or None.
    :param run_type: How the DAG run came about, in Airflow's words, or None.
    :param queued_at: When the run was queued, or None.
    :param is_dag_gone: Whether the DAG is in no file any more.
    """

    dag_run_id: int
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    run_state: str | None = None
    run_type: str | None = None
    queued_at: datetime | None = None
    is_dag_gone: bool = False

    @property
    def key(self) -> tuple[int, str, int]:
        """What its XComs are found by."""
        return self.dag_run_id, self.task_id, self.map_index

    @property
    def is_started_for_jobs(self) -> bool:
        """Whether the run was queued since jobs were offered: by an asset's event, or for one job."""
        return self.run_type == "asset_triggered" or self.run_id.startswith("codepipeline__")

    @property
    def is_alive(self) -> bool:
        """Whether its run may still send a result."""
        return self.run_state in _LIVING_RUNS


@dataclass(frozen=True)
class JobRow:
    """
    What the page shows of a job.

    :param place: Where its records are.
    :param state: What became of it.
    :param job_id: The job; of an action that went on, its newest one. None if it cannot be read.
    :param claim_state: The state of its claim alone, whatever came of the job.
    :param action_type: ``category/owner/provider/version``, or None.
    :param pipeline_name: The pipeline, or None.
    :param stage_name: The stage, or None.
    :param action_name: The action, or None.
    :param action_execution_id: What all jobs of an action share, or None.
    :param pipeline_execution_id: The pipeline's execution, or None.
    :param client_id: The customer, of a partner's job.
    :param account_id: The account, of a custom job.
    :param claimed_at: When the record of the claim was written, or None.
    :param ended_at: When the result was recorded, or None.
    :param percent: How much of the work is done, 0 to 100, or None.
    :param text: The summary or message that the customer reads, or the summary of the work so far, or None.
    :param progress_at: When a function last recorded its progress, or None.
    :param failure_type: CodePipeline's type of the failure, or None.
    :param jobs_before: How many jobs of the action came before it in this run.
    :param console_url: Its pipeline in the AWS console, if it is the account's own; else None.
    :param fault: What cannot be read, or None.
    """

    place: Place
    state: JobState
    job_id: str | None = None
    claim_state: JobState | None = None
    action_type: str | None = None
    pipeline_name: str | None = None
    stage_name: str | None = None
    action_name: str | None = None
    action_execution_id: str | None = None
    client_id: str | None = None
    account_id: str | None = None
    claimed_at: datetime | None = None
    ended_at: datetime | None = None
    percent: int | None = None
    text: str | None = None
    failure_type: str | None = None
    jobs_before: int = 0
    console_url: str | None = None
    fault: str | None = None
    progress_at: datetime | None = None
    pipeline_execution_id: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the job waits for its result."""
        return self.state in (JobState.CLAIMING, JobState.IN_PROGRESS, JobState.REPORTING, JobState.UNKNOWN)

    @property
    def wait_for_claim(self) -> timedelta | None:
        """How long the job was in Airflow before its claim; None if its records do not show it."""
        queued_at = self.place.queued_at
        if not self.place.is_started_for_jobs or self.jobs_before or not queued_at or not self.claimed_at:
            return None
        return max(self.claimed_at - queued_at, timedelta())

    def age(self, now: datetime) -> timedelta | None:
        """Return how long the job has been claimed; None if it has ended, or nobody knows."""
        if not self.is_open or self.claimed_at is None:
            return None
        return max(now - self.claimed_at, timedelta())

    def is_overdue(self, now: datetime) -> bool:
        """Return whether the job is older than the longest timeout that a job can have."""
        age = self.age(now)
        return age is not None and age > MAX_JOB_TIMEOUT


def job_row(
    place: Place, claim: Any, result: Any = None, *, progress: Any = None, fault: str | None = None
) -> JobRow:
    """
    Return what the page shows of a job.

    :param place: Where its records are.
    :param claim: The record of the claim, as far as it was read. Anything else makes a row that says so.
    :param result: The record of the result, if there is one.
    :param progress: The record of the work's newest progress, if there is one.
    :param fault: What could not be read, or None.
    """
    job_id = _text(claim, "job_id")
    if job_id is None:
        return JobRow(place, JobState.UNREADABLE, fault=fault or "The record of the claim names no job.")
    ended = result if _text(result, "job_id") == job_id else None
    working = progress if _text(progress, "job_id") == job_id else {}
    # What the result does not say, CodePipeline does not show.
    so_far = {} if _text(ended, "state") == "done" else working
    custom, region = _pipeline_of(claim)
    call = _mapping(ended, "call")
    details, failure = _mapping(call, "executionDetails"), _mapping(call, "failureDetails")
    former = claim.get("former_job_ids")
    pipeline_name, execution_id = _text(claim, "pipeline_name"), _text(claim, "pipeline_execution_id")
    return JobRow(
        place,
        job_state(claim, ended, place),
        job_id,
        _claim_state(claim),
        action_type_text(_mapping(claim, "action_type")),
        pipeline_name,
        _text(claim, "stage_name"),
        _text(claim, "action_name"),
        _text(claim, "action_execution_id"),
        client_id=_text(claim, "client_id"),
        account_id=_text(claim, "account_id"),
        claimed_at=read_time(_text(claim, "at")),
        ended_at=read_time(_text(ended, "at")),
        percent=percentage(details.get("percentComplete"), so_far.get("percent")),
        text=_text(failure, "message") or _text(details, "summary") or _text(so_far, "summary"),
        failure_type=_text(failure, "type"),
        jobs_before=len(former) if isinstance(former, list | tuple) else 0,
        console_url=_console_url(custom, region, pipeline_name, execution_id),
        fault=fault,
        progress_at=read_time(_text(working, "at")),
        pipeline_execution_id=execution_id,
    )


def job_state(claim: Mapping[str, Any], result: Any, place: Place) -> JobState:
    """
    Return what became of a job.

    :param claim: The record of its claim.
    :param result: The record of its result, or None.
    :param place: Where they are.
    """
    state, kind = _text(result, "state"), _text(result, "result")
    if state == "done":
        if kind == "continue":
            return _state_of_continued(result, place)
        return JobState.FAILED if kind == "failure" else JobState.SUCCEEDED
    if state in ("refused", "left"):
        return JobState.NOT_TAKEN
    claimed = _claim_state(claim)
    if claimed in (JobState.LOST, JobState.REFUSED):
        return claimed
    if not place.is_alive and place.run_state is not None:
        return JobState.NO_RESULT
    # Also of a state of a later version: the result may have been sent.
    return claimed if state is None else JobState.REPORTING


def _claim_state(claim: Mapping[str, Any]) -> JobState:
    """Return the state of a claim alone; a state of a later version counts as unknown."""
    return _STATE_OF_CLAIM.get(str(claim.get("state")), JobState.UNKNOWN)


def _state_of_continued(result: Any, place: Place) -> JobState:
    """Return the state of a job that was ended with a token; its run may wait for the next one."""
    waiting = TaskInstanceRef.from_token(_text(_mapping(result, "call"), "continuationToken"))
    is_its = waiting is not None and waiting.is_of_run(place.dag_id, place.run_id)
    return JobState.NEXT_JOB if is_its and place.is_alive else JobState.CONTINUED


def action_type_text(value: Mapping[str, Any]) -> str | None:
    """Return an action type as ``category/owner/provider/version``; None if nothing of it is there."""
    parts = [_text(value, name) for name in ("category", "owner", "provider", "version")]
    return "/".join(part or "?" for part in parts) if any(parts) else None


def read_time(value: object) -> datetime | None:
    """Return a time in a record, in UTC; None if there is none, or one that cannot be read."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        # The second at the calendar's ends.
        return None


def _text(value: Any, name: str) -> str | None:
    found = value.get(name) if _is_mapping(value) else None
    return found if isinstance(found, str) and found else None


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    found: Any = value.get(name) if _is_mapping(value) else None
    return found if _is_mapping(found) else {}


#: Asked for often, and the first is much quicker.
_MAPPINGS = (dict, Mapping)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, _MAPPINGS)


def percentage(*values: Any) -> int | None:
    """Return the first of some values that is a number, as a percentage."""
    for value in values:
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            # The bounds first: an infinite number has no int.
            return int(min(max(value, 0), 100))
    return None


def _pipeline_of(claim: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return partition and region of a custom job's pipeline; a partner's job names none."""
    parts = (_text(claim, "pipeline_arn") or "").split(":")
    return (parts[1], parts[3]) if len(parts) >= 6 and parts[0] == "arn" else (None, None)


def _console_url(
    partition: str | None, region: str | None, pipeline: str | None, execution: str | None
) -> str | None:
    if not partition or not region or not pipeline:
        return None
    if execution:
        return execution_url(partition, region, pipeline, execution) or None
    return pipeline_url(partition, region, pipeline) or None
