# SPDX-License-Identifier: Apache-2.0
"""How a run claims the action's next job."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from next_jobs import (
    CLAIMED,
    CUSTOM_ONE,
    CUSTOM_TWO,
    INTENT,
    LOST,
    ONE,
    REFUSED,
    TOKEN,
    TWO,
    UNKNOWN,
    Hook,
    claim_of,
    next_claim,
    record,
    success,
    waiting_claim,
)

from airflow_codepipeline_partner._protocol.claims import Acknowledged, AskDetails, Asked
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import awaited_job, next_job
from airflow_codepipeline_partner.exceptions import (
    InvalidNonce,
    RequestRefused,
)
from airflow_codepipeline_partner.jobs import (
    ClaimedJob,
)


@pytest.mark.parametrize("state", [CLAIMED, UNKNOWN, LOST])
def test_a_claim_is_recorded_before_and_after_its_answer(state):
    claim, before = waiting_claim(), datetime.now(UTC)
    claimed = next_job.claim_next_job(Hook(state), claim, TWO)
    assert claim.store.claim_states == [INTENT, state]
    assert claimed.record == claim.store.read_claim()
    assert claimed.record.job.job_id == "two"
    assert claimed.record.former_job_ids == ("one",)
    assert claimed.record.at >= before


def test_former_jobs_are_kept_in_their_order():
    kept = record(CLAIMED, TWO, former=("one",), token=TOKEN)
    claim = claim_of(kept, success(TWO, token=TOKEN))
    claimed = next_job.claim_next_job(Hook(), claim, replace(TWO, job_id="three"))
    assert claimed.record.former_job_ids == ("one", "two")


@pytest.mark.parametrize("token", [None, "another", TaskInstanceRef("dag", "other", "go_on").token])
def test_a_job_of_another_action_is_left(token):
    claim, hook = waiting_claim(), Hook(token=token)
    assert next_job.claim_next_job(hook, claim, TWO) == claim
    assert hook.acknowledged == []
    assert claim.store.claim_states == []


@pytest.mark.parametrize("state", [LOST, REFUSED])
def test_a_next_job_that_comes_again_is_claimed_by_its_token(state):
    claim = next_claim(state)
    assert next_job.claim_next_job(Hook(token="another"), claim, TWO) == claim
    claimed = next_job.claim_next_job(Hook(), claim, TWO)
    assert claimed.record == record(CLAIMED, TWO, former=("one",), token=TOKEN)


@pytest.mark.parametrize("before", [CLAIMED, UNKNOWN])
@pytest.mark.parametrize(("in_doubt", "state"), [(False, REFUSED), (True, UNKNOWN)])
def test_a_failed_claim_is_recorded_and_raised(before, in_doubt, state):
    claim = waiting_claim(before)
    with pytest.raises(RequestRefused, match="no"):
        next_job.claim_next_job(Hook(RequestRefused("no", in_doubt=in_doubt)), claim, TWO)
    kept = claim.store.read_claim()
    assert claim.store.claim_states == [INTENT, state]
    assert kept.job.certain is not in_doubt
    assert (kept.job.job_id, kept.former_job_ids) == ("two", ("one",))


def test_a_claim_that_fails_before_its_intent_is_not_recorded():
    class WithoutDetails(Hook):
        def carry_out(self, job, call):
            assert isinstance(call, AskDetails)
            return RequestRefused("no")

    claim = waiting_claim()
    with pytest.raises(RequestRefused, match="no"):
        next_job.claim_next_job(WithoutDetails(), claim, TWO)
    assert claim.store.claim_states == []


@pytest.mark.parametrize("state", [INTENT, UNKNOWN])
def test_an_unknown_claim_stays_unknown_if_a_retry_fails(state):
    claim = next_claim(state)
    with pytest.raises(RequestRefused, match="no"):
        next_job.claim_next_job(Hook(RequestRefused("no")), claim, TWO)
    assert claim.store.claim_states == [INTENT, UNKNOWN]
    assert claim.store.read_claim().job.certain is False


def test_an_unknown_claim_keeps_the_time_of_its_first_try():
    earlier = datetime.now(UTC) - timedelta(minutes=10)
    kept = replace(next_claim(UNKNOWN).record, at=earlier)
    claimed = next_job.claim_next_job(Hook(), claim_of(kept), TWO)
    assert claimed.record.state is CLAIMED
    assert claimed.record.at == earlier
    assert claimed.record.former_job_ids == ("one",)


def test_a_job_that_another_task_claims_first_is_taken_over():
    theirs = record(CLAIMED, TWO, former=("one",), token=TOKEN)
    early, hook = waiting_claim(), Hook()
    early.store.claims["theirs"] = theirs
    assert next_job.claim_next_job(hook, early, TWO).record is theirs
    assert hook.acknowledged == []

    late = waiting_claim()
    outrun = Hook(LOST, meanwhile=lambda: late.store.claims.update(theirs=theirs))
    assert next_job.claim_next_job(outrun, late, TWO).record is theirs
    assert outrun.acknowledged == [TWO]


@pytest.mark.parametrize("state", [CLAIMED, UNKNOWN])
@pytest.mark.parametrize(("first", "following"), [(ONE, TWO), (CUSTOM_ONE, CUSTOM_TWO)])
def test_a_first_try_leaves_no_doubt_in_a_stale_nonce(first, following, state):
    hook, claim = Hook(InvalidNonce("m")), waiting_claim(state, first)
    next_job.claim_next_job(hook, claim, following)
    assert claim.store.claim_states == [INTENT, LOST]
    assert hook.acknowledged == [following]


@pytest.mark.parametrize("job", [TWO, CUSTOM_TWO], ids=["partner", "custom"])
@pytest.mark.parametrize(
    ("state", "in_doubt"), [(LOST, False), (REFUSED, False), (INTENT, True), (UNKNOWN, True)]
)
def test_a_stale_nonce_is_in_doubt_after_an_unknown_try(state, in_doubt, job):
    hook, claim = Hook(InvalidNonce("m")), next_claim(state, job)
    next_job.claim_next_job(hook, claim, job)
    assert claim.store.claim_states == [INTENT, UNKNOWN if in_doubt else LOST]
    assert hook.acknowledged == [job]


@pytest.mark.parametrize("state", [LOST, UNKNOWN])
def test_a_task_that_loses_the_job_leaves_anothers_claim(state):
    """Which may be of a task that died."""
    claim = waiting_claim()
    theirs = record(INTENT, TWO, former=("one",), token=TOKEN)
    claim.store.claims["theirs"] = theirs
    newest = next_job.claim_next_job(Hook(state), claim, TWO).record
    assert claim.store.claim_states == [INTENT, state]
    assert newest.state is (INTENT if state is LOST else UNKNOWN)
    assert claim.store.claims["theirs"] is theirs


def test_any_token_that_tasks_have_put_at_once_is_awaited():
    """The own one first, until it is known which was taken."""
    other = TaskInstanceRef("dag", "run", "other").token
    claim = claim_of(record(), success(token=TOKEN, state="intended"))
    claim.store.beside("other", success(token=other, state="intended"))
    assert awaited_job.awaited_tokens(claim) == (TOKEN, other)
    assert next_job.claim_next_job(Hook(token=other), claim, TWO).record.job.job_id == "two"

    known = claim_of(record(), success(token=TOKEN, state="intended"))
    known.store.beside("other", success(token=other))
    assert awaited_job.awaited_tokens(known) == (other,)
    assert next_job.claim_next_job(Hook(), known, TWO) == known


@pytest.mark.parametrize(
    ("answer", "state"), [(Acknowledged("InProgress"), CLAIMED), (InvalidNonce("m"), UNKNOWN)]
)
def test_an_unknown_job_offered_again_is_asked_with_new_nonce(answer, state):
    """Another task may have claimed it since, and its answer may have been lost."""
    nonces = iter(["old", "new", "new", "new", "new"])

    class Reoffered(Hook):
        def carry_out(self, job, call):
            if isinstance(call, AskDetails):
                return Asked(ClaimedJob(job, continuation_token=self.token), next(nonces))
            return InvalidNonce("m") if call.nonce == "old" else answer

    claim = next_claim(UNKNOWN)
    claim.store.claims["theirs"] = record(UNKNOWN, TWO, former=("one",), token=TOKEN)
    assert next_job.claim_next_job(Reoffered(), claim, TWO).record.state is state
    assert "theirs" in claim.store.claims
