# SPDX-License-Identifier: Apache-2.0
"""How a result reaches CodePipeline exactly once, and which result it is to be."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from support import ACTION_TYPE

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker import report
from airflow_codepipeline_partner._worker.records import ResultRecord
from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    InvalidClientToken,
    JobNotFound,
    JobNotInProgress,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import ExecutionDetails, OfferedJob

JOB = OfferedJob("job-1", "client-1")
SUCCESS = requests.success(JOB, execution_details=ExecutionDetails("Done."))
CONTINUE = requests.success(JOB, continuation_token="step-2")
FAILURE = requests.failure(JOB, message="Broken.")


class Memory:
    """Keeps the record as a RecordStore does, without Airflow."""

    def __init__(self, record: ResultRecord | None = None) -> None:
        self.record = record
        self.history: list[str] = []

    def read_result(self, job_id: str) -> ResultRecord | None:
        return self.record if self.record and self.record.job_id == job_id else None

    def write_result(self, state: Any, call: Call) -> None:
        self.history.append(state)
        self.record = ResultRecord(
            state, call.arguments["jobId"], requests.result_of(call), dict(call.arguments)
        )

    def withdraw_result(self, job_id: str) -> None:
        assert self.record is not None
        assert self.record.job_id == job_id
        self.history.append("withdrawn")
        self.record = None


class Hook:
    """Notes what is put, and when in the record's life, and fails if asked to."""

    def __init__(self, memory: Memory, error: Exception | None = None) -> None:
        self.memory = memory
        self.error = error
        self.puts: list[tuple[Call, bool]] = []

    def put(self, call: Call, *, intended_before: bool = False, certain: bool = True) -> None:
        assert self.memory.record is not None
        assert self.memory.record.state in ("intended", "refused")
        self.puts.append((call, intended_before))
        if self.error is not None:
            raise self.error


def recorded(state: Any, call: Call) -> ResultRecord:
    return ResultRecord(state, call.arguments["jobId"], requests.result_of(call), dict(call.arguments))


