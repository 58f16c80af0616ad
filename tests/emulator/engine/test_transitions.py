# SPDX-License-Identifier: Apache-2.0
"""Transitions between stages, disabled and enabled."""

from __future__ import annotations

import pytest
from declaring import CODE_DEPLOY, action, code, retry, stage

CALLER = "arn:aws:sts::123456789012:user/moto"
IN, OUT = {"transitionType": "Inbound"}, {"transitionType": "Outbound"}


@pytest.fixture
def built(made):
    """A pipeline of the stages Source, Build and Ship."""

    def make(mode="SUPERSEDED"):
        m = made()
        stages = m.source, stage("Build", action("Do")), stage("Ship", action("Out"))
        m.create(*stages, executionMode=mode, pipelineType="V2")
        return m

    return make


def disable(m, stage_name="Ship", reason="Waiting for QA", **more):
    asked = {"pipelineName": "made", "stageName": stage_name, "reason": reason} | IN | more
    m.client.disable_stage_transition(**asked)


def enable(m, stage_name="Ship", **more):
    m.client.enable_stage_transition(**({"pipelineName": "made", "stageName": stage_name} | IN | more))


def shown(m, stage_name="Ship"):
    stages = m.client.get_pipeline_state(name="made")["stageStates"]
    return next(each for each in stages if each["stageName"] == stage_name)


def through_build(m):
    """Start an execution, and let it pass the stage Build."""
    execution_id = m.start()
    m.w.worker.succeed(m.claim()["id"])
    return execution_id


def inbound(m, stage_name="Ship"):
    return [each["pipelineExecutionId"] for each in shown(m, stage_name).get("inboundExecutions", ())]


@pytest.mark.parametrize(("stage_name", "kind"), [("Ship", IN), ("Build", OUT)])
def test_an_execution_waits_before_a_disabled_transition(built, stage_name, kind):
    m = built()
    m.w.emu.advance(5)
    disable(m, stage_name, **kind)
    at = m.w.emu.now()
    execution_id = through_build(m)
    assert shown(m)["inboundTransitionState"] == {
        "enabled": False,
        "disabledReason": "Waiting for QA",
        "lastChangedBy": CALLER,
        "lastChangedAt": at,
    }
    assert shown(m)["inboundExecution"] == {
        "pipelineExecutionId": execution_id,
        "status": "InProgress",
        "type": "STANDARD",
    }
    assert (m.stages()["Build"], m.stages()["Ship"], m.status(execution_id)) == (
        "Succeeded",
        None,
        "InProgress",
    )
    m.w.emu.advance(60)
    enable(m, stage_name, **kind)
    assert shown(m)["inboundTransitionState"] == {
        "enabled": True,
        "lastChangedBy": CALLER,
        "lastChangedAt": m.w.emu.now(),
    }
    assert "inboundExecution" not in shown(m)
    m.w.worker.succeed(m.claim()["id"])
    assert m.status(execution_id) == "Succeeded"


def test_before_the_first_change_a_transition_is_just_enabled(built):
    assert [
        each["inboundTransitionState"] for each in built().w.emu.pipeline_state("made")["stageStates"]
    ] == [{"enabled": True}] * 3


def test_what_entered_runs_to_its_end_at_once(made):
    m = made()
    m.create(m.source, stage("Ship", action("Roll", CODE_DEPLOY)))
    disable(m)
    execution_id = m.start()
    assert m.status(execution_id) == "InProgress"
    enable(m)
    assert m.status(execution_id) == "Succeeded"


def test_a_disabled_transition_holds_nobody_in_its_stage(built):
    m = built()
    execution_id = through_build(m)
    disable(m)
    m.w.worker.succeed(m.claim()["id"])
    assert m.status(execution_id) == "Succeeded"


def test_the_newest_execution_supersedes_the_one_that_waits(built):
    m = built()
    disable(m)
    first, second = through_build(m), through_build(m)
    assert (m.status(first), inbound(m)) == ("Superseded", [second])
    enable(m)
    m.w.worker.succeed(m.claim()["id"])
    assert m.status(second) == "Succeeded"


