# SPDX-License-Identifier: Apache-2.0
"""Who sees what: Airflow's users, and Airflow's filter of DAGs. And nobody changes anything."""

from __future__ import annotations

import re

import pytest
from ui_jobs import CUSTOM_TYPE, DENIED, QUESTIONS, READABLE, result

TRIGGER = {"action_type": CUSTOM_TYPE, "poll_interval": 30}


@pytest.fixture
def addresses(jobs):
    """Jobs of two teams, and the addresses of all pages."""
    ann = jobs.add_job("of-ann", pipeline_name="shop-of-ann", result=result("of-ann"))
    bob = jobs.add_job(
        "of-bob", dag_id="builds", pipeline_name="depot-of-bob", action_type=CUSTOM_TYPE, run_state="failed"
    )
    waiting = jobs.add_run("builds")
    trigger = jobs.add_trigger("CodePipelineJobTrigger", TRIGGER)
    jobs.add_task(waiting, "wait", state="deferred", trigger_id=trigger)
    lists = ["/", "/executions"]
    return lists, f"/jobs/{ann}/-1/claim", f"/jobs/{bob}/-1/claim", f"/runs/builds/run-{bob}"


def test_nobody_sees_a_page_without_a_login(addresses, log_in):
    lists, *singles = addresses
    for address in (*lists, *singles):
        page = log_in(None).get(address)
        assert page.status_code == 401
        assert "of-ann" not in page.text
        assert "of-bob" not in page.text


def test_a_page_needs_the_right_to_view_plugins(addresses, log_in):
    assert log_in("nobody").get("/").status_code == 403


def test_a_forged_token_opens_nothing(addresses, log_in):
    browser = log_in(None)
    browser.cookies.set("_token", "e30.e30.x")
    assert browser.get("/").status_code in (401, 403)


def test_all_is_there_for_a_user_who_may_read_all_dags(addresses, log_in):
    _, ann, bob, run = addresses
    page = log_in().get("/").text
    assert "shop-of-ann" in page
    assert "depot-of-bob" in page
    assert (
        "<dd>1</dd>"
        in re.search("Waiting tasks</dt>(.*?)</div>", page.partition("Build/Custom/Forge/1")[2])[1]
    )
    assert {log_in().get(address).status_code for address in (ann, bob, run)} == {200}


@pytest.mark.parametrize(
    ("user", "hidden"),
    [
        ("ann", ["of-bob", "builds", "depot", "Forge", "No recorded result"]),
        ("bob", ["of-ann", "scans", "shop", "Scan", "Succeeded"]),
        ("eve", ["of-", "builds", "scans", "shop", "depot", "Forge", "Scan"]),
    ],
)
def test_of_other_dags_there_is_no_trace(addresses, log_in, user, hidden):
    lists, *singles = addresses
    found = [log_in(user).get(address) for address in (*lists, "/?dag=other&pipeline=other", *singles)]
    shown = "".join(page.text for page in found if page.status_code == 200)
    assert [text for text in hidden if text in shown] == []


def test_a_page_of_another_dag_is_not_found(addresses, log_in):
    _, ann, bob, run = addresses
    assert [log_in("ann").get(address).status_code for address in (ann, bob, run)] == [200, 404, 404]
    assert [log_in("bob").get(address).status_code for address in (ann, bob, run)] == [404, 200, 200]
    # As if it did not exist.
    assert log_in("ann").get(bob).text == log_in("ann").get("/jobs/999/-1/claim").text


@pytest.mark.parametrize("entity", ["DAG", "XCOM", "RUN", "TASK_INSTANCE"])
def test_a_dag_of_which_a_part_is_denied_is_hidden(addresses, log_in, entity):
    DENIED["ann"] = {entity}
    assert "of-ann" not in log_in("ann").get("/").text
    assert log_in("ann").get(addresses[1]).status_code == 404


def test_all_dags_are_asked_for_in_one_question(jobs, log_in):
    for number in range(32):
        jobs.add_job(f"job-{number}", dag_id=f"dag-{number}")
    assert log_in().get("/").status_code == 200
    assert QUESTIONS == ["admin"]


@pytest.mark.parametrize("readable", [(), (0,), (31,), (3, 4, 17), range(0, 32, 2)])
def test_what_is_denied_is_left_out_and_nothing_else(jobs, log_in, monkeypatch, readable):
    dag_ids = [f"dag-{number:02}" for number in range(32)]
    for dag_id in dag_ids:
        jobs.add_job(f"job-of-{dag_id}", dag_id=dag_id)
    # Airflow lets her see each of the DAGs, but not all that is shown of them.
    monkeypatch.setitem(READABLE, "ann", None)
    expected = {dag_ids[number] for number in readable}
    monkeypatch.setitem(DENIED, "ann", {f"XCOM of {dag_id}" for dag_id in set(dag_ids) - expected})
    page = log_in("ann").get("/").text
    assert set(re.findall('data-job-id="job-of-([^"]+)"', page)) == expected
    assert len(QUESTIONS) < 2 * len(dag_ids)


def test_assets_need_a_right_of_their_own(jobs, log_in):
    trigger = jobs.add_trigger("CodePipelineJobTrigger", TRIGGER)
    run = jobs.add_job("of-ann", run=jobs.add_run(run_type="asset_triggered"))
    jobs.add_watcher("forge-jobs", trigger, "scans")
    jobs.add_event("forge-jobs", run, {"jobs": [{"job_id": "of-ann"}]})
    offered = "Offered: the event of a watcher"
    pages = ["/", f"/jobs/{run}/-1/claim"]
    first, second = (log_in("ann").get(page).text for page in pages)
    assert "forge-jobs" in first
    assert offered in second
    DENIED["ann"] = {"ASSET"}
    first, second = (log_in("ann").get(page).text for page in pages)
    assert "of-ann" in first
    assert "forge-jobs" not in first
    assert "of-ann" in second
    assert offered not in second


def test_what_goes_wrong_is_a_page_without_its_cause(jobs, log_in, monkeypatch):
    from airflow_codepipeline_partner.ui import app

    def broken(*values, **named):
        raise OverflowError("secret-text")

    monkeypatch.setattr(app, "read_window", broken)
    browser = log_in()
    browser._transport.raise_server_exceptions = False
    page = browser.get("/")
    assert page.status_code == 500
    assert "could not be made" in page.text
    assert "secret-text" not in page.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(addresses, log_in, method):
    lists, *singles = addresses
    for address in (*lists, *singles):
        assert log_in().request(method, address).status_code == 405


def test_all_routes_but_static_files_only_read_and_need_a_user():
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi.routing import APIRoute

    from airflow_codepipeline_partner.ui.app import router

    def needs_user(needed):
        return needed.call is get_user or any(map(needs_user, needed.dependencies))

    assert len(router.routes) == 4
    for route in router.routes:
        assert isinstance(route, APIRoute)
        assert route.methods == {"GET"}
        # FastAPI's own spelling.
        assert needs_user(vars(route)["depend" + "ant"])


def test_the_headers_let_nothing_in_from_elsewhere(addresses, log_in):
    policy = log_in().get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'self'" in policy
    assert log_in().get("/").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "address", ["/?page=secret-text", "/?before=x", "/jobs/x/-1/claim", "/jobs/1/y/claim"]
)
def test_an_address_that_does_not_fit_gets_a_page(log_in, address):
    page = log_in("ann").get(address)
    assert page.status_code == 422
    assert "does not fit" in page.text
    assert "secret-text" not in page.text
