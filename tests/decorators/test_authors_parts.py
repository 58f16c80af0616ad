# SPDX-License-Identifier: Apache-2.0
"""The author's own parts of a task, and a task's shape: none of them lets a claimed job have no end."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from packaging.version import Version
from support import action_state, results_of

pytestmark = pytest.mark.usefixtures("customer")

#: From Airflow 3.3 on a task has a store that outlives its retries.
REMEMBERS = Version(version("apache-airflow-task-sdk")) >= Version("1.3")


@pytest.mark.parametrize("how", ["condition", "pre_execute", "macro"])
def test_a_retry_that_is_skipped_before_its_work_ends_the_job(how, emulator, offer, run_dag):
    job = offer()
    run = run_dag(f"skipped_by_{how}", job=job)
    assert results_of(emulator, job) == ["failure"]
    assert run.states["fails"] == "failed"
    assert run.state == "failed"


@pytest.mark.skipif(not REMEMBERS, reason="before Airflow 3.3 a function that stands alone is not retried")
def test_a_lone_function_is_not_skipped_with_a_job(offer, run_dag):
    assert run_dag("skipped_alone", job=offer()).state == "failed"


def test_a_claim_is_not_skipped_with_a_job(emulator, offer, run_dag):
    job = offer()
    run = run_dag("skipped_claim", job=job)
    assert run.states == {"claim": "failed", "work": "upstream_failed", "finish_job": "failed"}
    assert results_of(emulator, job) == ["failure"]


def test_mapped_functions_whose_failure_is_hidden_claim_nothing(emulator, offer, run_dag, capfd):
    job = offer()
    run = run_dag("hides_a_failure_of_functions", job=job)
    assert run.states["handle[0]"] == "failed"
    assert "end may run after handle failed" in "".join(capfd.readouterr())
    assert action_state(emulator)["status"] == "InProgress"
    assert [entry for entry in emulator.ledger if entry.operation == "AcknowledgeThirdPartyJob"] == []


def test_a_job_is_for_one_instance_of_a_function(emulator, offer, run_dag, capfd):
    """If the others were skipped, the customer would read that all the work was done."""
    run = run_dag("one_job_for_three_instances", job=offer())
    assert sorted(run.states[f"deploy[{index}]"] for index in range(3)) == ["failed", "failed", "success"]
    assert "give each job to one task" in "".join(capfd.readouterr())
    assert run.state == "failed"


def test_a_job_is_for_one_instance_of_a_group(emulator, offer, run_dag):
    run = run_dag("one_job_for_three_groups", job=offer())
    claims = [run.states[f"everywhere.claim[{index}]"] for index in range(3)]
    assert sorted(claims) == ["failed", "failed", "success"]
    assert run.state == "failed"
