# SPDX-License-Identifier: Apache-2.0
"""The queries for one job's own page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow.models.asset import AssetEvent
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from airflow_codepipeline_partner._worker.record_values import RecordValues, json_text
from airflow_codepipeline_partner._worker.records import CLAIM_KEY, FAILURE_KEY, PROGRESS_KEY, RESULT_KEY
from airflow_codepipeline_partner.ui.job_row import JobRow, JobState, Place, job_row
from airflow_codepipeline_partner.ui.json_values import ValidJson
from airflow_codepipeline_partner.ui.record_queries import place_columns, place_of, read_rows
from airflow_codepipeline_partner.ui.timeline import TaskEnd, TimelineEntry, timeline

#: Most tasks of a run whose ends are shown, most runs of an action, and most records of one task.
MAX_TASKS, MAX_RUNS, MAX_RECORDS = 100, 50, 100
#: An action's runs are sought among those whose numbers are so near.
_NEAR = 5_000
#: Of several records of one job's result, the one that says most comes last.
_WEIGHT = {"left": 0, "refused": 1, "intended": 2, "done": 3}


@dataclass(frozen=True)
class JobStory:
    """
    What a job's own page shows.

    :param row: The job.
    :param entries: Its history, the oldest entry first.
    :param relatives: Jobs of the same action in other runs, or claimed by other tasks.
    """

    row: JobRow
    entries: list[TimelineEntry]
    relatives: list[JobRow]


def find_place(session: Session, dag_run_id: int, task_id: str, map_index: int) -> Place | None:
    """
    Return the place of a job's records; None if there are none.

    :param session: The session.
    :param dag_run_id: The number of its DAG run.
    :param task_id: The task that claimed it.
    :param map_index: The task's map index.
    """
    statement = (
        select(*place_columns(XComModel))
        .join(DagRun, DagRun.id == XComModel.dag_run_id)
        .outerjoin(DagModel, DagModel.dag_id == XComModel.dag_id)
        .where(
            XComModel.dag_run_id == dag_run_id,
            XComModel.task_id == task_id,
            XComModel.map_index == map_index,
            XComModel.key == CLAIM_KEY,
        )
    )
    found = session.execute(statement).first()
    return None if found is None else place_of(found)


def read_story(
    session: Session,
    place: Place,
    dag_ids: Collection[str],
    values: RecordValues,
    may_read_asset: Callable[[int], bool],
) -> JobStory:
    """
    Return a job with its history.

    :param session: The session.
    :param place: Where its records are.
    :param dag_ids: The DAGs that may be read.
    :param values: Reads the values.
    :param may_read_asset: Whether an asset, by its number, and its events may be read.
    """
    claim, result, progress, fault = _records(session, place, values)
    row = job_row(place, claim, result, progress=progress, fault=fault)
    entries = timeline(
        row,
        claim,
        progress=progress,
        offered_at=_offered_at(session, row, claim, may_read_asset),
        tasks=_task_ends(session, place, values),
    )
    return JobStory(row, entries, _relatives(session, row, dag_ids, values))


def _records(session: Session, place: Place, values: RecordValues) -> tuple[Any, Any, Any, str | None]:
    """Return the records of claim, result and progress, and what cannot be read."""
    statement = (
        select(XComModel.key, json_text(XComModel.value))
        .where(
            XComModel.dag_run_id == place.dag_run_id,
            XComModel.task_id == place.task_id,
            XComModel.map_index == place.map_index,
            or_(
                XComModel.key.in_((CLAIM_KEY, PROGRESS_KEY)),
                XComModel.key.startswith(RESULT_KEY, autoescape=True),
            ),
        )
        .limit(MAX_RECORDS)
    )
    single: dict[str, Mapping[str, Any]] = {}
    results: list[Mapping[str, Any]] = []
    faults: list[str] = []
    for key, value in session.execute(statement):
        record, fault = values.read_text(key, value)
        if fault is not None:
            faults.append(fault)
        elif record is not None and key in (CLAIM_KEY, PROGRESS_KEY):
            single[key] = record
        elif record is not None:
            results.append(record)
    claim = single.get(CLAIM_KEY)
    job_id = claim.get("job_id") if claim is not None else None
    own = [record for record in results if record.get("job_id") == job_id]
    best = max(own, key=lambda record: _WEIGHT.get(str(record.get("state")), 2), default=None)
    return claim, best, single.get(PROGRESS_KEY), next(iter(faults), None)


def _offered_at(
    session: Session, row: JobRow, claim: Any, may_read_asset: Callable[[int], bool]
) -> datetime | None:
    """Return when an event of those that started the run offered the action's first job."""
    former = claim.get("former_job_ids") if isinstance(claim, Mapping) else None
    first = str(former[0]) if isinstance(former, list) and former else row.job_id
    statement = (
        select(AssetEvent.asset_id, AssetEvent.timestamp, AssetEvent.extra)
        .join(AssetEvent.created_dagruns)
        .where(DagRun.id == row.place.dag_run_id)
        .order_by(AssetEvent.timestamp)
        .limit(MAX_RECORDS)
    )
    for asset_id, at, extra in session.execute(statement):
        if first in set(offered_job_ids(extra)) and may_read_asset(asset_id):
            found: datetime = at
            return found
    return None


