# SPDX-License-Identifier: Apache-2.0
"""
What Airflow's database shows of the polls: triggers, their triggerers, and the events of watchers.

The polls themselves are known to the triggerer's process only.
"""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from airflow.jobs.job import Job
from airflow.models import asset as assets
from airflow.models.asset import AssetEvent, AssetModel, DagScheduleAssetReference
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from sqlalchemy import or_, select
from sqlalchemy.orm import Session, lazyload

from airflow_codepipeline_partner._polling.poll_notes import POLLS_KEY
from airflow_codepipeline_partner._trigger_arguments import decoded
from airflow_codepipeline_partner.ui.activity import HOURS, Polling
from airflow_codepipeline_partner.ui.job_queries import offered_job_ids
from airflow_codepipeline_partner.ui.job_row import action_type_text, read_time

#: Which trigger watches which asset: a model since Airflow 3.2, a plain table before.
_WATCHERS: Any = (
    assets.AssetWatcherModel.__table__
    if hasattr(assets, "AssetWatcherModel")
    else vars(assets)["asset_trigger_association_table"]
)
#: Where a watched asset's store lies, from Airflow 3.3 on.
try:
    _Stored: Any = importlib.import_module("airflow.models.asset_state_store").AssetStateStoreModel
except ImportError:
    _Stored = None
_PREFIX = "airflow_codepipeline_partner.triggers."
JOB_TRIGGERS = (f"{_PREFIX}CodePipelineJobTrigger", f"{_PREFIX}CodePipelineContinuationTrigger")
EXECUTION_TRIGGERS = (f"{_PREFIX}CodePipelineExecutionTrigger",)
#: Most triggers and events that one look reads: their arguments are encrypted, one by one.
MAX_TRIGGERS, MAX_EVENTS = 200, 300


def dag_ids_with_triggers(session: Session) -> set[str]:
    """Return the DAGs whose tasks wait in triggers of this package, or that its watchers start."""
    waiting = (
        select(TaskInstance.dag_id)
        .join(Trigger, Trigger.id == TaskInstance.trigger_id)
        .where(Trigger.classpath.in_((*JOB_TRIGGERS, *EXECUTION_TRIGGERS)))
    )
    started = (
        select(DagScheduleAssetReference.dag_id)
        .join(_WATCHERS, _WATCHERS.c.asset_id == DagScheduleAssetReference.asset_id)
        .join(Trigger, Trigger.id == _WATCHERS.c.trigger_id)
        .where(Trigger.classpath.in_(JOB_TRIGGERS))
    )
    return set(session.scalars(waiting.union(started)))


@dataclass
class _Found:
    waiting: int = 0
    asset_ids: set[int] = field(default_factory=set)
    watchers: set[str] = field(default_factory=set)
    seen: list[datetime] = field(default_factory=list)
    without: int = 0


def read_pollings(
    session: Session, dag_ids: Collection[str], now: datetime, may_read_asset: Callable[[int], bool]
) -> dict[str, Polling]:
    """
    Return what is known of the polls, for each action type.

    :param session: The session.
    :param dag_ids: The DAGs that may be read.
    :param now: The time.
    :param may_read_asset: Whether an asset, by its number, and its events may be read.
    """
    found: dict[str, _Found] = defaultdict(_Found)
    for trigger, heartbeat, is_waiting, watched in _triggers(session, dag_ids, may_read_asset):
        action_type = _action_type_of(trigger)
        if action_type is None:
            continue
        held = found[action_type]
        held.waiting += is_waiting
        for asset_id, name in watched:
            held.asset_ids.add(asset_id)
            held.watchers.add(name)
        if heartbeat is not None:
            held.seen.append(heartbeat)
        held.without += trigger.triggerer_id is None
    asset_ids = {each for held in found.values() for each in held.asset_ids}
    offers, notes = _offers(session, asset_ids, now), _notes(session, asset_ids)
    return {name: replace(_polling(held, offers), **notes.get(name, {})) for name, held in found.items()}


def _polling(held: _Found, offers: dict[int, list[tuple[datetime, set[str]]]]) -> Polling:
    events = [event for asset_id in held.asset_ids for event in offers.get(asset_id, ())]
    jobs = {job_id for _, ids in events for job_id in ids}
    return Polling(
        held.waiting,
        tuple(sorted(held.watchers)),
        max(held.seen, default=None),
        held.without,
        len(jobs) if held.watchers else None,
        max((at for at, _ in events), default=None),
    )


