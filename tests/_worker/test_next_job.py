# SPDX-License-Identifier: Apache-2.0
"""How a run ends a job with its own token, and waits for the action's next job."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from next_jobs import (
    CLAIMED,
    CUSTOM,
    CUSTOM_ONE,
    INTENT,
    LONG,
    LOST,
    ONE,
    OVER,
    PARTNER,
    REFUSED,
    TOKEN,
    TWO,
    UNKNOWN,
    WAITING,
    Hook,
    awaited,
    claim_of,
    next_claim,
    offered,
    record,
    success,
    waiting_claim,
)

from airflow_codepipeline_partner._compat import AirflowSkipException
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import awaited_job, next_job
from airflow_codepipeline_partner.exceptions import (
    InvalidJobReference,
    JobNotFound,
    JobNotInProgress,
    NextJobNotOffered,
    RequestRefused,
    ServiceUnavailable,
    described,
)
from airflow_codepipeline_partner.jobs import (
    CurrentRevision,
    ExecutionDetails,
    OfferedJob,
)


def test_a_claimed_job_without_a_result_awaits_no_other():
    assert awaited(claim_of(record())) is None
    assert awaited(next_claim(CLAIMED)) is None


@pytest.mark.parametrize(("state", "token"), [("intended", TOKEN), ("done", TOKEN), ("refused", None)])
def test_a_token_that_may_have_been_put_is_awaited(state, token):
    assert awaited(claim_of(record(), success(token=TOKEN, state=state))) == token


@pytest.mark.parametrize(
    "token",
    [
        None,
        "chosen-by-a-user",
        TaskInstanceRef("dag", "other", "go_on").token,
        TaskInstanceRef("other", "run", "go_on").token,
    ],
)
def test_only_a_token_of_this_run_is_awaited(token):
    assert awaited(claim_of(record(), success(token=token))) is None


@pytest.mark.parametrize("state", [LOST, REFUSED])
def test_a_next_job_that_was_not_won_is_awaited_again(state):
    assert awaited(next_claim(state)) == TOKEN
    first = record(state, token=TOKEN)
    assert awaited(claim_of(first)) is None
    without_token = claim_of(record(state, TWO, former=("one",)))
    assert awaited_job.awaited_tokens(without_token) == ()


@pytest.mark.parametrize(
    ("state", "unknown"),
    [(INTENT, True), (UNKNOWN, True), (CLAIMED, False), (LOST, False), (REFUSED, False)],
)
def test_the_claim_of_a_next_job_may_be_unknown(state, unknown):
    assert awaited_job.is_next_claim_unknown(next_claim(state)) is unknown


@pytest.mark.parametrize("state", [INTENT, UNKNOWN])
def test_a_first_or_an_ended_job_is_no_unknown_next_claim(state):
    assert not awaited_job.is_next_claim_unknown(claim_of(record(state)))
    ended = record(state, TWO, former=("one",), token=TOKEN)
    assert not awaited_job.is_next_claim_unknown(claim_of(ended, success(TWO)))


def test_a_next_job_that_was_left_is_not_awaited():
    claim = claim_of(record(UNKNOWN, TWO, former=("one",), token=TOKEN), success(TWO, state="left"))
    assert not awaited_job.is_next_claim_unknown(claim)
    assert awaited(claim) is None


def action_of(monkeypatch, claim):
    monkeypatch.setattr(next_job, "find_claim", lambda context, job_id: claim if job_id == "one" else None)
    return next_job.action_of({"ti": SimpleNamespace(try_number=2)}, ONE)


@pytest.mark.parametrize("state", [INTENT, UNKNOWN, LOST, REFUSED])
def test_a_first_job_that_was_not_won_skips_the_task(monkeypatch, state):
    with pytest.raises(AirflowSkipException, match=f"its claim is {state}"):
        action_of(monkeypatch, claim_of(record(state), unknown_claim="leave"))


@pytest.mark.parametrize(
    "claim",
    [
        claim_of(record()),
        claim_of(record(UNKNOWN)),
        replace(next_claim(UNKNOWN), unknown_claim="leave"),
        next_claim(LOST),
        replace(waiting_claim(UNKNOWN), unknown_claim="leave"),
    ],
    ids=["claimed", "assumed", "next-unknown", "next-lost", "waiting"],
)
def test_a_job_that_is_ours_or_may_come_is_gone_on_with(monkeypatch, claim):
    assert action_of(monkeypatch, claim) is claim


def test_a_retry_keeps_its_copies_anew(monkeypatch):
    """Airflow clears them when it starts."""
    claim = waiting_claim(CLAIMED)
    action_of(monkeypatch, claim)
    assert [claim.store.copy_of_result] == list(claim.results.likely)
    claim = next_claim(CLAIMED)
    action_of(monkeypatch, claim)
    assert claim.store.copy == claim.record


@pytest.mark.parametrize(("state", "waits"), [(UNKNOWN, True), (INTENT, True), (CLAIMED, False)])
@pytest.mark.parametrize(("result", "is_known"), [("refused", True), ("intended", False), ("done", False)])
def test_a_next_job_that_took_no_result_may_be_offered_again(state, waits, result, is_known):
    record_of_two = record(state, TWO, former=("one",), token=TOKEN)
    claim = claim_of(record_of_two, success(TWO, state=result))
    assert awaited(claim) == (TOKEN if waits and is_known else None)
    soonest = awaited_job.REOFFER_TIMEOUT if waits and is_known else 3600
    assert awaited_job.wait_deadline(claim, 3600) == claim.results.best.at.timestamp() + soonest


def test_a_refused_token_may_have_been_taken_later():
    """The job was claimed and took it at the second attempt, and both answers were lost."""
    mine = WAITING.token
    first = TaskInstanceRef("dag", "run", "first").token
    record_of_two = record(UNKNOWN, TWO, former=("one",), token=first)
    claim = claim_of(record_of_two, success(TWO, token=mine, state="refused"))
    assert awaited_job.awaited_tokens(claim) == (mine, first)


def test_a_job_of_another_run_is_refused(monkeypatch):
    with pytest.raises(InvalidJobReference, match="No task of this run claimed job one") as refusal:
        action_of(monkeypatch, None)
    assert refusal.value.job_id == "one"


def test_progress_is_put_with_the_token_of_the_waiting_task():
    claim, hook = claim_of(record()), Hook()
    next_job.put_progress(
        hook,
        claim,
        WAITING,
        execution_details=ExecutionDetails(percent_complete=10),
        current_revision=CurrentRevision("r1", "c1"),
    )
    [call] = hook.puts
    assert call.operation == "PutThirdPartyJobSuccessResult"
    assert call.arguments == {
        "jobId": "one",
        "continuationToken": TOKEN,
        "currentRevision": {"revision": "r1", "changeIdentifier": "c1"},
        "executionDetails": {
            "summary": "The Airflow DAG dag is at work on this action.",
            "externalExecutionId": "dag/runs/run",
            "percentComplete": 10,
        },
    }
    assert awaited(claim) == TOKEN


@pytest.mark.parametrize("result", [success(), success(token="chosen-by-a-user")], ids=["ended", "continued"])
def test_a_job_with_another_result_does_not_go_on(result):
    claim, hook = claim_of(record(), result), Hook()
    with pytest.raises(JobNotInProgress, match=f"already has the result {result.result}") as refusal:
        next_job.put_progress(hook, claim, WAITING)
    assert refusal.value.job_id == "one"
    assert hook.puts == []


def test_a_retry_puts_its_progress_no_second_time():
    claim, hook = waiting_claim(), Hook()
    next_job.put_progress(hook, claim, WAITING)
    assert hook.puts == []
    assert awaited(claim) == TOKEN


def test_after_a_put_only_the_new_claim_awaits_the_next_job():
    claim = claim_of(record())
    assert awaited(claim) is None
    assert awaited(next_job.put_progress(Hook(), claim, WAITING)) == TOKEN
    assert awaited(claim) is None


@pytest.mark.parametrize(("state", "left"), [(CLAIMED, "refused"), (UNKNOWN, None)])
def test_refused_progress_leaves_an_uncertain_job_untouched(state, left):
    claim = claim_of(record(state))
    with pytest.raises(JobNotInProgress, match="ended"):
        next_job.put_progress(Hook(JobNotInProgress("It has ended.")), claim, WAITING)
    result = claim.store.read_result("one")
    assert (result and result.state) == left


@pytest.mark.parametrize("kind", [JobNotInProgress, JobNotFound])
def test_a_next_job_that_takes_no_progress_is_awaited(kind):
    """Nobody may have it; CodePipeline may have forgotten it meanwhile, which is no other answer."""
    record_of_two = record(UNKNOWN, TWO, former=("one",), token=TOKEN)
    claim = claim_of(record_of_two, success(TWO, token=TOKEN, state="refused"))
    ended = next_job.put_progress(Hook(kind("m")), claim, WAITING)
    assert awaited(ended) == TOKEN


@pytest.mark.parametrize(
    ("token", "states", "is_forsaken"),
    [
        (TOKEN, {"go_on": "success"}, True),
        (TOKEN, {"go_on": "failed"}, True),
        (TOKEN, {"go_on": "deferred"}, False),
        (TOKEN, {}, False),
        ("chosen-by-a-user", {"go_on": "success"}, False),
    ],
)
def test_a_job_whose_task_has_ended_is_awaited_by_nobody(monkeypatch, token, states, is_forsaken):
    monkeypatch.setattr(next_job, "task_states", lambda ti, task_ids, map_index: states)
    assert next_job.is_forsaken(None, token) is is_forsaken


def test_nothing_is_put_for_a_job_without_an_action_type():
    """Since its action's next job could not be polled for."""
    claim, hook = claim_of(record(job=OfferedJob("one", "client"))), Hook()
    with pytest.raises(InvalidJobReference, match="Job one has no action type"):
        next_job.put_progress(hook, claim, WAITING)
    assert hook.puts == []
    assert claim.store.results == {}


