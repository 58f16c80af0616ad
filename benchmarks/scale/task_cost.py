# SPDX-License-Identifier: Apache-2.0
"""
Measure the processor time that one task costs on a real Airflow: ``python -m benchmarks.scale.task_cost``.

The simulation needs it: a task is a process of its own, and its start is what most installations run out of
first. Processor time is counted, not time on the wall, so that other work on the machine matters little.
Jobs are worked on by runs of three tasks, beside plain tasks in a DAG of the same shape.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Sequence

import psutil  # type: ignore[import-untyped]

from benchmarks.real_airflow import RealAirflow, real_airflow

#: Tasks of each run, and the one that starts the runs.
_TASKS_OF_RUN = 3


def main() -> None:
    """Measure, and print a line for each kind of task."""
    jobs = parsed().jobs
    with real_airflow() as running:
        for kind, dag_id in (("plain tasks", "plain_run"), ("claim, work, finish", "job_run")):
            ended = running.ended_runs(dag_id)
            before = _spent(running)
            if dag_id == "plain_run":
                running.make_event("benchmark_ids", jobs)
            else:
                running.queue_jobs(jobs)
            running.wait_for_runs(dag_id, ended + jobs, 120 + jobs * 60)
            tasks = _tasks_since(jobs, dag_id)
            costs = {part: (seconds - before[part]) / tasks for part, seconds in _spent(running).items()}
            shown = ", ".join(f"{part} {seconds:.2f}" for part, seconds in costs.items())
            print(f"{kind}: seconds of processor time for each of {tasks} tasks: {shown}", flush=True)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """
    Return what the command line says.

    :param arguments: The command line. Defaults to the process's.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.task_cost", description=__doc__)
    parser.add_argument("--jobs", type=int, default=20, help="how many jobs, and plain runs")
    return parser.parse_args(arguments)


def _tasks_since(jobs: int, dag_id: str) -> int:
    # Airflow's own operator starts one run in each task, after one that lists them.
    return jobs * _TASKS_OF_RUN + (1 + jobs if dag_id == "plain_run" else 1)


def _spent(running: RealAirflow) -> dict[str, float]:
    """Return the seconds of processor time of each part until now; ``tasks`` are the scheduler's children."""
    spent: dict[str, float] = {}
    for component in running.airflow.components:
        own = others = 0.0
        for process in component.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                user, system, children_user, children_system = process.cpu_times()[:4]
                # The component leads its session. What has ended counts as its parent's.
                is_component = process.pid == os.getsid(process.pid)
                own += user + system if is_component else 0.0
                others += children_user + children_system + (0.0 if is_component else user + system)
        if component.kind == "scheduler":
            spent["scheduler"], spent["tasks"] = own, others
        else:
            spent[component.kind] = own + others
    return spent


if __name__ == "__main__":
    main()
