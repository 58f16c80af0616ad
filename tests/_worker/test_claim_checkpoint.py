# SPDX-License-Identifier: Apache-2.0
"""What a claiming task still knows of its earlier tries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, BaseOperator
from record_memory import context_of_lone_task

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import Claim, ClaimState
from airflow_codepipeline_partner._worker import claim_checkpoint
from airflow_codepipeline_partner._worker.claim_checkpoint import ClaimCheckpoint
from airflow_codepipeline_partner._worker.claiming import Earlier
from airflow_codepipeline_partner._worker.job_life import MAY_BE_ACKNOWLEDGED
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import CLAIM_KEY, ClaimRecord, ResultRecord
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
    earlier = memory.recall("j").record
    assert (earlier is not None and earlier.state in MAY_BE_ACKNOWLEDGED) is in_doubt


@pytest.mark.parametrize(
    ("try_number", "stored", "forgotten"), [(1, None, False), (2, None, True), (2, {}, False)]
)
def test_without_a_store_a_retry_knows_that_it_knows_nothing(try_number, stored, forgotten):
    store = None if stored is None else SimpleNamespace(get=stored.get)
    memory = ClaimCheckpoint(context_of_lone_task(store, try_number=try_number))
    assert memory.recall("j") == Earlier(is_forgotten=forgotten)


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
    assert again.recall("j").was_cleared is not goes_on
    earlier = again.recall("j")
    assert earlier.record.state is ClaimState.CLAIMED
    # A retry after the clear asks CodePipeline, too.
    again.write(earlier.record.state, earlier.record.job)
    assert memory(3, max_tries).recall("j").was_cleared is not goes_on


@pytest.mark.parametrize("has_copy", [True, False])
def test_before_33_a_clear_of_the_task_before_leaves_a_copy(monkeypatch, has_copy):
    """Without that copy, the task knows that it knows nothing, and does not take a lost claim for a skip."""
    stored = {("work", f"{CLAIM_KEY}_claim_-1"): record("j", ClaimState.CLAIMED)} if has_copy else {}
    monkeypatch.setattr(RecordStore, "read", lambda self, key: stored.get((self.ref.task_id, key)))
    with DAG("d", schedule=None) as dag:
        claim = BaseOperator(task_id="claim", retries=1)
        BaseOperator(task_id="jobs") >> claim >> BaseOperator(task_id="work")

    def earlier(max_tries):
        names = {"dag_id": "d", "run_id": "r", "task_id": "claim", "map_index": -1}
        ti = SimpleNamespace(**names, try_number=2, max_tries=max_tries)
        return ClaimCheckpoint({"ti": ti, "task": claim, "dag": dag}).recall("j")

    assert earlier(max_tries=1) == Earlier()
    cleared = earlier(max_tries=3)
    assert cleared.is_forgotten
    assert (cleared.record is not None and cleared.was_cleared) is has_copy


@pytest.mark.parametrize("clears", [0, 1])
@pytest.mark.parametrize("state", [ClaimState.CLAIMED, ClaimState.UNKNOWN, ClaimState.LOST])
@pytest.mark.parametrize(("began", "cleared"), [(-60, False), (60, True)])
def test_only_a_run_that_began_after_the_record_was_cleared(clears, state, began, cleared):
    """From Airflow 3.2 on, ``clear_number`` counts the clears of a run that goes on, too."""
    stored = record("j", state)
    start = datetime.fromisoformat(stored["at"]) + timedelta(seconds=began)
    context = {
        **context_of_lone_task(SimpleNamespace(get={CLAIM_KEY: stored}.get), try_number=2),
        "dag_run": SimpleNamespace(start_date=start, clear_number=clears),
    }
    assert ClaimCheckpoint(context).recall("j").was_run_cleared is (cleared and clears > 0)


@pytest.mark.parametrize("has_store", [True, False])
@pytest.mark.parametrize(("clears", "was_cleared"), [(1, True), (0, False)])
def test_what_is_not_recorded_may_be_gone(has_store, clears, was_cleared):
    """With ``[state_store] clear_on_success`` also where there is a store."""
    store = SimpleNamespace(get={}.get) if has_store else None
    context = {
        **context_of_lone_task(store, try_number=2),
        "dag_run": SimpleNamespace(start_date=datetime.now(UTC), clear_number=clears),
    }
    assert ClaimCheckpoint(context).recall("j").was_run_cleared is was_cleared


@pytest.mark.parametrize(("later", "goes_on"), [(-60, True), (60, False)])
def test_a_result_from_before_the_job_was_claimed_is_a_guess(monkeypatch, later, goes_on):
    """With an unknown claim it is a guess, until the job is offered again."""
    job = OfferedJob("j", "c")
    done = ResultRecord.of_call("done", requests.success(job, continuation_token="t"))
    anew = ClaimRecord(ClaimState.CLAIMED, ClaimedJob(job), at=done.at + timedelta(seconds=later))
    monkeypatch.setattr(claim_checkpoint, "claims_of_next_jobs", lambda dag, ref: iter([anew]))
    monkeypatch.setattr(claim_checkpoint, "results_of_continuing_tasks", lambda dag, ref: iter([done]))
    stored = {CLAIM_KEY: record("j", ClaimState.UNKNOWN)}
    checkpoint = ClaimCheckpoint(context_of_lone_task(SimpleNamespace(get=stored.get), try_number=2))
    assert (checkpoint.recall("j").continued is not None) is goes_on