@pytest.mark.parametrize("call", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
def test_a_result_is_recorded_before_and_after_it_is_put(call):
    memory = Memory()
    hook = Hook(memory)
    assert report.put_once(hook, memory, call) == requests.result_of(call)
    assert hook.puts == [(call, False)]
    assert memory.history == ["intended", "done"]
    assert memory.record == recorded("done", call)


@pytest.mark.parametrize("done", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
@pytest.mark.parametrize("call", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
def test_a_job_that_has_its_result_gets_no_other(call, done):
    memory = Memory(recorded("done", done))
    hook = Hook(memory)
    assert report.put_once(hook, memory, call) == requests.result_of(done)
    assert hook.puts == []
    assert memory.history == []


@pytest.mark.parametrize("intended", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
@pytest.mark.parametrize("call", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
def test_an_intended_result_is_repeated_and_never_flipped(call, intended, caplog):
    memory = Memory(recorded("intended", intended))
    hook = Hook(memory)
    with caplog.at_level(logging.WARNING):
        assert report.put_once(hook, memory, call) == requests.result_of(intended)
    [(put, intended_before)] = hook.puts
    assert put == intended
    assert intended_before is True
    assert memory.record == recorded("done", intended)
    assert "repeating it" in caplog.text


def test_the_record_of_another_job_is_not_this_jobs():
    other = requests.failure(OfferedJob("job-2", "client-2"), message="m")
    memory = Memory(recorded("done", other))
    hook = Hook(memory)
    assert report.put_once(hook, memory, SUCCESS) == "success"
    assert hook.puts == [(SUCCESS, False)]


@pytest.mark.parametrize("kind", [InvalidClientToken, JobNotFound, RequestRefused, ServiceUnavailable])
def test_a_result_certainly_not_put_is_withdrawn(kind):
    """So that another may be put."""
    memory = Memory()
    with pytest.raises(kind):
        report.put_once(Hook(memory, kind("m")), memory, SUCCESS)
    assert memory.history == ["intended", "withdrawn"]
    assert memory.record is None


@pytest.mark.parametrize("call", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
@pytest.mark.parametrize("other", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
def test_a_job_that_refused_a_result_is_offered_no_other(call, other):
    memory = Memory()
    hook = Hook(memory, JobNotInProgress("m"))
    for asked in (call, other):
        with pytest.raises(JobNotInProgress, match=r"^m$"):
            report.put_once(hook, memory, asked)
        assert memory.record == recorded("refused", call)
    # Not intended again: who comes after a death in between must not take a refusal for what was put.
    assert memory.history == ["intended", "refused"]
    # Never as what may have been put: then the refusal would be taken for a success.
    assert hook.puts == [(call, False), (call, False)]
    hook.error = None
    assert report.put_once(hook, memory, other) == requests.result_of(call)
    assert memory.record == recorded("done", call)


def test_the_intent_of_another_task_is_left_alone():
    memory = Memory()

    class Slow(Hook):
        def put(self, call: Call, **known: bool) -> None:
            memory.record = recorded("intended", CONTINUE)
            raise JobNotInProgress("m")

    with pytest.raises(JobNotInProgress):
        report.put_once(Slow(memory), memory, FAILURE)
    assert memory.record == recorded("intended", CONTINUE)


@pytest.mark.parametrize("known", [{"certain": False}, {"was_claimed": False}])
def test_a_job_that_may_be_anothers_or_nobodys_is_asked_again(known):
    memory = Memory()
    with pytest.raises(JobNotInProgress):
        report.put_once(Hook(memory, JobNotInProgress("m")), memory, SUCCESS, **known)
    assert memory.history == ["intended", "withdrawn"]


def test_a_continuation_that_was_not_taken_is_awaited_by_nobody():
    token = TaskInstanceRef("dag", "run", "task").token
    call = requests.success(JOB, continuation_token=token)
    assert recorded("done", call).awaited_by is not None
    assert recorded("refused", call).awaited_by is None


@pytest.mark.parametrize("kind", [InvalidClientToken, JobNotFound, RequestRefused, ServiceUnavailable])
def test_a_result_that_may_have_been_put_stays_intended(kind):
    memory = Memory()
    with pytest.raises(kind):
        report.put_once(Hook(memory, kind("m", in_doubt=True)), memory, SUCCESS)
    assert memory.record == recorded("intended", SUCCESS)


@pytest.mark.parametrize("kind", [InvalidClientToken, JobNotFound, RequestRefused, ServiceUnavailable])
def test_an_intended_result_stays_whatever_this_try_says(kind):
    memory = Memory(recorded("intended", FAILURE))
    with pytest.raises(kind):
        report.put_once(Hook(memory, kind("m")), memory, SUCCESS)
    assert memory.record == recorded("intended", FAILURE)


class Choosy(Hook):
    """Takes every result but one, which it refuses."""

    def __init__(self, memory: Memory, refused: Call, error: Exception) -> None:
        super().__init__(memory)
        self.refused = refused
        self.refusal = error

    def put(self, call: Call, *, intended_before: bool = False, certain: bool = True) -> None:
        self.error = self.refusal if call == self.refused else None
        super().put(call, intended_before=intended_before)


def test_an_intended_result_that_is_never_taken_gives_way():
    memory = Memory(recorded("intended", SUCCESS))
    hook = Choosy(memory, SUCCESS, RequestRefused("m", code="ValidationException"))
    assert report.put_once(hook, memory, FAILURE) == "failure"
    assert hook.puts == [(SUCCESS, True), (FAILURE, False)]
    assert memory.record == recorded("done", FAILURE)


@pytest.mark.parametrize(
    "refusal",
    [
        RequestRefused("m", code="ValidationException", in_doubt=True),
        RequestRefused("m", code="AccessDeniedException"),
        RequestRefused("m", code="NoCredentialsError"),
    ],
    ids=lambda refusal: f"{refusal.code}-{refusal.in_doubt}",
)
def test_what_was_intended_before_gives_way_to_no_other_refusal(refusal):
    memory = Memory(recorded("intended", SUCCESS))
    hook = Choosy(memory, SUCCESS, refusal)
    with pytest.raises(RequestRefused):
        report.put_once(hook, memory, FAILURE)
    assert hook.puts == [(SUCCESS, True)]
    assert memory.record == recorded("intended", SUCCESS)


def test_a_process_that_dies_in_the_put_leaves_it_intended():
    memory = Memory()
    with pytest.raises(KeyboardInterrupt):
        report.put_once(Hook(memory, KeyboardInterrupt()), memory, SUCCESS)
    assert memory.record == recorded("intended", SUCCESS)


def test_a_result_that_was_not_even_sent_is_withdrawn():
    # Else a later try takes a job that meanwhile timed out for one that got this result.
    memory = Memory()
    with pytest.raises(ClientConnectionError):
        report.put_once(Hook(memory, ClientConnectionError("No connection.")), memory, SUCCESS)
    assert memory.record is None


def test_an_unsent_result_of_a_timed_out_job_is_not_put(emulator, customer, make_hook, store_token):
    emulator.start_execution("pipe")
    hook = make_hook()
    [offered] = hook.poll(ACTION_TYPE)
    job = hook.claim(offered).job
    call = requests.success(job)
    memory = Memory()
    # The customer's connection is spoilt for a while, so that nothing can be sent; meanwhile the job ends.
    store_token(customer, password=None)
    with pytest.raises(ClientConnectionError):
        report.put_once(hook, memory, call)
    assert emulator.ledger.puts() == []
    emulator.advance(3601)
    store_token(customer)
    with pytest.raises(JobNotInProgress):
        report.put_once(hook, memory, call)
    assert emulator.ledger.terminal_results() == []
