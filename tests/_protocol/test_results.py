# SPDX-License-Identifier: Apache-2.0
"""What a result reports to CodePipeline."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from airflow_codepipeline_partner._limit_checks import CUT_MARK
from airflow_codepipeline_partner.exceptions import InvalidInput, LimitExceeded
from airflow_codepipeline_partner.jobs import CurrentRevision, ExecutionDetails, FailureDetails

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
REVISION = CurrentRevision("r1", "c1", NOON, "What changed")
REVISION_AWS = {
    "revision": "r1",
    "changeIdentifier": "c1",
    "created": "2026-01-31T12:00:00+00:00",
    "revisionSummary": "What changed",
}
REVISION_SNAKE = {
    "revision": "r1",
    "change_identifier": "c1",
    "created": datetime(2026, 1, 31, 12),
    "revision_summary": "What changed",
}
DETAILS = ExecutionDetails("Half way", "dag/runs/run", 50)
DETAILS_AWS = {"summary": "Half way", "externalExecutionId": "dag/runs/run", "percentComplete": "50"}
DETAILS_SNAKE = {"summary": "Half way", "external_execution_id": "dag/runs/run", "percent_complete": 50}


@pytest.mark.parametrize(
    "given",
    [
        REVISION,
        REVISION_AWS,
        REVISION_SNAKE,
        json.dumps(REVISION_AWS),
        str(REVISION_AWS),
        str({**REVISION_SNAKE, "created": "2026-01-31T12:00:00"}),
    ],
    ids=["ours", "aws", "snake", "json", "jinja-aws", "jinja-snake"],
)
def test_a_revision_is_read_in_every_form(given):
    assert CurrentRevision.from_value(given) == REVISION


@pytest.mark.parametrize(
    "given",
    [DETAILS, DETAILS_AWS, DETAILS_SNAKE, json.dumps(DETAILS_AWS), str(DETAILS_SNAKE)],
    ids=["ours", "aws", "snake", "json", "jinja"],
)
def test_execution_details_are_read_in_every_form(given):
    """A numeric text is a number."""
    read = ExecutionDetails.from_value(given)
    assert read == DETAILS
    assert type(read.percent_complete) is int


def test_none_stays_none():
    assert CurrentRevision.from_value(None) is None
    assert ExecutionDetails.from_value(None) is None


def test_one_of_ours_is_handed_back_as_it_is():
    assert CurrentRevision.from_value(REVISION) is REVISION
    assert ExecutionDetails.from_value(DETAILS) is DETAILS


def test_to_api_is_in_awss_shape():
    assert REVISION.to_api() == {**REVISION_AWS, "created": NOON}
    assert DETAILS.to_api() == {**DETAILS_AWS, "percentComplete": 50}
    assert FailureDetails("m", "JobFailed", "x").to_api() == {
        "type": "JobFailed",
        "message": "m",
        "externalExecutionId": "x",
    }


def test_to_api_leaves_out_only_what_is_missing():
    """Zero percent is kept."""
    assert CurrentRevision("r", "c").to_api() == {"revision": "r", "changeIdentifier": "c"}
    assert ExecutionDetails().to_api() == {}
    assert ExecutionDetails(percent_complete=0).to_api() == {"percentComplete": 0}
    assert FailureDetails("m").to_api() == {"type": "JobFailed", "message": "m"}


@pytest.mark.parametrize("value", [REVISION, DETAILS, FailureDetails("m")])
def test_a_value_cannot_be_changed_past_its_checks(value):
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "x" * 10_000)


@pytest.mark.parametrize("kind", [CurrentRevision, ExecutionDetails])
@pytest.mark.parametrize("given", ["planted text", 7, ["planted"], {"extra": "planted"}])
def test_what_holds_no_such_value_is_refused_without_showing_it(kind, given):
    with pytest.raises(InvalidInput) as refusal:
        kind.from_value(given)
    assert "planted" not in str(refusal.value)


@pytest.mark.parametrize("kind", [CurrentRevision, ExecutionDetails])
@pytest.mark.parametrize("missing", [None, "", "None"])
def test_what_jinja_makes_of_a_missing_value_is_missing(kind, missing):
    assert kind.from_value(missing) is None


def test_execution_details_in_both_spellings_are_refused():
    with pytest.raises(InvalidInput, match="percentComplete twice"):
        ExecutionDetails.from_value({"percentComplete": 1, "percent_complete": 1})


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"revision": "r"}, "changeIdentifier"),
        ({"revision": "r", "changeIdentifier": None}, "changeIdentifier"),
        ({"changeIdentifier": "c"}, "revision"),
        ({}, "revision"),
    ],
)
def test_a_revision_without_a_needed_member_is_refused_by_name(given, missing):
    with pytest.raises(LimitExceeded, match=f"currentRevision needs {missing}") as refusal:
        CurrentRevision.from_value(given)
    assert refusal.value.field == f"currentRevision.{missing}"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"revision": "x" * 1501}, "currentRevision.revision"),
        ({"revision": ""}, "currentRevision.revision"),
        ({"revision": 0.5}, "currentRevision.revision"),
        ({"changeIdentifier": "x" * 101}, "currentRevision.changeIdentifier"),
        ({"created": "yesterday"}, "currentRevision.created"),
    ],
)
def test_a_revision_that_does_not_fit_is_refused_by_field(members, field):
    with pytest.raises(LimitExceeded) as refusal:
        CurrentRevision.from_value({"revision": "r", "changeIdentifier": "c", **members})
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"percentComplete": 101}, "executionDetails.percentComplete"),
        ({"percentComplete": -1}, "executionDetails.percentComplete"),
        ({"percentComplete": "None"}, "executionDetails.percentComplete"),
        ({"percentComplete": True}, "executionDetails.percentComplete"),
        ({"externalExecutionId": "x" * 1501}, "executionDetails.externalExecutionId"),
        ({"summary": 1.5}, "executionDetails.summary"),
        ({"percentComplete": 101.5}, "executionDetails.percentComplete"),
        ({"percentComplete": -0.5}, "executionDetails.percentComplete"),
        ({"percentComplete": float("nan")}, "executionDetails.percentComplete"),
        ({"percentComplete": float("inf")}, "executionDetails.percentComplete"),
        ({"percentComplete": Decimal("sNaN")}, "executionDetails.percentComplete"),
        ({"percentComplete": 10**400}, "executionDetails.percentComplete"),
    ],
)
def test_execution_details_that_do_not_fit_are_refused_by_field(members, field):
    with pytest.raises(LimitExceeded) as refusal:
        ExecutionDetails.from_value(members)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        (33.3, 33),
        (99.99, 99),
        (100.0, 100),
        ("66.6", 66),
        ("99.99999999999999999999", 99),
        (Fraction(1, 3), 0),
        (Decimal("7.5"), 7),
    ],
)
def test_a_fraction_of_a_percentage_is_rounded_down(given, whole):
    details = ExecutionDetails(percent_complete=given)
    assert details.to_api() == {"percentComplete": whole}
    assert type(details.percent_complete) is int


def test_an_empty_text_of_a_result_counts_as_none():
    """Another system may have nothing to say yet; that must not end a job."""
    assert ExecutionDetails(summary="", external_execution_id="").to_api() == {}
    revision = CurrentRevision(revision="r", change_identifier="c", revision_summary="")
    assert revision.revision_summary is None


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"message": "m", "type": "PermissionsError"}, "failureDetails.type"),
        ({"message": "m", "type": None}, "failureDetails.type"),
        ({"message": ""}, "failureDetails.message"),
        ({"message": None}, "failureDetails.message"),
        ({"message": "m", "external_execution_id": "x" * 1501}, "failureDetails.externalExecutionId"),
    ],
)
def test_failure_details_that_do_not_fit_are_refused_by_field(arguments, field):
    with pytest.raises(LimitExceeded) as refusal:
        FailureDetails(**arguments)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("make", "attribute", "length", "most"),
    [
        (lambda text: ExecutionDetails(summary=text), "summary", 3000, 2048),
        (lambda text: CurrentRevision("r", "c", None, text), "revision_summary", 3000, 2048),
        (lambda text: FailureDetails(text), "message", 9000, 5000),
    ],
    ids=["summary-of-3000", "revision-summary-of-3000", "message-of-9000"],
)
def test_text_for_people_is_cut_with_a_mark_and_a_warning(make, attribute, length, most, caplog):
    text = getattr(make("x" * length), attribute)
    assert len(text) == most
    assert text.endswith(CUT_MARK)
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert f"{length} characters" in record.getMessage()
