# SPDX-License-Identifier: Apache-2.0
"""Which DAGs a user may see the jobs of: those of which Airflow lets them read all that a page shows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
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
    candidates = {dag_id for dag_id in dag_ids if dag_id in permitted or dag_id not in known}
    return {dag_id for dag_id in candidates if _may_read(manager, user, dag_id, dag_id in known)}


def _may_read(manager: Any, user: Any, dag_id: str, is_known: bool) -> bool:
    """Return whether a user may read all that a page shows of a DAG."""
    has_teams = conf.getboolean("core", "multi_team", fallback=False)
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id) if has_teams else None)
    entities = _ENTITIES if is_known else (None, *_ENTITIES)
    return all(
        manager.is_authorized_dag(method="GET", access_entity=entity, details=details, user=user)
        for entity in entities
    )
