# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on demand when a pipeline is started, steered or watched."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from airflow_codepipeline_partner.emulator.faults import PIPELINE_CALLS
from airflow_codepipeline_partner.emulator.service_model import operations

START = "StartPipelineExecution"


@pytest.fixture
def pipeline(world, client):
    """The pipeline ``own``, as its owner reaches it."""
    w = world()
    w.emu.add_pipeline("own", action_type="Build/Custom/Airflow/1")
    owner = client("codepipeline", w.emu)
    w.start_own = lambda **more: owner.start_pipeline_execution(name="own", **more)["pipelineExecutionId"]
    w.executions = lambda: [
        each["pipelineExecutionId"]
        for each in owner.list_pipeline_executions(pipelineName="own")["pipelineExecutionSummaries"]
    ]
    return w


def test_each_of_these_calls_is_one_of_aws():
    assert set(PIPELINE_CALLS) <= set(operations())


@pytest.mark.parametrize(
    ("kind", "code"), [("throttle", "ThrottlingException"), ("server_error", "InternalFailure")]
)
def test_a_start_that_is_refused_starts_nothing(pipeline, kind, code):
    pipeline.emu.inject(kind, START)
    with pytest.raises(ClientError, match=code):
        pipeline.start_own()
    assert pipeline.executions() == []
    [entry] = pipeline.emu.ledger.where(operation=START)
    assert (entry.outcome, entry.faults) == (code, (kind,))
    assert [pipeline.start_own()] == pipeline.executions()


def test_a_start_that_does_not_arrive_starts_nothing(pipeline):
    pipeline.emu.inject("drop_request", START)
    with pytest.raises(ConnectionClosedError):
        pipeline.start_own()
    assert pipeline.executions() == []


def test_a_start_whose_answer_is_lost_is_found_by_its_token(pipeline):
    pipeline.emu.inject("drop_response", START)
    with pytest.raises(ConnectionClosedError):
        pipeline.start_own(clientRequestToken="mine")
    [started] = pipeline.executions()
    assert pipeline.start_own(clientRequestToken="mine") == started
    assert pipeline.executions() == [started]
    assert len(pipeline.emu.ledger.where(operation="StartExecution")) == 1


def test_a_lost_refusal_is_lost_too(pipeline):
    pipeline.emu.inject("drop_response", START)
    with pytest.raises(ConnectionClosedError):
        pipeline.start_own(variables=[{"name": "undeclared", "value": "x"}])
    assert pipeline.executions() == []


def test_a_start_may_be_slow(pipeline, monkeypatch):
    waited = []
    monkeypatch.setattr(pipeline.emu.state.faults.cleared, "wait", waited.append)
    pipeline.emu.inject("slow", START, seconds=7)
    assert pipeline.executions() == []
    assert [pipeline.start_own()] == pipeline.executions()
    assert waited == [7]


def test_a_look_can_fail_as_well(pipeline):
    pipeline.emu.inject("throttle", "ListPipelineExecutions")
    with pytest.raises(ClientError, match="Throttling"):
        pipeline.executions()
    assert pipeline.executions() == []


def test_a_fault_of_no_operation_hits_job_calls_only(pipeline):
    pipeline.emu.inject("throttle")
    assert [pipeline.start_own()] == pipeline.executions()
    assert len(pipeline.emu.faults()) == 1
