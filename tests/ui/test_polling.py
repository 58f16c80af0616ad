# SPDX-License-Identifier: Apache-2.0
"""What Airflow's database shows of the polls; and how many queries the pages take."""

from __future__ import annotations

import importlib
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from ui_jobs import ACTION_TYPE, CUSTOM_TYPE, NOW, claim

from airflow_codepipeline_partner.ui.activity import Polling

SCAN, FORGE = "Test/ThirdParty/Scan/1", "Build/Custom/Forge/1"


def read(session, dag_ids):
    from airflow_codepipeline_partner.ui.polling_queries import dag_ids_with_triggers, read_pollings

    session.expire_all()
    assert set(dag_ids) <= dag_ids_with_triggers(session)
    return read_pollings(session, dag_ids, datetime.now(UTC), lambda number: True)


def waiting(found):
    return {name: polling.waiting_tasks for name, polling in found.items()}


def test_waiting_tasks_are_counted_by_action_type(jobs, session):
    for number, kind in enumerate((ACTION_TYPE, ACTION_TYPE, CUSTOM_TYPE)):
        run = jobs.add_run("scans" if number else "builds")
        trigger = jobs.add_trigger("CodePipelineJobTrigger", {"action_type": kind, "timeout_deadline": 1.0})
        jobs.add_task(run, "wait", state="deferred", trigger_id=trigger)
    found = read(session, {"scans", "builds"})
    assert waiting(found) == {SCAN: 2, FORGE: 1}
    assert waiting(read(session, {"scans"})) == {SCAN: 1, FORGE: 1}


def test_a_watcher_counts_with_its_offers_and_its_triggerer(jobs, session):
    at = datetime.now(UTC) - timedelta(minutes=3)
    beat = datetime.now(UTC) - timedelta(seconds=4)
    trigger = jobs.add_trigger(
        "CodePipelineJobTrigger", {"action_type": ACTION_TYPE}, triggerer_id=jobs.add_triggerer(beat)
    )
    jobs.add_watcher("scans-waiting", trigger, "scans")
    offers = {"jobs": [{"job_id": "a"}, {"job_id": "b"}]}
    jobs.add_event("scans-waiting", None, offers, at)
    # Said again, since nobody has claimed it.
    jobs.add_event("scans-waiting", None, {"jobs": [{"job_id": "b"}]}, at + timedelta(minutes=1))
    found = read(session, {"scans"})
    assert found == {SCAN: Polling(0, ("scans-waiting",), beat, 0, 2, at + timedelta(minutes=1))}
    # Only who may read a DAG that it starts sees a watcher.
    assert read(session, set()) == {}


def test_a_trigger_that_cannot_be_read_is_left_out(jobs, session):
    run = jobs.add_run()
    broken = jobs.add_trigger("CodePipelineJobTrigger", {}, encrypted_kwargs="of another key")
    jobs.add_task(run, "wait", state="deferred", trigger_id=broken)
    assert read(session, {"scans"}) == {}


def test_what_a_watcher_noted_of_its_polls_is_shown(jobs, session, log_in):
    models = pytest.importorskip("airflow.models.asset_state_store", reason="from Airflow 3.3 on")
    trigger = jobs.add_trigger("CodePipelineJobTrigger", {"action_type": ACTION_TYPE})
    jobs.add_watcher("scans-waiting", trigger, "scans")
    asset_id = jobs.add_asset("scans-waiting").id
    failed, polled = NOW - timedelta(hours=1), NOW

    def note(value, name=SCAN):
        key = f"codepipeline_polls:{name}"
        session.merge(models.AssetStateStoreModel(asset_id=asset_id, key=key, value=value))
        session.commit()
        return read(session, {"scans"})[SCAN]

    error = "RequestRefused: <b>No permission.</b>"
    noted = {"polled_at": polled.isoformat(), "error": error, "error_at": failed.isoformat()}
    found = note(json.dumps(noted))
    assert (found.polled_at, found.error, found.error_at) == (polled, error, failed)
    page = log_in("ann").get("/").text
    assert "&lt;b&gt;No permission." in page
    assert "scans-waiting" not in log_in("bob").get("/").text
    for odd in ("no {json", "[]", "7", json.dumps({"polled_at": 7, "error": [], "error_at": "x"})):
        assert note(odd).polled_at is None
        assert log_in("ann").get("/").status_code == 200
    note(json.dumps(noted))
    # Of another action type, and of something else that is stored there.
    assert note(json.dumps(noted), "Build/Custom/Other/1").polled_at == polled


@contextmanager
def counted_queries():
    from airflow.settings import engine
    from sqlalchemy import event

    found = []

    def count(connection, cursor, statement, *others):
        if statement.lstrip().upper().startswith("SELECT"):
            found.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", count)


def test_the_number_of_queries_does_not_grow_with_the_jobs(jobs, log_in):
    def queries(address):
        with counted_queries() as found:
            assert browser.get(address).status_code == 200
        return len(found)

    browser = log_in()
    addresses = ["/", "/?state=succeeded", "/executions", "/jobs/1/-1/claim"]
    addresses.append("/runs/scans/codepipeline__job-1")
    jobs.add_many(2)
    few = [queries(address) for address in addresses]
    jobs.add_many(200)
    assert [queries(address) for address in addresses] == few
    assert max(few) <= 16


@pytest.mark.parametrize("name", ["mysql", "postgresql", "sqlite"])
def test_the_queries_fit_each_database(name):
    from airflow_codepipeline_partner._worker.record_values import RecordValues
    from airflow_codepipeline_partner.ui import (
        execution_queries,
        job_queries,
        polling_queries,
        record_queries,
    )
    from airflow_codepipeline_partner.ui.job_row import JobState, Place, job_row

    dialect = importlib.import_module(f"sqlalchemy.dialects.{name}").dialect()
    found = []

    class Result(list):
        def first(self):
            return None

        all = list.copy

    class Session:
        def execute(self, statement):
            found.append(str(statement.compile(dialect=dialect)))
            return Result()

        scalars = execute

    session, values, row = Session(), RecordValues(), job_row(Place(1, "d", "r", "t"), claim("j"))
    assert row.state is not JobState.UNREADABLE
    record_queries.dag_ids_with(session, ["codepipeline_claim"])
    record_queries.read_window(session, {"d"}, before=7, run=("d", "r"))
    record_queries.read_rows(session, [row], values)
    job_queries.find_place(session, 1, "t", -1)
    job_queries._relatives(session, row, {"d"}, values)
    polling_queries.dag_ids_with_triggers(session)
    polling_queries.read_pollings(session, {"d"}, datetime.now(UTC), lambda number: True)
    execution_queries.read_ended(session, {"d"}, values, before=7, run=("d", "r"))
    execution_queries.read_waiting(session, {"d"}, run=("d", "r"))
    assert len(found) == 9
    extracts = {"mysql": "JSON_EXTRACT(", "postgresql": " ->> ", "sqlite": "JSON_EXTRACT("}
    assert extracts[name] in found[1]
