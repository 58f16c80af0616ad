# SPDX-License-Identifier: Apache-2.0
"""What failures mean that no CodePipeline gives: of credentials, and of what is between."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from botocore.exceptions import (
    ClientError,
    ReadTimeoutError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnknownServiceError,
)

from airflow_codepipeline_partner.action_types.client import ActionTypeClient
from airflow_codepipeline_partner.exceptions import CodePipelineError, RequestRefused, ServiceUnavailable
from airflow_codepipeline_partner.jobs import ActionType

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
    ) as told:
        calls_that_fail_with(refused).list_action_types()
    # Only of what is not allowed AWS's words are shown: others may quote the request.
    assert ("planted" in str(told.value)) is (code == "AccessDenied")


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (
            SSOTokenLoadError(error_msg="planted"),
            RequestRefused,
            "no credentials for AWS that can be used (SSO",
        ),
        (TokenRetrievalError(provider="sso", error_msg="planted"), RequestRefused, "(TokenRetrievalError)"),
        (UnknownServiceError(service_name="x", known_service_names="y"), RequestRefused, "could not be sent"),
        (ReadTimeoutError(endpoint_url="planted"), ServiceUnavailable, "https://codepipeline.example (Read"),
        (RuntimeError("planted"), RequestRefused, "DeleteCustomActionType failed (RuntimeError)"),
    ],
)
def test_a_failure_is_told_without_what_it_quotes(error, kind, told):
    with pytest.raises(kind) as failure:
        calls_that_fail_with(error).delete_custom_action_type(BUILD)
    assert told in str(failure.value)
    assert "planted" not in str(failure.value)
    # Nor is it in a trace.
    assert failure.value.__cause__ is None
    assert failure.value.__context__ is None


def test_what_may_have_been_carried_out_is_said_to_be():
    silence = calls_that_fail_with(ReadTimeoutError(endpoint_url="x"))
    with pytest.raises(CodePipelineError, match="It may have been carried out"):
        silence.delete_custom_action_type(BUILD)
    with pytest.raises(CodePipelineError) as told:
        silence.list_action_types()
    assert "carried out" not in str(told.value)
