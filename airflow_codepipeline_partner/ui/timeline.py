# SPDX-License-Identifier: Apache-2.0
"""
The history of an action in a run, made from its records: one job, and the next jobs that followed it. Pure.

Of each kind of record the newest one is there: a claim's record is written anew for each next job. What it
replaced is known as far as the claim's record lists it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from airflow_codepipeline_partner.ui.job_row import JobRow, JobState, percentage, read_time

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class TimelineEntry:
    """
    One thing that happened to an action's jobs.

    :param kind: ``offered``, ``claimed``, ``progress``, ``result``, ``failure`` or ``task``.
    :param at: When it was recorded, or None.
    :param title: What happened.
    :param text: What the customer reads of it, or why; None if there is nothing.
    :param percent: How much of the work was done, or None.
    :param job_id: The job, or None.
    :param task_id: The task that it concerns, or None.
    :param map_index: That task's map index.
    """

    kind: str
    at: datetime | None
    title: str
    text: str | None = None
    percent: int | None = None
    job_id: str | None = None
    task_id: str | None = None
    map_index: int = -1


@dataclass(frozen=True)
class TaskEnd:
    """
    How a task of a job's run ended without success, or what it recorded of that.

    :param task_id: The task.
    :param map_index: Its map index.
    :param state: Its state, in Airflow's words.
    :param ended_at: When it ended, or None.
    :param failure: The failure that it recorded, or None.
    """

    task_id: str
    map_index: int
    state: str
    ended_at: datetime | None
    failure: Any = None


_CLAIMS: Mapping[JobState | None, str] = {
    JobState.CLAIMING: "The acknowledgement is on its way",
    JobState.UNKNOWN: "The answer to the acknowledgement was lost",
    JobState.LOST: "Another worker has the job",
    JobState.REFUSED: "The claim was refused",
}
_RESULTS: Mapping[JobState, str] = {
    JobState.SUCCEEDED: "Success was reported",
    JobState.FAILED: "Failure was reported",
    JobState.NEXT_JOB: "Progress was reported; the next job is awaited",
    JobState.CONTINUED: "The job was ended with a continuation token",
    JobState.REPORTING: "The result is chosen, and on its way",
    JobState.NOT_TAKEN: "CodePipeline took no result",
}


def timeline(
    row: JobRow,
    claim: Any,
    *,
    progress: Any = None,
    offered_at: datetime | None = None,
    tasks: Iterable[TaskEnd] = (),
) -> list[TimelineEntry]:
    """
    Return the history of a job, the oldest entry first.

    :param row: The job.
    :param claim: The record of its claim.
    :param progress: The record of the work's newest progress, or None.
    :param offered_at: When an asset's event offered it, or None if no event is known.
    :param tasks: The tasks of its run that ended without success.
    """
    entries = [*_offers(row, offered_at), *_former_jobs(claim), *_newest_job(row, progress)]
    entries += [entry for task in tasks if (entry := _entry_of(task)) is not None]
    # What has no time stays behind what came before it.
    keyed, last = [], _LONG_AGO
    for entry in entries:
        last = entry.at or last
        keyed.append((last, entry))
    return [entry for _, entry in sorted(keyed, key=lambda pair: pair[0])]


def _offers(row: JobRow, offered_at: datetime | None) -> Iterable[TimelineEntry]:
    place = row.place
    if offered_at is not None:
        yield TimelineEntry("offered", offered_at, "Offered: the event of a watcher was stored")
    if place.queued_at is not None and place.is_started_for_jobs:
        yield TimelineEntry("offered", place.queued_at, "A run was queued for it")


def _former_jobs(claim: Any) -> Iterable[TimelineEntry]:
    """Yield what is known of the action's earlier jobs in this run."""
    held = claim if isinstance(claim, Mapping) else {}
    former = held.get("former_job_ids")
    described = {job["job_id"]: job for job in _mappings(held.get("former_jobs")) if _text(job, "job_id")}
    for job_id in map(str, former if isinstance(former, list | tuple) else ()):
        job = described.get(job_id, {})
        claimed_at = read_time(_text(job, "claimed_at"))
        yield TimelineEntry("claimed", claimed_at, "Claimed", job_id=job_id)
        yield TimelineEntry(
            "progress",
            read_time(_text(job, "ended_at")),
            "Progress was reported" if job else "Progress was reported; when, and which, is not recorded",
            _text(job, "summary"),
            percentage(job.get("percent")),
            job_id=job_id,
        )


def _newest_job(row: JobRow, progress: Any) -> Iterable[TimelineEntry]:
    title = _CLAIMS.get(row.claim_state, "Claimed")
    yield TimelineEntry("claimed", row.claimed_at, title, job_id=row.job_id, task_id=row.place.task_id)
    if row.progress_at is not None:
        said = _text(progress, "summary")
        percent = percentage(progress.get("percent"))
        yield TimelineEntry(
            "progress", row.progress_at, "Newest progress of the work", said, percent, row.job_id
        )
    said = _RESULTS.get(row.state)
    if said is not None:
        kind = "progress" if row.state is JobState.NEXT_JOB else "result"
        text = f"{row.failure_type}: {row.text}" if row.failure_type and row.text else row.text
        yield TimelineEntry(kind, row.ended_at, said, text, row.percent, row.job_id)
    elif row.state is JobState.NO_RESULT:
        yield TimelineEntry("result", None, "The run has ended, and no result of the job is recorded")


def _entry_of(task: TaskEnd) -> TimelineEntry | None:
    """Return the entry of a task that did not succeed: with its reason, if it recorded one."""
    message, kind = _text(task.failure, "message"), _text(task.failure, "type")
    if message is not None:
        text = f"{kind}: {message}" if kind else message
        found = TimelineEntry("failure", task.ended_at, "A task failed, and recorded why", text)
    elif task.state in ("failed", "upstream_failed"):
        found = TimelineEntry("task", task.ended_at, f"A task ended as {task.state}")
    else:
        return None
    return replace(found, task_id=task.task_id, map_index=task.map_index)


def _mappings(value: Any) -> Iterable[Mapping[str, Any]]:
    return (each for each in value if isinstance(each, Mapping)) if isinstance(value, list | tuple) else ()


def _text(value: Any, name: str) -> str | None:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) and found else None
