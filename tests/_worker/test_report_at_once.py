# SPDX-License-Identifier: Apache-2.0
"""Two tasks that report one job at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from record_memory import RecordMemory
from reported_job import CONTINUE, FAILURE, JOB, SUCCESS, TAKES_NO_RESULT, Hook, own, recorded

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker import report
from airflow_codepipeline_partner._worker.job_life import Results
from airflow_codepipeline_partner.exceptions import (
    InvalidClientToken,
    JobNotInProgress,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import OfferedJob


class CodePipeline:
    """
    Takes one result for its job, as CodePipeline does.

    :param taken: What it has taken before.
    :param loses_answers: Whether the answer of the call that it takes never arrives.
    :param in_doubt: Whether it refuses what was sent twice in one try, after a lost answer.
    :param status: What it says about the job's status.
    """

    def __init__(
        self,
        taken: Call | None = None,
        *,
        loses_answers: bool = False,
        in_doubt: bool = False,
        status: str | None = None,
    ) -> None:
        self.taken = taken
        self.loses_answers = loses_answers
        self.in_doubt = in_doubt
        self.status = status
        self.refused: list[Call] = []

    def send_result(self, call: Call) -> None:
        if self.taken is not None:
            self.refused.append(call)
            raise JobNotInProgress("It has ended.", in_doubt=self.in_doubt)
        self.taken = call
        if self.loses_answers:
            raise ServiceUnavailable("No answer.", in_doubt=True)

    def status_of_ended(self, job: OfferedJob) -> str | None:
        return self.status


class Racing(RecordMemory):
    """What is found by a task that reads, then lets another task do something, and then goes on."""

    meanwhile: Callable[[], Any] | None = None

    def read_results(self, job_id: str) -> Results:
        known = super().read_results(job_id)
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return known


def two_tasks() -> tuple[Racing, Racing]:
    """One memory, as each of its two writers sees it."""
    second = Racing()
    return second, second.beside("first")


@pytest.mark.parametrize("status", [None, "said"])
@pytest.mark.parametrize("theirs", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
@pytest.mark.parametrize("ours", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
def test_who_comes_second_finds_the_result_of_the_first(ours, theirs, status):
    second, first = two_tasks()
    said = {"success": "Succeeded", "continue": "Succeeded", "failure": "Failed"}[requests.result_of(theirs)]
    service = CodePipeline(status=status and said)
    second.meanwhile = lambda: report.put_once(service, first, theirs)
    assert report.put_once(service, second, ours) == requests.result_of(theirs)
    assert service.taken == theirs
    assert service.refused == [ours]
    assert own(first) == recorded("done", theirs)
    assert own(second) == recorded("done" if ours == theirs else "refused", ours)
    # Both know it from now on.
    for memory in (first, second):
        assert report.put_once(service, memory, ours) == requests.result_of(theirs)
    assert service.refused == [ours]


@pytest.mark.parametrize("ours", [SUCCESS, FAILURE], ids=requests.result_of)
def test_the_first_is_known_by_its_intent_if_it_died(ours):
    """Its call was carried out, and its answer was lost."""
    second, first = two_tasks()
    service = CodePipeline(loses_answers=True)

    def win() -> None:
        with pytest.raises(ServiceUnavailable):
            report.put_once(service, first, CONTINUE)

    second.meanwhile = win
    assert report.put_once(service, second, ours) == "continue"
    assert own(first) == recorded("intended", CONTINUE)
    assert own(second) == recorded("refused", ours)
    # The next try sends the first one's call again, and so settles it for all.
    assert report.put_once(service, second, ours) == "continue"
    assert own(second) == recorded("done", CONTINUE)


def test_an_intent_that_is_there_first_is_repeated():
    """So there are two calls only if both tasks have read before either wrote."""
    second, first = two_tasks()
    first.write_result(recorded("intended", CONTINUE))
    service = CodePipeline()
    assert report.put_once(service, second, FAILURE) == "continue"
    assert report.put_once(service, first, CONTINUE) == "continue"
    assert service.refused == []


def test_the_intent_of_another_task_is_left_alone():
    """Also if the job has ended with neither result: the customer has stopped the pipeline, for instance."""
    second, first = two_tasks()
    service = CodePipeline(requests.failure(JOB, message="Abandoned."), status="Failed")
    second.meanwhile = lambda: first.write_result(recorded("intended", CONTINUE))
    with pytest.raises(JobNotInProgress):
        report.put_once(service, second, SUCCESS)
    assert own(first) == recorded("intended", CONTINUE)
    assert own(second) == recorded("refused", SUCCESS)


@pytest.mark.parametrize("status", [None, "Succeeded"])
def test_which_of_two_intents_was_taken_is_not_guessed(status):
    """The answer of ours was lost, and another task has intended a different call."""
    second, first = two_tasks()
    service = CodePipeline(CONTINUE, in_doubt=True, status=status)
    second.meanwhile = lambda: first.write_result(recorded("intended", CONTINUE))
    with pytest.raises(JobNotInProgress):
        report.put_once(service, second, SUCCESS)
    assert own(second) == recorded("intended", SUCCESS)
    assert own(first) == recorded("intended", CONTINUE)


def test_a_call_that_another_task_sent_too_stays_intended():
    """Since it may have been taken from that task."""
    third, first = two_tasks()
    second = third.beside("second")

    def intend() -> None:
        first.write_result(recorded("intended", SUCCESS))
        second.write_result(recorded("intended", FAILURE))

    third.meanwhile = intend
    with pytest.raises(JobNotInProgress):
        report.put_once(CodePipeline(FAILURE), third, SUCCESS)
    assert own(third) == recorded("intended", SUCCESS)


@pytest.mark.parametrize(
    ("status", "result", "left"),
    [("Succeeded", "success", "done"), ("Failed", "failure", "refused"), ("TimedOut", None, "refused")],
)
def test_the_status_shows_which_of_two_intents_was_taken(status, result, left):
    """And if it was neither."""
    second, first = two_tasks()
    service = CodePipeline(SUCCESS, in_doubt=True, status=status)
    second.meanwhile = lambda: first.write_result(recorded("intended", FAILURE))
    if result is None:
        with pytest.raises(JobNotInProgress):
            report.put_once(service, second, SUCCESS)
    else:
        assert report.put_once(service, second, SUCCESS) == result
    assert own(second) == recorded(left, SUCCESS)
    assert own(first) == recorded("intended", FAILURE)


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
@pytest.mark.parametrize(("before", "in_doubt"), [("intended", False), (None, True)])
@pytest.mark.parametrize(
    ("call", "status"),
    [(SUCCESS, "Failed"), (CONTINUE, "Failed"), (FAILURE, "Succeeded"), (SUCCESS, "TimedOut")],
)
def test_a_job_that_ended_otherwise_has_not_our_result(kind, before, in_doubt, call, status):
    """Although ours may have been taken, by all that the records say."""
    memory = RecordMemory(*[recorded(before, call)] if before else [])
    hook = Hook(memory, kind("m", in_doubt=in_doubt), status)
    with pytest.raises(kind):
        report.put_once(hook, memory, call)
    assert hook.asked == [JOB]
    assert own(memory) == recorded("refused", call)


def test_the_status_shows_which_of_three_was_taken():
    third, first = two_tasks()
    second = third.beside("second")

    def intend() -> None:
        first.write_result(recorded("intended", CONTINUE))
        second.write_result(recorded("intended", FAILURE))

    third.meanwhile = intend
    assert report.put_once(CodePipeline(FAILURE, status="Failed"), third, SUCCESS) == "failure"


def test_a_call_taken_over_is_the_own_intent_first():
    memory = RecordMemory()
    theirs = memory.beside("other", recorded("intended", CONTINUE))
    hook = Hook(memory, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        report.put_once(hook, memory, FAILURE)
    assert hook.puts == [CONTINUE]
    assert memory.history == ["intended"]
    assert own(memory) == recorded("intended", CONTINUE)
    # So the retry repeats it, even if the other task has withdrawn it since.
    theirs.withdraw_result("job-1")
    hook.error = None
    assert report.put_once(hook, memory, FAILURE) == "continue"
    assert hook.puts == [CONTINUE, CONTINUE]
    assert memory.history == ["intended", "done"]


@pytest.mark.parametrize("kind", [InvalidClientToken, RequestRefused, ServiceUnavailable])
def test_a_call_taken_over_stays_intended_after_a_refusal(kind):
    memory = RecordMemory()
    memory.beside("other", recorded("intended", CONTINUE))
    with pytest.raises(kind):
        report.put_once(Hook(memory, kind("m")), memory, FAILURE)
    assert own(memory) == recorded("intended", CONTINUE)


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
@pytest.mark.parametrize("status", [None, "Succeeded"])
def test_a_call_taken_over_that_the_job_has_is_done(kind, status):
    memory = RecordMemory()
    memory.beside("other", recorded("intended", CONTINUE))
    assert report.put_once(Hook(memory, kind("m"), status), memory, FAILURE) == "continue"
    assert own(memory) == recorded("done", CONTINUE)
