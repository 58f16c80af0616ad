# SPDX-License-Identifier: Apache-2.0
"""When a job counts as ours, and when a result counts as put."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner import exceptions
from airflow_codepipeline_partner._protocol import claims, responses
from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState
from airflow_codepipeline_partner.exceptions import (
    InvalidClientToken,
    InvalidInput,
    JobNotFound,
    JobNotInProgress,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import (
    ActionType,
    ClaimedJob,
    OfferedJob,
)

TYPE = ActionType("Deploy", "Example", "2")
JOB = OfferedJob("job-1", "client-1", TYPE)
CLAIMED = ClaimedJob(JOB)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("InProgress", ClaimState.CLAIMED),
        *(
            (status, ClaimState.LOST)
            for status in ("Created", "Queued", "Dispatched", "TimedOut", "Succeeded", "Failed", "Unheard")
        ),
    ],
)
def test_only_in_progress_makes_a_job_ours(status, state):
    claim = Claim.from_status(CLAIMED, status)
    assert claim == Claim(state, CLAIMED, status)
    assert claim.has_ended is (status in ("TimedOut", "Succeeded", "Failed"))


@pytest.mark.parametrize(
    ("state", "assumed", "left"),
    [
        (ClaimState.CLAIMED, True, True),
        (ClaimState.UNKNOWN, True, False),
        (ClaimState.LOST, False, False),
        (ClaimState.REFUSED, False, False),
        (ClaimState.INTENT, True, False),
    ],
)
def test_only_an_unknown_claim_depends_on_the_choice(state, assumed, left):
    claim = Claim(state, CLAIMED)
    assert claim.counts_as_ours("assume_ours") is assumed
    assert claim.counts_as_ours("leave") is left


@pytest.mark.parametrize("choice", claims.UNKNOWN_CLAIM_CHOICES)
def test_both_choices_pass(choice):
    assert claims.check_unknown_claim(choice) == choice


@pytest.mark.parametrize("choice", ["planted", "", "ASSUME_OURS", None, True, ["leave"]])
def test_another_choice_is_refused_with_the_right_ones(choice):
    with pytest.raises(InvalidInput, match="assume_ours, leave") as refusal:
        claims.check_unknown_claim(choice)
    assert "planted" not in str(refusal.value)
    with pytest.raises(InvalidInput):
        Claim(ClaimState.UNKNOWN, CLAIMED).counts_as_ours(choice)


@pytest.mark.parametrize("intended_before", [False, True])
@pytest.mark.parametrize("in_doubt", [False, True])
def test_a_job_that_takes_no_result_may_have_ours(in_doubt, intended_before):
    """A job that takes no result has ours if an earlier call of ours may have been carried out."""
    error = JobNotInProgress("m", in_doubt=in_doubt)
    settled = responses.put_is_settled(error, intended_before=intended_before)
    assert settled is (in_doubt or intended_before)
    # Nobody may have acknowledged it.
    assert not responses.put_is_settled(error, intended_before=intended_before, certain=False)


@pytest.mark.parametrize(
    "kind", [InvalidClientToken, JobNotFound, RequestRefused, ServiceUnavailable, exceptions.InvalidNonce]
)
def test_no_other_refusal_settles_a_put(kind):
    assert not responses.put_is_settled(kind("m", in_doubt=True), intended_before=True)
