# SPDX-License-Identifier: Apache-2.0
"""The controls over HTTP."""

from __future__ import annotations

import base64

import pytest
from botocore.exceptions import ClientError

CLIENT_ID = "11111111-2222-3333-4444-555555555555"


def test_all_that_a_test_needs_can_be_done_over_http(control, client):
    status, customer = control("POST", "/customers", {"client_id": CLIENT_ID, "client_token": "t1"})
    assert (status, customer) == (200, {"client_id": CLIENT_ID, "client_token": "t1"})
    pipeline = {
        "name": "over-http",
        "client_id": CLIENT_ID,
        "action_type": {"category": "Test", "owner": "ThirdParty", "provider": "Http", "version": "1"},
        "configuration": {"k": "v"},
        "input_artifacts": ["In"],
        "job_timeout": None,
    }
    assert control("POST", "/pipelines", pipeline) == (200, {"name": "over-http"})
    assert control("GET", "/pipelines")[1]["pipelines"] == ["over-http", "pipeline"]
    body = {"name": "over-http", "artifacts": {"In": base64.b64encode(b"source").decode()}}
    status, started = control("POST", "/executions", body)
    assert status == 200
    [job] = control("GET", "/jobs")[1]["jobs"]
    assert job["pipeline_execution_id"] == started["pipeline_execution_id"]
    assert (job["status"], job["client_id"]) == ("Queued", CLIENT_ID)
    place = control.w.emu.state.jobs[job["job_id"]].action.inputs[0]
    got = client("s3", control.w.emu).get_object(Bucket=place.bucket, Key=place.key)
    assert got["Body"].read() == b"source"
    state = control("GET", "/state?name=over-http")[1]
    assert state["stageStates"][1]["actionStates"][0]["latestExecution"]["status"] == "InProgress"
    control("POST", "/customers/rotate", {"client_id": CLIENT_ID, "client_token": "t2", "overlap": 5})
    assert control.w.emu.state.customers.accepts(CLIENT_ID, "t2", 0)


def test_time_moves_over_http(control):
    before = control("GET", "/clock")[1]["now"]
    after = control("POST", "/clock/advance", {"seconds": 60})[1]["now"]
    assert after == control("GET", "/clock")[1]["now"] == control.w.emu.now().isoformat()
    assert after > before


def test_faults_are_injected_listed_and_cleared_over_http(control):
    status, fault = control("POST", "/faults", {"kind": "slow", "times": None, "seconds": 0})
    assert (status, fault["times"], fault["params"]) == (200, None, {"seconds": 0})
    assert control("GET", "/faults")[1]["faults"] == [fault]
    control("POST", "/faults/clear")
    assert control("GET", "/faults")[1]["faults"] == []
    assert control("POST", "/faults", {"kind": "throttle", "operation": None})[1]["times"] == 1


def test_the_ledger_can_be_filtered_over_http(control):
    control.w.worker.poll()
    assert len(control("GET", "/ledger")[1]["ledger"]) == 3
    [poll] = control("GET", "/ledger?kind=call&operation=PollForThirdPartyJobs")[1]["ledger"]
    assert poll == control.w.emu.ledger.polls()[0].as_dict()
    assert control("GET", "/ledger?number=1")[1]["ledger"][0]["operation"] == "AddCustomer"
    assert control("GET", "/ledger?nonsense=1")[0] == 400
    control.w.emu.add_pipeline("2024", client_id=control.w.customer.client_id)
    assert len(control("GET", "/ledger?pipeline_name=2024")[1]["ledger"]) == 1
    control.w.emu.inject("throttle")
    with pytest.raises(ClientError):
        control.w.worker.poll()
    [throttled] = control("GET", "/ledger?faults=throttle")[1]["ledger"]
    assert throttled["outcome"] == "ThrottlingException"


def test_settings_are_shown_and_changed_over_http(control):
    assert control("GET", "/settings")[1]["lease_seconds"] == 60
    changed = control("POST", "/settings", {"lease_seconds": 5, "region": None})[1]
    assert changed["lease_seconds"] == control.w.emu.settings.lease_seconds == 5
    assert control("POST", "/settings", {"nonsense": 5})[0] == 400


def test_reset_forgets_all_and_can_set_settings(control, client):
    s3 = client("s3", control.w.emu)
    s3.create_bucket(Bucket="to-be-forgotten")
    assert control("POST", "/reset", {"settings": {"lease_seconds": 7}}) == (200, {})
    assert control.w.emu.ledger == []
    assert control.w.emu.settings.lease_seconds == 7
    assert s3.list_buckets()["Buckets"] == []
    assert control("POST", "/reset")[0] == 200
    assert control.w.emu.settings.lease_seconds == 7
    assert control("POST", "/reset", {"settings": {"lease_seconds": -1}})[0] == 400


