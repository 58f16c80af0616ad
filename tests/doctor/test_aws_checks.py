# SPDX-License-Identifier: Apache-2.0
"""The checks of the way to AWS, against the emulator, and where there is none."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta

import pytest

from airflow_codepipeline_partner.doctor import aws_access, aws_checks
from airflow_codepipeline_partner.doctor.aws_access import Answer, AwsAccess
from airflow_codepipeline_partner.doctor.findings import CannotCheck, LeftOut, Outcome

PASS, FAIL, UNKNOWN = Outcome
CHECKS = ("connection", "region", "endpoint", "credentials", "clock")


def outcomes(aws):
    found = {}
    for name in CHECKS:
        try:
            found[name] = getattr(aws_checks, f"check_{name}")(aws)
        except CannotCheck as why:
            found[name] = why.finding
        except LeftOut:
            pass
    return found


def only(aws, **expected):
    """Check that these have their outcomes (None: are left out), and all others pass."""
    found = outcomes(aws)
    all_of_them = {name: found[name].outcome if name in found else None for name in CHECKS}
    assert all_of_them == dict.fromkeys(CHECKS, PASS) | expected
    for each in found.values():
        assert bool(each.to_do) is (each.outcome is not PASS)
        assert "planted" not in each.what + each.to_do
    return found


@pytest.fixture
def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"


def test_all_pass_with_an_emulator_which_is_named(emulator, aws):
    found = only(aws)
    assert found["endpoint"].what.startswith(f"{emulator.url} answers. It is not AWS's own")
    assert "arn:aws:sts::123456789012:" in found["credentials"].what


def test_the_question_changes_nothing(emulator, aws):
    outcomes(aws)
    calls = [(each.operation, each.outcome) for each in emulator.ledger.where(kind="call")]
    assert calls == [("GetJobDetails", "JobNotFoundException")]


def test_a_missing_connection_fails(emulator, connect, monkeypatch):
    connect(emulator.url)
    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    found = only(AwsAccess("aws_default", None, is_partner=False), connection=FAIL)
    assert "airflow connections add aws_default" in found["connection"].to_do
    only(AwsAccess(None, None, is_partner=False))


def test_a_connection_that_cannot_be_read_says_why(connect, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "planted-secret")
    found = aws_checks.check_connection(AwsAccess("aws_default", None, is_partner=False))
    assert found.outcome is FAIL
    assert "neither a URI nor valid JSON" in found.what
    assert "planted" not in found.what + found.to_do


@pytest.mark.parametrize("extra", ["{planted-secret", '["planted-secret"]', '"planted-secret"'])
def test_an_extra_that_cannot_be_read_fails_alone(connect, extra, monkeypatch):
    connection = {"conn_type": "aws", "login": "AKIAPLANTED", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    others = dict.fromkeys(CHECKS[1:])
    only(AwsAccess("aws_default", None, is_partner=False), connection=FAIL, **others)


def test_a_connection_that_cannot_be_used_fails_alone(connect, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", '{"conn_type": "aws", "login": "planted')
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    others = dict.fromkeys(CHECKS[1:])
    only(AwsAccess("aws_default", None, is_partner=False), connection=FAIL, **others)


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", "ServiceUnavailableException"])
def test_a_service_that_is_busy_says_nothing_of_credentials(emulator, aws, code):
    emulator.inject("error", "GetJobDetails", code=code, message="planted-secret", times=None)
    assert code in only(aws, credentials=UNKNOWN)["credentials"].what


def test_a_look_up_that_breaks_is_unknown(aws, monkeypatch):
    def broken(conn_id):
        raise RuntimeError("planted-secret")

    monkeypatch.setattr(aws_checks, "_look_up", broken)
    found = aws_checks.check_connection(aws)
    assert (found.outcome, "planted" in found.what) == (UNKNOWN, False)


def test_a_connection_of_another_type_fails(emulator, connect):
    assert aws_checks.check_connection(connect(emulator.url, conn_type="http")).outcome is FAIL


def test_no_region_fails_and_the_rest_is_unknown(emulator, connect):
    aws = connect(emulator.url, extra={"region_name": None})
    found = only(aws, region=FAIL, endpoint=UNKNOWN, credentials=UNKNOWN, clock=UNKNOWN)
    assert {found[name].what for name in CHECKS[1:]} == {"No region is set."}


@pytest.mark.parametrize(
    ("region", "outcome"), [("eu-central-1", PASS), ("eu-central-99", UNKNOWN), ("eu-cental-1", UNKNOWN)]
)
def test_a_region_of_aws_is_one_that_boto3_knows(connect, region, outcome):
    assert aws_checks.check_region(connect(None, extra={"region_name": region})).outcome is outcome


def test_a_profile_that_is_not_there_is_said(emulator, connect):
    found = outcomes(connect(emulator.url, extra={"profile_name": "gone"}, login=None, password=None))
    assert (found["endpoint"].outcome, "profile" in found["endpoint"].what) == (UNKNOWN, True)


def test_a_client_that_cannot_be_made_is_unknown(emulator, connect):
    found = outcomes(connect(emulator.url, extra={"config_kwargs": {"no_such": "planted-secret"}}))
    assert found["endpoint"].outcome is UNKNOWN
    assert "planted" not in str(found)


def test_without_network_the_endpoint_fails(connect, closed_port):
    found = only(connect(closed_port), endpoint=FAIL, credentials=None, clock=None)
    assert "EndpointConnectionError" in found["endpoint"].what


def test_a_password_in_the_endpoint_is_not_shown(connect, closed_port):
    aws = connect(closed_port.replace("://", "://me:planted-secret@"))
    assert "planted" not in str(outcomes(aws))


def test_no_credentials_fail(emulator, connect):
    aws = connect(emulator.url, login=None, password=None)
    found = only(aws, endpoint=None, credentials=FAIL, clock=None)
    assert "NoCredentialsError" in found["credentials"].what


@pytest.mark.parametrize(
    "code", ["UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException"]
)
def test_wrong_credentials_fail(emulator, aws, code):
    emulator.inject("error", "GetJobDetails", code=code, message="planted-secret")
    assert code in only(aws, credentials=FAIL)["credentials"].what


def test_credentials_that_may_not_look_are_right(emulator, aws):
    emulator.inject("error", "GetJobDetails", code="AccessDeniedException", times=None)
    only(aws)


def test_a_role_that_may_not_be_assumed_fails(emulator, connect, monkeypatch):
    aws = connect(emulator.url)
    monkeypatch.setattr(AwsAccess, "knock", Answer("AccessDenied", "AssumeRole"))
    found = aws_checks.check_credentials(aws)
    assert (found.outcome, "AssumeRole" in found.what, "role_arn" in found.to_do) == (FAIL, True, True)


def test_a_server_that_is_no_codepipeline_fails(emulator, connect):
    aws = connect(f"{emulator.url}/_emu/planted")
    answer = aws.knock
    assert answer.code is not None
    assert aws_checks.check_endpoint(aws).outcome is FAIL


@pytest.mark.parametrize(
    ("ahead", "outcome", "said"),
    [
        (0, PASS, "within 5 s"),
        (30, PASS, "30 s ahead of"),
        (-30, PASS, "30 s behind"),
        (200, FAIL, "200 s ahead of"),
        (-4000, FAIL, "4000 s behind"),
    ],
)
def test_the_clock_is_compared_with_the_answers_date(aws, monkeypatch, ahead, outcome, said):
    now = datetime.now(UTC)
    answer = Answer(
        "JobNotFoundException", "GetJobDetails", date=now, asked_at=now + timedelta(seconds=ahead)
    )
    monkeypatch.setattr(AwsAccess, "knock", answer)
    found = aws_checks.check_clock(aws)
    assert (found.outcome, said in found.what) == (outcome, True)


def test_the_date_is_read_from_a_real_answer(aws, monkeypatch):
    monkeypatch.setattr(aws_access, "_now", lambda: datetime.now(UTC) + timedelta(seconds=4000))
    assert aws_checks.check_clock(aws).outcome is FAIL


def test_a_request_refused_for_its_time_is_the_clocks_fault(emulator, aws):
    emulator.inject("error", "GetJobDetails", code="RequestTimeTooSkewed")
    only(aws, credentials=UNKNOWN, clock=FAIL)


@pytest.mark.parametrize("text", [None, "", "yesterday", "Sun, 99 Nov 2026 01:00:00 GMT"])
def test_a_date_that_is_none_is_unknown(text):
    assert aws_access._date(text) is None
