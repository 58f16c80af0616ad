# SPDX-License-Identifier: Apache-2.0
"""What an action asks for that runs a DAG; the customer reads what is wrong with it, and no values."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._protocol.step_configuration import (
    Output,
    StepConfiguration,
    text_of_value,
)
from airflow_codepipeline_partner.exceptions import JobFailure


def test_a_dag_alone_is_enough():
    assert StepConfiguration.of({"Dag": " train_model "}) == StepConfiguration("train_model")


def test_all_of_it_is_read():
    step = StepConfiguration.of(
        {
            "Dag": "train_model",
            "Conf": '{"day": "2026-01-31", "rate": 1.10}',
            "Outputs": "Accuracy=evaluate, Model=train.fit:model uri\nRows=load:return_value,",
            "Timeout": "3600",
        }
    )
    assert step.conf == {"day": "2026-01-31", "rate": 1.1}
    assert step.outputs == (
        Output("Accuracy", "evaluate"),
        Output("Model", "train.fit", "model uri"),
        Output("Rows", "load"),
    )
    assert step.timeout == 3600


def test_the_conf_is_not_shown():
    assert "hidden" not in repr(StepConfiguration.of({"Dag": "d", "Conf": '{"a": "hidden"}'}))


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ({}, "Dag must be the id"),
        ({"Dag": "../etc"}, "Dag must be the id"),
        ({"Dag": "a" * 251}, "Dag must be the id"),
        ({"Dag": "d", "Conf": "{day: 1}"}, "Conf is not JSON, at line 1 column 2"),
        ({"Dag": "d", "Conf": "[" * 900}, "Conf is not JSON"),
        ({"Dag": "d", "Conf": '{"a": NaN}'}, "Conf is not JSON"),
        ({"Dag": "d", "Conf": '{"a": 1e400}'}, "Conf is not JSON"),
        ({"Dag": "d", "Conf": '{"a": "\\ud800"}'}, "Conf is not JSON"),
        ({"Dag": "d", "Conf": '{"a": 9223372036854775808}'}, "64 bits"),
        ({"Dag": "d", "Conf": '{"a": "\\u0000"}'}, "a NUL"),
        ({"Dag": "d", "Conf": '{"a\\u0000": 1}'}, "a NUL"),
        ({"Dag": "d", "Conf": '{"a": ' + "[" * 100 + "]" * 100 + "}"}, "nested too deeply"),
        ({"Dag": "d", "Conf": '["a"]'}, "Conf must be a JSON object"),
        ({"Dag": "d", "Conf": "null"}, "Conf must be a JSON object"),
        ({"Dag": "d", "Outputs": "evaluate"}, "Outputs must be a list such as"),
        ({"Dag": "d", "Outputs": "A B=evaluate"}, "Outputs must be a list such as"),
        ({"Dag": "d", "Outputs": "A=x, A=y"}, "Outputs has A twice"),
        ({"Dag": "d", "Timeout": "1h"}, "Timeout must be a number of seconds"),
        ({"Dag": "d", "Timeout": "0"}, "Timeout must be a number of seconds"),
        ({"Dag": "d", "Timeout": "nan"}, "Timeout must be a number of seconds"),
        ({"Dag": "d", "Timeout": "1e12"}, "Timeout must be a number of seconds"),
    ],
)
def test_what_is_wrong_is_said(configuration, said):
    with pytest.raises(JobFailure, match=said) as raised:
        StepConfiguration.of(configuration)
    assert raised.value.failure_type == "ConfigurationError"


def test_no_value_is_in_the_message():
    for configuration in (
        {"Dag": "d", "Conf": '{"a": "planted-secret"'},
        {"Dag": "d", "Outputs": "planted-secret"},
        {"Dag": "d", "Timeout": "planted-secret"},
        {"Dag": "planted secret"},
    ):
        with pytest.raises(JobFailure) as raised:
            StepConfiguration.of(configuration)
        assert "planted" not in str(raised.value)


def test_a_value_is_a_text_or_json():
    assert text_of_value("0.93") == "0.93"
    assert text_of_value(0.93) == "0.93"
    assert text_of_value({"a": [1, None]}) == '{"a": [1, null]}'
    assert text_of_value("ü") == "ü"
