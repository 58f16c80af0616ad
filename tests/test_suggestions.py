# SPDX-License-Identifier: Apache-2.0
"""Which name is suggested, and which names an error may show."""

from __future__ import annotations

import pytest

from airflow_codepipeline_partner._suggestions import did_you_mean, near_name, quoted_name

CATEGORIES = ("Build", "Deploy", "Test")


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("deploy", "Deploy"),
        ("DEPLOI", "Deploy"),
        ("de-ploy", "Deploy"),
        ("Secret42", None),
        ("", None),
        (7, None),
    ],
)
def test_the_nearest_name_is_suggested_whatever_its_case(given, near):
    assert near_name(given, CATEGORIES) == near
    assert did_you_mean(given, CATEGORIES) == ("" if near is None else f"; did you mean '{near}'?")


def test_with_nothing_known_nothing_is_suggested():
    assert did_you_mean("deploy", ()) == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("percent_complete", "'percent_complete'"),
        ("hunter2", "(7 characters)"),
        ("a b", "(3 characters)"),
        ("x" * 31, "(31 characters)"),
        (12, "(2 characters)"),
        ("tags\n", "(5 characters)"),
    ],
)
def test_only_what_can_hardly_be_a_secret_is_shown(name, shown):
    assert quoted_name(name) == shown
