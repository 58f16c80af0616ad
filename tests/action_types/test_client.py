# SPDX-License-Identifier: Apache-2.0
"""The calls about custom action types, and what the user reads when one fails."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from action_type_server import CREATE, DELETE, LIST, PATH, as_process
from botocore.exceptions import (
    ClientError,
    ReadTimeoutError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnknownServiceError,
)

from airflow_codepipeline_partner import cli
from airflow_codepipeline_partner.action_types.client import ActionTypeClient
from airflow_codepipeline_partner.exceptions import CodePipelineError, RequestRefused, ServiceUnavailable
from airflow_codepipeline_partner.jobs import ActionType


def test_what_is_listed_is_read_to_its_last_page_and_is_custom(run, codepipeline, emulator):
    for version in range(45):
        for owner in ("Custom", "ThirdParty"):
            kind = {"category": "Build", "owner": owner, "provider": owner, "version": str(version)}
            emulator.add_action_type(kind)
    lines = run("list").splitlines()
    assert len(lines) == 45
    assert {line.split("/")[1] for line in lines} == {"Custom"}
    assert [asked["actionOwnerFilter"] for asked in codepipeline.asked(LIST)] == ["Custom"] * 3


@pytest.mark.parametrize(
    ("operation", "code", "said"),
    [
        (
            CREATE,
            "AccessDeniedException",
            "need codepipeline:CreateCustomActionType and codepipeline:TagResource",
        ),
        (CREATE, "LimitExceededException", "reached its quota of custom action types in eu-central-1, 50"),
        (CREATE, "ConcurrentModificationException", "try again"),
        (CREATE, "TooManyTagsException", "was refused in eu-central-1 (TooManyTagsException): planted"),
        (CREATE, "ValidationException", "was refused in eu-central-1 (ValidationException): planted"),
        (CREATE, "ActionTypeAlreadyExistsException", "It is not listed, so it was deleted"),
        (
            LIST,
            "UnrecognizedClientException",
            "does not accept the credentials (UnrecognizedClientException)",
        ),
        (LIST, "InvalidSignatureException", "does not accept the credentials (InvalidSignatureException)"),
        (LIST, "ExpiredTokenException", "does not accept the credentials (ExpiredTokenException)"),
        (LIST, "ValidationException", "ListActionTypes was refused"),
        (DELETE, "AccessDeniedException", "need codepipeline:DeleteCustomActionType."),
        (DELETE, "ConcurrentModificationException", "try again"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do(run, codepipeline, file, operation, code, said):
    if operation == DELETE:
        run("create", file())
    # Some are tried again.
    codepipeline.refuse(operation, code, times=3)
    arguments = ("delete", PATH, "--yes") if operation == DELETE else ("create", file())
    text = run(*arguments, code=1)
    assert said in text
    assert text.count("\n") == 1
    if "credentials (" in said:
        # AWS quotes the request in some of these, with its token.
        assert "planted" not in text


def test_a_message_of_aws_is_cut_and_in_one_line(run, codepipeline):
    codepipeline.refuse(LIST, "ValidationException", "a\nb\x1b[31m " + "long " * 1000)
    text = run("list", code=1)
    assert "a b [31m long" in text
    assert len(text) < 500


def test_a_transient_error_is_retried_and_then_reported(run, codepipeline):
    codepipeline.refuse(LIST, "ThrottlingException", status=400, times=2)
    run("list")
    codepipeline.refuse(LIST, "InternalFailure", status=500, times=3)
    assert "ListActionTypes failed in eu-central-1 (InternalFailure); try again" in run("list", code=1)


def test_who_is_not_codepipeline_is_told(run, codepipeline):
    codepipeline.plant(LIST, 200, b"<html>planted</html>")
    text = run("list", code=1)
    assert "is not CodePipeline." in text
    assert "planted" not in text


def test_an_answer_that_lacks_what_it_must_have_is_told(run, codepipeline):
    codepipeline.plant(LIST, 200, b'{"actionTypes": [{"id": {}}]}')
    assert "is not CodePipeline." in run("list", code=1)


def test_unreachable_is_one_line_without_a_password(capsys, server):
    """The endpoint's URL holds a password."""
    port = server.server_port
    server.shutdown()
    server.server_close()
    url = f"http://user:planted-secret@127.0.0.1:{port}"
    assert cli.main(["action-type", "list", "--endpoint-url", url]) == 1
    said = capsys.readouterr().err
    assert f"ListActionTypes got no response from http://127.0.0.1:{port} (EndpointConnectionError)" in said
    assert "planted-secret" not in said
    assert said.count("\n") == 1


