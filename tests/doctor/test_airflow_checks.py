# SPDX-License-Identifier: Apache-2.0
"""The checks of Airflow, on a real database of Airflow's."""

from __future__ import annotations

import traceback

import pytest
from doctor_rows import CLAIM, FINISH, task

from airflow_codepipeline_partner.action_types.declaration import read_declaration
from airflow_codepipeline_partner.assets import codepipeline_jobs
from airflow_codepipeline_partner.doctor import airflow_checks
from airflow_codepipeline_partner.doctor.airflow_database import AirflowDatabase
from airflow_codepipeline_partner.doctor.findings import CannotCheck, Outcome
from airflow_codepipeline_partner.doctor.stored_dags import unended_claims
from airflow_codepipeline_partner.exceptions import InvalidInput

PASS, FAIL, UNKNOWN = Outcome
CHECKS = (
    airflow_checks.check_components,
    airflow_checks.check_imports,
    airflow_checks.check_claims_are_ended,
    airflow_checks.check_paused,
    airflow_checks.check_ended_runs,
)


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
    for name, refused in (
        ("builds.py", lambda: codepipeline_jobs("builds", "Build")),
        ("types.py", lambda: read_declaration({})),
    ):
        with pytest.raises(InvalidInput) as caught:
            refused()
        trace = "".join(traceback.format_exception(caught.value))
        rows.add("import_error", filename=name, stacktrace=trace)
    rows.add("import_error", filename="other.py", stacktrace="Traceback…\nNameError: planted-secret")
    found = airflow_checks.check_imports(database)
    assert (found.outcome, found.what) == (FAIL, "2 DAG files cannot be imported: builds.py, types.py.")


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
    rows.dag("builds", task("claim", CLAIM))
    found = airflow_checks.check_claims_are_ended(database)
    assert (found.outcome, "builds" in found.what) == (UNKNOWN, True)


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
