# SPDX-License-Identifier: Apache-2.0
"""What an error of botocore says: its code, its status, and whether it may pass by itself."""

from __future__ import annotations

import botocore.exceptions
import pytest
from botocore.retries.standard import ThrottledRetryableChecker

from airflow_codepipeline_partner import _aws_errors
from airflow_codepipeline_partner._aws_errors import ServiceError


def client_error(code="SomeException", status=400, message="Why.", operation="GetJobDetails"):
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return botocore.exceptions.ClientError(response, operation)


def test_a_client_error_is_read():
    assert ServiceError.of(client_error()) == ServiceError("SomeException", 400, "Why.", "GetJobDetails")


def test_a_modeled_error_of_a_client_is_read():
    class NoSuchKey(botocore.exceptions.ClientError):
        """A class of a client's own, as botocore makes them."""

    error = NoSuchKey({"Error": {"Code": "NoSuchKey"}}, "GetObject")
    assert ServiceError.of(error) == ServiceError("NoSuchKey", 0, "", "GetObject")


@pytest.mark.parametrize(
    "response", [{}, {"Error": None, "ResponseMetadata": None}, {"Error": {"Code": None}}]
)
def test_an_error_without_its_members_is_read(response):
    error = client_error()
    error.response = response
    assert ServiceError.of(error) == ServiceError("", 0, "", "GetJobDetails")


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), botocore.exceptions.EndpointConnectionError(endpoint_url="http://x"), OSError()],
)
def test_what_no_service_answered_is_no_service_error(error):
    assert ServiceError.of(error) is None


@pytest.mark.parametrize(
    ("code", "status", "not_carried_out", "transient"),
    [
        ("ThrottlingException", 400, True, True),
        ("Unheard", 429, True, True),
        ("SlowDown", 503, True, True),
        # The service may have acted before it broke.
        ("InternalError", 200, False, True),
        ("ServiceUnavailable", 400, False, True),
        ("Unheard", 500, False, True),
        ("AccessDenied", 403, False, False),
        ("ValidationException", 400, False, False),
        ("", 0, False, False),
    ],
)
def test_an_error_says_if_it_may_pass_by_itself(code, status, not_carried_out, transient):
    error = ServiceError(code, status, "", "PutObject")
    assert (error.was_not_carried_out, error.is_transient) == (not_carried_out, transient)


@pytest.mark.parametrize(
    ("code", "is_denied"),
    [
        ("AccessDenied", True),
        ("AccessDeniedException", True),
        ("NotAuthorizedException", True),
        ("UnauthorizedOperation", True),
        ("ExpiredTokenException", False),
        ("NoSuchKey", False),
        ("", False),
    ],
)
def test_a_denied_access_is_known_by_its_code(code, is_denied):
    assert ServiceError(code, 403, "", "GetObject").is_access_denied is is_denied
    assert _aws_errors.is_access_denied(code) is is_denied


def test_the_throttling_codes_of_botocore_are_transient():
    of_other_services = {
        "EC2ThrottledException",
        "ProvisionedThroughputExceededException",  # DynamoDB, Kinesis
        "TransactionInProgressException",  # DynamoDB
    }
    assert (
        set(ThrottledRetryableChecker._THROTTLED_ERROR_CODES) - of_other_services
        <= _aws_errors.TRANSIENT_ERROR_CODES
    )
