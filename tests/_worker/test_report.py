# SPDX-License-Identifier: Apache-2.0
"""How a result reaches CodePipeline exactly once, and which result it is to be."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest
from record_memory import RecordMemory
from reported_job import CONTINUE, FAILURE, JOB, SUCCESS, TAKES_NO_RESULT, Hook, own, recorded
from support import ACTION_TYPE

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._worker import report
from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    InvalidClientToken,
    JobNotInProgress,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import OfferedJob


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
    assert "which was intended before" in caplog.text


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
def test_a_job_that_may_be_nobodys_is_not_asked_for_its_status(kind):
    memory = RecordMemory()
    hook = Hook(memory, kind("m"))
    with pytest.raises(kind):
        report.put_once(hook, memory, SUCCESS, was_claimed=False)
    assert memory.history == ["intended", "withdrawn"]
    assert hook.asked == []


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
@pytest.mark.parametrize("known", [[], [recorded("intended", SUCCESS)]], ids=["first put", "put again"])
def test_a_refused_result_of_an_unknown_claim_is_the_last(known, kind):
    """The job has ended, or another run may claim it at any time."""
    memory = RecordMemory(*known)
    hook = Hook(memory, kind("m"))
    with pytest.raises(kind, match=r"^m$"):
        report.put_once(hook, memory, SUCCESS, certain=False)
    assert own(memory) == recorded("left", SUCCESS)
    hook.error = None
    for each in (memory, memory.beside("other")):
        with pytest.raises(JobNotInProgress, match="another run may have it"):
            report.put_once(hook, each, FAILURE, certain=False)
    assert hook.puts == [SUCCESS]
    # To ask for its status, one would have to acknowledge it.
    assert hook.asked == []


def test_a_left_job_spoils_no_record_of_another_try():
    """An older try that still lives is refused, since the newer one's call was taken just before."""
    newer = recorded("intended", FAILURE)
    memory = RecordMemory()

    class Refusing(Hook):
        def send_result(self, call: Call) -> None:
            memory.results["job-1"] = newer
            raise JobNotInProgress("m")

    with pytest.raises(JobNotInProgress):
        report.put_once(Refusing(memory), memory, SUCCESS, certain=False)
    assert own(memory) == newer


def test_a_left_job_that_is_ours_after_all_gets_a_result():
    memory = RecordMemory(recorded("left", SUCCESS))
    assert report.put_once(Hook(memory), memory, FAILURE) == "failure"
    assert own(memory) == recorded("done", FAILURE)


def test_a_left_job_that_took_a_result_has_that():
    """Of two tasks at once, one may be refused since the other's result was taken just before."""
    memory = RecordMemory(recorded("left", SUCCESS)).beside("other", recorded("done", FAILURE))
    hook = Hook(memory)
    assert report.put_once(hook, memory, SUCCESS, certain=False) == "failure"
    assert hook.puts == []


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
@pytest.mark.parametrize("in_doubt", [False, True])
def test_no_uncertain_job_is_taken_for_one_with_our_result(kind, in_doubt):
    """Nobody may have acknowledged it, so what was intended before proves nothing."""
    memory = RecordMemory(recorded("intended", SUCCESS))
    hook = Hook(memory, kind("m", in_doubt=in_doubt))
    with pytest.raises(kind):
        report.put_once(hook, memory, SUCCESS, certain=False)
    assert own(memory) == recorded("left", SUCCESS)
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
    assert memory.history == ["intended", "left"]


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
def test_a_refused_result_stays_refused_after_a_lost_answer(kind):
    memory = RecordMemory(recorded("refused", SUCCESS))
    with pytest.raises(kind):
        report.put_once(Hook(memory, kind("m", in_doubt=True)), memory, SUCCESS)
    assert own(memory) == recorded("refused", SUCCESS)


def test_a_continuation_that_was_not_taken_is_awaited_by_nobody():
    token = TaskInstanceRef("dag", "run", "task").token
    call = requests.success(JOB, continuation_token=token)
    assert recorded("done", call).awaited_by is not None
    assert recorded("left", call).awaited_by is None
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
    # Another task's hook.
    hook = make_hook()
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
    """If CodePipeline does not say it, an intended result counts as put."""
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


def test_a_job_that_is_ours_again_and_refuses_is_tried_again():
    memory = RecordMemory()
    hook = Hook(memory, JobNotInProgress("m"), status="InProgress")
    with pytest.raises(JobNotInProgress):
        report.put_once(hook, memory, SUCCESS)
    assert len(hook.puts) == 2
    assert own(memory) == recorded("intended", SUCCESS)


@pytest.mark.parametrize(("status", "result"), [("Succeeded", "success"), (None, None)])
def test_what_is_forgotten_is_not_known_if_records_are_cleared(status, result):
    """Another task may have put the job's result. Only CodePipeline could say."""
    memory = RecordMemory(recorded("intended", SUCCESS))
    hook = Hook(memory, JobNotInProgress("m"), status=status)
    if result is not None:
        assert report.put_once(hook, memory, SUCCESS, lacks_records=True) == result
        return
    with pytest.raises(JobNotInProgress):
        report.put_once(hook, memory, SUCCESS, lacks_records=True)
    assert own(memory) == recorded("left", SUCCESS)
    memory = RecordMemory(recorded("intended", SUCCESS))
    assert report.put_once(Hook(memory, JobNotInProgress("m")), memory, SUCCESS) == "success"


def test_a_process_whose_intent_was_cleared_leaves_no_job():
    """The next try of the claim may have claimed the job by now."""
    memory = RecordMemory()

    class Cleared(Hook):
        def send_result(self, call: Call) -> None:
            memory.withdraw_result("job-1")
            raise JobNotInProgress("m")

    with pytest.raises(JobNotInProgress):
        report.put_once(Cleared(memory), memory, FAILURE, certain=False)
    assert own(memory) is None
