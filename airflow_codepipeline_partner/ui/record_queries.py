# SPDX-License-Identifier: Apache-2.0
"""
The queries for the records of jobs, bounded however many there are.

A window of the newest claims is read in a short form: only what the list filters and counts by, which the
database takes from the JSON values. The full records are read of the jobs on one page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from sqlalchemy import and_, select, tuple_
from sqlalchemy.orm import Session, aliased

from airflow_codepipeline_partner._worker.record_values import RecordValues, json_text
from airflow_codepipeline_partner._worker.records import CLAIM_KEY, PROGRESS_KEY, RESULT_KEY
from airflow_codepipeline_partner.ui.job_row import JobRow, Place, job_row
from airflow_codepipeline_partner.ui.json_values import ValidJson

#: How many jobs one look reads in their short form.
WINDOW = 1000

#: Member of a record → its path in the JSON value.
_CLAIM_MEMBERS = (
    *("job_id", "state", "at", "client_id", "account_id", "pipeline_name", "stage_name", "action_name"),
    "action_execution_id",
)
_TYPE_MEMBERS = ("category", "owner", "provider", "version")
_RESULT_MEMBERS = ("job_id", "state", "result", "at")
#: What is read in full of the jobs on one page.
_KEYS = (CLAIM_KEY, RESULT_KEY, PROGRESS_KEY)


@dataclass(frozen=True)
class Window:
    """
    The newest jobs, in their short form.

    :param rows: The jobs, newest run first.
    :param older: The cursor of the window before, or None if there is none.
    """

    rows: list[JobRow]
    older: int | None = None


def dag_ids_with(session: Session, keys: Collection[str]) -> set[str]:
    """Return the DAGs that have a record under one of some keys."""
    found = session.scalars(select(XComModel.dag_id).where(XComModel.key.in_(keys)).distinct())
    return set(found)


def read_window(
    session: Session,
    dag_ids: Collection[str],
    *,
    before: int | None = None,
    run: tuple[str, str] | None = None,
    size: int = WINDOW,
) -> Window:
    """
    Return the newest jobs of some DAGs, in their short form.

    :param session: The session.
    :param dag_ids: The DAGs.
    :param before: Only those of runs with a lower number than this.
    :param run: Only those of this run: its DAG and its id.
    :param size: How many at most; with it come all the others of the last run.
    """
    if not dag_ids:
        return Window([])
    claim, result = aliased(XComModel), aliased(XComModel)
    claimed, ended = ValidJson(claim.value), ValidJson(result.value)
    columns = [
        *(claimed[name].as_string() for name in _CLAIM_MEMBERS),
        *(claimed[("action_type", name)].as_string() for name in _TYPE_MEMBERS),
        claimed[("former_job_ids", 0)].as_string(),
        *(ended[name].as_string() for name in _RESULT_MEMBERS),
        ended[("call", "continuationToken")].as_string(),
    ]
    same_task = and_(
        result.dag_run_id == claim.dag_run_id,
        result.task_id == claim.task_id,
        result.map_index == claim.map_index,
        result.key == RESULT_KEY,
    )
    statement = (
        select(*place_columns(claim), *columns)
        .join(DagRun, DagRun.id == claim.dag_run_id)
        .outerjoin(DagModel, DagModel.dag_id == claim.dag_id)
        .outerjoin(result, same_task)
        .where(claim.key == CLAIM_KEY, claim.dag_id.in_(dag_ids))
        .order_by(claim.dag_run_id.desc(), claim.task_id.desc(), claim.map_index.desc())
        .limit(size + 1)
    )
    if before is not None:
        statement = statement.where(claim.dag_run_id < before)
    if run is not None:
        statement = statement.where(claim.dag_id == run[0], claim.run_id == run[1])
    found = [_short_row(values) for values in session.execute(statement)]
    if len(found) <= size:
        return Window(found)
    # The run at the edge is left to the window before, so that none of its jobs falls between the two.
    edge = found[size].place.dag_run_id
    whole = [row for row in found[:size] if row.place.dag_run_id != edge]
    if whole:
        return Window(whole, older=edge + 1)
    # One run with more jobs than a window holds; the others of it are on the run's own page.
    return Window(found[:size], older=edge)


def place_columns(claim: Any) -> tuple[Any, ...]:
    """Return the columns of a :class:`Place`, which :func:`place_of` reads."""
    return (
        *(claim.dag_run_id, claim.dag_id, claim.run_id, claim.task_id, claim.map_index),
        *(DagRun.state, DagRun.run_type, DagRun.queued_at, DagModel.is_stale),
    )


def place_of(values: Iterable[Any]) -> Place:
    """Return the place that a row of :func:`place_columns` describes."""
    dag_run_id, dag_id, run_id, task_id, map_index, state, run_type, queued_at, is_stale = values
    return Place(
        dag_run_id,
        dag_id,
        run_id,
        task_id,
        map_index,
        run_state=None if state is None else str(state),
        run_type=None if run_type is None else str(getattr(run_type, "value", run_type)),
        queued_at=queued_at,
        is_dag_gone=is_stale is not False,
    )


def _short_row(values: Any) -> JobRow:
    """Return the row of a job in its short form."""
    members = iter(_present(values[9:]))
    claim: dict[str, Any] = {name: next(members) for name in _CLAIM_MEMBERS}
    claim["action_type"] = {name: next(members) for name in _TYPE_MEMBERS}
    first_job_id = next(members)
    claim["former_job_ids"] = [] if first_job_id is None else [first_job_id]
    result: dict[str, Any] = {name: next(members) for name in _RESULT_MEMBERS}
    result["call"] = {"continuationToken": next(members)}
    return job_row(place_of(values[:9]), claim, result)


def _present(values: Iterable[Any]) -> list[Any]:
    # MySQL reads JSON's null as this text.
    return [None if value == "null" else value for value in values]


def read_rows(session: Session, rows: Collection[JobRow], values: RecordValues) -> list[JobRow]:
    """
    Return jobs with all that the page shows of them.

    :param session: The session.
    :param rows: Their short forms.
    :param values: Reads the values.
    """
    found = _values_of(session, rows)
    full = []
    for row in rows:
        (claim, fault), (result, result_fault), (progress, _) = (
            values.read_text(key, found.get((row.place.key, key))) for key in _KEYS
        )
        full.append(job_row(row.place, claim, result, progress=progress, fault=fault or result_fault))
    return full


def _values_of(session: Session, rows: Collection[JobRow]) -> Mapping[tuple[Any, str], str]:
    """Return the texts of some jobs' records, by their place and key."""
    if not rows:
        return {}
    columns = (XComModel.dag_run_id, XComModel.task_id, XComModel.map_index)
    found = session.execute(
        select(*columns, XComModel.key, json_text(XComModel.value)).where(
            # Alone it lets SQLite use the index.
            XComModel.dag_run_id.in_({row.place.dag_run_id for row in rows}),
            tuple_(*columns).in_([row.place.key for row in rows]),
            XComModel.key.in_(_KEYS),
        )
    )
    return {((run, task, index), key): value for run, task, index, key, value in found}
