# SPDX-License-Identifier: Apache-2.0
"""The checks for claimed jobs that have no recorded result, on a real database of Airflow's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from doctor_rows import CLAIM, CLAIM_AND_FINISH, FINISH, PUT, claim, result, task

from airflow_codepipeline_partner._worker import record_values
from airflow_codepipeline_partner._worker.records import ClaimRecord, ClaimState
from airflow_codepipeline_partner.doctor import airflow_checks, airflow_database
from airflow_codepipeline_partner.doctor.airflow_checks import open_jobs
from airflow_codepipeline_partner.doctor.airflow_database import AirflowDatabase, StoredRecord
from airflow_codepipeline_partner.doctor.findings import Outcome
from airflow_codepipeline_partner.jobs import ClaimedJob

PASS, FAIL, UNKNOWN = Outcome


def paused(database):
    return [(each.outcome, each.what) for each in airflow_checks.check_paused(database)]


def ended(database):
    return [(each.outcome, each.what) for each in airflow_checks.check_ended_runs(database)]


def outcomes(found):
    return [outcome for outcome, _ in found]


@pytest.fixture
def ended_run(rows):
    """A run of the DAG builds that has ended without the result of its job."""
    rows.run("builds", state="failed", ended=timedelta(minutes=5))
    rows.xcom("builds", "codepipeline_claim", claim())


def test_a_job_that_waits_for_a_paused_dag_fails(rows, database):
    rows.run("builds", paused=True)
    rows.dag("builds", *CLAIM_AND_FINISH, has_on_failure_callback=True)
    assert outcomes(paused(database)) == [PASS]
    rows.xcom("builds", "codepipeline_claim", claim())
    said = "1 claimed job has no recorded result, and its DAG is paused: builds (r)."
    assert paused(database) == [(FAIL, said)]
    rows.xcom("builds", "codepipeline_result_finish", result())
    assert outcomes(paused(database)) == [PASS]


def test_a_job_of_a_dag_that_is_not_paused_is_no_fault(rows, database):
    rows.run("builds")
    rows.xcom("builds", "codepipeline_claim", claim())
    assert outcomes(paused(database)) == [PASS]
    assert outcomes(ended(database)) == [PASS]


@pytest.mark.parametrize(("age", "outcome"), [(timedelta(minutes=5), FAIL), (timedelta(days=2), PASS)])
def test_a_run_that_ended_without_the_result_fails(rows, database, age, outcome):
    rows.run("builds", state="failed", ended=age)
    rows.dag("builds", *CLAIM_AND_FINISH)
    rows.xcom("builds", "codepipeline_claim", claim())
    assert outcomes(ended(database)) == [outcome]


CALLBACK = {"has_on_failure_callback": True}
#: The DAG of an ended run, and whether something may have ended its job that leaves no record.
MAY_BE_ENDED = {
    "finish_job": (CLAIM_AND_FINISH, {}, FAIL),
    # finish_job gives the work callbacks of its own.
    "callback of the work": ((*CLAIM_AND_FINISH, task("work", **CALLBACK)), {}, FAIL),
    "put": ((task("claim", CLAIM, "put"), task("put", PUT)), {}, FAIL),
    "put and callback": ((task("claim", CLAIM, "put", **CALLBACK), task("put", PUT)), {}, UNKNOWN),
    "callback": (CLAIM_AND_FINISH, CALLBACK, UNKNOWN),
    "callback of successes": (CLAIM_AND_FINISH, {"has_on_success_callback": True}, UNKNOWN),
    "finished elsewhere": ((task("claim", CLAIM, "work"), task("work")), {}, UNKNOWN),
    "claim of another version": ((task("claims", CLAIM, "finish"), task("finish", FINISH)), {}, UNKNOWN),
    "odd": ((None, "task", {"__var": 7}), {}, UNKNOWN),
}


@pytest.mark.parametrize(("tasks", "of_dag", "outcome"), MAY_BE_ENDED.values(), ids=MAY_BE_ENDED)
def test_what_may_have_ended_otherwise_is_unknown(rows, database, ended_run, tasks, of_dag, outcome):
    rows.dag("builds", *tasks, **of_dag)
    [found] = airflow_checks.check_ended_runs(database)
    assert found.outcome is outcome
    said = "1 claimed job has no recorded result, although its run has ended within a day: builds (r)."
    assert found.what == said
    assert ("CodePipelineJobFailureNotifier" in found.to_do) == (outcome is UNKNOWN)


def test_of_a_dag_that_is_gone_it_is_unknown(database, ended_run):
    assert outcomes(ended(database)) == [UNKNOWN]


def test_a_paused_dag_may_have_code_that_ends_its_jobs(rows, database):
    rows.run("builds", paused=True)
    rows.dag("builds", task("claim", CLAIM))
    rows.xcom("builds", "codepipeline_claim", claim())
    assert outcomes(paused(database)) == [UNKNOWN]


def test_jobs_of_both_kinds_are_told_apart(rows, database, ended_run):
    rows.dag("builds", *CLAIM_AND_FINISH)
    rows.run("scans", state="failed", ended=timedelta(minutes=5), number=2)
    rows.xcom("scans", "codepipeline_claim", claim("j2"), number=2)
    failed, unknown = ended(database)
    assert (failed[0], "builds (r)" in failed[1], "scans" in failed[1]) == (FAIL, True, False)
    assert (unknown[0], "scans (r)" in unknown[1], "builds" in unknown[1]) == (UNKNOWN, True, False)


# Records that cannot be read.


@pytest.fixture
def backend(monkeypatch):
    """Airflow's XCom backend, which keeps values elsewhere: by the reference to each."""
    values = {}

    class Backend:
        @staticmethod
        def deserialize_value(stored):
            found = values[stored.value]
            if isinstance(found, BaseException):
                raise found
            return found

    monkeypatch.setattr(record_values.RecordValues, "_backend_class", lambda values: Backend)
    return values


