# SPDX-License-Identifier: Apache-2.0
"""What Airflow's database says, read only, and in none of the ways that a task would need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from airflow_codepipeline_partner._worker.job_runs import RUN_ID_PREFIX
from airflow_codepipeline_partner._worker.record_values import RecordValues, json_text
from airflow_codepipeline_partner._worker.records import (
    CERTAIN_CLAIM_KEY,
    CLAIM_KEY,
    NEXT_CLAIM_KEY,
    RESULT_KEY,
)
from airflow_codepipeline_partner.doctor.examination import Shared
from airflow_codepipeline_partner.doctor.findings import CannotCheck
from airflow_codepipeline_partner.provider_info import CLIENT_CONN_TYPE

T = TypeVar("T")

#: Of how long ago runs are looked at that have ended.
RECENT = timedelta(days=1)
#: The most records that are read.
MAX_RECORDS = 20_000
#: How the keys of the records of claims begin.
CLAIM_KEYS = (CLAIM_KEY, CERTAIN_CLAIM_KEY, NEXT_CLAIM_KEY)


@dataclass(frozen=True)
class StoredRecord:
    """
    An XCom of a task that has to do with a job.

    :param dag_id: The DAG.
    :param run_id: Its run.
    :param task_id: The task.
    :param key: The XCom's key.
    :param value: Its value, as the task pushed it; None if there is none, or if it cannot be read.
    :param fault: Why the value cannot be read, or None.
    """

    dag_id: str
    run_id: str
    task_id: str
    key: str
    value: Any
    fault: str | None = None


@dataclass(frozen=True)
class StoredRecords:
    """
    The records of some runs.

    :param all: The records, the newest first.
    :param is_complete: Whether there are no more of them.
    """

    all: list[StoredRecord]
    is_complete: bool = True


class AirflowDatabase:
    """
    Read Airflow's database.

    :param limit: How long the first attempt may take, in seconds.
    """

    def __init__(self, limit: float) -> None:
        self._ready = Shared(self._look, limit)

    def is_there(self) -> bool:
        """
        Return that the database can be read, and has Airflow's tables.

        :raises CannotCheck: It cannot, or has none.
        """
        return self._ready.get()

    def health(self) -> Mapping[str, Any]:
        """Return the health of Airflow's components, as its API server says it."""

        def look(session: Any) -> Mapping[str, Any]:
            from airflow.api.common.airflow_health import get_airflow_health

            return get_airflow_health()

        health = self._read(look)
        if health["metadatabase"]["status"] != "healthy":
            raise _no_database("the heartbeats could not be read")
        return health

    def client_connections(self) -> list[tuple[str, str]]:
        """Return id and login of each connection of a client."""

        def look(session: Any) -> list[tuple[str, str]]:
            from airflow.models.connection import Connection
            from sqlalchemy import select

            found = select(Connection.conn_id, Connection.login).where(
                Connection.conn_type == CLIENT_CONN_TYPE
            )
            return [
                (conn_id, login or "")
                for conn_id, login in session.execute(found.order_by(Connection.conn_id))
            ]

        return self._read(look)

    def serialized_dags(self) -> dict[str, Mapping[str, Any] | None]:
        """Return the newest serialized form of each DAG that Airflow still has; None if it is unreadable."""

        def look(session: Any) -> dict[str, Mapping[str, Any] | None]:
            from airflow.models.dag import DagModel
            from airflow.models.serialized_dag import SerializedDagModel as Stored
            from sqlalchemy import select

            active = select(DagModel.dag_id).where(DagModel.is_stale.is_(False))
            newest: dict[str, Mapping[str, Any] | None] = {}
            for row in session.scalars(
                select(Stored).where(Stored.dag_id.in_(active)).order_by(Stored.last_updated)
            ):
                newest[row.dag_id] = _dag_in(row)
            return newest

        return self._read(look)

    def files_that_we_refuse(self) -> list[str]:
        """Return the DAG files that cannot be imported because this package refuses what they do."""

        def look(session: Any) -> list[str]:
            from airflow.models.errors import ParseImportError
            from sqlalchemy import select

            # A traceback names the error's class at the beginning of a line.
            ours = ParseImportError.stacktrace.contains("\nairflow_codepipeline_partner.")
            found = session.scalars(select(ParseImportError.filename).where(ours))
            return sorted({name for name in found if name})

        return self._read(look)

    def records_of_paused_dags(self) -> StoredRecords:
        """Return the records of runs that have not ended, and whose DAG is paused."""

        def look(session: Any) -> StoredRecords:
            from airflow.models.dag import DagModel
            from airflow.models.dagrun import DagRun

            paused = DagRun.dag_id.in_(_select_ids(DagModel.is_paused.is_(True)))
            return _records(session, DagRun.state.in_(("queued", "running")), paused)

        return self._read(look)

    def paused_dags(self) -> set[str]:
        """Return the DAGs that are paused."""

        def look(session: Any) -> set[str]:
            from airflow.models.dag import DagModel

            return set(
                session.scalars(_select_ids(DagModel.is_paused.is_(True), DagModel.is_stale.is_(False)))
            )

        return self._read(look)

    def queued_runs_of_paused_dags(self) -> dict[str, int]:
        """Return how many runs that ``dispatch_jobs`` started wait for a paused DAG: DAG → number."""

        def look(session: Any) -> dict[str, int]:
            from airflow.models.dag import DagModel
            from airflow.models.dagrun import DagRun
            from sqlalchemy import func, select

            found = (
                select(DagRun.dag_id, func.count())
                .where(
                    DagRun.state == "queued",
                    DagRun.run_id.startswith(RUN_ID_PREFIX, autoescape=True),
                    DagRun.dag_id.in_(
                        _select_ids(DagModel.is_paused.is_(True), DagModel.is_stale.is_(False))
                    ),
                )
                .group_by(DagRun.dag_id)
            )
            return {dag_id: number for dag_id, number in session.execute(found)}

        return self._read(look)

    def records_of_ended_runs(self) -> StoredRecords:
        """Return the records of the runs that have ended lately."""

        def look(session: Any) -> StoredRecords:
            from airflow.models.dagrun import DagRun

            since = datetime.now(UTC) - RECENT
            return _records(session, DagRun.state.in_(("success", "failed")), DagRun.end_date > since)

        return self._read(look)

    def _read(self, look: Callable[[Any], T]) -> T:
        self.is_there()
        return _in_session(look)

    def _look(self) -> bool:
        def look(session: Any) -> bool:
            from airflow.models.dagrun import DagRun
            from sqlalchemy import select

            session.execute(select(DagRun.id).limit(1)).first()
            return True

        return _in_session(look)


