# SPDX-License-Identifier: Apache-2.0
"""The result is judged by what ran, not by how the graph ends."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from packaging.version import Version
from support import action_state, results_of


@pytest.mark.parametrize(
    ("dag_id", "result"),
    [
        ("skips_itself", "success"),
        ("short_circuited_last_step", "success"),
        ("branched_work", "success"),
        ("cleaning_up_after_a_failure_only", "success"),
        ("nothing_to_expand", "success"),
        ("optional_step_between", "success"),
        ("gate_before_all_work", "failure"),
    ],
)
def test_an_optional_step_that_is_skipped_does_not_matter(emulator, customer, offer, run_dag, dag_id, result):
    """But where nothing of the work ran at all, nothing was done."""
    job = offer()
    run = run_dag(dag_id, job=job)
    assert results_of(emulator, job) == [result]
    assert run.state == ("success" if result == "success" else "failed")


@pytest.mark.skipif(
    Version(version("apache-airflow-task-sdk")) < Version("1.3"),
    reason="dag.test() runs no callbacks of failures before Airflow 3.3; a real task does",
)
@pytest.mark.parametrize(
    ("dag_id", "words"),
    [
        ("worded_failure", "The action's configuration names no Target."),
        ("worded_failure_of_one_part", "Part 2 has no target."),
    ],
)
def test_the_message_of_a_job_failure_reaches_the_customer(
    emulator, customer, offer, run_dag, dag_id, words, capfd
):
    job = offer()
    run = run_dag(dag_id, job=job)
    assert results_of(emulator, job) == ["failure"]
    assert action_state(emulator)["errorDetails"] == {"code": "ConfigurationError", "message": words}
    assert run.state == "failed"
    # The log says what the customer reads, and where.
    said = "".join(capfd.readouterr())
    assert f'Reported as failed, ConfigurationError: "{words}" (pipe / Partner / Partner, customer' in said


def test_a_reported_failure_need_not_make_the_run_red(emulator, customer, offer, run_dag):
    job = offer()
    run = run_dag("failure_without_a_red_run", job=job)
    assert results_of(emulator, job) == ["failure"]
    assert run.states["build"] == "failed"
    assert run.states["finish_job"] == "success"
    assert run.state == "success"
