# SPDX-License-Identifier: Apache-2.0
"""What a claiming task still knows of its earlier tries."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState
from airflow_codepipeline_partner._worker.checkpoints import ClaimCheckpoint
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import CLAIM_KEY, ClaimRecord
from airflow_codepipeline_partner.jobs import ClaimedJob, OfferedJob


def record(job_id, state):
    return ClaimRecord(state, ClaimedJob(OfferedJob(job_id, "c"))).to_xcom()


@pytest.mark.parametrize(
    ("stored", "try_number", "in_doubt"),
    [
        # Before Airflow 3.3 there is no store, and only the number of the try says anything.
        ("no store", 1, False),
        ("no store", 2, True),
        # Airflow, or a user, may have emptied it.
        (None, 1, False),
        (None, 2, True),
        (record("j", ClaimState.INTENT), 2, True),
        (record("j", ClaimState.UNKNOWN), 2, True),
        (record("j", ClaimState.REFUSED), 2, False),
        (record("j", ClaimState.LOST), 2, False),
        (record("another", ClaimState.INTENT), 2, False),
    ],
)
def test_whether_an_earlier_try_may_have_acknowledged_the_job(stored, try_number, in_doubt):
    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=try_number, max_tries=1
    )
    store = None if stored == "no store" else SimpleNamespace(get={CLAIM_KEY: stored}.get)
    task = SimpleNamespace(upstream_task_ids=[], downstream_task_ids=[])
    memory = ClaimCheckpoint({"ti": ti, "task": task, "dag": None, "task_state_store": store})
    assert memory.acknowledged_before("j") is in_doubt


@pytest.mark.parametrize("state", ClaimState)
def test_only_a_claim_that_was_certainly_won_is_taken_up_again(monkeypatch, state):
    written = []
    monkeypatch.setattr(RecordStore, "write_claim", lambda self, record: written.append(record))
    stored = {CLAIM_KEY: record("j", state)}
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=2, max_tries=1)
    store = SimpleNamespace(get=stored.get, set=stored.__setitem__)
    memory = ClaimCheckpoint({"ti": ti, "task": None, "dag": None, "task_state_store": store})
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
        ti = SimpleNamespace(
            dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=try_number, max_tries=max_tries
        )
        return ClaimCheckpoint({"ti": ti, "task": None, "dag": None, "task_state_store": store})

    memory(1, 1).note_end(Claim(ClaimState.CLAIMED, ClaimedJob(OfferedJob("j", "c"))))
    # A clear of an ended task raises its max_tries, a retry leaves it.
    again = memory(2, max_tries)
    assert (again.claim_of_earlier_try("j") is not None) is goes_on
    assert again.acknowledged_before("j")
