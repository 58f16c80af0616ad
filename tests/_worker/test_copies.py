# SPDX-License-Identifier: Apache-2.0
"""What is known of a claim if its own record is gone: copies of the action's next jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import copies
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob

REF = TaskInstanceRef("dag", "run", "claim")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def claim_of(job_id, *former, at=NOW):
    return ClaimRecord(ClaimState.CLAIMED, ClaimedJob(OfferedJob(job_id, "c")), former, at)


@pytest.mark.parametrize(
    ("since", "is_known"),
    [
        # A user has cleared the claim while the run goes on.
        (None, True),
        (NOW - timedelta(minutes=1), True),
        # A user has cleared it after the run's end: by then, the job had ended, too.
        (NOW + timedelta(minutes=1), False),
    ],
)
def test_copies_of_next_jobs_count_while_the_run_goes_on(monkeypatch, since, is_known):
    monkeypatch.setattr(copies, "undisturbed_tasks", lambda dag, ref: [])
    monkeypatch.setattr(copies, "claiming_tasks", lambda dag: ["claim"])
    monkeypatch.setattr(copies, "claims_of_next_jobs", lambda dag, ref: [claim_of("two", "one")])
    found = copies.claim_of_all_tries(None, REF, None, since)
    assert (found is not None and found.job.job_id == "two") is is_known


def test_with_a_record_only_its_own_actions_next_jobs_count(monkeypatch):
    monkeypatch.setattr(copies, "claims_of_next_jobs", lambda dag, ref: [claim_of("two", "one")])
    assert copies.claim_of_all_tries(None, REF, claim_of("one"), NOW).job.job_id == "two"
    assert copies.claim_of_all_tries(None, REF, claim_of("other"), NOW).job.job_id == "other"


@pytest.mark.parametrize(
    ("ref", "claims"),
    [(replace(REF, map_index=1), ["claim"]), (REF, ["claim", "other"])],
    ids=["mapped", "two"],
)
def test_without_a_record_no_other_claims_next_job_counts(monkeypatch, ref, claims):
    """It would be another customer's."""
    monkeypatch.setattr(copies, "undisturbed_tasks", lambda dag, ref: [])
    monkeypatch.setattr(copies, "claiming_tasks", lambda dag: claims)
    monkeypatch.setattr(copies, "claims_of_next_jobs", lambda dag, ref: [claim_of("two", "one")])
    assert copies.claim_of_all_tries(None, ref, None) is None
