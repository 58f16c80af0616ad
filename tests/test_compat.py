# SPDX-License-Identifier: Apache-2.0
"""What is known about how Airflow ends and retries a task."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from airflow_codepipeline_partner._compat import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    asset_state_store,
    context_names,
    ends_task_otherwise,
    is_retried,
    retry_wait,
    tags_of_dag,
    task_state_store,
)


def context(try_number=1, max_tries=1, **more):
    ti = SimpleNamespace(try_number=try_number, max_tries=max_tries, **more)
    return {"ti": ti, "task": SimpleNamespace()}


def answer(status):
    error = RuntimeError()
    error.error = SimpleNamespace(detail={"status_code": status, "detail": {}})
    return error


def test_a_dag_that_is_not_there_has_no_tags():
    def get_dag(dag_id):
        if dag_id == "there":
            return SimpleNamespace(tags=["one", "two"])
        raise answer(404 if dag_id == "missing" else 500)

    ti = SimpleNamespace(get_dag=get_dag)
    assert tags_of_dag(ti, "there") == {"one", "two"}
    assert tags_of_dag(ti, "missing") == frozenset()
    # What is not known must not read as no tags: the task is to be retried.
    with pytest.raises(RuntimeError):
        tags_of_dag(ti, "in an outage")


def test_a_skip_ends_a_task_otherwise_and_an_error_does_not():
    assert ends_task_otherwise(AirflowSkipException())
    assert not ends_task_otherwise(ValueError())
    assert not ends_task_otherwise(AirflowFailException())


@pytest.mark.parametrize(("try_number", "max_tries", "retried"), [(1, 1, True), (2, 1, False), (1, 0, False)])
def test_the_number_of_tries_says_whether_there_is_a_retry(try_number, max_tries, retried):
    assert is_retried(context(try_number, max_tries), ValueError()) is retried


@pytest.mark.parametrize("error", [AirflowFailException(), AirflowSensorTimeout()])
def test_some_errors_are_never_retried(error):
    assert not is_retried(context(), error)


@pytest.mark.parametrize(
    ("backoff", "longest", "try_number", "seconds"),
    [
        (False, None, 3, 10),
        (0, None, 3, 10),
        (1.0, None, 3, 10),
        (True, None, 1, 20),
        (True, None, 3, 80),
        (3.0, None, 3, 180),
        (True, 60, 3, 60),
        (True, None, 10_000, 86_400),
    ],
)
def test_the_longest_wait_before_a_retry(backoff, longest, try_number, seconds):
    task = SimpleNamespace(
        retry_delay=timedelta(seconds=10),
        retry_exponential_backoff=backoff,
        max_retry_delay=None if longest is None else timedelta(seconds=longest),
    )
    assert retry_wait(task, try_number) == seconds


def test_a_retry_policy_may_decide_on_the_wait():
    pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="there are policies since Airflow 3.3")
    from airflow.sdk.definitions.retry_policy import RetryDecision

    given = context()
    given["task"] = SimpleNamespace(
        retry_delay=timedelta(seconds=10),
        retry_exponential_backoff=0,
        max_retry_delay=None,
        retry_policy=SimpleNamespace(evaluate=lambda **facts: RetryDecision.retry(delay=timedelta(hours=1))),
    )
    assert is_retried(given, ValueError())
    assert retry_wait(given["task"], 1) == 3600


@pytest.mark.parametrize("says", [True, False])
def test_the_server_knows_better_than_the_numbers(says):
    """A task that was cleared while it ran is run again."""
    server = SimpleNamespace(should_retry=says)
    assert is_retried(context(5, 1, _ti_context_from_server=server), ValueError()) is says


def test_a_context_without_a_task_state_store_has_none():
    assert task_state_store({}) is None
    assert task_state_store({"task_state_store": "store"}) == "store"


def test_a_functions_parameters_may_be_names_of_the_context():
    assert {"ti", "dag_run", "params", "run_id"} <= context_names()


def test_a_watchers_store_is_used_if_it_blocks_nothing():
    """Airflow 3.3.0 has one whose methods block, and before there was no store."""
    old = SimpleNamespace(get=print, set=print)
    new = SimpleNamespace(aget=print, aset=print)
    stores = [SimpleNamespace(), *(SimpleNamespace(asset_state_store=each) for each in (None, old, new))]
    assert [asset_state_store(trigger) for trigger in stores] == [None, None, None, new]
