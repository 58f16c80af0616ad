# SPDX-License-Identifier: Apache-2.0
"""More than one job, or more than one claim, in one run: each job has its own end, and no other's."""

from __future__ import annotations

import sys
import time
from importlib.metadata import version

import pytest
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.utils.session import create_session
from packaging.version import Version
from sqlalchemy import select
from support import ACTION_TYPE, action_state, results_of

pytestmark = pytest.mark.usefixtures("customer")


@pytest.fixture
def clear_at_a_retry(monkeypatch):
    """Have a user clear all tasks of a DAG when one of them waits for its retry, and do something first."""

    def prepare(dag_id, before):
        sleep, cleared = time.sleep, []

        def clearing(seconds):
            by = sys._getframe(1).f_globals["__name__"]
            if by == "airflow.sdk.definitions.dag" and not cleared:
                with create_session() as session:
                    instances = list(session.scalars(select(TaskInstance).filter_by(dag_id=dag_id)))
                    if any(str(each.state) == "up_for_retry" for each in instances):
                        cleared.append(True)
                        before()
                        clear_task_instances(instances, session, dag_run_state=False)
            sleep(seconds)

        monkeypatch.setattr(time, "sleep", clearing)
        return cleared

    return prepare


@pytest.mark.skipif(
    Version(version("apache-airflow-task-sdk")) < Version("1.3"),
    reason="before Airflow 3.3, a claim that is cleared with the task before it has forgotten its job",
)
def test_a_job_whose_run_is_begun_anew_with_another_is_ended(emulator, customer, run_dag, clear_at_a_retry):
    """A user clears the sensor, too, which is offered another job then."""
    emulator.add_pipeline("other", client_id=customer.client_id, action_type=ACTION_TYPE)
    emulator.start_execution("pipe")
    cleared = clear_at_a_retry("polls_and_works", lambda: emulator.start_execution("other"))
    run = run_dag("polls_and_works")
    assert cleared == [True]
    assert action_state(emulator, "pipe")["status"] == "Failed"
    assert "begun anew" in action_state(emulator, "pipe")["errorDetails"]["message"]
    assert action_state(emulator, "other")["status"] == "Succeeded"
    assert run.states["finish_job"] == "success"


@pytest.mark.parametrize("dag_id", ["the_second_claim_wins", "the_second_claim_wins_and_puts"])
def test_of_two_claims_of_one_job_the_one_counts_that_won_it(dag_id, emulator, offer, run_dag):
    emulator.configure(continuation_delay=0)
    job = offer()
    stale = {**job, "client_id": "99999999-9999-4999-8999-999999999999"}
    run = run_dag(dag_id, job=job, stale=stale)
    assert run.states["a_stale_claim"] in ("skipped", "failed")
    assert run.states["work"] == "success"
    assert action_state(emulator)["status"] == "Succeeded"


def test_an_operator_puts_nothing_that_was_not_claimed(emulator, offer, run_dag):
    job = offer()
    run = run_dag("puts_what_was_never_claimed", job=job)
    assert run.states["put"] == "failed"
    assert results_of(emulator, job) == []


def test_a_token_of_ours_is_not_put_again_and_again(emulator, offer, run_dag):
    emulator.configure(continuation_delay=0)
    run = run_dag("passes_the_token_on", job=offer())
    assert run.states["put"] == "failed"
    assert [each.result for each in emulator.ledger.where(kind="call") if each.result] == [
        "continue",
        "failure",
    ]
    assert action_state(emulator)["status"] == "Failed"


def test_a_last_task_without_a_job_hides_no_failed_claim(emulator, offer, run_dag):
    """Airflow judges a run by its last tasks: if this one was skipped, the run would be green."""
    job = offer()
    emulator.inject("drop_response", operation="AcknowledgeThirdPartyJob", times=None)
    run = run_dag("puts_behind_a_claim_that_is_left", job=job)
    assert run.states == {"claim": "failed", "work": "upstream_failed", "put": "failed"}
    assert results_of(emulator, job) == []
    assert run.state == "failed"
