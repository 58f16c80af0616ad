# SPDX-License-Identifier: Apache-2.0
"""How values are read from what users write, what Jinja renders and what XCom holds."""

from __future__ import annotations

import json
import types
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from airflow_codepipeline_partner._protocol.parsing import (
    by_snake_case,
    quoted_name,
    read_created,
    read_mapping,
    without_none,
)
from airflow_codepipeline_partner.exceptions import InvalidInput, LimitExceeded

NAMES = {"change_identifier": "changeIdentifier", "revision": "revision"}
HELD = {"a": 1, "b": [None, True], "c": "d'\"e"}


@pytest.mark.parametrize(
    "given",
    [
        HELD,
        types.MappingProxyType(HELD),
        json.dumps(HELD),
        str(HELD),
        f"  {json.dumps(HELD)}\n",
    ],
    ids=["dict", "mapping", "json", "python-literal", "json-with-space"],
)
def test_a_mapping_is_read_in_every_form(given):
    """A mapping, JSON, and what Jinja renders."""
    assert dict(read_mapping(given, "A thing")) == HELD


@pytest.mark.parametrize(
    "given",
    [
        "",
        "None",
        "planted text",
        "[1, 2]",
        "'planted'",
        "{'a': ",
        "{'a': open('planted')}",
        "\x00",
        "(" * 100_000,
        "{[]: 'planted'}",
        "{{}}",
        "-" * 10_000 + "1",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_text_without_a_mapping_is_refused_and_not_shown(given):
    with pytest.raises(InvalidInput) as refusal:
        read_mapping(given, "A thing")
    text = str(refusal.value)
    assert text == f"A thing must be a mapping, not a string of {len(given)} characters that holds none."


@pytest.mark.parametrize("given", [None, 7, ["planted"], ("planted",), b"{}", object()])
def test_what_is_no_mapping_is_refused_by_its_type(given):
    with pytest.raises(InvalidInput) as refusal:
        read_mapping(given, "A thing")
    assert str(refusal.value) == f"A thing must be a mapping, not a {type(given).__name__}."


@pytest.mark.parametrize(
    "given",
    [
        {"revision": "r", "changeIdentifier": "c"},
        {"revision": "r", "change_identifier": "c"},
        '{"revision": "r", "changeIdentifier": "c"}',
        "{'revision': 'r', 'change_identifier': 'c'}",
    ],
)
def test_members_are_found_under_either_spelling(given):
    assert by_snake_case(given, "It", NAMES) == {"revision": "r", "change_identifier": "c"}


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("planted", "7 characters"),
        ("ChangeIdentifier", "16 characters; did you mean 'changeIdentifier'?"),
        ("revison", "7 characters; did you mean 'revision'?"),
        ("", "0 characters"),
        (7, "1 characters"),
        (None, "4 characters"),
        (("planted",), "12 characters"),
    ],
)
def test_an_unknown_key_is_refused_with_the_known_ones(key, shown):
    """The key given is not shown."""
    with pytest.raises(InvalidInput) as refusal:
        by_snake_case({key: "planted value"}, "currentRevision", NAMES)
    text = str(refusal.value)
    assert text.startswith(f"currentRevision has no field of the name given ({shown}); it has ")
    assert "changeIdentifier" in text
    assert "change_identifier" in text
    assert "planted" not in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("secert", "'secert'"),
        ("", "(0 characters)"),
        ("a" * 31, "(31 characters)"),
        ("https://ci:hush@ci.example", "(26 characters)"),
        ("hush1", "(5 characters)"),
        (("hush",), "(9 characters)"),
    ],
)
def test_a_name_that_may_be_none_is_not_shown(name, shown):
    assert quoted_name(name) == shown


def test_a_member_in_both_spellings_is_refused():
    with pytest.raises(InvalidInput, match="has changeIdentifier twice, in both spellings"):
        by_snake_case({"changeIdentifier": "a", "change_identifier": "a"}, "currentRevision", NAMES)


def test_only_what_is_missing_is_left_out():
    assert without_none(a=None, b=0, c="", d=False, e=[]) == {"b": 0, "c": "", "d": False, "e": []}


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "given",
    [
        NOON,
        datetime(2026, 1, 31, 12),
        "2026-01-31T12:00:00+00:00",
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00",
        " 2026-01-31 12:00:00 \n",
        "2026-01-31T14:00:00+02:00",
        datetime(2026, 1, 31, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
    ids=str,
)
def test_a_time_without_a_zone_is_utc(given):
    """In every form: a datetime, or a text in ISO format."""
    moment = read_created(given)
    assert moment == NOON
    assert moment.tzinfo is not None


def test_a_time_may_be_written_in_small_letters():
    assert read_created("2026-01-31t12:00:00z") == NOON


def test_a_time_is_handed_on_in_utc():
    assert read_created("2026-01-31T14:00:00+02:00").isoformat() == NOON.isoformat()


@pytest.mark.parametrize("given", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"])
def test_a_time_outside_of_utcs_years_is_refused(given):
    with pytest.raises(LimitExceeded, match="outside the years 1 to 9999"):
        read_created(given)


def test_no_time_stays_none():
    assert read_created(None) is None


@pytest.mark.parametrize(
    "given", ["", "None", "planted", "2026-13-01", 1_800_000_000, "1712031221345", date(2026, 1, 31), [1]]
)
def test_what_is_no_time_is_refused_by_field_and_type(given):
    """The value is not shown."""
    with pytest.raises(LimitExceeded) as refusal:
        read_created(given)
    assert refusal.value.field == "currentRevision.created"
    assert f"not this {type(given).__name__} of {len(str(given))} characters" in str(refusal.value)
    assert "planted" not in str(refusal.value)