def test_records_in_an_xcom_backend_are_read(rows, database, backend):
    rows.run("builds", state="failed", ended=timedelta(minutes=5))
    rows.dag("builds", *CLAIM_AND_FINISH)
    rows.xcom("builds", "codepipeline_claim", "s3://claim")
    rows.xcom("builds", "codepipeline_result", "s3://result")
    backend.update({"s3://claim": claim(), "s3://result": result(state="intended")})
    assert outcomes(ended(database)) == [FAIL]
    backend["s3://result"] = result()
    assert outcomes(ended(database)) == [PASS]


@pytest.mark.parametrize("found", [PermissionError("planted-secret"), "a text", {"of another": "kind"}])
def test_a_record_that_cannot_be_read_is_unknown(rows, database, backend, found):
    rows.run("builds", state="failed", ended=timedelta(minutes=5))
    rows.xcom("builds", "codepipeline_claim", "s3://claim")
    backend["s3://claim"] = found
    said = "1 record of claims and results cannot be read: builds (r)."
    assert ended(database) == [(UNKNOWN, said)]


def test_a_result_that_cannot_be_read_may_be_the_jobs(rows, database, backend, ended_run):
    rows.dag("builds", *CLAIM_AND_FINISH)
    rows.xcom("builds", "codepipeline_result", "s3://result")
    backend["s3://result"] = TimeoutError()
    assert outcomes(ended(database)) == [UNKNOWN, UNKNOWN]


def test_the_record_of_no_result_is_no_fault(rows, database):
    rows.run("builds", state="success", ended=timedelta(minutes=5))
    for key in ("claim", "certain_claim", "result", "result_claim_x"):
        rows.xcom("builds", f"codepipeline_{key}", {"job_id": None})
    rows.xcom("builds", "codepipeline_skip_claim", True)
    rows.xcom("builds", "codepipeline_failure", {"message": "claim"})
    assert outcomes(ended(database)) == [PASS]


def test_stored_dags_that_cannot_be_read_are_unknown(rows, database):
    rows.run("builds")
    rows.add("serialized_dag", id="0" * 32, dag_id="builds", data="[7]", dag_version_id="1" * 32)
    found = airflow_checks.check_claims_are_ended(database)
    assert (found.outcome, "builds" in found.what) == (UNKNOWN, True)


def test_it_reads_a_bounded_number_of_records(rows, database, monkeypatch):
    monkeypatch.setattr(airflow_database, "MAX_RECORDS", 2)
    rows.run("builds", paused=True)
    for number in range(2):
        rows.xcom("builds", f"codepipeline_claim_{number}", claim(f"j{number}", state="lost"))
    assert outcomes(paused(database)) == [PASS]
    rows.xcom("builds", "codepipeline_claim_2", claim("j2", state="lost"))
    assert len(database.records_of_paused_dags().all) == 2
    assert outcomes(paused(database)) == [UNKNOWN]


# What counts.


def test_a_real_run_leaves_no_job(offer, run_dag):
    job_id = (offered := offer())["job_id"]
    run_dag("example_claim_work_finish", **offered)
    records = AirflowDatabase(20).records_of_ended_runs().all
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


def test_a_record_that_is_no_json_is_unknown_by_itself(rows, database):
    rows.run("builds", state="failed", ended=timedelta(minutes=5))
    rows.dag("builds", *CLAIM_AND_FINISH)
    rows.xcom("builds", "codepipeline_claim", claim())
    assert outcomes(ended(database)) == [FAIL]
    rows.run("others", state="failed", ended=timedelta(minutes=5), number=2)
    rows.xcom("others", "codepipeline_claim", claim(), number=2)
    # SQLite stores it.
    rows.execute("UPDATE xcom SET value = 'no {json' WHERE dag_id = 'others'")
    assert outcomes(ended(database)) == [FAIL, UNKNOWN]
    assert "others" in ended(database)[1][1]
