# SPDX-License-Identifier: Apache-2.0
"""What the tests of the doctor put in Airflow's database, and what they read in a report."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from support import CUSTOM_TYPE

TYPE = "Build/Airflow/1"
TIMES = ("_at", "run_after", "timestamp", "last_updated")


CLAIM = ("operators.claim_job", "CodePipelineClaimJobOperator")
FINISH = ("operators.finish", "CodePipelineFinishJobOperator")
PUT = ("operators.put_result", "PutJobSuccessResultOperator")


def task(task_id, kind=None, *after, **more):
    """Return a task, as Airflow stores it."""
    module = "mine" if kind is None else f"airflow_codepipeline_partner.{kind[0]}"
    fields = {
        "task_id": task_id,
        "task_type": "EmptyOperator" if kind is None else kind[1],
        "_task_module": module,
        "downstream_task_ids": list(after),
    }
    return {"__var": fields | more, "__type": "operator"}


#: The tasks of a DAG that claims a job and ends it.
CLAIM_AND_FINISH = (task("claim", CLAIM, "finish"), task("finish", FINISH))


class Rows:
    """Airflow's database, as a file."""

    def __init__(self, path):
        self.path = path

    def execute(self, statement, *values):
        with closing(sqlite3.connect(self.path)) as database, database:
            return database.execute(statement, values).fetchall()

    def add(self, table, **given):
        """Add a row, with something in each column that must have a value."""
        columns = self.execute(f"PRAGMA table_info({table})")
        needed = {name: "0" for _, name, _, not_null, default, _ in columns if not_null and default is None}
        if table != "dag":
            needed.pop("id", None)
        times = {name: str(datetime.now(UTC).replace(tzinfo=None)) for name in needed if name.endswith(TIMES)}
        row = needed | times | given
        marks = ", ".join("?" * len(row))
        columns = ", ".join(row)
        self.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", *row.values())  # noqa: S608

    def job(self, kind, age):
        beat = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=age)
        self.add("job", job_type=kind, state="running", latest_heartbeat=str(beat))

    def run(self, dag_id, *, paused=False, state="running", ended=None, number=1):
        if not self.execute("SELECT 1 FROM dag WHERE dag_id = ?", dag_id):
            self.add("dag", dag_id=dag_id, is_paused=int(paused), is_stale=0, bundle_name="b")
        end = None if ended is None else str((datetime.now(UTC) - ended).replace(tzinfo=None))
        self.add(
            "dag_run", id=number, dag_id=dag_id, run_id="r", run_type="manual", state=state, end_date=end
        )

    def dag(self, dag_id, *tasks, **more):
        """Store a DAG, as Airflow does."""
        dag = {"dag": {"tasks": list(tasks), **more}, "__version": 3}
        number = {"id": uuid4().hex, "dag_version_id": uuid4().hex}
        self.add("serialized_dag", **number, dag_id=dag_id, data=json.dumps(dag))

    def xcom(self, dag_id, key, value, number=1):
        given = {"dag_run_id": number, "task_id": "claim", "dag_id": dag_id, "run_id": "r"}
        self.add("xcom", key=key, value=json.dumps(value), map_index=-1, **given)


def dag_as_stored(dag):
    """Return a DAG as Airflow stores it."""
    try:
        from airflow.serialization.serialized_objects import DagSerialization as Serialized
    except ImportError:
        # Its name until Airflow 3.1.
        from airflow.serialization.serialized_objects import SerializedDAG as Serialized
    return Serialized.to_dict(dag)["dag"]


def claim(job_id="j1", state="claimed", **more):
    return {"job_id": job_id, "action_type": CUSTOM_TYPE, "nonce": "1", "state": state, **more}


def result(job_id="j1", state="done"):
    return {"state": state, "result": "success", "job_id": job_id, "call": {"jobId": job_id}}


def findings(report: dict[str, Any], group: str, name: str | None = None) -> list[tuple[str, str]]:
    """Return outcome and text of the findings of a group."""
    return [
        (each["outcome"], each["what"])
        for each in report["checks"]
        if each["group"] == group and name in (None, each["name"])
    ]