def test_queued_executions_pass_one_after_another(built):
    m = built("QUEUED")
    disable(m)
    ids = [through_build(m) for _ in range(3)]
    assert inbound(m) == ids
    enable(m)
    assert inbound(m) == ids[1:]
    disable(m)
    m.w.worker.succeed(m.claim()["id"])
    assert [m.status(each) for each in ids] == ["Succeeded", "InProgress", "InProgress"]
    assert inbound(m) == ids[1:]
    enable(m)
    for _ in ids[1:]:
        m.w.worker.succeed(m.claim()["id"])
    assert {m.status(each) for each in ids} == {"Succeeded"}


def test_parallel_executions_pass_together(built):
    m = built("PARALLEL")
    disable(m)
    ids = [through_build(m) for _ in range(3)]
    assert inbound(m) == ids
    enable(m)
    assert inbound(m) == []
    assert len(m.w.worker.poll()) == 3


def test_an_execution_waits_before_the_first_stage_too(built):
    m = built()
    disable(m, "Source")
    execution_id = m.start()
    assert (m.actions()["Fetch"], inbound(m, "Source")) == (None, [execution_id])
    enable(m, "Source")
    assert m.actions()["Fetch"] == "Succeeded"


def test_a_waiting_execution_can_be_stopped(built):
    m = built()
    disable(m)
    execution_id = through_build(m)
    m.client.stop_pipeline_execution(pipelineName="made", pipelineExecutionId=execution_id)
    assert (m.status(execution_id), inbound(m)) == ("Stopped", [])
    enable(m)
    assert m.w.worker.poll() == []


def test_a_retry_needs_no_transition(built):
    m = built()
    execution_id = m.start()
    m.w.worker.fail(m.claim()["id"])
    disable(m, "Build")
    m.client.retry_stage_execution(**retry(m, execution_id))
    assert m.named(m.claim()) == "Do"


def test_an_update_of_the_pipeline_keeps_a_transition_disabled(built):
    m = built()
    disable(m)
    m.update(m.source, stage("Build", action("Do")), stage("Ship", action("Out")))
    assert not shown(m)["inboundTransitionState"]["enabled"]
    m.client.delete_pipeline(name="made")
    m.create(m.source, stage("Build", action("Do")), stage("Ship", action("Out")))
    assert shown(m)["inboundTransitionState"] == {"enabled": True}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pipelineName": "other"}, "PipelineNotFoundException"),
        ({"stageName": "Other"}, "StageNotFoundException"),
        ({"reason": ""}, "ValidationException"),
        ({"reason": "a" * 301}, "ValidationException"),
        ({"reason": "a/b"}, "ValidationException"),
        ({"transitionType": "Both"}, "ValidationException"),
        (OUT, "ValidationException"),
    ],
)
def test_what_cannot_be_disabled_is_refused(built, signed_call, change, error):
    m = built()
    asked = {"pipelineName": "made", "stageName": "Ship", "reason": "a"} | IN | change
    assert signed_call(m.w.emu, "DisableStageTransition", asked)[1]["__type"] == error
    assert shown(m)["inboundTransitionState"] == {"enabled": True}


def test_what_cannot_be_enabled_is_refused(built):
    m = built()
    asked = {"pipelineName": "made", "stageName": "Other"} | IN
    assert code(m.client.enable_stage_transition, **asked) == "StageNotFoundException"
    assert (
        code(m.client.enable_stage_transition, **asked | {"stageName": "Ship"} | OUT) == "ValidationException"
    )


def test_changes_of_transitions_are_in_the_ledger(built):
    m = built()
    disable(m)
    enable(m)
    said = [each for each in m.w.emu.ledger if each.operation.endswith("StageTransition")]
    assert [each.details for each in said] == [
        {"stageName": "Ship", "transitionType": "Inbound", "reason": "Waiting for QA"},
        {"stageName": "Ship", "transitionType": "Inbound"},
    ]
    assert {each.pipeline_name for each in said} == {"made"}


def test_a_pipeline_of_the_controls_has_transitions_too(world):
    w = world()
    asked = {"pipelineName": "pipeline", "stageName": "Partner", **IN}
    w.worker.client.disable_stage_transition(**asked, reason="Stop")
    w.start()
    assert w.worker.poll_ids() == []
    w.worker.client.enable_stage_transition(**asked)
    w.worker.succeed(w.worker.claim())
