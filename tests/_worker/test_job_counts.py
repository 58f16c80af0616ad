# SPDX-License-Identifier: Apache-2.0
"""What tasks count of a job: each fact when it is recorded first, and never again."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from next_jobs import CLAIMED, INTENT, LOST, TWO, UNKNOWN, next_claim, waiting_claim
from next_jobs import Hook as ClaimingHook
from record_memory import RecordMemory
from reported_job import CONTINUE, FAILURE, SUCCESS, TAKES_NO_RESULT, Hook, recorded
from support import ACTION_TYPE

from airflow_codepipeline_partner import _metrics
from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.claims import Acknowledge, Acknowledged, AskDetails, Asked, drive
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker import job_counts, next_job, report
from airflow_codepipeline_partner._worker.claiming import (
    Earlier,
    IsAwaited,
    IsCutOff,
    Recall,
    Write,
    claiming,
)
from airflow_codepipeline_partner._worker.records import ClaimRecord
from airflow_codepipeline_partner.exceptions import InvalidNonce, RequestRefused, ServiceUnavailable
from airflow_codepipeline_partner.jobs import ActionType, ClaimedJob, OfferedJob

JOB = OfferedJob("job-1", "client-1", ActionType.from_value(ACTION_TYPE))
STALE, TAKEN, SILENT = InvalidNonce("m"), Acknowledged("InProgress"), ServiceUnavailable("m", in_doubt=True)


def known(state, **more):
    """What a retry knows of the claim of an earlier try."""
    return Earlier(ClaimRecord(state, ClaimedJob(JOB)), **more)


def claim(earlier=None, answer=TAKEN, *, awaited=False, context=None):
    """Claim the job, as a task does that knows this and is answered so."""
    answers = {
        Recall: earlier or Earlier(),
        AskDetails: answer if isinstance(answer, RequestRefused) else Asked(ClaimedJob(JOB), "nonce"),
        Acknowledge: answer,
        IsAwaited: awaited,
        IsCutOff: False,
    }

    def carry_out(step):
        if isinstance(step, Write):
            job_counts.count_claim(step, context)
        return answers.get(type(step))

    drive(claiming(JOB, TaskInstanceRef("dag", "run", "claim"), "assume_ours"), carry_out)


@pytest.mark.parametrize(
    ("earlier", "answer", "counted"),
    [
        (None, TAKEN, {"jobs.claimed": 1}),
        (None, STALE, {"jobs.lost": 1}),
        (None, SILENT, {"jobs.unknown": 1}),
        (None, RequestRefused("m"), {"jobs.refused": 1}),
        # Nobody has refused anything.
        (None, ServiceUnavailable("m"), {}),
        # An earlier try has counted it, or died before it could.
        (known(CLAIMED), TAKEN, {}),
        (known(CLAIMED, was_cleared=True), TAKEN, {}),
        (known(CLAIMED, was_cleared=True), STALE, {}),
        (known(CLAIMED, was_cleared=True), Acknowledged("Succeeded"), {}),
        (known(INTENT), TAKEN, {"jobs.claimed": 1}),
        (known(INTENT), STALE, {"jobs.unknown": 1}),
        (known(UNKNOWN), STALE, {}),
        (known(UNKNOWN), TAKEN, {"jobs.claimed": 1}),
        (known(LOST), STALE, {}),
        # An earlier try may have won it, and nothing says so.
        (Earlier(is_forgotten=True), STALE, {}),
        (Earlier(is_forgotten=True), TAKEN, {"jobs.claimed": 1}),
    ],
)
def test_a_claim_is_counted_when_it_first_comes_to_this(earlier, answer, counted, stats):
    claim(earlier, answer)
    assert stats.counts == counted


def test_a_job_that_another_task_waits_for_is_not_lost(stats):
    claim(awaited=True)
    assert stats.counts == {}


@pytest.mark.parametrize(
    ("run_type", "conf", "is_measured"),
    [
        ("asset_triggered", None, True),
        ("manual", {"job_id": "job-1"}, True),
        # The run has waited for jobs by itself, perhaps for hours.
        ("scheduled", None, False),
        ("manual", {"job_id": "another"}, False),
    ],
)
def test_the_wait_of_a_job_is_that_of_its_run(run_type, conf, is_measured, stats):
    due = datetime.now(UTC) - timedelta(hours=1)
    claim(context={"dag_run": SimpleNamespace(run_type=run_type, run_after=due, conf=conf)})
    assert stats.counts == {"jobs.claimed": 1}
    waits = [value for method, _, value, _ in stats.sent if method == "timing"]
    assert [timedelta(hours=1) <= value < timedelta(hours=2) for value in waits] == [True] * is_measured


@pytest.mark.parametrize("before", [waiting_claim(), next_claim(UNKNOWN)])
def test_the_next_job_is_claimed_once(before, stats):
    claimed = next_job.claim_next_job(ClaimingHook(), before, TWO)
    next_job.claim_next_job(ClaimingHook(), claimed, TWO)
    assert stats.counts == {"jobs.claimed": 1}


def test_a_next_claim_that_stays_unknown_is_counted_once(stats):
    claimed = next_job.claim_next_job(ClaimingHook(UNKNOWN), waiting_claim(), TWO)
    next_job.claim_next_job(ClaimingHook(UNKNOWN), claimed, TWO)
    assert stats.counts == {"jobs.unknown": 1}


# Results.


@pytest.mark.parametrize(
    ("call", "name"),
    [(SUCCESS, "jobs.succeeded"), (CONTINUE, "jobs.continued"), (FAILURE, "jobs.failed")],
    ids=["success", "continue", "failure"],
)
def test_a_result_is_counted_once_however_often_it_is_reported(call, name, stats):
    memory = RecordMemory()
    claimed_at = datetime.now(UTC) - timedelta(minutes=5)
    for _ in range(3):
        report.put_once(Hook(memory), memory, call, claimed_at=claimed_at)
        report.put_once(Hook(memory), memory.beside("another"), call, claimed_at=claimed_at)
    assert stats.counts == {name: 1}
    assert stats.timed == ["jobs.duration"]
    assert stats.tags_of(_metrics.JOBS_DURATION)["result"] == requests.result_of(call)
    if call is FAILURE:
        assert stats.tags_of(_metrics.JOBS_FAILED)["failure_type"] == "JobFailed"


def test_a_result_is_recorded_before_it_is_counted(stats, monkeypatch):
    memory = RecordMemory()
    monkeypatch.setattr(stats, "incr", lambda *given, **tags: memory.history.append("counted"))
    report.put_once(Hook(memory), memory, SUCCESS)
    assert memory.history == ["intended", "done", "counted"]


def test_without_the_time_of_its_claim_a_job_has_no_duration(stats):
    memory = RecordMemory()
    report.put_once(Hook(memory), memory, SUCCESS)
    assert stats.timed == []


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
def test_a_result_of_a_try_that_died_is_counted_by_the_next(kind, stats):
    memory = RecordMemory(recorded("intended", SUCCESS))
    for _ in range(2):
        report.put_once(Hook(memory, kind("m")), memory, FAILURE)
    assert stats.counts == {"jobs.succeeded": 1}


@pytest.mark.parametrize("state", ["intended", "done"])
@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
def test_a_result_that_another_task_has_put_is_counted_there(state, kind, stats):
    memory = RecordMemory()

    class Refusing(Hook):
        def send_result(self, call):
            memory.beside("other", recorded(state, SUCCESS))
            raise kind("m")

    assert report.put_once(Refusing(memory), memory, SUCCESS) == "success"
    assert stats.counts == {}


@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
def test_a_job_that_had_ended_is_counted_once(kind, stats):
    memory = RecordMemory()
    for _ in range(2):
        with suppress(kind):
            report.put_once(Hook(memory, kind("m")), memory, SUCCESS)
    assert stats.counts == {"jobs.result_refused": 1}


@pytest.mark.parametrize("before", [(), (recorded("intended", SUCCESS),)], ids=["nothing", "a success"])
@pytest.mark.parametrize("kind", TAKES_NO_RESULT)
def test_a_callback_does_not_count_a_job_that_had_ended(kind, before, stats):
    """It keeps no record, and none may show that the job ended well."""
    memory = RecordMemory(*before)
    with suppress(kind):
        report.put_once(Hook(memory, kind("m")), memory, FAILURE, keeps_records=False)
    assert stats.counts == {}


def test_a_callback_counts_what_it_has_put(stats):
    memory = RecordMemory()
    report.put_once(Hook(memory), memory, FAILURE, keeps_records=False)
    assert stats.counts == {"jobs.failed": 1}


@pytest.mark.parametrize("error", [ServiceUnavailable("m"), RequestRefused("m")])
def test_a_result_that_was_not_put_is_not_counted(error, stats):
    memory = RecordMemory()
    with pytest.raises(type(error)):
        report.put_once(Hook(memory, error), memory, SUCCESS)
    assert stats.counts == {}


@pytest.mark.parametrize("due", ["soon", datetime(2026, 1, 1)])
def test_nothing_odd_about_a_run_ends_a_task(due):
    claim(context={"dag_run": SimpleNamespace(run_after=due, conf=["j"], run_type="manual")})
    claim(context={"dag_run": SimpleNamespace(run_after=due, conf=None, run_type="asset_triggered")})


def test_nothing_odd_about_a_result_ends_a_task():
    odd = SimpleNamespace(state="done", result="success", arguments={})
    job_counts.count_result(odd, JOB, "long ago")
    job_counts.count_result(SimpleNamespace(state="done", result="failure", arguments=None), JOB, None)
