# SPDX-License-Identifier: Apache-2.0
"""Actions without a worker that fail because the test said so."""

from __future__ import annotations

import pytest
from declaring import APPROVAL, CODE_DEPLOY, action, retry, stage

from airflow_codepipeline_partner.emulator import ControlError, cli


@pytest.fixture
def rolled(made):
    """A pipeline whose stage Build rolls out, then asks a worker."""
    m = made()
    m.create(
        m.source,
        stage("Build", action("Roll", CODE_DEPLOY), action("Do", runOrder=2)),
        stage("Ship", action("Ask", APPROVAL), action("Roll", CODE_DEPLOY, runOrder=2)),
    )
    return m


def error_of(m, number=-1):
    return m.runs()[number]["output"]["executionResult"].get("errorDetails")


def test_an_action_fails_once_with_a_code_and_a_message(rolled):
    m = rolled
    m.w.emu.fail_action("made", "Roll", stage_name="Build", code="JobTimedOut", message="no host answered")
    execution_id = m.start()
    assert m.status(execution_id) == "Failed"
    assert error_of(m) == {"code": "JobTimedOut", "message": "no host answered"}
    m.client.retry_stage_execution(**retry(m, execution_id))
    assert m.named(m.claim()) == "Do"


def test_without_more_it_is_a_job_failed(rolled):
    rolled.w.emu.fail_action("made", "Fetch")
    rolled.start()
    assert error_of(rolled)["code"] == "JobFailed"
    assert "fail_action" in error_of(rolled)["message"]
    assert rolled.stages()["Build"] is None


@pytest.mark.parametrize("end", ["times", "clear", "reset"])
def test_an_action_fails_until_told_otherwise(rolled, end):
    emu = rolled.w.emu
    emu.fail_action("made", "Roll", stage_name="Build", times=None)
    assert [rolled.status(rolled.start()) for _ in range(3)] == ["Failed"] * 3
    if end == "reset":
        emu.reset()
        assert emu.state.planned_failures == {}
        return
    if end == "times":
        emu.fail_action("made", "Roll", stage_name="Build", times=0)
    else:
        emu.clear_faults()
    assert rolled.status(rolled.start()) == "InProgress"


def test_an_action_fails_as_often_as_it_was_told(rolled):
    rolled.w.emu.fail_action("made", "Roll", stage_name="Build", times=2)
    statuses = [rolled.status(rolled.start()) for _ in range(3)]
    assert statuses == ["Failed", "Failed", "InProgress"]


def test_an_approval_that_fails_asks_nobody(rolled):
    rolled.w.emu.fail_action("made", "Ask")
    execution_id = rolled.start()
    rolled.w.worker.succeed(rolled.claim()["id"])
    assert rolled.status(execution_id) == "Failed"
    assert rolled.w.emu.state.approvals == {}


def test_other_stages_and_pipelines_are_not_meant(rolled):
    m = rolled
    m.create(m.source, stage("Build", action("Roll", CODE_DEPLOY)), name="other")
    m.w.emu.fail_action("made", "Roll", stage_name="Ship")
    assert m.status(m.start("other"), "other") == "Succeeded"
    assert m.status(m.start()) == "InProgress"


def test_a_pipeline_that_is_made_again_does_not_fail(rolled):
    m = rolled
    m.w.emu.fail_action("made", "Fetch", times=None)
    m.client.delete_pipeline(name="made")
    m.create(m.source, stage("Build", action("Roll", CODE_DEPLOY)))
    assert m.status(m.start()) == "Succeeded"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "none"}, "no pipeline"),
        ({"action_name": "None"}, "no action None"),
        ({"stage_name": "None"}, "no action Roll in the stage None"),
        ({"stage_name": None}, "stage_name"),
        ({"action_name": "Do"}, "worker"),
        ({"code": ""}, "code is a text"),
        ({"message": ""}, "message is a text of 1 to 5000"),
        ({"message": "m" * 5001}, "message is a text of 1 to 5000"),
        ({"times": -1}, "times"),
        ({"times": True}, "times"),
        ({"times": 1.5}, "times"),
    ],
)
def test_what_cannot_fail_is_refused(rolled, given, message):
    asked = {"name": "made", "action_name": "Roll", "stage_name": "Build"} | given
    with pytest.raises(ControlError, match=message):
        rolled.w.emu.fail_action(asked.pop("name"), asked.pop("action_name"), **asked)
    assert rolled.status(rolled.start()) == "InProgress"


def test_a_failure_is_planned_over_http_and_by_command(rolled, http, capsys):
    url = rolled.w.emu.url
    body = {"name": "made", "action_name": "Roll", "stage_name": "Build", "code": "C", "message": "m"}
    assert http(f"{url}/_emu/actions/fail", body)[:2] == (200, {})
    rolled.start()
    assert error_of(rolled) == {"code": "C", "message": "m"}
    assert cli.main(["fail-action", "--url", url, "made", "Roll", "--stage-name", "Build", "--always"]) == 0
    assert [rolled.status(rolled.start()) for _ in "ab"] == ["Failed"] * 2
    [*_, said] = rolled.w.emu.ledger.where(operation="FailAction")
    assert (said.kind, said.pipeline_name, said.details["times"]) == ("control", "made", None)
