# SPDX-License-Identifier: Apache-2.0
"""The control interface over HTTP."""

from __future__ import annotations

import base64
import json
import urllib.parse

import pytest
from botocore.exceptions import ClientError

from airflow_codepipeline_partner.emulator import ControlError

CLIENT_ID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def control(world, http):
    w = world()

    def call(method, path, body=None):
        return http(f"{w.emu.url}/_emu{path}", body, {"Content-Type": "application/json"}, method)[:2]

    call.w = w
    return call


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


def test_connect_hands_the_identity_to_the_partners_page(control):
    body = {"client_id": control.w.customer.client_id, "configuration_url": "https://partner.example/c?a=b"}
    url = control("POST", "/connect", body)[1]["url"]
    assert url.startswith("https://partner.example/c?a=b&request=")
    document = json.loads(urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["request"][0])
    assert document["clientId"] == control.w.customer.client_id
    assert document["clientToken"] == control.w.customer.client_token
    assert document["correlationId"]
    again = control("POST", "/connect", body)[1]["url"]
    assert again != url


def test_the_shape_of_connect_can_be_set(control):
    control.w.emu.configure(connect_parameter="doc", connect_members="i,t,c")
    url = control.w.emu.connect_request(control.w.customer.client_id, "https://partner.example/c")
    assert url.startswith("https://partner.example/c?doc=")
    document = json.loads(urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["doc"][0])
    assert set(document) == {"i", "t", "c"}


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
def test_bad_input_is_told_cleanly(control, method, path, body, status, message):
    got, answer = control(method, path, body)
    assert got == status
    assert message in answer["error"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "pipeline"}, "already a pipeline"),
        ({"client_id": CLIENT_ID}, "no customer"),
        ({"name": "a b"}, "name of a pipeline"),
        ({"stage_name": ""}, "name of a stage"),
        ({"action_name": "ä"}, "name of a action"),
        ({"action_type": {"category": "X", "owner": "ThirdParty", "provider": "P", "version": "1"}}, "enum"),
        (
            {"action_type": {"category": "Test", "owner": "Custom", "provider": "P", "version": "1"}},
            "a custom one has none",
        ),
        ({"client_id": None}, "needs client_id"),
        ({"input_artifacts": ["a b"]}, "name of an artifact"),
        ({"input_artifacts": "In"}, "list of names"),
        ({"output_artifacts": [{}]}, "list of names"),
        ({"secret_configuration_keys": [[]]}, "list of names"),
        ({"bucket": "A_B"}, "name of a bucket"),
        ({"bucket": ""}, "name of a bucket"),
        ({"client_id": []}, "no customer"),
        ({"encryption_key": ""}, "1 to 400"),
        ({"encryption_key": "k" * 401}, "1 to 400"),
        ({"encryption_key": 5}, "1 to 400"),
        ({"input_artifacts": 5}, "list of names"),
        ({"configuration": ["a"]}, "mapping"),
        ({"execution_url_template": 5}, "1 to 2048"),
        ({"execution_url_template": ""}, "1 to 2048"),
        ({"job_timeout": 1e300}, "at most"),
        ({"input_artifacts": ["A"], "output_artifacts": ["A"]}, "a name of its own"),
        ({"configuration": {"": "v"}}, "1 to 50"),
        ({"configuration": {"k": "v" * 1001}}, "1 to 1000"),
        ({"secret_configuration_keys": ["k"]}, "no such configuration key: k"),
        ({"execution_url_template": "https://x/{Config:k}"}, "no secret: k"),
        (
            {
                "execution_url_template": "https://x/{Config:k}",
                "configuration": {"k": "v"},
                "secret_configuration_keys": ["k"],
            },
            "no secret: k",
        ),
        ({"job_timeout": 0}, "above 0"),
        ({"job_timeout": "60"}, "number of seconds"),
    ],
)
def test_a_pipeline_that_cannot_be_is_refused(control, change, message):
    given = {"name": "new", "client_id": control.w.customer.client_id} | change
    with pytest.raises(ControlError, match=message):
        control.w.emu.add_pipeline(**given)
    assert sorted(control.w.emu.state.pipelines) == ["pipeline"]


def test_a_customer_is_added_once(control):
    with pytest.raises(ControlError, match="already a customer"):
        control.w.emu.add_customer(control.w.customer.client_id)


@pytest.mark.parametrize("url", ["http://partner.example", "https://[x", "https://", "partner.example"])
def test_the_configuration_page_is_https(control, url):
    with pytest.raises(ControlError, match="https"):
        control.w.emu.connect_request(control.w.customer.client_id, url)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        (lambda emu: emu.start_execution("pipeline", {"In": "text"}), "In is bytes, not str"),
        (lambda emu: emu.start_execution("pipeline", ["In"]), "mapping"),
        (lambda emu: emu.start_execution(["pipeline"]), "no pipeline"),
        (lambda emu: emu.rotate_token([]), "no customer"),
        (lambda emu: emu.add_customer(5), "UUID"),
        (lambda emu: emu.inject([]), "no such kind"),
        (lambda emu: emu.configure(connect_members=5), "3 different names"),
    ],
)
def test_what_python_lets_pass_is_refused_too(world, do, message):
    with pytest.raises(ControlError, match=message):
        do(world(pipeline={"input_artifacts": ["In"]}).emu)
