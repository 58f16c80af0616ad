# SPDX-License-Identifier: Apache-2.0
"""
Many pipelines at once, each with an action that runs a DAG, in a real Airflow.

Each job must have exactly one run and exactly one result, with the output of its own run, whatever comes
between. It takes minutes, so it is no test of the suite: ``make test-steps`` (STEPS=30).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from support import REPO, airflow_connections

from airflow_codepipeline_partner.emulator import Emulator
from demo.local_airflow import LocalAirflow

KIND = "Invoke/Custom/ManySteps/1"
DAGS = ("many_steps", "many_steps_job", "step_of_many")
SECONDS = 1200


def main() -> int:
    """Run as many steps as the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory(prefix="many-steps-") as home:
        dags = Path(home, "dags")
        dags.mkdir()
        (dags / "many_steps.py").write_text((REPO / "tests" / "dags" / "many_steps.py").read_text())
        with Emulator() as emulator:
            environment = {
                **airflow_connections(emulator, emulator.add_customer()),
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            }
            with LocalAirflow(Path(home), dags, environment=environment) as airflow:
                faults = run_all(airflow, emulator, steps)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def run_all(airflow: LocalAirflow, emulator: Emulator, steps: int) -> list[str]:
    """Start all the pipelines at once, wait until their runs have ended, and return what is wrong."""
    airflow.wait_for(lambda: emulator.ledger.polls(), "a poll for jobs", SECONDS)
    pipelines = [f"step-{number}" for number in range(steps)]
    for number, name in enumerate(pipelines):
        configuration = {
            "Dag": "step_of_many",
            "Conf": f'{{"number": {number}}}',
            "Outputs": "Number=work",
        }
        emulator.add_pipeline(name, action_type=KIND, configuration=configuration)
    began = time.monotonic()
    for name in pipelines:
        emulator.start_execution(name)

    def ended() -> bool:
        jobs = emulator.jobs()
        return len(jobs) >= steps and all(job.status in ("Succeeded", "Failed", "TimedOut") for job in jobs)

    airflow.wait_for(ended, "the end of all jobs", SECONDS)
    version = importlib.metadata.version("apache-airflow")
    print(f"Airflow {version}: {steps} steps at once took {time.monotonic() - began:.0f} s.", flush=True)
    airflow.wait_for(
        lambda: {run["state"] for run in runs_of(airflow, "many_steps_job")} <= {"success", "failed"},
        "the end of all runs",
        SECONDS,
    )
    return faults_of(airflow, emulator, pipelines)


def faults_of(airflow: LocalAirflow, emulator: Emulator, pipelines: list[str]) -> list[str]:
    """Return what is not as it should be, in words."""
    faults = []
    jobs = {job.pipeline_name: job for job in emulator.jobs()}
    if sorted(jobs) != sorted(pipelines) or len(emulator.jobs()) != len(pipelines):
        faults.append(f"There are {len(emulator.jobs())} jobs of {len(jobs)} pipelines.")
    for number, name in enumerate(pipelines):
        results = [(put.outcome, put.result) for put in emulator.ledger.puts(jobs[name].job_id)]
        if results != [("ok", "success")]:
            faults.append(f"{name} has the results {results}.")
            continue
        [put] = emulator.ledger.puts(jobs[name].job_id)
        if put.details["outputVariables"] != {"Number": str(number)}:
            faults.append(f"{name} has the output of another: {put.details['outputVariables']}.")
    wanted = sorted(f"codepipeline__{job.job_id}" for job in jobs.values())
    for dag_id in DAGS[1:]:
        runs = runs_of(airflow, dag_id)
        if sorted(run["dag_run_id"] for run in runs) != wanted or {run["state"] for run in runs} != {
            "success"
        }:
            states = [run["state"] for run in runs]
            faults.append(f"{dag_id} has {len(runs)} runs for {len(wanted)} jobs: {states}.")
    tasks = [task for dag_id in DAGS for task in all_of(airflow, f"/dags/{dag_id}/dagRuns/~/taskInstances")]
    tries = sum(task["try_number"] > 1 for task in tasks)
    print(f"{len(emulator.ledger.puts())} results; {tries} of {len(tasks)} tasks needed another try.")
    return faults


def runs_of(airflow: LocalAirflow, dag_id: str) -> list[dict[str, Any]]:
    """Return all runs of a DAG."""
    return all_of(airflow, f"/dags/{dag_id}/dagRuns")


def all_of(airflow: LocalAirflow, path: str) -> list[dict[str, Any]]:
    """Return all pages of a list of the REST API."""
    found: list[dict[str, Any]] = []
    while True:
        answer = airflow.api.call("GET", f"{path}?limit=100&offset={len(found)}")
        page = answer.get("dag_runs", answer.get("task_instances"))
        found += page
        if not page or len(found) >= answer["total_entries"]:
            return found


if __name__ == "__main__":
    sys.exit(main())
