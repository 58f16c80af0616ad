# SPDX-License-Identifier: Apache-2.0
"""What a claiming task still knows of its earlier tries."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from record_memory import context_of_lone_task

from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState
from airflow_codepipeline_partner._worker.checkpoints import ClaimCheckpoint
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import CLAIM_KEY, ClaimRecord
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob


def record(job_id, state):
    return ClaimRecord(state, ClaimedJob(OfferedJob(job_id, "c"))).to_xcom()


@pytest.mark.parametrize("try_number", [1, 2])
@pytest.mark.parametrize(
    ("stored", "in_doubt"),
    [
        # That there is no store (before Airflow 3.3), or nothing in it, proves nothing: the earlier tries may
        # have ended before they asked for anything.
        ("no store", False),
        (None, False),
        (record("j", ClaimState.INTENT), True),
        (record("j", ClaimState.UNKNOWN), True),
        (record("j", ClaimState.CLAIMED), True),
        (record("j", ClaimState.REFUSED), False),
        (record("j", ClaimState.LOST), False),
        (record("another", ClaimState.INTENT), False),
    ],
)
def test_only_a_record_shows_an_earlier_acknowledgement(stored, in_doubt, try_number):
    """Whatever the number of the try."""
    store = None if stored == "no store" else SimpleNamespace(get={CLAIM_KEY: stored}.get)
    memory = ClaimCheckpoint(context_of_lone_task(store, try_number=try_number))
    assert memory.acknowledged_before("j") is in_doubt


@pytest.mark.parametrize("state", ClaimState)
def test_only_a_claim_that_was_certainly_won_is_taken_up_again(monkeypatch, state):
    written = []
    monkeypatch.setattr(RecordStore, "write_claim", lambda self, record: written.append(record))
    stored = {CLAIM_KEY: record("j", state)}
    store = SimpleNamespace(get=stored.get, set=stored.__setitem__)
    memory = ClaimCheckpoint(context_of_lone_task(store, try_number=2))
    assert memory.claim_of_earlier_try("another") is None
    claim = memory.claim_of_earlier_try("j")
    assert (claim is not None) is (state is ClaimState.CLAIMED)
    # Its record, which the retry has cleared, is there again.
    assert [record.state for record in written] == ([state] if claim else [])


@pytest.mark.parametrize(("max_tries", "goes_on"), [(1, True), (3, False)])
def test_a_retry_goes_on_and_a_users_clear_asks_codepipeline(monkeypatch, max_tries, goes_on):
    """After the job has ended."""
    monkeypatch.setattr(RecordStore, "write_claim", lambda self, record: None)
    stored = {}
    store = SimpleNamespace(get=stored.get, set=stored.__setitem__)

    def memory(try_number, max_tries):
        return ClaimCheckpoint(context_of_lone_task(store, try_number=try_number, max_tries=max_tries))

    memory(1, 1).note_end(Claim(ClaimState.CLAIMED, ClaimedJob(OfferedJob("j", "c"))))
    # A clear of an ended task raises its max_tries, a retry leaves it.
    again = memory(2, max_tries)
    assert (again.claim_of_earlier_try("j") is not None) is goes_on
    assert again.acknowledged_before("j")
