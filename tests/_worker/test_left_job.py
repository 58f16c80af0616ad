# SPDX-License-Identifier: Apache-2.0
"""A user has cleared a claim together with what offers it jobs: it is given another job than before."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from record_memory import context_of_lone_task

from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._worker import claim
from airflow_codepipeline_partner._worker.claim_checkpoint import ClaimCheckpoint
from airflow_codepipeline_partner._worker.records import CLAIM_KEY, ClaimRecord
from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    JobNotInProgress,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob


def context_with(job_id, state, try_number=2):
    """The context of a try whose task has stored a claim."""
    stored = None if state is None else ClaimRecord(state, ClaimedJob(OfferedJob(job_id, "c"))).to_xcom()
    return context_of_lone_task(SimpleNamespace(get={CLAIM_KEY: stored}.get), try_number=try_number)


@pytest.mark.parametrize(
    ("job_id", "state", "try_number", "is_left"),
    [
        ("former", ClaimState.CLAIMED, 2, True),
        ("given", ClaimState.CLAIMED, 2, False),
        # Perhaps nobody had claimed it, or another had: then it is offered again, or has its owner.
        ("former", ClaimState.UNKNOWN, 2, False),
        ("former", ClaimState.INTENT, 2, False),
        ("former", ClaimState.LOST, 2, False),
        ("former", ClaimState.CLAIMED, 1, False),
        (None, None, 2, False),
    ],
)
def test_only_another_job_that_was_certainly_won_is_left(job_id, state, try_number, is_left):
    left = ClaimCheckpoint(context_with(job_id, state, try_number)).left_job("given")
    assert (left is not None) is is_left
    assert left is None or (left.job_id, left.certain) == ("former", True)


def end_left_job(monkeypatch, error):
    put = []

    def put_failure(hook, store, job, of, message):
        put.append(job.job_id)
        if error is not None:
            raise error
        return "failure"

    monkeypatch.setattr(claim, "put_failure", put_failure)
    context = context_with("former", ClaimState.CLAIMED)
    claim._ClaimingTask(None, context, OfferedJob("given", "c")).end_left_job()
    return put


@pytest.mark.parametrize("error", [None, JobNotInProgress("ended"), ClientConnectionError("none")], ids=repr)
def test_a_job_that_cannot_be_ended_holds_up_no_other(monkeypatch, error):
    assert end_left_job(monkeypatch, error) == ["former"]


@pytest.mark.parametrize(
    "error",
    [ServiceUnavailable("m"), ServiceUnavailable("m", in_doubt=True), RequestRefused("m")],
    ids=["away", "lost answer", "refused"],
)
def test_a_retry_ends_the_job_if_the_trouble_may_pass(monkeypatch, error):
    with pytest.raises(type(error)):
        end_left_job(monkeypatch, error)
