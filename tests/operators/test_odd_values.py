# SPDX-License-Identifier: Apache-2.0
"""Whatever lies in XCom, and whatever a text holds: the job ends."""

from __future__ import annotations

import pytest
from support import ACTION_TYPE, action_state, results_of

from airflow_codepipeline_partner._compat import OUTDATED_TRIES_WRITE

CLAIM, RESULT, FAILURE = "codepipeline_claim", "codepipeline_result", "codepipeline_failure"
KIND = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}


@pytest.mark.parametrize(
    "members",
    [
        {"state": ["claimed"]},
        {"state": "renewed"},
        {"former_job_ids": {"a": 1}},
        {"continuation_token": 5},
        {"output_artifacts": [3]},
        {"output_artifacts": {"name": 3}},
        {"action_type": "Deploy"},
        {"action_type": {**KIND, "of a later version": "x"}},
        {"client_id": None},
        {"job_id": ["no", "id"]},
        {"at": 12},
    ],
    ids=str,
)
def test_a_claim_with_an_odd_member_ends_its_job(customer, emulator, offer, run_dag, members):
    job = offer()
    run_dag("edited", job=job, edit={"task": "claim", "key": CLAIM, "members": members})
    assert results_of(emulator, job) == ["success"]


@pytest.mark.parametrize("value", [[1], 7, "edited by hand", {"state": "claimed"}], ids=str)
def test_of_a_claim_without_a_job_the_return_value_counts(customer, emulator, offer, run_dag, value):
    job = offer()
    run = run_dag("edited", job=job, edit={"task": "claim", "key": CLAIM, "value": value})
    assert results_of(emulator, job) == ["success"]
    assert run.state == "success"


@pytest.mark.parametrize(
    "value",
    [
        [1],
        {"state": "intended", "result": ["success"], "call": {}},
        {"state": ["done"], "result": "success", "call": {}},
        {"state": "intended", "result": "success", "call": 3},
    ],
    ids=str,
)
def test_an_odd_record_of_a_result_is_left_out(customer, emulator, offer, run_dag, value):
    job = offer()
    if isinstance(value, dict):
        value = {"job_id": job["job_id"], **value}
    run_dag("edited", job=job, edit={"task": "claim", "key": RESULT, "value": value})
    assert results_of(emulator, job) == ["success"]


@pytest.mark.parametrize(
    "value",
    [[1], {}, {"message": "x"}, {"message": "x", "type": "Later"}, {"message": "", "type": "JobFailed"}],
)
def test_an_odd_record_of_a_failure_is_left_out(customer, emulator, offer, run_dag, value):
    job = offer()
    run_dag("edited", job=job, edit={"task": "edit", "key": FAILURE, "value": value}, fail=True)
    assert results_of(emulator, job) == ["failure"]
    assert "task edit of DAG edited failed" in action_state(emulator)["errorDetails"]["message"]


@pytest.mark.parametrize(("how", "result"), [("summary", "failure"), ("message", "failure")])
def test_a_text_that_cannot_be_sent_does_not_keep_the_job(customer, emulator, offer, run_dag, how, result):
    """For instance a file name in another encoding, decoded with surrogateescape."""
    job = offer()
    run_dag(f"odd_{how}", job=job)
    assert results_of(emulator, job) == [result]


@pytest.mark.skipif(
    OUTDATED_TRIES_WRITE, reason="dag.test() runs no callbacks of failures before Airflow 3.3"
)
def test_the_words_of_a_failure_are_sent_as_far_as_they_can_be(customer, emulator, offer, run_dag):
    job = offer()
    run_dag("odd_words", job=job)
    assert results_of(emulator, job) == ["failure"]
    assert action_state(emulator)["errorDetails"]["message"] == "No such file: ?t?"


def test_what_came_before_the_claim_is_about_another_job(emulator, offer, run_dag, make_hook, customer):
    emulator.add_pipeline("pipe2", client_id=customer.client_id, action_type=ACTION_TYPE)
    job = offer()
    emulator.start_execution("pipe2")
    offered = [each.to_xcom() for each in make_hook().poll(ACTION_TYPE)]
    [other] = [each for each in offered if each["job_id"] != job["job_id"]]
    run = run_dag("one_after_the_other", job=job, other=other)
    assert results_of(emulator, job) == ["failure"]
    assert results_of(emulator, other) == ["success"]
    assert run.states["finish_job"] == "failed"
    assert run.states["finish_other"] == "success"
    assert run.state == "failed"


def test_a_mapped_claim_that_no_task_finishes_claims_nothing(customer, emulator, offer, run_dag):
    job = offer()
    run = run_dag("mapped_without_an_end", jobs=[job])
    assert run.state == "failed"
    assert emulator.jobs()[-1].status in ("Queued", "Dispatched")