def _triggers(
    session: Session, dag_ids: Collection[str], may_read_asset: Callable[[int], bool]
) -> Iterable[tuple[Trigger, datetime | None, bool, list[tuple[int, str]]]]:
    """Yield the newest triggers that wait for jobs: for a task or an asset of DAGs that may be read."""
    newest = (
        select(Trigger, Job.latest_heartbeat, TaskInstance.dag_id)
        .outerjoin(Job, Job.id == Trigger.triggerer_id)
        .outerjoin(TaskInstance, TaskInstance.trigger_id == Trigger.id)
        .where(Trigger.classpath.in_(JOB_TRIGGERS))
        .where(or_(TaskInstance.dag_id.is_(None), TaskInstance.dag_id.in_(dag_ids)))
        .order_by(Trigger.id.desc())
        .limit(MAX_TRIGGERS)
        .options(lazyload("*"))
    )
    # Without a task there is no DAG.
    rows: Sequence[Any] = session.execute(newest).all()
    watched = _assets_of(session, [trigger.id for trigger, _, dag_id in rows if dag_id is None], dag_ids)
    readable = {number for number in _numbers(watched) if may_read_asset(number)}
    for trigger, heartbeat, dag_id in rows:
        here = [(number, name) for number, name in watched.get(trigger.id, ()) if number in readable]
        if dag_id is not None or here:
            yield trigger, heartbeat, dag_id is not None, here


def _numbers(watched: Mapping[int, Iterable[tuple[int, str]]]) -> set[int]:
    return {number for held in watched.values() for number, _ in held}


def _assets_of(
    session: Session, trigger_ids: Collection[int], dag_ids: Collection[str]
) -> dict[int, list[tuple[int, str]]]:
    """Return the assets that triggers watch, and that start DAGs which may be read."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    if not trigger_ids:
        return found
    may_read = select(DagScheduleAssetReference.asset_id).where(DagScheduleAssetReference.dag_id.in_(dag_ids))
    statement = (
        select(_WATCHERS.c.trigger_id, AssetModel.id, AssetModel.name)
        .join(AssetModel, AssetModel.id == _WATCHERS.c.asset_id)
        .where(_WATCHERS.c.trigger_id.in_(trigger_ids), AssetModel.id.in_(may_read))
    )
    for trigger_id, asset_id, name in session.execute(statement):
        found[trigger_id].append((asset_id, name))
    return found


def _action_type_of(trigger: Trigger) -> str | None:
    """Return the action type that a trigger waits for; nothing else of its arguments is looked at."""
    try:
        held = decoded(trigger.kwargs.get("action_type"))
    except Exception:
        # Of whatever kind: the key may have changed with which Airflow encrypted them.
        return None
    return action_type_text(held) if isinstance(held, dict) else None


def _offers(
    session: Session, asset_ids: Collection[int], now: datetime
) -> dict[int, list[tuple[datetime, set[str]]]]:
    """Return the newest events of some assets: when, and which jobs they offer."""
    found: dict[int, list[tuple[datetime, set[str]]]] = defaultdict(list)
    if not asset_ids:
        return found
    statement = (
        select(AssetEvent.asset_id, AssetEvent.timestamp, AssetEvent.extra)
        .where(AssetEvent.asset_id.in_(asset_ids), AssetEvent.timestamp > now - timedelta(hours=HOURS))
        .order_by(AssetEvent.timestamp.desc())
        .limit(MAX_EVENTS)
    )
    for asset_id, at, extra in session.execute(statement):
        found[asset_id].append((at, set(offered_job_ids(extra))))
    return found


def _notes(session: Session, asset_ids: Collection[int]) -> dict[str, dict[str, Any]]:
    """Return what watchers noted of their polls, for each action type, from Airflow 3.3.2 on."""
    if not asset_ids or _Stored is None:
        return {}
    statement = (
        select(_Stored.key, _Stored.value)
        .where(_Stored.asset_id.in_(asset_ids), _Stored.key.startswith(POLLS_KEY, autoescape=True))
        .order_by(_Stored.updated_at)
        .limit(MAX_TRIGGERS)
    )
    found = {}
    for key, text in session.execute(statement):
        try:
            held = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(held, dict):
            # Several assets: the newest one counts, which comes last.
            found[key.removeprefix(POLLS_KEY)] = {
                "polled_at": read_time(held.get("polled_at")),
                "error": held["error"] if isinstance(held.get("error"), str) else None,
                "error_at": read_time(held.get("error_at")),
            }
    return found
