# SPDX-License-Identifier: Apache-2.0
"""How a result reaches CodePipeline exactly once, and which result it is to be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from record_memory import RecordMemory
from support import ACTION_TYPE

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker import report
from airflow_codepipeline_partner._worker.job_life import Results
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
#: What a job answers that has ended, soon or later.
TAKES_NO_RESULT = [JobNotInProgress, JobNotFound]


def recorded(state: Any, call: Call) -> ResultRecord:
    return ResultRecord.of_call(state, call)


def own(memory: RecordMemory) -> ResultRecord | None:
    """The running task's record of the job's result."""
    return memory.results.get("job-1")


class Hook:
    """
    Notes what is sent, and when in the record's life, and fails if asked to.

    :param error: What each call fails with.
    :param status: The status that the job has, once it has ended.
    """

    def __init__(self, memory: RecordMemory, error: BaseException | None = None, status: str | None = None):
        self.memory = memory
        self.error = error
        self.status = status
        self.puts: list[Call] = []
        #: The jobs whose status was asked for.
        self.asked: list[OfferedJob] = []

    def send_result(self, call: Call) -> None:
        assert own(self.memory) in (recorded("intended", call), recorded("refused", call))
        self.puts.append(call)
        if self.error is not None:
            raise self.error

    def status_of_ended(self, job: OfferedJob) -> str | None:
        self.asked.append(job)
        return self.status


@pytest.mark.parametrize("call", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
def test_a_result_is_recorded_before_and_after_it_is_put(call):
    memory = RecordMemory()
    hook = Hook(memory)
    assert report.put_once(hook, memory, call) == requests.result_of(call)
    assert hook.puts == [call]
    assert memory.history == ["intended", "done"]
    assert own(memory) == recorded("done", call)


@pytest.mark.parametrize("done", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
@pytest.mark.parametrize("call", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
def test_a_job_that_has_its_result_gets_no_other(call, done):
    memory = RecordMemory(recorded("done", done))
    hook = Hook(memory)
    assert report.put_once(hook, memory, call) == requests.result_of(done)
    assert hook.puts == []
    assert memory.history == []


@pytest.mark.parametrize("intended", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
@pytest.mark.parametrize("call", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
def test_an_intended_result_is_repeated_and_never_flipped(call, intended, caplog):
    memory = RecordMemory(recorded("intended", intended))
    hook = Hook(memory)
    with caplog.at_level(logging.WARNING):
        assert report.put_once(hook, memory, call) == requests.result_of(intended)
    assert hook.puts == [intended]
    assert own(memory) == recorded("done", intended)
    assert "repeating it" in caplog.text


def test_the_record_of_another_job_is_not_this_jobs():
    other = requests.failure(OfferedJob("job-2", "client-2"), message="m")
    memory = RecordMemory(recorded("done", other))
    hook = Hook(memory)
    assert report.put_once(hook, memory, SUCCESS) == "success"
    assert hook.puts == [SUCCESS]


@pytest.mark.parametrize("kind", [InvalidClientToken, RequestRefused, ServiceUnavailable])
def test_a_result_certainly_not_put_is_withdrawn(kind):
    """So that another may be put."""
    memory = RecordMemory()
    with pytest.raises(kind):
        report.put_once(Hook(memory, kind("m")), memory, SUCCESS)
    assert memory.history == ["intended", "withdrawn"]
    assert own(memory) is None


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
@pytest.mark.parametrize("call", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
@pytest.mark.parametrize("other", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
def test_a_job_that_refused_a_result_is_offered_no_other(call, other, kind):
    memory = RecordMemory()
    hook = Hook(memory, kind("m"))
    for asked in (call, other):
        with pytest.raises(kind, match=r"^m$"):
            report.put_once(hook, memory, asked)
        assert own(memory) == recorded("refused", call)
    # Not intended again: who comes after a death in between must not take a refusal for what was put.
    assert memory.history == ["intended", "refused", "refused"]
    assert hook.puts == [call, call]
    hook.error = None
    assert report.put_once(hook, memory, other) == requests.result_of(call)
    assert own(memory) == recorded("done", call)


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
def test_a_refusal_of_what_another_task_tried_is_the_own_too(kind):
    memory = RecordMemory()
    memory.beside("other", recorded("refused", SUCCESS))

    class Bare(Hook):
        def send_result(self, call: Call) -> None:
            # No intent: else a retry after a death would take the refusal for what was put.
            assert own(memory) is None
            assert call == SUCCESS
            raise kind("m")

    with pytest.raises(kind):
        report.put_once(Bare(memory), memory, FAILURE)
    assert own(memory) == recorded("refused", SUCCESS)


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
@pytest.mark.parametrize("known", [{"certain": False}, {"was_claimed": False}])
def test_a_job_that_may_be_anothers_or_nobodys_is_asked_again(known, kind):
    memory = RecordMemory()
    hook = Hook(memory, kind("m"))
    with pytest.raises(kind):
        report.put_once(hook, memory, SUCCESS, **known)
    assert memory.history == ["intended", "withdrawn"]
    assert hook.asked == []


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
@pytest.mark.parametrize("in_doubt", [False, True])
def test_no_uncertain_job_is_taken_for_one_with_our_result(kind, in_doubt):
    """Nobody may have acknowledged it, so what was intended before proves nothing."""
    memory = RecordMemory(recorded("intended", SUCCESS))
    hook = Hook(memory, kind("m", in_doubt=in_doubt))
    with pytest.raises(kind):
        report.put_once(hook, memory, SUCCESS, certain=False)
    assert own(memory) == recorded("intended", SUCCESS)
    # To ask for its status, one would have to acknowledge it.
    assert hook.asked == []


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
@pytest.mark.parametrize("status", [None, "Succeeded"])
@pytest.mark.parametrize(("before", "in_doubt"), [("intended", False), (None, True)])
def test_a_refusal_of_what_may_have_been_put_is_a_success(kind, status, before, in_doubt):
    memory = RecordMemory(*[recorded(before, SUCCESS)] if before else [])
    hook = Hook(memory, kind("m", in_doubt=in_doubt), status)
    assert report.put_once(hook, memory, SUCCESS) == "success"
    assert own(memory) == recorded("done", SUCCESS)
    assert hook.asked == [JOB]


@pytest.mark.parametrize("certain", [True, False])
@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
def test_our_own_token_needs_no_certain_claim(kind, certain):
    """The action's next job proves that it was taken."""
    call = requests.success(JOB, continuation_token=TaskInstanceRef("dag", "run", "task").token)
    memory = RecordMemory(recorded("intended", call))
    assert report.put_once(Hook(memory, kind("m")), memory, call, certain=certain) == "continue"
    assert own(memory) == recorded("done", call)