def offered_job_ids(extra: Any) -> Iterator[str]:
    """Yield the ids of the jobs that an event of a watcher offers."""
    payload = extra.get("payload") if isinstance(extra, Mapping) else None
    jobs = payload.get("jobs") if isinstance(payload, Mapping) else None
    for job in jobs if isinstance(jobs, list) else ():
        if isinstance(job, Mapping) and isinstance(job.get("job_id"), str):
            yield job["job_id"]


def _task_ends(session: Session, place: Place, values: RecordValues) -> list[TaskEnd]:
    """Return the tasks of the run that failed, or recorded a failure."""
    failures = session.execute(
        select(XComModel.task_id, XComModel.map_index, XComModel.timestamp, json_text(XComModel.value))
        .where(
            XComModel.dag_id == place.dag_id,
            XComModel.run_id == place.run_id,
            XComModel.key == FAILURE_KEY,
        )
        .limit(MAX_TASKS)
    )
    found = {
        (task_id, index): TaskEnd(task_id, index, "", at, values.read_text(FAILURE_KEY, value)[0])
        for task_id, index, at, value in failures
    }
    failed = session.execute(
        select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state, TaskInstance.end_date)
        .filter_by(dag_id=place.dag_id, run_id=place.run_id)
        .where(TaskInstance.state.in_(("failed", "upstream_failed")))
        .limit(MAX_TASKS)
    )
    for task_id, index, state, ended_at in failed:
        known = found.get((task_id, index), TaskEnd(task_id, index, str(state), ended_at))
        found[task_id, index] = replace(known, state=str(state), ended_at=known.ended_at or ended_at)
    # Of a mapped task, the instance of this job counts.
    many = {place.map_index, -1} if place.map_index >= 0 else None
    return [end for end in found.values() if many is None or end.map_index in many]


def _relatives(session: Session, row: JobRow, dag_ids: Collection[str], values: RecordValues) -> list[JobRow]:
    """Return the jobs of the same action that were claimed elsewhere."""
    if row.action_execution_id is None or not dag_ids:
        return []
    number = row.place.dag_run_id
    statement = (
        select(*place_columns(XComModel))
        .join(DagRun, DagRun.id == XComModel.dag_run_id)
        .outerjoin(DagModel, DagModel.dag_id == XComModel.dag_id)
        .where(
            XComModel.key == CLAIM_KEY,
            XComModel.dag_id.in_(dag_ids),
            XComModel.dag_run_id.between(number - _NEAR, number + _NEAR),
            ValidJson(XComModel.value)["action_execution_id"].as_string() == row.action_execution_id,
        )
        .order_by(XComModel.dag_run_id)
        .limit(MAX_RUNS)
    )
    places = [place_of(found) for found in session.execute(statement)]
    short = [JobRow(place, JobState.UNREADABLE) for place in places if place.key != row.place.key]
    return read_rows(session, short, values)
