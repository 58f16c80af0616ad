# SPDX-License-Identifier: Apache-2.0
"""No secret reaches a page, wherever in Airflow's database one may lie; nor does a page run what it shows."""

from __future__ import annotations

import pytest
from ui_jobs import ACTION_TYPE, NOW, claim, result

PLANTED = "planted-secret"
SCRIPT = "<script>alert(1)</script>"
#: Members of records that no page shows.
HIDDEN = {
    "nonce": f"{PLANTED}-nonce",
    "query_param": {"env": f"{PLANTED}-query"},
    "continuation_token": f"{PLANTED}-token",
    "client_token": f"{PLANTED}-client-token",
    "artifactCredentials": {"secretAccessKey": f"{PLANTED}-key"},
    "configuration": {"password": f"{PLANTED}-password"},
    "input_artifacts": [{"name": "in", "bucket": f"{PLANTED}-bucket", "key": "k"}],
}


@pytest.fixture
def addresses(jobs):
    """Jobs with secrets wherever they could be, and the addresses of all pages."""
    run = jobs.add_run(conf={"password": f"{PLANTED}-conf"}, state="failed", run_type="asset_triggered")
    ended = result("j", "continue", continuationToken=f"{PLANTED}-continuation", clientToken=PLANTED)
    former = [{"job_id": "a", "x": PLANTED}]
    jobs.add_job("j", run=run, result=ended | {"more": PLANTED}, **HIDDEN, former_jobs=former)
    jobs.add_task(run, "work", state="failed")
    failure = {"message": "It failed.", "type": "JobFailed", "traceback": f"{PLANTED}-traceback"}
    jobs.add_xcom(run, "codepipeline_failure", failure, task_id="work")
    jobs.add_xcom(run, "return_value", PLANTED, task_id="work")
    jobs.add_event("scans-waiting", run, {"jobs": [{"job_id": "j", "nonce": f"{PLANTED}-event"}]})
    arguments = {"action_type": ACTION_TYPE, "botocore_config": {"proxies": PLANTED}, "wake_queue": PLANTED}
    trigger = jobs.add_trigger("CodePipelineJobTrigger", arguments)
    jobs.add_task(run, "wait", state="deferred", trigger_id=trigger)
    ended = {"pipeline_name": "p", "pipeline_execution_id": "e", "status": "Failed", "variables": PLANTED}
    jobs.add_xcom(run, "pipeline_execution", ended, task_id="work")
    jobs.add_xcom(run, "_link_CodePipelineExecutionLink", f"https://evil.example/{PLANTED}", task_id="work")
    odd = jobs.add_run()
    jobs.add_task(odd)
    jobs.add_xcom(odd, "codepipeline_claim", f"reference-{PLANTED}")
    return ["/", "/executions", f"/jobs/{run}/-1/claim", f"/jobs/{odd}/-1/claim", f"/runs/scans/run-{run}"]


def test_no_secret_is_on_any_page(addresses, log_in):
    for address in addresses:
        page = log_in().get(address)
        assert page.status_code == 200
        assert PLANTED not in page.text, address


def test_an_error_shows_nothing_of_its_cause(addresses, log_in, monkeypatch):
    from airflow_codepipeline_partner._worker import record_values

    class Away:
        @staticmethod
        def deserialize_value(stored):
            raise ConnectionError(f"{PLANTED} in the text of an error")

    read = record_values.RecordValues.read
    monkeypatch.setattr(record_values.RecordValues, "_backend_class", lambda values: Away)
    monkeypatch.setattr(record_values.RecordValues, "read", read)
    page = log_in().get("/")
    assert "Airflow&#39;s XCom backend cannot read the record (ConnectionError)." in page.text
    assert PLANTED not in page.text


def test_what_is_shown_cannot_become_markup(jobs, log_in):
    texts = {name: SCRIPT for name in ("pipeline_name", "stage_name", "action_name", "client_id")}
    kind = ACTION_TYPE | {"provider": SCRIPT}
    ended = result("j", executionDetails={"summary": SCRIPT})
    run = jobs.add_job("j", dag_id="scans", result=ended, **texts, action_type=kind)
    for address in ("/", f"/jobs/{run}/-1/claim", "/?pipeline=%3Cscript%3Ealert(1)%3C/script%3E"):
        page = log_in().get(address).text
        assert SCRIPT not in page
        assert "&lt;script&gt;" in page


def test_only_an_address_of_the_aws_console_becomes_a_link():
    from airflow_codepipeline_partner.ui.execution_queries import console_address

    good = "https://us-east-1.console.aws.amazon.com/codesuite/codepipeline/pipelines/p/view"
    assert console_address(good) == good
    for bad in (
        "javascript:alert(1)",
        "http://us-east-1.console.aws.amazon.com/",
        "https://console.aws.amazon.com.evil.example/",
        "https://evil.example/console.aws.amazon.com",
        "https://evilconsole.aws.amazon.com.",
        "https://[",
        7,
        None,
    ):
        assert console_address(bad) is None


def test_a_backend_that_is_away_is_asked_a_few_times_only():
    from airflow_codepipeline_partner._worker.record_values import MAX_BACKEND_ERRORS, RecordValues

    asked = []

    class Away:
        @staticmethod
        def deserialize_value(stored):
            asked.append(stored.value)
            raise TimeoutError

    values = RecordValues(Away)
    found = [values.read("codepipeline_claim", f"reference {number}") for number in range(9)]
    assert len(asked) == MAX_BACKEND_ERRORS
    assert all(record is None and fault for record, fault in found)


def test_a_record_in_another_backend_is_read(jobs, log_in, monkeypatch):
    from airflow_codepipeline_partner._worker import record_values

    class Elsewhere:
        @staticmethod
        def deserialize_value(stored):
            return claim("from elsewhere", at=NOW.isoformat())

    monkeypatch.setattr(record_values.RecordValues, "_backend_class", lambda values: Elsewhere)
    run = jobs.add_run()
    jobs.add_task(run)
    jobs.add_xcom(run, "codepipeline_claim", "s3://reference")
    page = log_in().get("/").text
    assert 'data-job-id="from elsewhere"' in page
    assert "1 of them cannot be filtered" in page
