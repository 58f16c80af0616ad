# SPDX-License-Identifier: Apache-2.0
"""A real Airflow hears of each end of a pipeline, also of those that come while its triggerer is dead."""

from __future__ import annotations

import time
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from support import CUSTOM_TYPE, REPO, admin_client, airflow_connections

from airflow_codepipeline_partner.emulator import Emulator
from demo.local_airflow import LocalAirflow
from demo.rest_api import AirflowFailed

SECONDS = 240
DAG = "hears_of_ends"


def end_one(emulator):
    """Have an execution begin and end, and return its id."""
    client, execution_id = admin_client(emulator, "codepipeline"), emulator.start_execution("watched")
    for job in client.poll_for_jobs(actionTypeId=CUSTOM_TYPE, maxBatchSize=10)["jobs"]:
        client.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
        client.put_job_success_result(jobId=job["id"])
    return execution_id


def heard_of(airflow):
    """Return what each run was started for, in the order of the runs."""
    runs = airflow.api.call("GET", f"/dags/{DAG}/dagRuns?limit=100&order_by=id")["dag_runs"]
    paths = [f"/dags/{DAG}/dagRuns/{quote(run['dag_run_id'])}" for run in runs if run["state"] == "success"]
    xcoms = "taskInstances/ended/xcomEntries/return_value"
    return [airflow.api.call("GET", f"{path}/{xcoms}")["value"] for path in paths]


def has_memory():
    from airflow.sdk.execution_time import context

    return hasattr(getattr(context, "AssetStateStoreAccessors", None), "aget")


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory):
    """Return which executions have ended when, and what each run was started for."""
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    dags.mkdir()
    (dags / "pipeline_ends.py").write_text((REPO / "tests" / "dags" / "pipeline_ends.py").read_text())
    with Emulator() as emulator:
        emulator.add_pipeline("watched", action_type=CUSTOM_TYPE)
        before = end_one(emulator)
        environment = {
            **airflow_connections(emulator, emulator.add_customer()),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        }
        with LocalAirflow(home, dags, environment=environment) as airflow:
            last_end, ended = 0.0, []

            def hears():
                # Until the watcher has made its first look, nothing is heard of.
                nonlocal last_end
                if time.monotonic() - last_end > 5:
                    last_end = time.monotonic()
                    ended.append(end_one(emulator))
                try:
                    return heard_of(airflow)
                except AirflowFailed:
                    return []

            airflow.wait_for(hears, "the first end", SECONDS)

            def heard_all():
                return {execution_id for run in heard_of(airflow) for execution_id in run} >= {ended[-1]}

            airflow.wait_for(heard_all, "the last end", SECONDS)
            # What is said again is over, and what the watcher knows is stored.
            over = time.monotonic() + 35
            airflow.wait_for(lambda: time.monotonic() > over, "a pause", 60)
            runs_before = heard_of(airflow)
            airflow.kill(next(each for each in airflow.components if each.kind == "triggerer"))
            away = end_one(emulator)
            airflow.start_component("triggerer")
            airflow.wait_for(lambda: any(away in run for run in heard_of(airflow)), "the end", SECONDS)
            yield SimpleNamespace(
                before=before,
                ended=ended,
                away=away,
                runs_before=runs_before,
                runs_after=heard_of(airflow)[len(runs_before) :],
            )


def test_an_end_while_the_triggerer_was_dead_is_heard_of(aftermath):
    assert any(aftermath.away in run for run in aftermath.runs_after)


def test_what_was_heard_of_is_not_said_again_after_a_restart(aftermath):
    if has_memory():
        assert aftermath.runs_after == [[aftermath.away]]
    else:
        # It cannot know that it was there before, and looks back.
        assert set(aftermath.runs_after[0]) >= {*aftermath.runs_before[-1], aftermath.away}


def test_what_had_ended_before_the_watcher_is_not_heard_of(aftermath):
    heard = {execution_id for run in aftermath.runs_before for execution_id in run}
    assert (aftermath.before in heard) is not has_memory()
    assert heard - {aftermath.before} <= set(aftermath.ended)
