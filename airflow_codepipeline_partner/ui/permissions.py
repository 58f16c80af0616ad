# SPDX-License-Identifier: Apache-2.0
"""What a user may see: the jobs of DAGs of which Airflow lets them read all that a page shows, and assets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import (
    AssetDetails,
    DagAccessEntity,
    DagDetails,
)
from airflow.configuration import conf
from airflow.models.dag import DagModel
from sqlalchemy import select
from sqlalchemy.orm import Session

#: A page shows something of each of these.
_ENTITIES = (DagAccessEntity.XCOM, DagAccessEntity.RUN, DagAccessEntity.TASK_INSTANCE)


def readable_dag_ids(session: Session, user: Any, dag_ids: Collection[str]) -> set[str]:
    """
    Return those of some DAGs that a user may see the jobs of.

    :param session: The session.
    :param user: The user.
    :param dag_ids: The DAGs.
    """
    if not dag_ids:
        return set()
    manager = get_auth_manager()
    permitted = manager.get_authorized_dag_ids(user=user, method="GET")
    known = set(session.scalars(select(DagModel.dag_id).where(DagModel.dag_id.in_(dag_ids))))
    # Airflow's own filter knows only the DAGs that are in its table.
    candidates = [dag_id for dag_id in sorted(dag_ids) if dag_id in permitted or dag_id not in known]
    requests = {dag_id: _requests(dag_id, dag_id in known) for dag_id in candidates}
    return set(_permitted(manager, user, candidates, requests))


def _requests(dag_id: str, is_known: bool) -> list[Any]:
    """Return what a user has to be allowed to see the jobs of a DAG."""
    has_teams = conf.getboolean("core", "multi_team", fallback=False)
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id) if has_teams else None)
    entities = _ENTITIES if is_known else (None, *_ENTITIES)
    return [{"method": "GET", "access_entity": entity, "details": details} for entity in entities]


def _permitted(
    manager: Any, user: Any, dag_ids: Sequence[str], requests: Mapping[str, Iterable[Any]]
) -> Iterable[str]:
    """
    Yield those of some DAGs for which all is allowed.

    An auth manager answers for many requests at once, and some have to ask a server. Most users may see all
    of the DAGs that are left here, which takes one question; else each half is asked for alone.
    """
    if not dag_ids:
        return
    if manager.batch_is_authorized_dag([each for name in dag_ids for each in requests[name]], user=user):
        yield from dag_ids
    elif len(dag_ids) > 1:
        middle = len(dag_ids) // 2
        yield from _permitted(manager, user, dag_ids[:middle], requests)
        yield from _permitted(manager, user, dag_ids[middle:], requests)


def may_read_asset(user: Any, asset_id: int) -> bool:
    """Return whether a user may see an asset and its events."""
    details = AssetDetails(id=str(asset_id))
    return bool(get_auth_manager().is_authorized_asset(method="GET", details=details, user=user))
