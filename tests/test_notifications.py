# SPDX-License-Identifier: Apache-2.0
"""The notifier: the backstop that ends what a run left open, once, from a callback that knows little."""

from __future__ import annotations

import pytest
from support import action_state, results_of

from airflow_codepipeline_partner.exceptions import LimitExceeded
from airflow_codepipeline_partner.notifications import CodePipelineJobFailureNotifier
from airflow_codepipeline_partner.transport import Transport


@pytest.fixture
def notify(run_dag):
    """Call the notifier for a run, in a task (as Airflow's XCom needs), with a callback's least context."""

    def call(run, **context):
        assert run_dag("notify", dag_id=run.dag_id, run_id=run.run_id, context=context).state == "success"

    return call


def test_a_job_that_was_left_open_ends_in_failure(emulator, offer, run_dag, notify):
    job = offer()
    run = run_dag("claim_only", job=job)
    notify(run, reason="timed_out")
    assert results_of(emulator, job) == ["failure"]
    error = action_state(emulator)["errorDetails"]
    assert error["code"] == "JobFailed"
    assert "time limit" in error["message"]
    assert "claim_only" in error["message"]
    assert action_state(emulator)["externalExecutionId"].startswith("claim_only/runs/")


def test_the_user_words_it(emulator, offer, run_dag, notify):
    run = run_dag("claim_only", job=offer())
    notify(run, notifier={"message": "Run {{ run_id }} broke.", "failure_type": "SystemUnavailable"})
    assert action_state(emulator)["errorDetails"] == {
        "code": "SystemUnavailable",
        "message": f"Run {run.run_id} broke.",
    }


def test_called_twice_it_ends_the_job_once_and_says_so(emulator, offer, run_dag, notify, capfd):
    job = offer()
    run = run_dag("claim_only", job=job)
    notify(run)
    notify(run)
    assert results_of(emulator, job) == ["failure", "InvalidJobStateException"]
    assert f"Job {job['job_id']} has ended already." in "".join(capfd.readouterr())


def test_where_the_finishing_piece_did_its_work_nothing_is_put(emulator, offer, run_dag, notify):
    job = offer()
    run = run_dag("many_jobs", jobs=[job], work_of={job["job_id"]: "fail"})
    notify(run)
    assert results_of(emulator, job) == ["failure"]


def test_a_lost_race_is_left_alone(emulator, offer, run_dag, notify, make_hook):
    job = offer()
    make_hook().claim(job)
    notify(run_dag("claim_only", job=job))
    assert results_of(emulator, job) == []


def dies_at(monkeypatch, operation):
    send = Transport.send

    def dying(self, call, *args, **kwargs):
        if call.operation == operation:
            send(self, call, *args, **kwargs)
            raise SystemExit(9)
        return send(self, call, *args, **kwargs)

    monkeypatch.setattr(Transport, "send", dying)


@pytest.mark.parametrize(("choice", "results"), [("assume_ours", ["failure"]), ("leave", [])])
def test_a_claim_in_doubt_counts_as_its_task_says(
    emulator, offer, run_dag, notify, monkeypatch, choice, results
):
    job = offer()
    with monkeypatch.context() as patched:
        dies_at(patched, "AcknowledgeThirdPartyJob")
        run = run_dag(f"claim_only_{choice}", job=job)
    assert run.xcoms["claim", "codepipeline_claim"]["state"] == "intent"
    notify(run)
    assert results_of(emulator, job) == results


def test_an_intended_result_is_repeated_and_never_flipped(emulator, offer, run_dag, notify, monkeypatch):
    job = offer()
    with monkeypatch.context() as patched:
        dies_at(patched, "PutThirdPartyJobSuccessResult")
        run = run_dag("claim_and_put", job=job)
    assert run.xcoms["claim", "codepipeline_result"]["state"] == "intended"
    notify(run)
    assert results_of(emulator, job) == ["success", "InvalidJobStateException"]
    assert {entry.operation for entry in emulator.ledger if entry.job_id == job["job_id"]}.isdisjoint(
        {"PutThirdPartyJobFailureResult"}
    )


def test_each_job_of_a_mapped_claim_is_ended_and_none_holds_up_another(
    emulator, offer, run_dag, notify, monkeypatch, capfd
):
    jobs = [offer() for _ in range(3)]
    run = run_dag("mapped_claims", jobs=jobs)
    emulator.inject("error", operation="PutThirdPartyJobFailureResult", times=1, code="ValidationException")
    notify(run)
    assert [results_of(emulator, job)[-1] for job in jobs] == ["ValidationException", "failure", "failure"]
    assert f"Job {jobs[0]['job_id']} could not be ended" in "".join(capfd.readouterr())


def test_a_failure_type_that_does_not_exist_is_refused_at_construction():
    with pytest.raises(LimitExceeded, match=r"failureDetails\.type"):
        CodePipelineJobFailureNotifier(failure_type="Unheard")
