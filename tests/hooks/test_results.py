# SPDX-License-Identifier: Apache-2.0
"""How the hook reports results, also if answers are lost."""

from __future__ import annotations

import logging
import re

import pytest
from hook_calls import FAILURE, SUCCESS, end, outcomes, status
from record_memory import RecordMemory
from support import ACTION_TYPE

from airflow_codepipeline_partner._limit_checks import CUT_MARK
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._worker import report
from airflow_codepipeline_partner._worker.records import ResultRecord
from airflow_codepipeline_partner.client_tokens import ClientTokenHook
from airflow_codepipeline_partner.exceptions import (
    InvalidClientToken,
    JobNotInProgress,
    LimitExceeded,
)
from airflow_codepipeline_partner.jobs import CurrentRevision

pytestmark = pytest.mark.usefixtures("quick_clients", "customer")


def test_all_members_of_a_result_arrive(emulator, hook, claimed):
    hook.succeed(
        claimed,
        current_revision=CurrentRevision("r1", "c1", "2026-01-31T12:00:00", "What changed"),
        continuation_token="step-2",
        execution_details=str(
            {"summary": "Half way", "externalExecutionId": "d/runs/r", "percentComplete": "50"}
        ),
    )
    [put] = emulator.ledger.puts()
    assert put.result == "continue"
    assert put.details == {
        "currentRevision": {
            "revision": "r1",
            "changeIdentifier": "c1",
            "created": put.details["currentRevision"]["created"],
            "revisionSummary": "What changed",
        },
        "continuationToken": "step-2",
        "executionDetails": {"summary": "Half way", "externalExecutionId": "d/runs/r", "percentComplete": 50},
    }
    assert put.details["currentRevision"]["created"] == 1769860800


def test_all_members_of_a_failure_arrive(emulator, hook, claimed):
    hook.fail(claimed, message="No.", failure_type="ConfigurationError", external_execution_id="d/runs/r")
    [put] = emulator.ledger.terminal_results()
    assert put.result == "failure"
    assert put.details == {
        "failureDetails": {"type": "ConfigurationError", "message": "No.", "externalExecutionId": "d/runs/r"}
    }


@pytest.mark.parametrize("changed", [{"password": "t" * 257}, {"password": ""}, {"login": "another"}])
def test_a_token_gone_bad_leaves_the_call_unknown(
    hook, emulator, customer, store_token, monkeypatch, changed
):
    """The answer before was lost, and the call cannot be repeated."""
    emulator.start_execution("pipe")
    [job] = hook.poll(ACTION_TYPE)
    hook.claim(job)
    emulator.inject("drop_response", operation=SUCCESS, times=1)
    # The repetition, after a wait, is refused.
    hook._transport._sleep = lambda seconds: emulator.rotate_token(customer.client_id)
    look_up = ClientTokenHook.get_token

    def changing(self, client_id, *, uncached=False, **how):
        if uncached:
            store_token(customer, **changed)
        return look_up(self, client_id, uncached=uncached)

    monkeypatch.setattr(ClientTokenHook, "get_token", changing)
    with pytest.raises(InvalidClientToken) as refusal:
        hook.succeed(job)
    assert refusal.value.in_doubt is True


@pytest.mark.parametrize("operation", [SUCCESS, FAILURE])
def test_a_put_with_a_lost_answer_counts_as_put(emulator, hook, claimed, operation, caplog):
    """And there is one result."""
    emulator.inject("drop_response", operation)
    end(hook, claimed, operation)
    assert outcomes(emulator, operation) == ["ok", "InvalidJobStateException"]
    [result] = emulator.ledger.terminal_results()
    assert result.result == ("success" if operation == SUCCESS else "failure")


def test_a_continuation_whose_answer_was_lost_is_put_once(emulator, hook, claimed):
    emulator.inject("drop_response", SUCCESS)
    hook.succeed(claimed, continuation_token="step-2")
    assert [put.result for put in emulator.ledger.puts() if put.outcome == "ok"] == ["continue"]
    assert len(emulator.jobs()) == 2


@pytest.mark.parametrize("first", [SUCCESS, FAILURE])
@pytest.mark.parametrize("second", [SUCCESS, FAILURE])
def test_a_second_put_is_an_error_and_changes_nothing(emulator, hook, claimed, first, second):
    end(hook, claimed, first)
    before = status(emulator)
    with pytest.raises(JobNotInProgress, match="retry it in CodePipeline") as refusal:
        end(hook, claimed, second)
    assert refusal.value.job_id == claimed.job_id
    assert status(emulator) == before
    assert len(emulator.ledger.terminal_results()) == 1


@pytest.mark.parametrize("operation", [SUCCESS, FAILURE])
def test_a_put_that_was_only_throttled_is_not_taken_as_put(emulator, hook, claimed, rival, operation):
    emulator.inject("throttle", operation)
    hook._transport._sleep = lambda seconds: rival.succeed(claimed.job_id)
    with pytest.raises(JobNotInProgress):
        end(hook, claimed, operation)


