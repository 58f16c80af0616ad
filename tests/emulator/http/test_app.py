# SPDX-License-Identifier: Apache-2.0
"""Requests as they come: which are CodePipeline's, which are malformed, and which are moto's."""

from __future__ import annotations

import http.client
import uuid

import pytest
from botocore.parsers import create_parser
from declaring import ACTION_TYPE

from airflow_codepipeline_partner.emulator.http import app
from airflow_codepipeline_partner.emulator.service_model import operations

SUCCESS, FAILURE, POLL = (
    "PutThirdPartyJobSuccessResult",
    "PutThirdPartyJobFailureResult",
    "PollForThirdPartyJobs",
)


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b"[]", b'"x"'])
def test_what_is_no_json_object_is_a_serialization_exception(world, signed_call, body):
    status, answer, _ = signed_call(world().emu, POLL, body)
    assert (status, answer["__type"]) == (400, "SerializationException")


def test_half_a_character_in_a_token_is_only_a_wrong_token(world, signed_call):
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    body = f'{{"jobId": "{job_id}", "clientToken": "\\ud800"}}'.encode()
    assert signed_call(w.emu, "GetThirdPartyJobDetails", body)[1]["__type"] == "InvalidClientTokenException"


def test_results_are_answered_with_nothing(world, signed_call):
    w = world()
    w.start()
    job_id = w.worker.claim()
    body = {"jobId": job_id, "clientToken": w.worker.token}
    assert signed_call(w.emu, SUCCESS, body)[:2] == (200, b"")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "MissingAuthenticationTokenException"),
        ({"Authorization": "Bearer x"}, "IncompleteSignatureException"),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=a/b"}, "IncompleteSignatureException"),
    ],
)
def test_calls_without_a_signature_are_refused(world, http, headers, code):
    headers = {"X-Amz-Target": f"CodePipeline_20150709.{POLL}"} | headers
    status, answer, _ = http(world().emu.url, {"actionTypeId": ACTION_TYPE}, headers)
    assert (status, answer["__type"]) == (400, code)


def test_a_signature_for_another_service_is_refused(world, signed_call):
    answer = signed_call(world().emu, POLL, {"actionTypeId": ACTION_TYPE}, service="s3")[1]
    assert answer["__type"] == "InvalidSignatureException"


@pytest.mark.parametrize(
    ("headers", "method", "code"),
    [
        ({"X-Amz-Target": f"codepipeline_20150709.{POLL}"}, "POST", "UnknownOperationException"),
        ({"X-Amz-Target": f"CodePipeline_20200101.{POLL}"}, "POST", "UnknownOperationException"),
        ({"X-Amz-Target": POLL}, "POST", "UnknownOperationException"),
        ({"X-Amz-Target": None}, "POST", "UnknownOperationException"),
        ({"X-Amz-Target": None, "Authorization": "Bearer x"}, "POST", "IncompleteSignatureException"),
        (
            {"X-Amz-Target": None, "Authorization": "AWS4-HMAC-SHA256 Credential=a/b"},
            "POST",
            "IncompleteSignatureException",
        ),
        ({"X-Amz-Target": None, "Authorization": None}, "POST", "MissingAuthenticationTokenException"),
        ({}, "GET", "UnknownOperationException"),
        ({}, "PUT", "UnknownOperationException"),
        ({}, "DELETE", "UnknownOperationException"),
        ({"X-Amz-Target": "Nonsense", "Authorization": None}, "POST", "InvalidRequestException"),
    ],
)
def test_what_nearly_is_a_call_is_a_clean_error(world, http, headers, method, code):
    scope = "AKIAADMIN/20270101/us-east-1/codepipeline/aws4_request"
    usual = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        "X-Amz-Target": f"CodePipeline_20150709.{POLL}",
        "Content-Type": "application/x-amz-json-1.1",
    }
    sent = {name: value for name, value in (usual | headers).items() if value is not None}
    body = {"actionTypeId": ACTION_TYPE}
    status, answer, got = http(f"{world().emu.url}/", None if method == "GET" else body, sent, method)
    assert (status, answer["__type"]) == (400, code)
    assert got["Content-Type"] == "application/x-amz-json-1.1"


def test_the_answer_to_a_head_has_no_body(world):
    address = world().emu.url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        for path, headers in (
            ("/_emu/health", {}),
            ("/", {"X-Amz-Target": f"CodePipeline_20150709.{POLL}"}),
            ("/_emu/health", {}),
        ):
            connection.request("HEAD", path, headers=headers)
            assert connection.getresponse().read() == b""
            # What is left of the first answer would be read as the second.
            connection.request("GET", "/_emu/health")
            assert connection.getresponse().read() == b'{"status": "ok"}'
    finally:
        connection.close()


@pytest.mark.parametrize("operation", sorted(operations()))
def test_every_operation_of_the_model_is_answered(world, signed_call, operation):
    status, answer, _ = signed_call(world().emu, operation, {})
    needs_nothing = {"ListActionTypes", "ListPipelines", "ListRuleTypes", "ListWebhooks"}
    assert (status, answer.get("__type")) == (
        (200, None) if operation in needs_nothing else (400, "ValidationException")
    )


def test_an_operation_of_a_newer_model_is_a_clean_error(world, signed_call, monkeypatch):
    monkeypatch.setattr(app, "operations", lambda: {"DoMore"})
    status, answer, _ = signed_call(world().emu, "DoMore", {})
    assert (status, answer["__type"]) == (400, "NotImplementedException")
    assert "DoMore" in answer["message"]


def test_operations_that_do_not_exist_are_unknown(world, signed_call):
    status, answer, _ = signed_call(world().emu, "Nonsense", {})
    assert (status, answer["__type"]) == (400, "UnknownOperationException")


def test_a_failure_inside_moto_is_no_500(world, signed_call, monkeypatch):
    w = world()
    monkeypatch.setattr(app, "call_app", lambda moto, environ: (500, b"<html>", {}))
    answer = signed_call(
        w.emu, "ListTagsForResource", {"resourceArn": "arn:aws:codepipeline:us-east-1:123456789012:x"}
    )
    assert (answer[0], answer[1]["__type"]) == (400, "NotImplementedException")
    assert signed_call(w.emu, "ListPipelines", {})[1]["pipelines"][0]["name"] == "pipeline"


@pytest.mark.parametrize("service", ["CodePipeline_20150709", "CodePipeline", "codepipeline_20200101"])
def test_a_cbor_client_gets_an_error_that_it_can_read(world, http, service):
    status, body, headers = http(
        f"{world().emu.url}/service/{service}/operation/{POLL}",
        b"\xa0",
        {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"},
    )
    assert (status, headers["smithy-protocol"]) == (400, "rpc-v2-cbor")
    parsed = create_parser("smithy-rpc-v2-cbor").parse(
        {"status_code": status, "headers": dict(headers.items()), "body": body}, None
    )
    assert parsed["Error"]["Code"] == "UnsupportedProtocolException"
    assert "AWS JSON 1.1" in parsed["Error"]["Message"]


def test_errors_are_the_types_that_boto3_knows(world):
    w = world()
    known = w.worker.error
    with pytest.raises(known.JobNotFoundException) as error:
        w.worker.details(str(uuid.uuid4()))
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