def test_the_reset_of_moto_resets_the_jobs_too(control, http):
    control.w.start()
    assert http(f"{control.w.emu.url}/moto-api/reset", b"", method="POST")[0] == 200
    assert control.w.emu.jobs() == []
    with pytest.raises(control.w.worker.error.ActionTypeNotFoundException):
        control.w.worker.poll()


def test_what_there_is_can_be_listed(control):
    routes = control("GET", "/")[1]["routes"]
    assert control("GET", "")[1]["routes"] == routes
    assert {route["path"] for route in routes} >= {"/_emu/customers", "/_emu/ledger", "/_emu/health"}
    assert control("GET", "/health") == (200, {"status": "ok"})
    action_type = {"category": "Test", "owner": "ThirdParty", "provider": "P", "version": "1"}
    assert control("POST", "/action-types", {"action_type": action_type}) == (200, {})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/nonsense", None, 404, "GET /_emu/ lists"),
        ("GET", "/customers", None, 405, "takes POST"),
        ("POST", "/customers", b"{", 400, "no JSON"),
        ("POST", "/customers", [], 400, "no JSON object"),
        ("POST", "/customers", {"client_id": "x"}, 400, "UUID"),
        ("POST", "/customers", {"client_id": 5}, 400, "client_id is a text"),
        ("POST", "/customers", {"client_token": "x" * 257}, 400, "1 to 256"),
        ("POST", "/customers", {"nonsense": 1}, 400, "unknown: nonsense"),
        ("POST", "/customers/rotate", {}, 400, "missing: client_id"),
        ("POST", "/customers/rotate", {"client_id": CLIENT_ID}, 404, "no customer"),
        ("POST", "/connect", {"client_id": CLIENT_ID, "configuration_url": "https://x"}, 404, "no customer"),
        ("POST", "/action-types", {"action_type": {"category": "Test"}}, 400, "an action type has"),
        ("POST", "/executions", {"name": "none"}, 404, "no pipeline"),
        ("POST", "/executions", {"name": "pipeline", "artifacts": {"X": "eA=="}}, 400, "has no artifact X"),
        ("POST", "/executions", {"name": "pipeline", "artifacts": {"X": "?"}}, 400, "no base64"),
        ("POST", "/executions", {"name": "pipeline", "artifacts": {"X": 1}}, 400, "no base64"),
        ("GET", "/state?name=none", None, 404, "no pipeline"),
        ("GET", "/state", None, 400, "missing: name"),
        ("POST", "/clock/advance", {"seconds": -1}, 400, "0 or more"),
        ("POST", "/clock/advance", {"seconds": True}, 400, "number"),
        ("POST", "/clock/advance", {"seconds": float("inf")}, 400, "0 or more"),
        ("POST", "/clock/advance", {"seconds": 1e12}, 400, "at most"),
        ("POST", "/clock/advance", {"seconds": 10**400}, 400, "at most"),
        ("POST", "/faults", {"kind": "nonsense"}, 400, "no such kind"),
        ("POST", "/faults", {"kind": "throttle", "self": 1}, 400, "takes no self"),
        ("POST", "/settings", {"self": 1}, 400, "no such setting"),
        ("POST", "/settings", {"connect_members": 5}, 400, "3 different names"),
        ("POST", "/settings", {"lease_seconds": None}, 400, "cannot be None"),
        ("POST", "/settings", {"lease_seconds": 10**400}, 400, "at most"),
        ("GET", "/ledger?self=1", None, 400, "has no self"),
        ("GET", "/ledger?number=%C2%B2", None, 400, "whole number"),
        ("GET", "/ledger?number=" + "9" * 5000, None, 400, "whole number"),
        ("POST", "/customers", {"client_id": ""}, 400, "UUID"),
        ("POST", "/executions", {"name": ""}, 404, "no pipeline"),
        ("POST", "/faults", {"kind": "error", "code": 5}, 400, "code is a text"),
        ("POST", "/faults", {"kind": "duplicate", "in_progress": "no"}, 400, "true or false"),
        ("POST", "/reset", {"settings": {"connect_members": 5}}, 400, "3 different names"),
        ("POST", "/reset", {"settings": {"nonsense": 1}}, 400, "no such setting"),
    ],
)
def test_bad_input_is_refused_cleanly(control, method, path, body, status, message):
    got, answer = control(method, path, body)
    assert got == status
    assert message in answer["error"]