def test_a_job_is_polled_for_by_its_action_type():
    assert awaited_job.action_type_of(ONE) == PARTNER
    assert awaited_job.action_type_of(CUSTOM_ONE) == CUSTOM


def test_the_wait_counts_from_the_result_or_else_the_claim():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    kept = replace(record(), at=noon)
    assert awaited_job.wait_deadline(claim_of(kept), 60) == noon.timestamp() + 60
    put = replace(success(token=TOKEN), at=noon + timedelta(minutes=5))
    assert awaited_job.wait_deadline(claim_of(kept, put), 60) == noon.timestamp() + 360
    # A try that begins to wait only then has some time, too.
    assert (
        awaited_job.wait_deadline(claim_of(kept, put), 60, noon.timestamp() + 400) == noon.timestamp() + 400
    )


@pytest.mark.parametrize("event", [offered(), {"status": "timeout"}], ids=lambda event: event["status"])
@pytest.mark.parametrize("deadline", [LONG, OVER])
def test_an_event_without_an_error_raises_nothing(event, deadline):
    next_job.raise_refusal(event, deadline=deadline)


def error_event(error):
    return {"status": "error", "error": described(error)}


@pytest.mark.parametrize("deadline", [LONG, OVER])
def test_a_refused_poll_is_raised_at_once(deadline):
    event = error_event(RequestRefused("The token is expired."))
    with pytest.raises(RequestRefused, match=r"^The token is expired\.$"):
        next_job.raise_refusal(event, deadline=deadline)


