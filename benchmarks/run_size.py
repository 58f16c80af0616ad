# SPDX-License-Identifier: Apache-2.0
"""
``finish_job`` in runs with many tasks between the claim and itself: what it asks Airflow for, and its work.

The tasks run in Airflow's own task runner in this process; the server that answers them is the small one of
``tests/simulation``. CodePipeline's calls go to an emulator in another process.
"""

from __future__ import annotations

import gc
import importlib
import logging
import time
from collections import Counter
from typing import Any

from benchmarks.apart import ROOT, run_apart, served_apart
from benchmarks.emulated import ACTION_TYPE, connections, emulator
from benchmarks.figures import Figure, curve


def measure(short: bool) -> list[Figure]:
    """Return the figures."""
    places, rounds = ([1, 100], 1) if short else ([1, 10, 100, 300, 1000], 5)
    with served_apart(emulator, (rounds + 1) * len(places)) as found:
        known = connections(found["url"], {found["client_id"]: found["client_token"]})
        rows = run_apart(
            _finish, places, rounds, environment={**known, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        )
    against, axis = "a run with one task", "tasks between claim and finish"
    questions, milliseconds = ([[each[name] for each in row] for row in rows] for name in ("asked", "cpu"))
    return [
        Figure(
            "run-size-questions", "messages of finish_job to Airflow", against, "messages",
            curve(questions, places), alarm=1.5, axis=axis,
        ),
        Figure(
            "run-size-cpu", "the work of finish_job's process, after its DAG is parsed", against, "ms of CPU",
            curve(milliseconds, places), axis=axis,
        ),
    ]  # fmt: skip


def make_dag(tasks: int) -> Any:
    """Make a DAG with this number of tasks between the claim and finish_job."""
    from airflow.sdk import DAG, BaseOperator

    from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator, finish_job

    with DAG(f"run_of_{tasks}", schedule=None) as dag:
        claim = CodePipelineClaimJobOperator(task_id="claim", job="{{ dag_run.conf | tojson }}")
        claim >> [BaseOperator(task_id=f"work_{number}") for number in range(tasks)]
        finish_job(claim, task_id="finish")
    return dag


def _finish(places: list[int], rounds: int) -> list[list[dict[str, float]]]:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    logging.disable(logging.CRITICAL)
    processes: Any = importlib.import_module("simulation.processes")
    small_airflow: Any = importlib.import_module("simulation.small_airflow")
    hook, dags, rows = CodePipelineHook(), [make_dag(tasks) for tasks in places], []
    gc.collect()
    gc.freeze()
    # The first round loads what tasks need.
    for number in range(rounds + 1):
        row = []
        for dag in dags:
            [job] = hook.poll(ACTION_TYPE, 1)
            server = small_airflow.SmallAirflow()
            run = server.start_run(dag, f"run-{number}", job.to_xcom(), time.time())
            for task_id in dag.task_dict:
                if task_id.startswith("work_"):
                    run.instances[task_id, -1].state = "success"
            _run_task(processes, server, run.instances["claim", -1])
            row.append(_run_task(processes, server, run.instances["finish", -1]))
        if number:
            rows.append(row)
    return rows


def _run_task(processes: Any, server: Any, instance: Any) -> dict[str, float]:
    asked: Counter[str] = Counter()

    def ask(message: Any) -> Any:
        name = type(message).__name__
        if name == "MaskSecret":
            return None
        asked[name] += 1
        return server.answer(message, instance, instance.id)

    instance.try_number += 1
    instance.state = "running"
    faults: list[str] = []
    with processes.asked_by(ask):
        began = time.process_time()
        processes.run_task(processes.started(server, instance), faults.append)
        used = time.process_time() - began
    if instance.state != "success":
        raise RuntimeError(f"{instance.name} ended as {instance.state}: {faults}")
    return {"asked": sum(asked.values()), "cpu": used * 1000}
