# SPDX-License-Identifier: Apache-2.0
"""What is known of an operator's arguments when its DAG is parsed, and how it is checked then."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, Param, task

from airflow_codepipeline_partner._base_operator import check_literal, is_known_later, read_seconds
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.jobs import ExecutionDetails
from airflow_codepipeline_partner.operators import CodePipelineClaimJobOperator


@task
def made():
    return 1


def test_templates_and_outputs_are_known_later_in_any_depth():
    with DAG("d", schedule=None, params={"p": Param(1)}) as dag:
        output = made()
    later = ["{{ x }}", "{% if x %}", "{# x #}", output, dag.param("p"), {"a": ["b", "{{ x }}"]}, (1, output)]
    assert all(map(is_known_later, later))
    assert not any(map(is_known_later, ["x", 1, None, {"a": ["b"]}, ()]))


def test_a_literal_is_checked_as_far_as_it_is_known():
    check_literal(ExecutionDetails.from_value, {"summary": "{{ x }}", "percentComplete": 5})
    check_literal(ExecutionDetails.from_value, "{{ x }}")
    check_literal(ExecutionDetails.from_value, None)
    with pytest.raises(InvalidInput, match="percentComplete"):
        check_literal(ExecutionDetails.from_value, {"summary": "{{ x }}", "percentComplete": 101})


@pytest.mark.parametrize(("given", "seconds"), [(5, 5.0), ("7.5", 7.5), (0.1, 0.1)])
def test_seconds_are_numbers_or_rendered_texts(given, seconds):
    assert read_seconds("timeout", given) == seconds


@pytest.mark.parametrize("given", [0, -1, "0", "planted", None, float("nan")])
def test_other_seconds_are_refused_without_showing_a_text(given):
    with pytest.raises(InvalidInput, match="timeout must be") as refusal:
        read_seconds("timeout", given)
    assert "planted" not in str(refusal.value)


def test_an_error_at_parse_time_names_the_task_once():
    with pytest.raises(InvalidInput) as refusal, DAG("d", schedule=None):
        CodePipelineClaimJobOperator(task_id="take_it", job={"client_id": "c"})
    assert str(refusal.value).count("CodePipelineClaimJobOperator take_it: ") == 1
