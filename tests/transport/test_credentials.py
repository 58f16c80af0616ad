# SPDX-License-Identifier: Apache-2.0
"""What is missing or wrong in the connection is named at once."""

from __future__ import annotations

import json
import re

import pytest
from support import ACTION_TYPE
from transport_calls import (
    SUCCESS,
    connect,
    sent,
)

from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
    RequestRefused,
)

pytestmark = pytest.mark.usefixtures("quick_clients")


def test_without_credentials_the_error_says_so(
    emulator, customer, make_hook, monkeypatch, tmp_path, fake_time
):
    """And nothing is called."""
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "missing"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)
    with pytest.raises(RequestRefused, match="Unable to locate credentials") as refusal:
        make_hook(aws_conn_id=None).poll(ACTION_TYPE)
    assert "Check boto3's default credentials" in str(refusal.value)
    assert refusal.value.code == "NoCredentialsError"
    assert emulator.ledger.where(kind="call") == []
    assert fake_time.sleeps == []


def test_without_any_region_the_error_is_ours_and_says_so(customer, make_hook, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "missing"))
    connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example-secret"}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    with pytest.raises(CodePipelineProviderError, match="region"):
        make_hook().poll(ACTION_TYPE)


ROLE = "arn:aws:iam::123456789012:role/partner"


@pytest.mark.parametrize(
    ("aws_conn_id", "named"),
    [
        ("typo", "the Airflow connection 'typo' of type aws"),
        (None, "boto3's default credentials and region"),
    ],
)
def test_what_is_missing_is_said_of_the_connection_by_name(
    customer, make_hook, monkeypatch, tmp_path, aws_conn_id, named
):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "missing"))
    with pytest.raises(RequestRefused) as refusal:
        make_hook(aws_conn_id=aws_conn_id).poll(ACTION_TYPE)
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    "extra",
    [
        {"endpoint_url": "no address"},
        {"config_kwargs": {"no_such_setting": 1}},
        {"config_kwargs": {"retries": {"mode": "no such mode"}}},
        {"assume_role_method": "no such method", "role_arn": ROLE},
        {"region_name": "no region"},
    ],
    ids=lambda extra: next(iter(extra)) + "-" + re.sub(r"\W+", "-", str(next(iter(extra.values())))),
)
def test_a_wrong_connection_is_our_error_at_once(
    emulator, customer, make_hook, monkeypatch, fake_time, extra
):
    """Nothing was sent, so that the outcome is known."""
    connect(monkeypatch, **{"endpoint_url": emulator.url, **extra})
    with pytest.raises(CodePipelineProviderError) as error:
        make_hook()._transport.send(*sent(SUCCESS))
    # Nothing was sent: a result that is called unknown would count as put later.
    assert error.value.in_doubt is False
    assert fake_time.sleeps == []
    assert "could not be read" not in str(error.value)
    assert emulator.ledger.where(kind="call") == []
