# SPDX-License-Identifier: Apache-2.0
"""The checks of Airflow, on a real database of Airflow's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from doctor_rows import CLAIM, FINISH, claim, result, task

from airflow_codepipeline_partner._worker.records import ClaimRecord, ClaimState
from airflow_codepipeline_partner.doctor import airflow_checks, airflow_database
from airflow_codepipeline_partner.doctor.airflow_checks import open_jobs, unended_claims
from airflow_codepipeline_partner.doctor.airflow_database import AirflowDatabase, StoredRecord
from airflow_codepipeline_partner.doctor.findings import CannotCheck, Outcome
from airflow_codepipeline_partner.jobs import ClaimedJob

PASS, FAIL, UNKNOWN = Outcome
CHECKS = (
    airflow_checks.check_components,
    airflow_checks.check_imports,
    airflow_checks.check_claims_are_ended,
    airflow_checks.check_paused,
    airflow_checks.check_ended_runs,
)


@pytest.fixture
def database(rows):
    return AirflowDatabase(20)


def outcomes(found):
    return {each.subject: each.outcome for each in found}


# The components.


def test_components_that_live_pass(rows, database):
    for kind in ("SchedulerJob", "TriggererJob", "DagProcessorJob"):
        rows.job(kind, 1)
    found = outcomes(airflow_checks.check_components(database))
    assert found == {"scheduler": PASS, "triggerer": PASS, "DAG processor": PASS}


def test_a_triggerer_that_is_gone_fails(rows, database):
    rows.job("SchedulerJob", 1)
    rows.job("TriggererJob", 4000)
    found = {each.subject: each for each in airflow_checks.check_components(database)}
    assert outcomes(found.values()) == {"scheduler": PASS, "triggerer": FAIL, "DAG processor": FAIL}
    assert "no heartbeat lately: nobody polls" in found["triggerer"].what
    assert found["DAG processor"].what.startswith("No DAG processor has ever run here")


# DAGs.


def test_a_file_that_this_package_refuses_fails(rows, database):
    assert airflow_checks.check_imports(database).outcome is PASS
    error = "Traceback…\nairflow_codepipeline_partner.exceptions.InvalidInput: planted-secret"
    rows.add("import_error", filename="builds.py", stacktrace=error)
    rows.add("import_error", filename="other.py", stacktrace="Traceback…\nNameError: planted-secret")
    found = airflow_checks.check_imports(database)
    assert (found.outcome, found.what) == (FAIL, "1 DAG file cannot be imported: builds.py.")


@pytest.mark.parametrize(
    ("tasks", "found"),
    [
        ([task("work")], None),
        ([task("claim", CLAIM, "work"), task("work", None, "end"), task("end", FINISH)], []),
        ([task("claim", CLAIM, "work"), task("work")], ["claim"]),
        ([task("claim", CLAIM, "a"), task("a", None, "claim"), task("end", FINISH)], ["claim"]),
        ([task("odd", ("gone", "Operator"))], None),
        ([task("claim", CLAIM, "not_there")], ["claim"]),
    ],
)
def test_claims_without_an_end_are_found(tasks, found):
    assert unended_claims({"tasks": tasks}) == found


def test_of_the_examples_all_claims_are_ended(serialized_dags):
    found = airflow_checks.check_claims_are_ended(AirflowDatabase(20))
    assert (found.outcome, "tasks that end them" in found.what) in ((PASS, True), (UNKNOWN, False))
    dags = AirflowDatabase(20).serialized_dags()
    examples = {name: dag for name, dag in dags.items() if name.startswith("example_")}
    assert len(examples) > 10
    claiming = {name for name, dag in examples.items() if unended_claims(dag) is not None}
    assert {"example_claim_work_finish", "example_work_as_function"} <= claiming
    assert [name for name in claiming if unended_claims(examples[name])] == []


def test_a_claim_that_no_task_ends_is_unknown(rows, database):
    assert airflow_checks.check_claims_are_ended(database).what == "No DAG claims jobs."
    rows.run("builds")
    rows.dag("builds", [task("claim", CLAIM)])
    found = airflow_checks.check_claims_are_ended(database)
    assert (found.outcome, "builds" in found.what) == (UNKNOWN, True)


def test_one_dag_whose_claims_end_is_said_in_good_words(rows, database):
    rows.run("builds")
    rows.dag("builds", [task("claim", CLAIM, "end"), task("end", FINISH)])
    found = airflow_checks.check_claims_are_ended(database)
    assert found.what == "All DAGs that claim jobs have tasks that end them (1 DAG)."


# Claimed jobs.


def test_a_job_that_waits_for_a_paused_dag_fails(rows, database):
    rows.run("builds", paused=True)
    assert airflow_checks.check_paused(database).outcome is PASS
    rows.xcom("builds", "codepipeline_claim", claim())
    found = airflow_checks.check_paused(database)
    assert found.outcome is FAIL
    assert found.what == "1 claimed job has no result, and its DAG is paused: builds (r)."
    rows.xcom("builds", "codepipeline_result_finish", result())
    assert airflow_checks.check_paused(database).outcome is PASS


def test_a_job_of_a_dag_that_is_not_paused_is_no_fault(rows, database):
    rows.run("builds")
    rows.xcom("builds", "codepipeline_claim", claim())
    assert airflow_checks.check_paused(database).outcome is PASS
    assert airflow_checks.check_ended_runs(database).outcome is PASS


@pytest.mark.parametrize(("ended", "outcome"), [(timedelta(minutes=5), FAIL), (timedelta(days=2), PASS)])
def test_a_run_that_ended_without_the_result_fails(rows, database, ended, outcome):
    rows.run("builds", state="failed", ended=ended)
    rows.xcom("builds", "codepipeline_claim", claim())
    assert airflow_checks.check_ended_runs(database).outcome is outcome


def test_a_real_run_leaves_no_job(offer, run_dag):
    job_id = (offered := offer())["job_id"]
    run_dag("example_claim_work_finish", **offered)
    records = AirflowDatabase(20).records_of_ended_runs()
    assert job_id not in open_jobs(records)
    without = [record for record in records if not record.key.startswith("codepipeline_result")]
    assert job_id in open_jobs(without)


@pytest.mark.parametrize(
    ("records", "jobs"),
    [
        ([("claim", claim(state="intent"))], ["j1"]),
        ([("claim", claim(state="unknown", unknown_claim="leave"))], []),
        ([("claim", claim(state="lost"))], []),
        ([("claim", claim(state="refused"))], []),
        ([("claim", claim()), ("result", result(state="intended"))], ["j1"]),
        ([("claim", claim()), ("result", result(state="refused"))], []),
        ([("claim", claim()), ("result_finish", result("j0"))], ["j1"]),
        ([("claim", claim()), ("next_claim", claim("j2", former_job_ids=["j1"]))], ["j2"]),
        ([("claim", claim()), ("result", None), ("result", {"planted": 1})], ["j1"]),
        ([("claim", "planted-secret"), ("skip", True)], []),
    ],
)
def test_what_counts_as_a_job_without_a_result(records, jobs):
    stored = [StoredRecord("d", "r", "t", f"codepipeline_{key}", value) for key, value in records]
    assert list(open_jobs(stored)) == jobs


def test_the_records_are_those_that_the_worker_writes():
    job = ClaimedJob.from_value(claim())
    record = ClaimRecord(ClaimState.CLAIMED, job)
    assert list(open_jobs([StoredRecord("d", "r", "t", "codepipeline_claim", record.to_xcom())])) == ["j1"]


# Connections.


def test_connections_of_clients_are_listed(rows, database):
    for name, kind in (
        ("b", "codepipeline_partner_client"),
        ("a", "aws"),
        ("c", "codepipeline_partner_client"),
    ):
        rows.add("connection", conn_id=name, conn_type=kind, login=None if name == "c" else "client")
    assert database.client_connections() == [("b", "client"), ("c", "")]


# A database that is away.


@pytest.fixture
def away(airflow_database, monkeypatch):
    """A database without Airflow's tables, behind a URL with a password."""
    from sqlalchemy import create_engine
    from sqlalchemy.orm import sessionmaker

    session = sessionmaker(create_engine("sqlite://"))
    monkeypatch.setattr("airflow.utils.session.create_session", session)
    return AirflowDatabase(20)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_without_tables_nothing_is_known(away, check):
    with pytest.raises(CannotCheck, match="OperationalError") as why:
        list(check(away))
    assert "airflow db migrate" in why.value.finding.to_do


def test_heartbeats_that_cannot_be_read_are_unknown(rows, database, monkeypatch):
    health = {"metadatabase": {"status": "unhealthy"}}
    monkeypatch.setattr("airflow.api.common.airflow_health.get_airflow_health", lambda: health)
    with pytest.raises(CannotCheck, match="heartbeats"):
        list(airflow_checks.check_components(database))


def test_it_reads_a_bounded_number_of_records(rows, database, monkeypatch):
    monkeypatch.setattr(airflow_database, "MAX_RECORDS", 2)
    rows.run("builds", paused=True)
    for number in range(3):
        rows.xcom("builds", f"codepipeline_claim_{number}", claim(f"j{number}"))
    assert len(database.records_of_paused_dags()) == 2
