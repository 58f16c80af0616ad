# SPDX-License-Identifier: Apache-2.0
"""The continuation tokens of this package name the task that waits; all other tokens are the user's."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.parsing import check_text

TASK = TaskInstanceRef("dag", "manual__2026-01-31T12:00:00+00:00", "group.go_on", 3)


def test_a_token_names_the_task_and_is_read_back():
    assert TaskInstanceRef.from_token(TASK.token) == TASK


def test_the_shape_of_a_token_is_kept():
    """It lies in CodePipeline while versions of this package change."""
    assert json.loads(TASK.token) == {
        "airflow_codepipeline_partner": 1,
        "dag_id": "dag",
        "run_id": "manual__2026-01-31T12:00:00+00:00",
        "task_id": "group.go_on",
        "map_index": 3,
    }


@pytest.mark.parametrize("letter", ["x", "ü", '"', "\\"])
def test_the_longest_names_of_airflow_fit(letter):
    token = TaskInstanceRef(letter * 250, letter * 250, letter * 250, 100_000).token
    assert check_text("continuationToken", token) == token


@pytest.mark.parametrize(
    "token",
    [
        None,
        "step-2",
        "{}",
        "airflow_codepipeline_partner",
        '["airflow_codepipeline_partner"]',
        TASK.token[:-1],
        TASK.token.replace(":1,", ":2,"),
        TASK.token.replace('"map_index":3', '"map_index":"3"'),
        TASK.token.replace('"dag_id":"dag",', ""),
    ],
)
def test_any_other_token_is_the_users(token):
    assert TaskInstanceRef.from_token(token) is None


@pytest.mark.parametrize("value", [None, "text", [], {}, {"dag_id": "d", "run_id": "r", "task_id": "t"}])
def test_any_other_value_names_no_task(value):
    assert TaskInstanceRef.from_value(value) is None


@pytest.mark.parametrize("name", ["..", "../connections/aws#", "a/b", "a?b", "a%2Fb", "a\\b", "a\nb"])
@pytest.mark.parametrize("member", ["dag_id", "run_id", "task_id"])
def test_no_name_leads_elsewhere_at_airflows_server(name, member):
    """Anybody may have written it, and it becomes a part of a URL."""
    value = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
    assert TaskInstanceRef.from_value(value) == TaskInstanceRef("d", "r", "t", -1)
    assert TaskInstanceRef.from_value({**value, member: name}) is None


def test_the_running_task_is_named_by_its_instance():
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=None)
    assert TaskInstanceRef.of(ti) == TaskInstanceRef("d", "r", "t", -1)
    assert TaskInstanceRef.of(ti).is_of_run("d", "r")
    assert not TaskInstanceRef.of(ti).is_of_run("d", "other")
