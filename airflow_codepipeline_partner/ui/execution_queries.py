# SPDX-License-Identifier: Apache-2.0
"""The executions of pipelines that tasks started, or waited for: going on, or ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from sqlalchemy import and_, select
from sqlalchemy.orm import Session, aliased, lazyload

from airflow_codepipeline_partner._worker.record_values import RecordValues, json_text
from airflow_codepipeline_partner.links import CONSOLE_DOMAINS
from airflow_codepipeline_partner.ui.job_row import Place
from airflow_codepipeline_partner.ui.json_values import ValidJson
from airflow_codepipeline_partner.ui.polling_queries import EXECUTION_TRIGGERS, MAX_TRIGGERS
from airflow_codepipeline_partner.ui.record_queries import place_columns, place_of

#: As ``_execution_wait.py`` writes it; that module makes operators' hooks, which no page needs.
EXECUTION_KEY = "pipeline_execution"
#: Under this key Airflow keeps the link of a task to its execution.
LINK_KEY = "_link_CodePipelineExecutionLink"
#: Executions on one page, which are read in full.
PAGE_SIZE = 50
#: Status in CodePipeline → symbol and tone.
_TONES = {
    "Succeeded": ("✓", "good"),
    "InProgress": ("▶", "busy"),
    "Waiting": ("…", "busy"),
    "Stopping": ("…", "busy"),
    "Superseded": ("–", "quiet"),
}


@dataclass(frozen=True)
class ExecutionRow:
    """
    What the page shows of an execution.

    :param place: The task that started it, or waited for it.
    :param pipeline_name: The pipeline, or None.
    :param execution_id: The execution, or None.
    :param status: Its status in CodePipeline, or ``Waiting`` while the task waits for its end.
    :param text: Why it has this status, or None.
    :param at: When this was recorded, or the task began to wait.
    :param console_url: The execution in the AWS console, or None.
    :param fault: What cannot be read, or None.
    """

    place: Place
    pipeline_name: str | None = None
    execution_id: str | None = None
    status: str = "Unknown"
    text: str | None = None
    at: datetime | None = None
    console_url: str | None = None
    fault: str | None = None

    @property
    def symbol(self) -> str:
        """A sign beside the status."""
        return _TONES.get(self.status, ("✗", "bad"))[0]

    @property
    def tone(self) -> str:
        """How the status is coloured."""
        return _TONES.get(self.status, ("✗", "bad"))[1]


def execution_row(
    place: Place, value: Any, at: datetime | None = None, *, link: Any = None, fault: str | None = None
) -> ExecutionRow:
    """
    Return what the page shows of an execution that has ended.

    :param place: Its task.
    :param value: The record that the task left.
    :param at: When it did.
    :param link: The link to the execution that the task found.
    :param fault: What cannot be read, or None.
    """
    held = value if isinstance(value, Mapping) else {}
    name, execution_id = held.get("pipeline_name"), held.get("pipeline_execution_id")
    if not isinstance(name, str) or not isinstance(execution_id, str):
        return ExecutionRow(place, at=at, fault=fault or "The record names no execution.")
    failed = held.get("failed_actions")
    actions = [each for each in failed if isinstance(each, Mapping)] if isinstance(failed, list) else []
    said = [str(held.get("status_summary") or ""), *map(_of_action, actions)]
    status = str(held.get("status") or "Unknown")
    text = "\n".join(filter(None, said)) or None
    return ExecutionRow(place, name, execution_id, status, text, at, console_address(link))


def _of_action(action: Mapping[str, Any]) -> str:
    where = f"{action.get('stage_name', '?')} / {action.get('action_name', '?')}"
    why = action.get("error_message") or action.get("summary") or action.get("error_code") or ""
    return f"{where}: {why}"


def console_address(link: Any) -> str | None:
    """Return an address if it is one of the AWS console; a link in XCom may have been written by anybody."""
    if not isinstance(link, str):
        return None
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    host = parts.hostname or ""
    is_console = any(host == domain or host.endswith(f".{domain}") for domain in CONSOLE_DOMAINS.values())
    return link if parts.scheme == "https" and is_console else None


def read_ended(
    session: Session,
    dag_ids: Collection[str],
    values: RecordValues,
    *,
    before: int | None = None,
    run: tuple[str, str] | None = None,
) -> tuple[list[ExecutionRow], int | None]:
    """
    Return the newest executions that have ended, and the cursor of those before.

    :param session: The session.
    :param dag_ids: The DAGs that may be read.
    :param values: Reads the values.
    :param before: Only those of runs with a lower number than this.
    :param run: Only those of this run: its DAG and its id.
    """
    if not dag_ids:
        return [], None
    held, link = aliased(XComModel), aliased(XComModel)
    same_task = and_(
        link.dag_run_id == held.dag_run_id,
        link.task_id == held.task_id,
        link.map_index == held.map_index,
        link.key == LINK_KEY,
    )
    statement = (
        select(*place_columns(held), json_text(held.value), held.timestamp, ValidJson(link.value))
        .join(DagRun, DagRun.id == held.dag_run_id)
        .outerjoin(DagModel, DagModel.dag_id == held.dag_id)
        .outerjoin(link, same_task)
        .where(held.key == EXECUTION_KEY, held.dag_id.in_(dag_ids))
        .order_by(held.dag_run_id.desc(), held.task_id.desc(), held.map_index.desc())
        .limit(PAGE_SIZE + 1)
    )
    if before is not None:
        statement = statement.where(held.dag_run_id < before)
    if run is not None:
        statement = statement.where(held.dag_id == run[0], held.run_id == run[1])
    rows = []
    for *place, value, at, address in session.execute(statement):
        record, fault = values.read_text(EXECUTION_KEY, value)
        rows.append(execution_row(place_of(place), record, at, link=address, fault=fault))
    if len(rows) <= PAGE_SIZE:
        return rows, None
    edge = rows[PAGE_SIZE].place.dag_run_id
    whole = [row for row in rows[:PAGE_SIZE] if row.place.dag_run_id != edge]
    return (whole, edge + 1) if whole else (rows[:PAGE_SIZE], edge)


def read_waiting(
    session: Session, dag_ids: Collection[str], *, run: tuple[str, str] | None = None
) -> list[ExecutionRow]:
    """
    Return the executions that deferred tasks wait for, by their triggers.

    :param session: The session.
    :param dag_ids: The DAGs that may be read.
    :param run: Only those of this run: its DAG and its id.
    """
    if not dag_ids:
        return []
    task = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)
    statement = (
        select(Trigger, DagRun.id, *task, DagRun.state, DagRun.run_type, DagRun.queued_at, DagModel.is_stale)
        .join(TaskInstance, TaskInstance.trigger_id == Trigger.id)
        .join(DagRun, and_(DagRun.dag_id == TaskInstance.dag_id, DagRun.run_id == TaskInstance.run_id))
        .outerjoin(DagModel, DagModel.dag_id == TaskInstance.dag_id)
        .where(Trigger.classpath.in_(EXECUTION_TRIGGERS), TaskInstance.dag_id.in_(dag_ids))
        .order_by(Trigger.id.desc())
        .limit(MAX_TRIGGERS)
        .options(lazyload("*"))
    )
    if run is not None:
        statement = statement.where(TaskInstance.dag_id == run[0], TaskInstance.run_id == run[1])
    return [_waiting(trigger, place_of(place)) for trigger, *place in session.execute(statement)]


def _waiting(trigger: Trigger, place: Place) -> ExecutionRow:
    try:
        arguments = trigger.kwargs
    except Exception as error:
        # Of whatever kind: the key may have changed with which Airflow encrypted them.
        said = f"The trigger's arguments cannot be read ({type(error).__name__})."
        return ExecutionRow(place, status="Waiting", at=trigger.created_date, fault=said)
    names = (arguments.get("pipeline_name"), arguments.get("execution_id"))
    name, execution_id = (each if isinstance(each, str) else None for each in names)
    return ExecutionRow(place, name, execution_id, "Waiting", at=trigger.created_date)
