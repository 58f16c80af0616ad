# SPDX-License-Identifier: Apache-2.0
"""What the work came to, by the states of its tasks."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._worker.work_failure import failure_of_run
from airflow_codepipeline_partner.jobs import OfferedJob

JOB = OfferedJob("job-1", "client-1")


@pytest.mark.parametrize(
    "states",
    [
        {},
        {"work": ["success"]},
        {"work": ["success"], "other": ["skipped"]},
        {"work": ["success", "skipped"]},
        {"before": ["skipped"], "work": ["success"]},
    ],
    ids=str,
)
def test_work_that_was_done_is_a_success(states):
    leaves = {"work", "other"} & set(states)
    assert failure_of_run("dag", states, leaves) is None


def test_a_run_without_work_is_a_success():
    assert failure_of_run("dag", {"claim": ["success"]}, set()) is None


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"work": ["failed"]}, "task work of DAG dag failed"),
        ({"work": ["success", "failed"], "b": ["success"]}, "task work of DAG dag failed"),
        ({"b": ["failed"], "a": ["failed"], "work": ["upstream_failed"]}, "tasks a, b of DAG dag failed"),
        ({"work": ["upstream_failed"]}, "task work of DAG dag could not run"),
        ({"far": ["failed"], "work": ["success"]}, "task far of DAG dag failed"),
        ({"far": ["failed"], "work": ["skipped"]}, "task far of DAG dag failed"),
    ],
    ids=str,
)
def test_a_failed_or_blocked_task_is_a_failure_that_names_it(states, said):
    message = failure_of_run("dag", states, {"work"})
    assert message == f"The work of this action failed in Airflow: {said}."


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"work": ["skipped"]}, "task work of DAG dag"),
        ({"work": ["skipped", "skipped"], "before": ["success"]}, "task work of DAG dag"),
        ({"work": ["skipped"], "also": ["skipped"]}, "tasks also, work of DAG dag"),
    ],
    ids=str,
)
def test_work_that_was_all_skipped_is_a_failure(states, said):
    message = failure_of_run("dag", states, {"work", "also"} & set(states))
    assert message == f"The work of this action was skipped in Airflow: {said}."


def test_a_message_names_ten_tasks_at_most():
    states = {f"t{i:02}": ["failed"] for i in range(13)}
    message = failure_of_run("dag", states, set(states))
    assert "t00, t01, t02, t03, t04, t05, t06, t07, t08, t09 and 3 more of DAG dag failed" in message


def test_the_longest_message_fits():
    states = {f"{i:02}{'t' * 248}": ["failed"] for i in range(100)}
    message = failure_of_run("d" * 250, states, set(states))
    assert requests.failure(JOB, message=message).arguments["failureDetails"]["message"] == message
