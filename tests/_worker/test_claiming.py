# SPDX-License-Identifier: Apache-2.0
"""How a claim ends, and what is recorded on the way, by what the task knew and what CodePipeline answered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support import ACTION_TYPE

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import (
    Acknowledge,
    Acknowledged,
    AskDetails,
    Asked,
    ClaimState,
    drive,
)
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.claiming import (
    Earlier,
    IsAwaited,
    IsCutOff,
    Reason,
    Recall,
    Restore,
    RestoreResult,
    Write,
    claiming,
)
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.exceptions import InvalidNonce, RequestRefused, ServiceUnavailable
from airflow_codepipeline_partner.jobs import ActionType, ClaimedJob, OfferedJob

JOB = OfferedJob("job-1", "client-1", ActionType.from_value(ACTION_TYPE))
RUN = TaskInstanceRef("dag", "run", "claim")
INTENT, CLAIMED, UNKNOWN, LOST, REFUSED = ClaimState
TAKEN, ENDED = Acknowledged("InProgress"), Acknowledged("Succeeded")
STALE, LOST_ANSWER = InvalidNonce("m"), ServiceUnavailable("m", in_doubt=True)


def known(state, job_id="job-1"):
    """What an earlier try recorded."""
    return ClaimRecord(state, ClaimedJob(OfferedJob(job_id, "client-1", JOB.action_type)))


def claim(earlier=None, answer=TAKEN, *, token=None, details=None, awaited=False, cut_off=False, **settings):
    """Return how a claim ends, and the states that it writes."""
    written = []
    answers = {
        Recall: earlier or Earlier(),
        AskDetails: details or Asked(ClaimedJob(JOB, continuation_token=token), "nonce"),
        Acknowledge: answer,
        IsAwaited: awaited,
        IsCutOff: cut_off,
    }

    def carry_out(step):
        if isinstance(step, Write):
            written.append(step.state)
        if isinstance(step, Restore):
            written.append("restored")
        if isinstance(step, RestoreResult):
            written.append("result")
        return answers.get(type(step))

    settings = {"unknown_claim": "assume_ours", **settings}
    reason, _ = drive(claiming(JOB, RUN, **settings), carry_out)
    return reason, written


@pytest.mark.parametrize(
    ("answer", "reason", "state"),
    [
        (TAKEN, Reason.OURS, CLAIMED),
        (ENDED, Reason.NOT_WON, LOST),
        (STALE, Reason.NOT_WON, LOST),
        (RequestRefused("m"), Reason.NO_ANSWER, REFUSED),
        (LOST_ANSWER, Reason.NO_ANSWER, UNKNOWN),
    ],
)
def test_a_first_try_writes_its_intent_and_then_the_outcome(answer, reason, state):
    assert claim(answer=answer) == (reason, [REFUSED, INTENT, state])


@pytest.mark.parametrize(
    ("earlier", "answer", "reason", "state"),
    [
        (INTENT, STALE, Reason.OURS, UNKNOWN),
        (UNKNOWN, STALE, Reason.OURS, UNKNOWN),
        # Most likely it was ours, so its work is not skipped as another's.
        (UNKNOWN, ENDED, Reason.HAS_ENDED, UNKNOWN),
        (UNKNOWN, TAKEN, Reason.OURS, CLAIMED),
        (LOST, STALE, Reason.NOT_WON, LOST),
        (REFUSED, TAKEN, Reason.OURS, CLAIMED),
    ],
)
def test_the_record_of_an_earlier_try_decides_about_a_refusal(earlier, answer, reason, state):
    first = UNKNOWN if earlier in (INTENT, UNKNOWN) else REFUSED
    assert claim(Earlier(known(earlier)), answer) == (reason, [first, INTENT, state])


def test_a_certain_claim_is_gone_on_with_unasked():
    assert claim(Earlier(known(CLAIMED)), LOST_ANSWER) == (Reason.OURS, [CLAIMED])


@pytest.mark.parametrize(("answer", "reason"), [(STALE, Reason.OURS), (ENDED, Reason.HAS_ENDED)])
def test_after_a_clear_codepipeline_is_asked_even_so(answer, reason):
    assert claim(Earlier(known(CLAIMED), was_cleared=True), answer)[0] is reason


def test_an_unknown_claim_is_left_if_the_author_says_so():
    assert claim(Earlier(known(INTENT)), STALE, unknown_claim="leave")[0] is Reason.NOT_WON


@pytest.mark.parametrize(("forgotten", "reason"), [(False, Reason.NOT_WON), (True, Reason.FORGOTTEN)])
def test_who_may_have_forgotten_a_claim_does_not_skip(forgotten, reason):
    assert claim(Earlier(is_forgotten=forgotten), STALE)[0] is reason


def test_an_answer_that_no_retry_would_know_of_is_not_retried():
    reason, _ = claim(answer=LOST_ANSWER, outlives_a_retry=False)
    assert reason is Reason.NO_ANSWER_FORGOTTEN


def test_a_job_that_another_task_waits_for_is_not_acknowledged():
    assert claim(awaited=True, token=TaskInstanceRef("dag", "another", "t").token) == (
        Reason.AWAITED,
        [REFUSED, LOST],
    )


@pytest.mark.parametrize(("run", "reason"), [("another", Reason.ABANDONED), ("run", Reason.OURS)])
def test_the_work_of_a_run_that_has_ended_is_not_gone_on_with(run, reason):
    assert claim(token=TaskInstanceRef("dag", run, "t").token)[0] is reason


@pytest.mark.parametrize(
    ("earlier", "written"), [(None, [REFUSED, INTENT, CLAIMED]), (Earlier(known(CLAIMED)), [CLAIMED])]
)
def test_a_task_that_airflow_ended_meanwhile_does_not_work(earlier, written):
    """Before a retry has written the record anew, the finishing task may have found none."""
    assert claim(earlier, cut_off=True) == (Reason.CUT_OFF, written)


@pytest.mark.parametrize(
    ("was_run_cleared", "reason", "written"),
    [(False, Reason.OURS, ["restored"]), (True, Reason.HAS_ENDED, [])],
)
def test_a_cleared_claim_finds_the_job_that_the_action_is_at(was_run_cleared, reason, written):
    earlier = Earlier(later=known(CLAIMED, "job-2"))
    assert claim(replace(earlier, was_run_cleared=was_run_cleared)) == (reason, written)


@pytest.mark.parametrize(
    ("was_run_cleared", "reason", "written"),
    [(False, Reason.OURS, ["result", CLAIMED]), (True, Reason.HAS_ENDED, [CLAIMED, CLAIMED])],
)
def test_a_cleared_claim_goes_on_while_the_next_job_is_awaited(was_run_cleared, reason, written):
    """The result with the token is put back. If the run had ended, CodePipeline is asked."""
    result = ResultRecord.of_call("done", requests.success(JOB, continuation_token=RUN.token))
    earlier = Earlier(known(CLAIMED), was_cleared=True, continued=result)
    assert claim(replace(earlier, was_run_cleared=was_run_cleared), ENDED) == (reason, written)


@pytest.mark.parametrize(
    ("state", "reason"), [(UNKNOWN, Reason.OURS), (INTENT, Reason.OURS), (LOST, Reason.NOT_WON)]
)
def test_a_result_that_was_taken_makes_a_claim_ours(state, reason):
    """However sure the claim is."""
    result = ResultRecord.of_call("done", requests.success(JOB, continuation_token=RUN.token))
    assert claim(Earlier(known(state), continued=result), STALE)[0] is reason


@pytest.mark.parametrize("record", [None, known(REFUSED)], ids=["gone", "begun anew"])
def test_a_taken_result_proves_a_claim_that_is_forgotten(record):
    """Before Airflow 3.3, the task that goes on with the action clears the copy when it starts."""
    result = ResultRecord.of_call("done", requests.success(JOB, continuation_token=RUN.token))
    earlier = Earlier(record, was_cleared=True, is_forgotten=True, continued=result)
    assert claim(earlier, STALE) == (Reason.OURS, ["result", UNKNOWN])
    assert claim(earlier, details=ServiceUnavailable("m")) == (Reason.OURS, ["result", UNKNOWN])
    cleared_later = replace(earlier, was_run_cleared=True)
    assert claim(cleared_later, ENDED)[0] is Reason.HAS_ENDED


@pytest.mark.parametrize("state", [CLAIMED, UNKNOWN, INTENT])
def test_a_cleared_claim_goes_on_with_an_unknown_next_job_too(state):
    """The task that goes on with the action asks for it. The record there is the last one."""
    assert claim(Earlier(known(CLAIMED), later=known(state, "job-2")), ENDED) == (Reason.OURS, ["restored"])


def test_a_cleared_claim_awaits_the_third_job():
    result = ResultRecord.of_call("done", requests.success(JOB, continuation_token=RUN.token))
    earlier = Earlier(known(CLAIMED), later=known(CLAIMED, "job-2"), continued=result)
    assert claim(earlier, ENDED) == (Reason.OURS, ["result", "restored"])


def test_a_run_that_had_ended_does_no_work_again():
    earlier = Earlier(known(UNKNOWN), was_run_cleared=True, is_of_ended_run=True)
    assert claim(earlier, STALE)[0] is Reason.HAS_ENDED


def test_without_details_nothing_is_intended():
    reason, written = claim(details=ServiceUnavailable("m"))
    assert (reason, written) == (Reason.NO_ANSWER, [REFUSED, REFUSED])