def test_our_own_token_proves_nothing_if_it_was_never_sent():
    call = requests.success(JOB, continuation_token=TaskInstanceRef("dag", "run", "task").token)
    memory = RecordMemory()
    with pytest.raises(JobNotInProgress):
        report.put_once(Hook(memory, JobNotInProgress("m")), memory, call, certain=False)
    assert memory.history == ["intended", "withdrawn"]


def test_a_continuation_that_was_not_taken_is_awaited_by_nobody():
    token = TaskInstanceRef("dag", "run", "task").token
    call = requests.success(JOB, continuation_token=token)
    assert recorded("done", call).awaited_by is not None
    assert recorded("refused", call).awaited_by is None


@pytest.mark.parametrize("kind", [InvalidClientToken, RequestRefused, ServiceUnavailable])
def test_a_result_that_may_have_been_put_stays_intended(kind):
    memory = RecordMemory()
    with pytest.raises(kind):
        report.put_once(Hook(memory, kind("m", in_doubt=True)), memory, SUCCESS)
    assert own(memory) == recorded("intended", SUCCESS)


@pytest.mark.parametrize("kind", [InvalidClientToken, RequestRefused, ServiceUnavailable])
def test_an_intended_result_stays_whatever_this_try_says(kind):
    memory = RecordMemory(recorded("intended", FAILURE))
    with pytest.raises(kind):
        report.put_once(Hook(memory, kind("m")), memory, SUCCESS)
    assert own(memory) == recorded("intended", FAILURE)


class Choosy(Hook):
    """Takes every result but one, which it refuses."""

    def __init__(self, memory: RecordMemory, refused: Call, error: Exception) -> None:
        super().__init__(memory)
        self.refused = refused
        self.refusal = error

    def send_result(self, call: Call) -> None:
        self.error = self.refusal if call == self.refused else None
        super().send_result(call)


def test_an_intended_result_that_is_never_taken_gives_way():
    memory = RecordMemory(recorded("intended", SUCCESS))
    hook = Choosy(memory, SUCCESS, RequestRefused("m", code="ValidationException"))
    assert report.put_once(hook, memory, FAILURE) == "failure"
    assert hook.puts == [SUCCESS, FAILURE]
    assert own(memory) == recorded("done", FAILURE)


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
    memory = RecordMemory(recorded("intended", SUCCESS))
    hook = Choosy(memory, SUCCESS, refusal)
    with pytest.raises(RequestRefused):
        report.put_once(hook, memory, FAILURE)
    assert hook.puts == [SUCCESS]
    assert own(memory) == recorded("intended", SUCCESS)


def test_a_process_that_dies_in_the_put_leaves_it_intended():
    memory = RecordMemory()
    with pytest.raises(KeyboardInterrupt):
        report.put_once(Hook(memory, KeyboardInterrupt()), memory, SUCCESS)
    assert own(memory) == recorded("intended", SUCCESS)


def test_a_result_that_was_not_even_sent_is_withdrawn():
    # Else a later try takes a job that meanwhile timed out for one that got this result.
    memory = RecordMemory()
    with pytest.raises(ClientConnectionError):
        report.put_once(Hook(memory, ClientConnectionError("No connection.")), memory, SUCCESS)
    assert own(memory) is None