def test_a_put_that_an_earlier_process_intended_is_taken_as_put(emulator, hook, claimed):
    """By the task that has the record of it. The hook alone knows only of its own attempts."""
    call = requests.success(claimed.job)
    hook.put(call)
    memory = RecordMemory(ResultRecord.of_call("intended", call))
    assert report.put_once(hook, memory, call) == "success"
    for repeat in (hook.put, hook.send_result):
        with pytest.raises(JobNotInProgress):
            repeat(call)
    assert len(emulator.ledger.terminal_results()) == 1


def test_a_sent_result_with_a_lost_answer_is_in_doubt(emulator, hook, claimed):
    """What that means is for the caller to decide."""
    emulator.inject("drop_response", SUCCESS)
    with pytest.raises(JobNotInProgress) as refusal:
        hook.send_result(requests.success(claimed.job))
    assert refusal.value.in_doubt is True


@pytest.mark.parametrize(
    ("operation", "answer", "known"),
    [(SUCCESS, "status", "Succeeded"), (FAILURE, "status", "Failed"), (SUCCESS, "error", None)],
)
def test_the_status_of_an_ended_job_may_be_told(emulator, hook, claimed, operation, answer, known):
    emulator.configure(acknowledge_ended_job=answer)
    end(hook, claimed, operation)
    assert hook.status_of_ended(claimed.job) == known


def test_the_status_of_a_job_that_timed_out_is_told(emulator, hook, claimed):
    emulator.advance(3601)
    assert hook.status_of_ended(claimed.job) == "TimedOut"


def test_a_job_in_progress_has_no_status_of_an_ended_one(emulator, hook, claimed):
    assert hook.status_of_ended(claimed.job) is None
    assert status(emulator) == "InProgress"


@pytest.mark.parametrize("operation", [SUCCESS, FAILURE])
def test_no_result_is_taken_for_a_job_that_is_not_acknowledged(emulator, hook, offered, operation):
    with pytest.raises(JobNotInProgress):
        end(hook, offered, operation)
    assert status(emulator) == "Dispatched"


def test_no_result_is_taken_for_a_job_that_timed_out(emulator, hook, claimed):
    emulator.advance(3601)
    with pytest.raises(JobNotInProgress, match="its state is TimedOut"):
        hook.succeed(claimed)
    assert emulator.ledger.terminal_results() == []


def test_a_put_that_was_lost_on_the_way_arrives_in_the_end(emulator, hook, claimed, fake_time):
    emulator.inject("drop_request", SUCCESS, times=4)
    hook.succeed(claimed)
    assert len(emulator.ledger.terminal_results()) == 1
    assert len(fake_time.sleeps) == 4


@pytest.mark.parametrize(
    ("result", "field"),
    [
        ({"execution_details": {"percentComplete": 101}}, "executionDetails.percentComplete"),
        ({"execution_details": {"percentComplete": -1}}, "executionDetails.percentComplete"),
        ({"execution_details": {"externalExecutionId": "x" * 1501}}, "executionDetails.externalExecutionId"),
        ({"continuation_token": "t" * 2049}, "continuationToken"),
        ({"continuation_token": ""}, "continuationToken"),
        ({"continuation_token": "None"}, "continuationToken"),
        ({"current_revision": {"revision": "r"}}, "currentRevision.changeIdentifier"),
        (
            {"current_revision": {"revision": "x" * 1501, "changeIdentifier": "c"}},
            "currentRevision.revision",
        ),
        (
            {"current_revision": {"revision": "r", "changeIdentifier": "x" * 101}},
            "currentRevision.changeIdentifier",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_success_is_refused_before_any_call(emulator, hook, claimed, result, field):
    with pytest.raises(LimitExceeded) as refusal:
        hook.succeed(claimed, **result)
    assert refusal.value.field == field
    assert emulator.ledger.puts() == []
    assert status(emulator) == "InProgress"


@pytest.mark.parametrize(
    ("result", "field"),
    [
        ({"message": "m", "failure_type": "Unheard"}, "failureDetails.type"),
        ({"message": ""}, "failureDetails.message"),
        ({"message": None}, "failureDetails.message"),
        ({"message": "m", "external_execution_id": "x" * 1501}, "failureDetails.externalExecutionId"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_failure_is_refused_before_any_call(emulator, hook, claimed, result, field):
    with pytest.raises(LimitExceeded) as refusal:
        hook.fail(claimed, **result)
    assert refusal.value.field == field
    assert emulator.ledger.puts() == []


def test_a_long_summary_or_message_is_cut_and_put(emulator, hook, claimed, caplog):
    with caplog.at_level(logging.WARNING):
        hook.succeed(claimed, continuation_token="t", execution_details={"summary": "s" * 3000})
        emulator.advance(30)
        [second] = hook.poll(ACTION_TYPE)
        hook.fail(hook.claim(second), message="m" * 9000)
    shown, failed = emulator.ledger.puts()
    summary = shown.details["executionDetails"]["summary"]
    message = failed.details["failureDetails"]["message"]
    assert (len(summary), len(message)) == (2048, 5000)
    assert summary.endswith(CUT_MARK)
    assert message.endswith(CUT_MARK)
    cut = [record for record in caplog.records if record.name.endswith("._limit_checks")]
    assert [re.search(r"has (\d+) characters", record.getMessage())[1] for record in cut] == ["3000", "9000"]
