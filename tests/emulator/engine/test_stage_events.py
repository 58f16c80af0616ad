# SPDX-License-Identifier: Apache-2.0
"""The events of what people do to an execution."""

from __future__ import annotations

import uuid

import pytest
from declaring import APPROVAL, action, retry, stage


@pytest.fixture
def heard(made, client):
    """A pipeline that asks for an approval, and what its events say."""
    m = made()
    name = f"q-{uuid.uuid4().hex}"
    client("sqs", m.w.emu).create_queue(QueueName=name)
    m.w.emu.send_events_to(name)
    m.create(m.source, stage("Build", action("Ask", APPROVAL), action("Do", runOrder=2)))

    def said():
        """Return the events since the last time: whose state it is, and the state."""
        entries = m.w.emu.ledger.where(kind="event")[said.known :]
        said.known += len(entries)
        whose = [each.details.get("action", each.details.get("stage", "all")) for each in entries]
        return [f"{name} {each.details['state']}" for name, each in zip(whose, entries, strict=True)]

    said.known = 0
    m.said = said
    return m


def answer(m, status):
    [_, build] = m.client.get_pipeline_state(name="made")["stageStates"]
    m.client.put_approval_result(
        pipelineName="made",
        stageName="Build",
        actionName="Ask",
        result={"status": status, "summary": ""},
        token=build["actionStates"][0]["latestExecution"]["token"],
    )


def test_an_approval_tells_how_it_was_answered(heard):
    execution_id = heard.start()
    assert heard.said()[-2:] == ["Build STARTED", "Ask STARTED"]
    answer(heard, "Rejected")
    assert heard.said() == ["Ask FAILED", "Build FAILED", "all FAILED"]
    heard.client.retry_stage_execution(**retry(heard, execution_id))
    assert heard.said() == ["all RESUMED", "Build RESUMED", "Ask STARTED"]
    answer(heard, "Approved")
    assert heard.said() == ["Ask SUCCEEDED", "Do STARTED"]


def test_an_approval_that_nobody_answered_tells_it(heard):
    heard.start()
    heard.said()
    heard.w.emu.advance(7 * 24 * 3600)
    assert heard.said() == ["Ask FAILED", "Build FAILED", "all FAILED"]


def test_a_rollback_tells_who_began_it(heard):
    execution_id = heard.start()
    answer(heard, "Approved")
    heard.w.worker.succeed(heard.claim()["id"])
    heard.said()
    asked = {"pipelineName": "made", "stageName": "Build", "targetPipelineExecutionId": execution_id}
    heard.client.rollback_stage(**asked)
    assert heard.said() == ["all STARTED", "Build STARTED", "Ask STARTED"]


def test_an_abandoned_approval_tells_it(heard):
    stop = {"pipelineName": "made", "pipelineExecutionId": heard.start(), "abandon": True}
    heard.said()
    heard.client.stop_pipeline_execution(**stop)
    assert heard.said() == ["all STOPPING", "Build STOPPING", "Ask ABANDONED", "Build STOPPED", "all STOPPED"]