def test_an_unanswered_poll_is_raised_at_the_deadline(caplog):
    event = error_event(ServiceUnavailable("No answer."))
    with caplog.at_level(logging.WARNING):
        next_job.raise_refusal(event, deadline=LONG)
    assert "No answer. The wait for the next job goes on." in caplog.text
    with pytest.raises(ServiceUnavailable, match=r"^No answer\.$"):
        next_job.raise_refusal(event, deadline=OVER)


@pytest.mark.parametrize("deadline", [LONG, OVER])
@pytest.mark.parametrize(
    ("make_claim", "state"),
    [(waiting_claim, CLAIMED), (waiting_claim, UNKNOWN), (next_claim, LOST), (next_claim, REFUSED)],
)
def test_an_offered_next_job_is_claimed_even_late(make_claim, state, deadline):
    claim, hook = make_claim(state), Hook()
    claimed = next_job.claim_offered(hook, claim, offered(), deadline=deadline)
    assert hook.acknowledged == [TWO]
    assert claim.store.claim_states == [INTENT, CLAIMED]
    assert claimed.record == record(CLAIMED, TWO, former=("one",), token=TOKEN)
    assert claim.store.read_claim() == claimed.record


UNANSWERED = error_event(ServiceUnavailable("No answer."))


@pytest.mark.parametrize("event", [{"status": "timeout"}, UNANSWERED], ids=lambda event: event["status"])
def test_without_an_offer_the_wait_ends_at_its_deadline(event):
    claim, hook = waiting_claim(), Hook()
    assert next_job.claim_offered(hook, claim, event, deadline=LONG) is claim
    with pytest.raises(NextJobNotOffered, match="after job one, was not offered in time") as late:
        next_job.claim_offered(hook, claim, event, deadline=OVER)
    assert late.value.job_id == "one"
    assert hook.acknowledged == []


