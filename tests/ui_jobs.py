# SPDX-License-Identifier: Apache-2.0
"""Jobs as they lie in Airflow's database, for tests and measurements of the page."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ACTION_TYPE = {"category": "Test", "owner": "ThirdParty", "provider": "Scan", "version": "1"}
CUSTOM_TYPE = {"category": "Build", "owner": "Custom", "provider": "Forge", "version": "1"}

#: User → the DAGs that they may read; None is all of them.
READABLE: dict[str, set[str] | None] = {"admin": None, "ann": {"scans"}, "bob": {"builds"}, "eve": set()}
#: User → what of a DAG they may not read.
DENIED: dict[str, set[str]] = {}
#: The user of each question about DAGs that the auth manager was asked.
QUESTIONS: list[str] = []


def clear_database(session: Any) -> None:
    """Delete what an earlier test has made. The DAGs of other tests, which run in this database, stay."""
    from airflow.jobs.job import Job
    from airflow.models import asset as assets
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.models.xcom import XComModel
    from sqlalchemy import delete, select

    session.execute(delete(assets.association_table))
    models = [XComModel, TaskInstance, Job, assets.DagScheduleAssetReference, assets.AssetEvent]
    models += [getattr(assets, "AssetWatcherModel", Job), assets.AssetModel, Trigger, DagRun]
    for model in models:
        session.execute(delete(model))
    stored = select(SerializedDagModel.dag_id)
    session.execute(delete(DagModel).where(DagModel.dag_id.not_in(stored)))


def claim(job_id: str, **changed: Any) -> dict[str, Any]:
    """Return the record of a claim."""
    return {
        "job_id": job_id,
        "client_id": "client-1",
        "action_type": ACTION_TYPE,
        "certain": True,
        "continuation_token": None,
        "pipeline_name": "shop",
        "stage_name": "Verify",
        "action_name": "scan",
        "action_execution_id": f"execution-of-{job_id}",
        "state": "claimed",
        "at": NOW.isoformat(),
        **changed,
    }


def result(job_id: str, kind: str = "success", *, state: str = "done", **call: Any) -> dict[str, Any]:
    """Return the record of a result."""
    if kind == "failure":
        call.setdefault("failureDetails", {"type": "JobFailed", "message": "The scan found a fault."})
    else:
        call.setdefault("executionDetails", {"summary": "All is well.", "percentComplete": 100})
    held = {"jobId": job_id, **call}
    at = (NOW + timedelta(minutes=5)).isoformat()
    return {"state": state, "result": kind, "job_id": job_id, "call": held, "at": at}


class JobMaker:
    """
    Puts runs, task instances and records into the database, many at once.

    :param session: The session.
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        self._dags: set[str] = set()
        self._run_number = 0

    def add_dag(self, dag_id: str, *, is_stale: bool = False) -> None:
        """Add a DAG."""
        from airflow.models.dag import DagModel
        from airflow.models.dagbundle import DagBundleModel

        if dag_id in self._dags:
            return
        self._dags.add(dag_id)
        if self.session.get(DagBundleModel, "tests") is None:
            self.session.add(DagBundleModel(name="tests"))
            self.session.flush()
        dag = DagModel(dag_id=dag_id, is_stale=is_stale, is_paused=False)
        dag.fileloc, dag.bundle_name, dag.relative_fileloc = "/dags/a.py", "tests", "a.py"
        self.session.add(dag)
        self.session.commit()

    def add_run(
        self, dag_id: str = "scans", *, run_id: str | None = None, state: str = "running", **values: Any
    ) -> int:
        """Add a DAG run, and return its number in the database."""
        from airflow.models.dagrun import DagRun

        self.add_dag(dag_id)
        self._run_number += 1
        number = self._run_number
        run = {
            "id": number,
            "dag_id": dag_id,
            "run_id": run_id or f"run-{number}",
            "state": state,
            "run_type": "manual",
            "queued_at": NOW - timedelta(seconds=20),
            "run_after": NOW,
            **values,
        }
        self._insert(DagRun, [run])
        self._runs = {**getattr(self, "_runs", {}), number: (dag_id, run["run_id"])}
        return number

    def add_task(self, run: int, task_id: str = "claim", map_index: int = -1, **values: Any) -> None:
        """Add a task instance."""
        from airflow.models.taskinstance import TaskInstance

        dag_id, run_id = self._runs[run]
        held = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        self._insert(TaskInstance, [{**_TASK, "id": _new_id(), **held, **values}])

    def add_xcom(
        self, run: int, key: str, value: Any, *, task_id: str = "claim", map_index: int = -1, **values: Any
    ) -> None:
        """Add an XCom of a task instance."""
        from airflow.models.xcom import XComModel

        dag_id, run_id = self._runs[run]
        held = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        at = {"timestamp": NOW}
        self._insert(XComModel, [{"dag_run_id": run, "key": key, "value": value, **held, **at, **values}])

    def add_job(
        self,
        job_id: str,
        *,
        dag_id: str = "scans",
        result: Mapping[str, Any] | None = None,
        run: int | None = None,
        map_index: int = -1,
        run_state: str = "running",
        **changed: Any,
    ) -> int:
        """Add a claimed job, in a run of its own, and return the run's number."""
        run = self.add_run(dag_id, state=run_state) if run is None else run
        self.add_task(run, map_index=map_index, state="success")
        self.add_xcom(run, "codepipeline_claim", claim(job_id, **changed), map_index=map_index)
        if result is not None:
            self.add_xcom(run, "codepipeline_result", result, map_index=map_index)
        return run

    def add_trigger(self, name: str, arguments: Mapping[str, Any], **values: Any) -> int:
        """Add a trigger of this package, and return its id."""
        from airflow.models.trigger import Trigger

        trigger = Trigger(f"airflow_codepipeline_partner.triggers.{name}", dict(arguments))
        for member, value in values.items():
            setattr(trigger, member, value)
        self.session.add(trigger)
        self.session.commit()
        found: int = trigger.id
        return found

    def add_triggerer(self, heartbeat: datetime) -> int:
        """Add a triggerer that was alive at a time, and return its id."""
        from airflow.jobs.job import Job

        job = Job(job_type="TriggererJob", state="running")
        job.latest_heartbeat = heartbeat
        self.session.add(job)
        self.session.commit()
        found: int = job.id
        return found

    def add_asset(self, name: str) -> Any:
        """Return an asset, which is added if there is none of this name."""
        from airflow.models.asset import AssetModel
        from sqlalchemy import select

        found = self.session.scalar(select(AssetModel).where(AssetModel.name == name))
        if found is None:
            found = AssetModel(name=name, uri=name)
            self.session.add(found)
            self.session.commit()
        return found

    def add_watcher(self, name: str, trigger_id: int, dag_id: str) -> None:
        """Have a trigger watch an asset that starts a DAG."""
        from airflow.models import asset as models
        from airflow.models.trigger import Trigger

        self.add_dag(dag_id)
        asset = self.add_asset(name)
        self.session.add(models.DagScheduleAssetReference(asset_id=asset.id, dag_id=dag_id))
        if hasattr(models, "AssetWatcherModel"):
            self.session.add(models.AssetWatcherModel(name=name, asset_id=asset.id, trigger_id=trigger_id))
        else:
            asset.triggers.append(self.session.get(Trigger, trigger_id))
        self.session.commit()

    def add_event(self, name: str, run: int | None, payload: Mapping[str, Any], at: datetime = NOW) -> None:
        """Add an event of an asset, by which a run was started."""
        from airflow.models.asset import AssetEvent, association_table

        asset = self.add_asset(name)
        event = AssetEvent(asset_id=asset.id, extra={"payload": dict(payload)}, timestamp=at)
        self.session.add(event)
        self.session.flush()
        if run is not None:
            pair = {"dag_run_id": run, "event_id": event.id}
            self.session.execute(association_table.insert(), [pair])
        self.session.commit()

    def add_many(self, count: int, dag_id: str = "scans") -> None:
        """Add jobs that succeeded, each in its own run, quickly."""
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.xcom import XComModel

        self.add_dag(dag_id)
        runs, tasks, xcoms = [], [], []
        for _ in range(count):
            self._run_number += 1
            number = self._run_number
            at = NOW - timedelta(seconds=number)
            names = {"dag_id": dag_id, "run_id": f"codepipeline__job-{number}"}
            runs.append({"id": number, **names, "state": "success", "run_type": "manual", "queued_at": at})
            runs[-1]["run_after"] = at
            place = {**names, "task_id": "claim", "map_index": -1}
            tasks.append({**_TASK, "id": _new_id(), **place, "state": "success"})
            job_id = f"job-{number}"
            held = {"dag_run_id": number, **place, "timestamp": at}
            record = claim(
                job_id, at=(at + timedelta(seconds=3)).isoformat(), pipeline_name=f"p{number % 20}"
            )
            xcoms.append({**held, "key": "codepipeline_claim", "value": record})
            xcoms.append({**held, "key": "codepipeline_result", "value": result(job_id)})
        for model, rows in ((DagRun, runs), (TaskInstance, tasks), (XComModel, xcoms)):
            self._insert(model, rows)

    def _insert(self, model: Any, rows: list[dict[str, Any]]) -> None:
        self.session.execute(model.__table__.insert(), rows)
        self.session.commit()


_TASK = {"pool": "default_pool", "pool_slots": 1, "try_number": 1, "max_tries": 0, "executor_config": {}}


def _new_id() -> Any:
    import airflow.models.taskinstance as model

    made = uuid.uuid4()
    # Airflow 3.1 keeps these as texts.
    return str(made) if isinstance(model.uuid7(), str) else made
