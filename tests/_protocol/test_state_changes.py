# SPDX-License-Identifier: Apache-2.0
"""What an event of CodePipeline's says, whatever arrives instead."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from airflow_codepipeline_partner._protocol.state_changes import (
    ChangedPipeline,
    is_fresh,
    pattern_of,
    region_of_queue,
    subject_of,
)
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.jobs import ActionType

TYPE = ActionType("Build", "Airflow", "1", "Custom")


def event(state="STARTED", version="1", **changes):
    kind = {"owner": "Custom", "category": "Build", "provider": "Airflow", "version": version}
    whole = {
        "version": "0",
        "source": "aws.codepipeline",
        "detail-type": "CodePipeline Action Execution State Change",
        "time": "2026-01-31T12:00:00Z",
        "region": "eu-central-1",
        "detail": {"pipeline": "shop", "state": state, "type": kind, "version": 2.0},
    }
    return json.dumps(whole | changes)


@pytest.mark.parametrize("version", ["1", 1, 1.0])
def test_an_action_that_starts_is_heard_of(version):
    assert subject_of(event(version=version)) == TYPE


PIPELINE_EVENT = {"detail-type": "CodePipeline Pipeline Execution State Change"}


@pytest.mark.parametrize(
    "state", ["STARTED", "SUCCEEDED", "FAILED", "STOPPED", "SUPERSEDED", "CANCELED", "?"]
)
def test_a_pipeline_that_changes_is_heard_of(state):
    assert subject_of(event(state=state, **PIPELINE_EVENT)) == ChangedPipeline("shop")


@pytest.mark.parametrize(
    "body",
    [
        event(state="SUCCEEDED"),
        event(state=None),
        event(detail=None),
        event(**{"detail-type": "CodePipeline Stage Execution State Change"}),
        event(**{"detail-type": None}),
        event(detail={"state": "STARTED", "type": {"category": "Build"}}),
        event(version="x" * 10),
    ],
)
def test_other_events_of_codepipeline_say_nothing(body):
    assert subject_of(body) is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "[" * 100_000,
        "[]",
        "null",
        "{}",
        event(source="aws.codebuild"),
        event(detail={"state": "STARTED"}),
        event(detail={"state": "FAILED"}, **PIPELINE_EVENT),
        event(detail={"state": "FAILED", "pipeline": ""}, **PIPELINE_EVENT),
        event(detail={"state": "FAILED", "pipeline": ["shop"]}, **PIPELINE_EVENT),
        event(detail={"state": "STARTED", "type": "Build"}),
        "\ud800",
    ],
)
def test_rubbish_is_refused_without_being_quoted(body):
    with pytest.raises(InvalidInput) as refusal:
        subject_of(body)
    assert len(str(refusal.value)) < 300
    assert "codebuild" not in str(refusal.value)


@pytest.mark.parametrize(
    ("time", "fresh"),
    [
        ("2026-01-31T12:00:00Z", True),
        ("2026-01-31T12:00:00", True),
        ("2026-01-31T13:00:00+01:00", True),
        ("2026-01-31T11:59:00Z", False),
        ("2026-01-31T12:30:00Z", True),
        ("yesterday", False),
        (None, False),
    ],
)
def test_an_old_event_is_of_no_use_to_others(time, fresh):
    now = datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC)
    assert is_fresh(event(time=time), now) is fresh


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/started", "eu-central-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/started", "cn-north-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/started", "us-gov-west-1"),
        ("https://sqs.ap-southeast-2.api.aws/123456789012/started", "ap-southeast-2"),
        ("https://eu-west-1.queue.amazonaws.com/123456789012/started", "eu-west-1"),
        ("https://vpce-0a-1b.sqs.us-east-2.vpce.amazonaws.com/123456789012/q", "us-east-2"),
        ("https://queue.amazonaws.com/123456789012/started", None),
        ("http://127.0.0.1:4000/123456789012/eu-west-1.x", None),
        ("http://localhost:4566/123456789012/started", None),
    ],
)
def test_the_region_is_read_from_the_host(url, region):
    assert region_of_queue(url) == region


def test_the_pattern_is_of_such_events_only():
    pattern, held = pattern_of(TYPE), json.loads(event())
    assert held["source"] in pattern["source"]
    assert held["detail-type"] in pattern["detail-type"]
    assert held["detail"]["state"] in pattern["detail"]["state"]
    assert {name: [value] for name, value in held["detail"]["type"].items()} == pattern["detail"]["type"]


def test_the_pattern_of_a_pipeline_is_of_its_events_only():
    pattern, held = pattern_of(ChangedPipeline("shop")), json.loads(event(**PIPELINE_EVENT))
    assert held["source"] in pattern["source"]
    assert pattern["detail-type"] == [held["detail-type"]]
    assert pattern["detail"] == {"pipeline": ["shop"]}
