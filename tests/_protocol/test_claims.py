# SPDX-License-Identifier: Apache-2.0
"""When a job counts as ours."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._protocol import choices
from airflow_codepipeline_partner._protocol.claims import (
    Acknowledged,
    Claim,
    ClaimState,
    acknowledging,
    drive,
)
from airflow_codepipeline_partner.exceptions import (
    InvalidInput,
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
    claim = drive(acknowledging(CLAIMED, "nonce"), lambda step: Acknowledged(status))
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


@pytest.mark.parametrize("choice", choices.UNKNOWN_CLAIM_CHOICES)
def test_both_choices_pass(choice):
    assert choices.check_unknown_claim(choice) == choice


@pytest.mark.parametrize("choice", ["planted", "", "ASSUME_OURS", None, True, ["leave"]])
def test_another_choice_is_refused_with_the_right_ones(choice):
    with pytest.raises(InvalidInput, match="assume_ours, leave") as refusal:
        choices.check_unknown_claim(choice)
    assert "planted" not in str(refusal.value)
    with pytest.raises(InvalidInput):
        Claim(ClaimState.UNKNOWN, CLAIMED).counts_as_ours(choice)
