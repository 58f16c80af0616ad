# SPDX-License-Identifier: Apache-2.0
"""Whether the record of a claim may still be written when the task that ends the job reads it."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner._worker import last_look
from airflow_codepipeline_partner._worker.record_search import ClaimInRun
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob

INTENT, CLAIMED, UNKNOWN, LOST, REFUSED = ClaimState


@pytest.mark.parametrize(
    ("state", "found", "said", "waits"),
    [
        (CLAIMED, "success", False, False),
        (CLAIMED, "failed", False, False),
        (None, "upstream_failed", False, False),
        (None, None, False, False),
        # A claim that is lost skips its task. But a user may have cleared it alone, or marked a retry.
        (LOST, "skipped", True, False),
        (LOST, "failed", True, False),
        (LOST, "success", True, True),
        (None, "skipped", True, False),
        (None, "failed", True, True),
        (INTENT, "failed", True, True),
        (INTENT, "success", True, True),
        (REFUSED, "failed", True, False),
        (UNKNOWN, "success", True, False),
    ],
)
def test_who_looks_for_a_claim_says_so_before_the_last_look(monkeypatch, state, found, said, waits):
    done = []

    def read(context, task_id, unknown_claim):
        done.append("read")
        if state is None:
            return None
        record = SimpleNamespace(state=state, is_certain=state is CLAIMED)
        return SimpleNamespace(record=record, counts_as_ours=state.counts_as_ours(unknown_claim))

    monkeypatch.setattr(last_look, "claim_in_run", read)
    monkeypatch.setattr(last_look, "_with_what_it_returned", lambda claim: claim)
    monkeypatch.setattr(last_look, "say_last_look", lambda ti: done.append("say"))
    monkeypatch.setattr(last_look.time, "sleep", lambda seconds: done.append(f"wait {seconds:.0f}"))
    last_look.claim_to_end({"ti": None}, "claim", "assume_ours", [found], timedelta(seconds=10))
    assert done == ["read", *["wait 10"] * waits, *["say", "read"] * said]


@pytest.mark.parametrize(
    ("returned", "former", "state"),
    [
        ({"job_id": "j", "client_id": "c", "certain": True}, (), CLAIMED),
        ({"job_id": "j", "client_id": "c", "certain": False}, (), UNKNOWN),
        # Of a later job of the action, it says nothing.
        ({"job_id": "j", "client_id": "c", "certain": True}, ("i",), REFUSED),
        ({"job_id": "other", "client_id": "c", "certain": True}, (), REFUSED),
        (None, (), REFUSED),
        ("junk", (), REFUSED),
    ],
)
def test_what_a_claim_returned_counts_more_than_an_older_record(returned, former, state):
    record = ClaimRecord(REFUSED, ClaimedJob(OfferedJob("j", "c")), former)
    store = SimpleNamespace(read=lambda key: returned, ref=SimpleNamespace(task_id="claim"))
    found = last_look._with_what_it_returned(ClaimInRun(store, record, "assume_ours"))
    assert found.record.state is state