def test_an_unsent_result_of_a_timed_out_job_is_not_put(emulator, customer, make_hook, store_token):
    emulator.start_execution("pipe")
    hook = make_hook()
    [offered] = hook.poll(ACTION_TYPE)
    job = hook.claim(offered).job
    call = requests.success(job)
    memory = RecordMemory()
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


@pytest.mark.parametrize(
    ("answer", "taken"),
    [("status", False), ("error", True)],
)
def test_the_status_shows_that_a_job_timed_out_before(
    emulator, customer, make_hook, store_token, answer, taken
):
    """If CodePipeline does not tell it, an intended result counts as put."""
    emulator.configure(acknowledge_ended_job=answer)
    emulator.start_execution("pipe")
    hook = make_hook()
    [offered] = hook.poll(ACTION_TYPE)
    call = requests.success(hook.claim(offered).job)
    # Its process died before it could send anything.
    memory = RecordMemory(recorded("intended", call))
    emulator.advance(3601)
    if taken:
        assert report.put_once(hook, memory, call) == "success"
    else:
        with pytest.raises(JobNotInProgress):
            report.put_once(hook, memory, call)
    assert memory.results[offered.job_id] == recorded("done" if taken else "refused", call)


def test_a_job_that_nobody_has_claimed_is_left_unclaimed(emulator, customer, make_hook):
    """Its result was intended by a task that knows of no claim, and was never sent."""
    emulator.start_execution("pipe")
    hook = make_hook()
    [offered] = hook.poll(ACTION_TYPE)
    call = requests.success(offered)
    memory = RecordMemory(recorded("intended", call))
    with suppress(JobNotInProgress):
        report.put_once(hook, memory, call, was_claimed=False)
    assert [job.status for job in emulator.jobs()] == ["Dispatched"]


# The steps of the table in job_life, carried out. What lies in the records is the own or another task's
# success or continuation, and the wanted call is a failure.

WANTED, OWN, OTHERS = FAILURE, SUCCESS, CONTINUE


@pytest.mark.parametrize(
    ("own_state", "others_state", "sent", "result"),
    [
        (None, None, [WANTED], "failure"),
        (None, "intended", [OTHERS], "continue"),
        (None, "done", [], "continue"),
        ("intended", None, [OWN], "success"),
        ("intended", "intended", [OWN], "success"),
        ("intended", "done", [], "continue"),
        ("intended", "refused", [OWN], "success"),
        ("done", None, [], "success"),
        ("done", "intended", [], "success"),
        ("done", "done", [], "success"),
        ("done", "refused", [], "success"),
        ("refused", None, [OWN], "success"),
        ("refused", "intended", [OTHERS], "continue"),
        ("refused", "done", [], "continue"),
        ("refused", "refused", [OWN], "success"),
    ],
)
def test_what_is_sent_follows_from_all_records(own_state, others_state, sent, result):
    """All but one: what another task's job refused is tried without a record of one's own."""
    memory = RecordMemory(*[recorded(own_state, OWN)] if own_state else [])
    theirs = memory.beside("other", *[recorded(others_state, OTHERS)] if others_state else [])
    hook = Hook(memory)
    assert report.put_once(hook, memory, WANTED) == result
    assert hook.puts == sent
    # Nobody writes another task's record.
    assert theirs.results.get("job-1") == (recorded(others_state, OTHERS) if others_state else None)
    if sent:
        assert own(memory) == recorded("done", sent[0])


# Two tasks that report at once.


class CodePipeline:
    """
    Takes one result for its job, as CodePipeline does.

    :param taken: What it has taken before.
    :param loses_answers: Whether the answer of the call that it takes never arrives.
    :param in_doubt: Whether it refuses what was sent twice in one try, after a lost answer.
    :param status: What it tells of the job's status.
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


@pytest.mark.parametrize("status", [None, "told"])
@pytest.mark.parametrize("theirs", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
@pytest.mark.parametrize("ours", [SUCCESS, CONTINUE, FAILURE], ids=requests.result_of)
def test_who_comes_second_finds_the_result_of_the_first(ours, theirs, status):
    second, first = two_tasks()
    told = {"success": "Succeeded", "continue": "Succeeded", "failure": "Failed"}[requests.result_of(theirs)]
    service = CodePipeline(status=status and told)
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


class OfferedAgain(Hook):
    """The job timed out and was offered again under its id: the question for its status claims it."""

    def status_of_ended(self, job):
        self.error = None
        return super().status_of_ended(job)


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
def test_a_job_that_is_ours_once_more_gets_its_result(kind):
    memory = RecordMemory()
    hook = OfferedAgain(memory, kind("It has timed out."), status="InProgress")
    assert report.put_once(hook, memory, SUCCESS) == "success"
    assert hook.puts == [SUCCESS, SUCCESS]
    assert own(memory) == recorded("done", SUCCESS)


def test_a_job_that_is_ours_once_more_and_refuses_is_tried_again():
    memory = RecordMemory()
    hook = Hook(memory, JobNotInProgress("m"), status="InProgress")
    with pytest.raises(JobNotInProgress):
        report.put_once(hook, memory, SUCCESS)
    assert len(hook.puts) == 2
    assert own(memory) == recorded("intended", SUCCESS)
