# SPDX-License-Identifier: Apache-2.0
"""The trigger that waits for the end of an execution: its events, its log, and what a kill does."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import time

import pytest

from airflow_codepipeline_partner import triggers
from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling import execution_poller
from airflow_codepipeline_partner._protocol.responses import Outcome
from airflow_codepipeline_partner._transport import Transport, _Unanswered
from airflow_codepipeline_partner.triggers import CodePipelineExecutionTrigger

NOBODYS = "00000000-0000-4000-8000-000000000000"


def event_of(trigger):
    async def first():
        return [event.payload async for event in trigger.run()]

    [event] = asyncio.run(first())
    return event


@pytest.fixture
def execution_id(customer, emulator):
    return emulator.start_execution("pipe")


def trigger_for(execution_id, **more):
    return CodePipelineExecutionTrigger("pipe", execution_id, poll_interval=0.05, **more)


def test_it_is_the_same_after_its_way_through_the_database():
    name, arguments = trigger_for(NOBODYS, stop_on_kill="wait", timeout_deadline=5.0).serialize()
    module, _, kind = name.rpartition(".")
    again = getattr(importlib.import_module(module), kind)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (name, arguments)


def test_the_end_comes_with_what_has_failed(execution_id, partner):
    partner(lambda hook, job: hook.fail(job, message="No such host."))
    event = event_of(trigger_for(execution_id))
    assert event["status"] == "ended"
    assert event["pipeline_execution_id"] == execution_id
    assert event["execution"]["status"] == "Failed"
    [failed] = event["execution"]["failed_actions"]
    assert failed["error_message"] == "No such host."


def test_its_log_shows_what_the_actions_do(execution_id, partner, monkeypatch):
    partner(lambda hook, job: hook.succeed(job))
    trigger, lines = trigger_for(execution_id), []
    monkeypatch.setattr(
        type(trigger), "log", type("Log", (), {"info": lambda self, line: lines.append(line)})()
    )
    event_of(trigger)
    assert lines[0] == "Source / Source: Succeeded, 0 s"
    assert lines[-1].startswith("Partner / Partner: ")
    assert "Succeeded" in lines[-1]


def test_a_wait_has_an_end(execution_id, monkeypatch):
    monkeypatch.setattr(triggers, "LEAST_WAIT_FOR_EXECUTION", 0.3)
    event = event_of(trigger_for(execution_id, timeout_deadline=time.time()))
    assert 0 < time.time() - event.pop("timeout_deadline") < 60
    assert event == {
        "status": "timeout",
        "pipeline_execution_id": execution_id,
        "execution": None,
        "error": None,
    }


def test_a_wait_in_which_nobody_could_look(execution_id, emulator, monkeypatch):
    monkeypatch.setattr(triggers, "LEAST_WAIT_FOR_EXECUTION", 0.3)
    emulator.stop()
    event = event_of(trigger_for(execution_id, timeout_deadline=time.time()))
    assert event["status"] == "error"
    assert event["error"].startswith("ServiceUnavailable: ")


def test_what_is_not_there_is_an_error(customer, monkeypatch):
    monkeypatch.setattr(execution_poller, "KNOWN_WITHIN", 0.3)
    event = event_of(trigger_for(NOBODYS))
    assert event["status"] == "error"
    assert event["error"].startswith("PipelineNotFound: ")


@pytest.mark.parametrize(
    ("way", "status"), [("wait", "Stopping"), ("abandon", "Stopped"), (None, "InProgress")]
)
def test_somebody_ends_the_task(execution_id, executions, way, status):
    asyncio.run(trigger_for(execution_id, stop_on_kill=way).on_kill())
    assert executions() == {execution_id: status}


def test_a_stop_without_an_answer_is_tried_again(execution_id, executions, monkeypatch):
    monkeypatch.setattr(execution_poller, "_STOP_AGAIN_AFTER", (0.01, 0.01))
    try_once, calls = Transport._try_once, []

    def faulty(self, call, *args, **kwargs):
        calls.append(call.operation)
        answer = try_once(self, call, *args, **kwargs)
        return answer if len(calls) == 3 else _Unanswered("its answer was lost", Outcome.UNKNOWN)

    monkeypatch.setattr(Transport, "_try_once", faulty)
    asyncio.run(trigger_for(execution_id, stop_on_kill="abandon").on_kill())
    assert (calls, executions()) == (["StopPipelineExecution"] * 3, {execution_id: "Stopped"})


def test_hundreds_that_are_ended_share_a_client(execution_id, monkeypatch):
    made, hook = [], AwsParameters.hook
    monkeypatch.setattr(AwsParameters, "hook", lambda *args, **more: made.append(1) or hook(*args, **more))

    async def all_of_them():
        await asyncio.gather(*(trigger_for(execution_id, stop_on_kill="wait").on_kill() for _ in range(50)))

    asyncio.run(all_of_them())
    assert len(made) == 1


def test_no_argument_is_a_secret_of_the_log(execution_id, caplog):
    with caplog.at_level(logging.DEBUG, logger="airflow_codepipeline_partner"):
        asyncio.run(trigger_for(execution_id, stop_on_kill="abandon").on_kill())
        event_of(trigger_for(execution_id))
    assert "example-secret" not in caplog.text
