# SPDX-License-Identifier: Apache-2.0
"""What is done with a value that does not fit its limit."""

from __future__ import annotations

import logging
import re

import pytest

from airflow_codepipeline_partner._limit_checks import CUT_MARK, number_fault, text_fault
from airflow_codepipeline_partner._limits import (
    ACTION_TYPE_NUMBERS,
    ACTION_TYPE_TEXTS,
    TEXTS,
)
from airflow_codepipeline_partner._protocol.parsing import check_number, check_text
from airflow_codepipeline_partner.exceptions import LimitExceeded

SIZED = sorted(field for field, (_, limit) in TEXTS.items() if limit.max_chars is not None)
FREE = sorted(field for field, (_, limit) in TEXTS.items() if limit.free)
STRICT = sorted(set(SIZED) - set(FREE))
CHOICES = sorted(field for field, (_, limit) in TEXTS.items() if limit.one_of)


@pytest.mark.parametrize("field", SIZED)
def test_the_longest_and_the_shortest_text_pass_unchanged(field, caplog):
    limit = TEXTS[field][1]
    for length in (limit.min_chars, limit.max_chars):
        assert check_text(field, "x" * length) == "x" * length
    assert caplog.records == []


@pytest.mark.parametrize("field", FREE)
@pytest.mark.parametrize("over", [1, 952, 100_000])
def test_free_text_too_long_is_cut_with_mark_and_warning(field, over, caplog):
    most = TEXTS[field][1].max_chars
    given = "".join(chr(ord("a") + i % 26) for i in range(most + over))
    with caplog.at_level(logging.WARNING):
        cut = check_text(field, given)
    assert len(cut) == most
    assert cut.endswith(CUT_MARK)
    assert cut.removesuffix(CUT_MARK) == given[: most - len(CUT_MARK)]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name == "airflow_codepipeline_partner._limit_checks"
    logged = record.getMessage()
    assert field in logged
    assert str(most) in logged
    assert str(most + over) in logged
    assert given[:20] not in logged


@pytest.mark.parametrize("field", STRICT)
def test_an_id_or_token_too_long_is_refused(field, caplog):
    """The error names field, limit and length, and never shows the value."""
    most = TEXTS[field][1].max_chars
    value = ("planted-" * most)[: most + 1]
    with pytest.raises(LimitExceeded) as refusal:
        check_text(field, value, job_id="the-job")
    text = str(refusal.value)
    assert field in text
    assert str(most) in text
    assert str(most + 1) in text
    assert "planted" not in text
    assert refusal.value.field == field
    assert refusal.value.job_id == "the-job"
    assert caplog.records == []


@pytest.mark.parametrize("field", [field for field in SIZED if TEXTS[field][1].min_chars])
def test_an_empty_text_is_refused_and_leaving_it_out_is_advised(field):
    with pytest.raises(LimitExceeded, match=re.escape(field)) as refusal:
        check_text(field, "")
    assert "0 characters" in str(refusal.value)
    assert "None" in str(refusal.value)


@pytest.mark.parametrize("field", ["actionTypeId.provider", "actionTypeId.version"])
@pytest.mark.parametrize("value", ["a b", "ü", "a/b", "a\n", "$" * 9])
def test_a_name_with_other_signs_is_refused_by_its_pattern(field, value):
    with pytest.raises(LimitExceeded) as refusal:
        check_text(field, value)
    assert TEXTS[field][1].pattern in str(refusal.value)
    assert value not in str(refusal.value)


@pytest.mark.parametrize("field", CHOICES)
def test_each_choice_passes(field):
    for choice in TEXTS[field][1].one_of:
        assert check_text(field, choice) == choice


@pytest.mark.parametrize("field", CHOICES)
@pytest.mark.parametrize("value", ["", "planted-choice", "AWSplantedSecretThirdParty", "ThirdParty1234"])
def test_another_choice_is_refused_and_the_right_ones_are_named(field, value):
    with pytest.raises(LimitExceeded) as refusal:
        check_text(field, value)
    for choice in TEXTS[field][1].one_of:
        assert choice in str(refusal.value)
    assert not value or value not in str(refusal.value)


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("actionTypeId.category", "deploy", "Deploy"),
        ("actionTypeId.category", "Deployment", "Deploy"),
        ("actionTypeId.owner", "THIRDPARTY", "ThirdParty"),
        ("failureDetails.type", "jobfailed", "JobFailed"),
    ],
)
def test_a_misspelt_choice_is_shown_with_the_right_one(field, value, meant):
    with pytest.raises(LimitExceeded, match=f"not '{value}'; did you mean '{meant}'\\?"):
        check_text(field, value)


