# SPDX-License-Identifier: Apache-2.0
"""What the controls refuse, and pipelines of custom actions."""

from __future__ import annotations

import pytest
from declaring import ACTION_TYPE, CUSTOM_TYPE

from airflow_codepipeline_partner.emulator import ControlError, cli

CLIENT_ID = "11111111-2222-3333-4444-555555555555"


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


def test_a_custom_pipeline_over_http_needs_no_customer(custom_world, http):
    w = custom_world()
    w.emu.add_customer("11111111-2222-3333-4444-555555555555")
    body = {
        "name": "over-http",
        "action_type": CUSTOM_TYPE,
        "configuration": {"k": "v"},
        "input_artifacts": [],
    }
    url = f"{w.emu.url}/_emu/pipelines"
    assert http(url, body)[:2] == (200, {"name": "over-http"})
    assert http(url)[1]["pipelines"] == ["over-http", "pipeline"]
    assert http(f"{w.emu.url}/_emu/executions", {"name": "over-http"})[0] == 200
    [job] = http(f"{w.emu.url}/_emu/jobs")[1]["jobs"]
    assert (job["client_id"], job["status"], job["pipeline_name"]) == (None, "Queued", "over-http")
    refused = body | {"name": "refused"}
    for change in (
        {"client_id": "11111111-2222-3333-4444-555555555555"},
        {"action_type": ACTION_TYPE},
        {"action_type": CUSTOM_TYPE | {"owner": "AWS"}},
    ):
        status, answer, _ = http(url, refused | change)
        assert status == 400
        assert "a custom one has none" in answer["error"] or "owner ThirdParty or Custom" in answer["error"]
    assert "refused" not in w.emu.state.pipelines


def test_a_custom_pipeline_by_command_needs_no_customer(custom_world, capsys):
    w = custom_world(pipeline=False)

    def add(name, *arguments, code=0):
        assert cli.main(["add-pipeline", "--url", w.emu.url, name, *arguments]) == code
        return capsys.readouterr().err

    custom = ("--action-type", "Build/Custom/Own/1")
    add("said", *custom, "--secret-configuration", "Password=hush", "--no-input-artifacts")
    [_, action] = w.emu.state.pipelines["said"].actions()
    assert action.action_type.as_dict() == CUSTOM_TYPE
    assert (action.client_id, action.input_artifacts) == (None, ())
    w.start("said")
    [job] = w.worker.poll()
    assert job["data"]["actionConfiguration"]["configuration"] == {"Password": "hush"}
    add("plain", *custom)
    [_, action] = w.emu.state.pipelines["plain"].actions()
    assert action.input_artifacts == ("SourceOutput",)
    assert "a custom one has none" in add("p", *custom, "--client-id", w.emu.add_customer().client_id, code=1)
    assert "needs client_id" in add("p", code=1)
    assert "needs client_id" in add("p", "--action-type", "Test/ThirdParty/New/1", code=1)
    assert sorted(w.emu.state.pipelines) == ["plain", "said"]
