# SPDX-License-Identifier: Apache-2.0
"""What a user does in the small Airflow has the effect that it has in the real one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from airflow.api.common.mark_tasks import set_dag_run_state_to_failed, set_dag_run_state_to_success
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from simulation.plan import all_ways
from simulation.small_airflow import Run, SmallAirflow
from sqlalchemy import select
from sqlalchemy.orm import Session
from support import REPO

from tests.system.test_small_airflow import DAG_FILE

DAG_ID = "way_go_on"
TASKS = ("claim", "go_on", "work", "finish_job")
#: A run's state, its tasks' states in the order above, what a user does.
CASES = [
    ("running", ("success", "running", None, None), "mark failed"),
    ("running", ("success", "deferred", None, None), "mark failed"),
    ("running", ("up_for_retry", None, None, None), "mark failed"),
    ("running", ("restarting", None, None, None), "mark failed"),
    ("running", ("success", "success", "success", "running"), "mark failed"),
    ("running", (None, None, None, None), "mark failed"),
    ("running", ("success", "deferred", None, None), "clear claim"),
    ("running", ("success", "running", None, None), "clear go_on"),
    ("running", ("restarting", None, None, None), "clear claim"),
    ("running", ("up_for_retry", None, None, None), "clear claim"),
    ("success", ("success", "success", "success", "success"), "clear work"),
    ("failed", ("success", "failed", "upstream_failed", "failed"), "clear go_on"),
    ("failed", ("skipped", "skipped", "skipped", "success"), "clear claim"),
    ("running", ("success", "success", "success", "up_for_reschedule"), "mark failed"),
    ("running", ("success", "running", None, None), "mark success"),
    ("running", ("success", "deferred", None, None), "mark success"),
    ("running", ("up_for_retry", None, None, None), "mark success"),
    ("running", ("success", "failed", "upstream_failed", "up_for_reschedule"), "mark success"),
    ("running", ("success", "success", "success", "running"), "mark success"),
    ("running", (None, None, None, None), "mark success"),
    ("running", ("success", "success", "up_for_reschedule", None), "mark failed"),
    ("running", ("success", "success", "success", "up_for_reschedule"), "clear work"),
    ("running", ("success", "success", "success", "up_for_reschedule"), "clear work alone"),
    ("failed", ("success", "failed", "upstream_failed", "failed"), "clear go_on alone"),
]
Case = tuple[str, tuple[str | None, ...], str]


@pytest.fixture(scope="module")
def real_run(airflow_database: None) -> Any:
    """A run of the real Airflow, which has ended."""
    from in_process_airflow import Dags

    path = Path(os.environ["AIRFLOW_HOME"]) / "dags" / "simulated_ways_of_users.py"
    path.write_text(DAG_FILE.format(tests=str(REPO / "tests")))
    try:
        # There is no job, so its first task fails.
        yield Dags().run(DAG_ID)
    finally:
        path.unlink()


def effect(
    state: str, clears: int, begins_anew: bool, instances: dict[str, tuple[Any, ...]], ids: dict[str, UUID]
) -> Any:
    """Return what is compared."""
    seen = {name: (*known, ids[name] != new) for name, (*known, new) in instances.items()}
    return {"queued": "running"}.get(state, state), clears, begins_anew, seen


def of_real_one(real_run: Any, session: Session, case: Case) -> Any:
    """Return what it does in the real one."""
    state, states, action = case
    dag_run = session.scalars(
        select(DagRun).where(DagRun.dag_id == DAG_ID, DagRun.run_id == real_run.run_id)
    ).one()
    dag_run.set_state(state)
    dag_run.clear_number, dag_run.start_date = 0, dag_run.run_after
    ids = {}
    of_run = select(TaskInstance).where(TaskInstance.run_id == real_run.run_id)
    for each in session.scalars(of_run):
        each.state = states[TASKS.index(each.task_id)]
        each.try_number, each.max_tries, each.next_method = 1, 2, None
        ids[each.task_id] = each.id
    session.flush()
    dag = SerializedDagModel.get_dag(DAG_ID, session=session)
    what, task_id, *alone = action.split()
    if what == "clear":
        after = {task_id, *([] if alone else dag.get_task(task_id).get_flat_relative_ids(upstream=False))}
        dag.clear(run_id=real_run.run_id, task_ids=sorted(after), session=session)
    else:
        mark = {"failed": set_dag_run_state_to_failed, "success": set_dag_run_state_to_success}[task_id]
        mark(dag=dag, run_id=real_run.run_id, commit=True, session=session)
    session.flush()
    session.expire_all()
    instances = {
        each.task_id: (each.state, each.try_number, each.max_tries, each.id)
        for each in session.scalars(of_run)
    }
    return effect(dag_run.state, dag_run.clear_number, dag_run.start_date is None, instances, ids)


def of_small_one(case: Case) -> Any:
    """Return what it does in the small one."""
    state, states, action = case
    server = SmallAirflow()
    run: Run = server.start_run(all_ways()["go_on"].dag, "run", {}, 0.0)
    server.now = 60.0
    run.state = state
    for each in run.instances.values():
        each.state = states[TASKS.index(each.task.task_id)]
        each.try_number, each.max_tries = 1, 2
    ids = {name: run.instances[name, -1].id for name in TASKS}
    what, task_id, *alone = action.split()
    if what == "clear":
        server.clear(run.instances[task_id, -1], alone=bool(alone))
    else:
        {"failed": server.mark_failed, "success": server.mark_success}[task_id](run)
    instances = {
        each.name: (each.state, each.try_number, each.max_tries, each.id) for each in run.instances.values()
    }
    return effect(run.state, run.clear_number, run.started_at == server.now, instances, ids)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_small_airflow_lets_users_do_the_same(case: Case, real_run: Any) -> None:
    with create_session() as session:
        try:
            assert of_small_one(case) == of_real_one(real_run, session, case)
        finally:
            session.rollback()