def test_a_whole_number_is_a_text_too():
    """XCom and native rendering of templates give one."""
    assert check_text("currentRevision.revision", 1234567) == "1234567"


@pytest.mark.parametrize("field", sorted(TEXTS))
@pytest.mark.parametrize("value", [None, True, 0.5, b"bytes", ["list"], {"planted": "secret"}])
def test_what_is_no_text_is_refused_by_its_type(field, value):
    if TEXTS[field][1].free and isinstance(value, list | dict):
        assert check_text(field, value) == str(value)
        return
    with pytest.raises(LimitExceeded) as refusal:
        check_text(field, value)
    assert f"must be a string, not {type(value).__name__}" in str(refusal.value)
    assert "planted" not in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "read"),
    [(0, 0), (100, 100), (50, 50), ("50", 50), (" 50\n", 50), ("+7", 7), ("007", 7), (50.0, 50), (0.0, 0)],
)
def test_a_number_or_a_numeric_text_is_read(given, read):
    number = check_number("executionDetails.percentComplete", given)
    assert number == read
    assert type(number) is int


@pytest.mark.parametrize("given", [101, -1, "101", "-1", 10**30, 1e20])
def test_a_percentage_out_of_range_is_refused_with_its_bounds(given):
    with pytest.raises(LimitExceeded) as refusal:
        check_number("executionDetails.percentComplete", given, job_id="the-job")
    text = str(refusal.value)
    assert "executionDetails.percentComplete" in text
    assert "at least 0" in text
    assert "at most 100" in text
    assert refusal.value.field == "executionDetails.percentComplete"
    assert refusal.value.job_id == "the-job"


@pytest.mark.parametrize(
    "given",
    [
        None,
        True,
        False,
        "",
        "planted",
        "None",
        "5 0",
        "50%",
        "5.5",
        0.5,
        float("nan"),
        float("inf"),
        [50],
        {"planted": 1},
        "\N{ARABIC-INDIC DIGIT FIVE}\N{ARABIC-INDIC DIGIT ZERO}",
        "9" * 5000,
        10**5000,
    ],
    ids=lambda value: repr(value)[:12] if not isinstance(value, int) or value < 9 else "huge",
)
def test_what_is_no_number_is_refused_by_its_type(given):
    """The value is not shown."""
    with pytest.raises(LimitExceeded) as refusal:
        check_number("executionDetails.percentComplete", given, job_id="the-job")
    assert "executionDetails.percentComplete" in str(refusal.value)
    assert "planted" not in str(refusal.value)
    assert refusal.value.job_id == "the-job"


@pytest.mark.parametrize("given", [0, -5, "0", 2**31])
def test_a_batch_has_one_job_at_least_and_no_upper_bound(given):
    """Except that of its type."""
    with pytest.raises(LimitExceeded, match="must be at least 1 and at most 2147483647"):
        check_number("maxBatchSize", given)
    assert check_number("maxBatchSize", 2**31 - 1) == 2**31 - 1


@pytest.mark.parametrize("field", sorted(ACTION_TYPE_TEXTS))
def test_a_fault_of_a_text_names_its_limit_and_never_the_value(field):
    limit = ACTION_TYPE_TEXTS[field][1]
    assert text_fault(None, limit) == "must be a string, not NoneType"
    assert text_fault(True, limit) == "must be a string, not bool"
    assert "planted" not in text_fault(["planted"], limit)
    if limit.one_of:
        fault = text_fault("planted", limit)
        assert all(choice in fault for choice in limit.one_of)
        assert "planted" not in fault
        assert [text_fault(choice, limit) for choice in limit.one_of] == [None] * len(limit.one_of)
        return
    assert text_fault("x" * limit.max_chars, limit) is None
    assert text_fault("x" * limit.min_chars, limit) is None
    fault = text_fault("planted" * limit.max_chars, limit)
    assert str(limit.max_chars) in fault
    assert str(7 * limit.max_chars) in fault
    assert "planted" not in fault
    if limit.min_chars:
        assert "0 characters" in text_fault("", limit)
    if limit.pattern:
        assert limit.pattern in text_fault("a b", limit)


@pytest.mark.parametrize("field", sorted(ACTION_TYPE_NUMBERS))
def test_a_fault_of_a_number_names_its_bounds(field):
    limit = ACTION_TYPE_NUMBERS[field][1]
    assert [number_fault(number, limit) for number in range(6)] == [None] * 6
    for wrong in (-1, 6, 10**30):
        assert "at least 0 and at most 5" in number_fault(wrong, limit)
    for wrong in (True, "1", 1.0, None, [1]):
        assert number_fault(wrong, limit) == f"must be a whole number, not {type(wrong).__name__}"