@pytest.mark.parametrize("event", [offered(), {"status": "timeout"}], ids=lambda event: event["status"])
def test_a_job_that_another_task_has_claimed_ends_the_wait(event):
    claim, hook = next_claim(CLAIMED), Hook()
    assert next_job.claim_offered(hook, claim, event, deadline=OVER) is claim
    assert hook.acknowledged == []
    assert claim.store.claim_states == []


@pytest.mark.parametrize("state", [INTENT, UNKNOWN])
def test_an_unknown_job_that_is_offered_again_is_claimed_anew(state):
    claim = waiting_claim(state)
    claimed = next_job.claim_offered(Hook(token=None), claim, offered(ONE), deadline=LONG)
    assert claimed.record == claim.store.read_claim() == record(CLAIMED)
    assert claim.store.results == {}
    assert next_job.is_claimed_anew(claimed, claim)


def test_a_job_that_is_claimed_anew_keeps_its_former_jobs():
    kept = record(UNKNOWN, TWO, former=("one",), token=TOKEN)
    claim = claim_of(kept, success(token=TOKEN), success(TWO, token=TOKEN))
    claimed = next_job.claim_offered(Hook(), claim, offered(), deadline=LONG)
    assert claimed.record == replace(kept, state=CLAIMED)
    assert list(claim.store.results) == ["one"]


@pytest.mark.parametrize(
    ("answer", "token", "acknowledged"),
    [(LOST, None, [ONE]), (UNKNOWN, None, [ONE]), (CLAIMED, "another", [])],
)
def test_an_old_offer_of_an_unknown_job_proves_nothing(answer, token, acknowledged):
    claim, hook = waiting_claim(UNKNOWN), Hook(answer, token=token)
    assert next_job.claim_offered(hook, claim, offered(ONE), deadline=LONG) is claim
    assert hook.acknowledged == acknowledged
    assert claim.store.claim_states == []
    assert awaited(claim) == TOKEN


def test_only_the_job_of_an_unknown_claim_is_offered_again():
    assert next_job.is_offered_again(offered(ONE), claim_of(record(UNKNOWN)))
    assert not next_job.is_offered_again(offered(ONE), claim_of(record()))
    assert not next_job.is_offered_again(offered(), claim_of(record(UNKNOWN)))
    assert not next_job.is_offered_again({"status": "timeout", "jobs": []}, claim_of(record(UNKNOWN)))


def test_only_the_same_job_counts_as_claimed_anew():
    unknown, sure = claim_of(record(UNKNOWN)), claim_of(record())
    assert next_job.is_claimed_anew(sure, unknown)
    assert not next_job.is_claimed_anew(next_claim(CLAIMED), unknown)
    assert not next_job.is_claimed_anew(unknown, unknown)
    assert not next_job.is_claimed_anew(sure, sure)