def _in_session(look: Callable[[Any], T]) -> T:
    from airflow.utils.session import create_session
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with create_session() as session:
            return look(session)
    except SQLAlchemyError as error:
        # By its name only: its text may hold the database's URL.
        why = _no_database(type(error).__name__)
    raise why


def _no_database(why: str) -> CannotCheck:
    return CannotCheck(
        f"Airflow's database could not be read ({why}).",
        "Run it where the scheduler runs, with its settings; run airflow db migrate if there are no tables.",
    )


def _dag_in(row: Any) -> Mapping[str, Any] | None:
    try:
        dag = row.data["dag"]
    except Exception:
        # Of whatever kind: it may be of another version, or broken. The other DAGs can be read.
        return None
    return dag if isinstance(dag, Mapping) else None


def _select_ids(*conditions: Any) -> Any:
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    return select(DagModel.dag_id).where(*conditions)


def _records(session: Any, *conditions: Any) -> StoredRecords:
    from airflow.models.dagrun import DagRun
    from airflow.models.xcom import XComModel as Stored
    from sqlalchemy import or_, select

    found = session.execute(
        select(Stored.dag_id, Stored.run_id, Stored.task_id, Stored.key, json_text(Stored.value))
        .join(DagRun, DagRun.id == Stored.dag_run_id)
        .where(
            or_(*(Stored.key.startswith(key, autoescape=True) for key in (*CLAIM_KEYS, RESULT_KEY))),
            *conditions,
        )
        .order_by(Stored.timestamp.desc())
        .limit(MAX_RECORDS + 1)
    ).all()
    values = RecordValues()
    records = [
        StoredRecord(dag_id, run_id, task_id, key, *values.read_text(key, value))
        for dag_id, run_id, task_id, key, value in found[:MAX_RECORDS]
    ]
    return StoredRecords(records, is_complete=len(found) <= MAX_RECORDS)