def test_no_region_no_credentials_and_no_profile_are_told(run, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert run("list", code=1).startswith("No region is set: give --region")
    run("list", "--region", "eu-west-1", said="in eu-west-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no usable credentials for AWS (NoCredentialsError)" in run(
        "list", "--region", "eu-west-1", code=1
    )
    assert "no such profile" in run("list", "--profile", "planted", code=1)


def test_settings_that_make_no_client_are_told(capsys, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "planted-secret")
    assert cli.main(["action-type", "list"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("boto3's client could not be created (ValueError): check")
    assert "planted-secret" not in said


def test_a_profile_has_region_and_credentials(run, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(
        "[profile mine]\nregion = eu-west-3\naws_access_key_id = A\naws_secret_access_key = planted-secret\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    run("list", "--profile", "mine", said="in eu-west-3")


def test_a_connection_has_region_endpoint_and_credentials(connection, capsys, file, codepipeline):
    assert cli.main(["action-type", "create", file(), "--aws-conn-id", connection]) == 0
    assert len(codepipeline.types) == 1
    printed = capsys.readouterr()
    # What Airflow logs is not in it.
    assert "eu-north-1" in json.loads(printed.out)["Statement"][0]["Resource"]
    assert "planted-secret" not in printed.err
    for region, is_there in (("eu-north-1", True), ("eu-west-1", False)):
        assert cli.main(["action-type", "list", "--aws-conn-id", connection, "--region", region]) == 0
        assert capsys.readouterr().out.startswith(PATH) is is_there


def test_a_missing_connection_is_not_replaced(capsys, monkeypatch):
    """boto3's default credentials could be another account's."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    assert cli.main(["action-type", "list", "--aws-conn-id", "missing"]) == 1
    assert "There is no Airflow connection 'missing'." in capsys.readouterr().err


@pytest.mark.system
def test_a_connection_in_airflows_database_is_found(server, airflow_database, monkeypatch, codepipeline):
    monkeypatch.delenv("_AIRFLOW_PROCESS_CONTEXT", raising=False)
    extra = json.dumps({"region_name": "eu-north-1", "endpoint_url": server.url})
    stored = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "planted-secret", "extra": extra}
    added = as_process("airflow", "connections", "add", "stored", "--conn-json", json.dumps(stored))
    assert added.returncode == 0, added.stderr
    done = as_process("airflow_codepipeline_partner", "action-type", "list", "--aws-conn-id", "stored")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("There is no custom action type in eu-north-1.\n")
    assert done.stdout == ""


BUILD = ActionType("Build", "Airflow", owner="Custom")


def calls_that_fail_with(error: Exception) -> ActionTypeClient:
    def fail(**_: object) -> None:
        raise error

    meta = SimpleNamespace(region_name="eu-central-1", endpoint_url="https://u:planted@codepipeline.example")
    paginator = SimpleNamespace(paginate=fail)
    return ActionTypeClient(
        SimpleNamespace(
            meta=meta,
            get_paginator=lambda name: paginator,
            delete_custom_action_type=fail,
            close=lambda: None,
        )
    )


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken"])
def test_a_role_that_is_refused_is_told_as_that(code):
    refused = ClientError({"Error": {"Code": code, "Message": "planted"}}, "AssumeRole")
    with pytest.raises(
        RequestRefused, match=rf"^AssumeRole, which gives the credentials, .*\({code}\)"
    ) as said:
        calls_that_fail_with(refused).list_action_types()
    # Only of what is not allowed AWS's words are shown: others may quote the request.
    assert ("planted" in str(said.value)) is (code == "AccessDenied")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            SSOTokenLoadError(error_msg="planted"),
            RequestRefused,
            "no usable credentials for AWS (SSO",
        ),
        (TokenRetrievalError(provider="sso", error_msg="planted"), RequestRefused, "(TokenRetrievalError)"),
        (UnknownServiceError(service_name="x", known_service_names="y"), RequestRefused, "could not be sent"),
        (ReadTimeoutError(endpoint_url="planted"), ServiceUnavailable, "https://codepipeline.example (Read"),
        (RuntimeError("planted"), RequestRefused, "DeleteCustomActionType failed (RuntimeError)"),
    ],
)
def test_a_failure_is_told_without_what_it_quotes(error, kind, said):
    with pytest.raises(kind) as failure:
        calls_that_fail_with(error).delete_custom_action_type(BUILD)
    assert said in str(failure.value)
    assert "planted" not in str(failure.value)
    # Nor is it in a trace.
    assert failure.value.__cause__ is None
    assert failure.value.__context__ is None


def test_what_may_have_been_carried_out_is_said_to_be():
    silence = calls_that_fail_with(ReadTimeoutError(endpoint_url="x"))
    with pytest.raises(CodePipelineError, match="It may have been carried out"):
        silence.delete_custom_action_type(BUILD)
    with pytest.raises(CodePipelineError) as said:
        silence.list_action_types()
    assert "carried out" not in str(said.value)
