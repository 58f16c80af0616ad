# SPDX-License-Identifier: Apache-2.0
"""The table of exceptions, and what of them the customer reads."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import botocore.exceptions
import httpx
import pytest
import requests.exceptions
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType

from airflow_codepipeline_partner import exceptions
from airflow_codepipeline_partner._aws_errors import TRANSIENT_ERROR_CODES
from airflow_codepipeline_partner._compat import (
    AirflowConfigException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow_codepipeline_partner._limits import FAILURE_TYPES
from airflow_codepipeline_partner._worker import failures
from airflow_codepipeline_partner.exceptions import JobFailure

TEXT = "a text that may hold anything"
RUN = {"dag_id": "shop", "task_id": "deploy"}


def refused(code, status=400, kind=botocore.exceptions.ClientError):
    answer = {"Error": {"Code": code, "Message": TEXT}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return kind(answer, "PutObject")


class NoSuchKey(botocore.exceptions.ClientError):
    """As botocore makes one of a service's model."""


def of_airflow(kind):
    return AirflowRuntimeError(SimpleNamespace(error=kind, detail=TEXT))


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError(TEXT), "JobFailed"),
        (SystemExit(TEXT), "JobFailed"),
        (OSError(TEXT), "JobFailed"),
        (AirflowFailException(TEXT), "JobFailed"),
        (PermissionError(TEXT), "PermissionError"),
        (refused("AccessDenied"), "PermissionError"),
        (refused("AccessDeniedException", 403, NoSuchKey), "PermissionError"),
        (refused("UnauthorizedOperation", 403), "PermissionError"),
        (AirflowNotFoundException(TEXT), "ConfigurationError"),
        (AirflowConfigException(TEXT), "ConfigurationError"),
        (of_airflow(ErrorType.CONNECTION_NOT_FOUND), "ConfigurationError"),
        (of_airflow(ErrorType.VARIABLE_NOT_FOUND), "ConfigurationError"),
        (of_airflow(ErrorType.GENERIC_ERROR), "JobFailed"),
        (TimeoutError(TEXT), "SystemUnavailable"),
        (ConnectionRefusedError(TEXT), "SystemUnavailable"),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url=TEXT), "SystemUnavailable"),
        (botocore.exceptions.ReadTimeoutError(endpoint_url=TEXT), "SystemUnavailable"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url=TEXT), "SystemUnavailable"),
        (botocore.exceptions.NoCredentialsError(), "JobFailed"),
        (requests.exceptions.ConnectionError(TEXT), "SystemUnavailable"),
        (requests.exceptions.ReadTimeout(TEXT), "SystemUnavailable"),
        (requests.exceptions.HTTPError(TEXT), "JobFailed"),
        (httpx.ConnectError(TEXT), "SystemUnavailable"),
        (refused("InternalError", 500), "SystemUnavailable"),
        (refused("503", 503, NoSuchKey), "SystemUnavailable"),
        (refused("NoSuchKey", 404, NoSuchKey), "JobFailed"),
        *((refused(code), "SystemUnavailable") for code in sorted(TRANSIENT_ERROR_CODES)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_exception_has_its_failure_type_and_no_text(error, kind):
    why = failures.failure_of(error, **RUN)
    assert why.type == kind
    name = type(error).__name__
    assert why.message == (
        f"The work of this action failed in Airflow: task deploy of DAG shop raised {name}."
    )


@pytest.mark.parametrize("kind", FAILURE_TYPES)
def test_a_job_failure_has_the_type_and_the_words_of_the_user(kind):
    why = failures.failure_of(JobFailure("Name a Target.", kind), **RUN)
    assert (why.type, why.message) == (kind, "Name a Target.")


OURS = sorted(
    (
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, exceptions.CodePipelineProviderError)
    ),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_an_error_of_ours_shows_its_text(kind):
    """Unless it repeats an answer of AWS."""
    why = failures.failure_of(kind("What happened."), **RUN)
    # An answer of AWS may name the account and the role of the partner.
    assert ("What happened." in why.message) is not issubclass(kind, exceptions.CodePipelineError)
    assert kind.__name__ in why.message or "What happened." in why.message
    given_to_us = issubclass(kind, exceptions.InvalidInput)
    if given_to_us and kind is not exceptions.ClientConnectionError:
        # What the function gave is no trouble with the customer's configuration.
        assert why.type == "JobFailed"
        assert "task deploy of DAG shop gave a result that cannot be sent: What happened." in why.message
    else:
        assert why.type == kind.failure_type


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            AirflowTaskTimeout(TEXT),
            "The work of this action failed in Airflow: task deploy of DAG shop ran into its time limit.",
        ),
        (
            AirflowSkipException(TEXT),
            "The work of this action was skipped in Airflow: task deploy of DAG shop.",
        ),
    ],
)
def test_a_time_limit_and_a_skip_are_named_as_such(error, message):
    why = failures.failure_of(error, **RUN)
    assert (why.type, why.message) == ("JobFailed", message)


@pytest.mark.parametrize(
    ("cause", "kind", "named"),
    [
        (JobFailure("Name a Target.", "ConfigurationError"), "ConfigurationError", "Name a Target."),
        (PermissionError(TEXT), "PermissionError", "raised PermissionError"),
        (caused(AirflowFailException(TEXT), TimeoutError(TEXT)), "SystemUnavailable", "raised TimeoutError"),
        (None, "JobFailed", "raised AirflowFailException"),
    ],
)
def test_of_a_failure_without_a_retry_its_cause_counts(cause, kind, named):
    why = failures.failure_of(caused(AirflowFailException(TEXT), cause), **RUN)
    assert why.type == kind
    assert named in why.message
    assert TEXT not in why.message


def test_the_cause_of_any_other_exception_does_not_count():
    why = failures.failure_of(caused(ValueError(TEXT), PermissionError(TEXT)), **RUN)
    assert why.type == "JobFailed"


def test_the_documented_table_names_each_failure_type():
    table = failures.__doc__.split("=" * 20)
    given = {line.split()[-1] for line in "".join(table).splitlines() if line.strip()} & set(FAILURE_TYPES)
    assert given == {*(kind for _, kind in failures._TABLE), "JobFailed"}


def test_a_message_keeps_the_limit_of_the_api():
    why = failures.failure_of(exceptions.InvalidInput("m" * 9000), **RUN)
    assert len(why.message) == 5000


def test_the_table_imports_no_library_of_the_work():
    program = (
        "import sys, airflow_codepipeline_partner.decorators\n"
        "import airflow_codepipeline_partner._worker.failures as f\n"
        "f.failure_of(ValueError(), dag_id='d', task_id='t')\n"
        "print({'boto3', 'botocore', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] in ("set()", "{'requests'}")


@pytest.mark.parametrize(
    ("message", "kind", "named"),
    [
        ("m", "Unheard", "failureDetails.type must be one of JobFailed"),
        ("m", None, "failureDetails.type must be a string"),
        ("", "JobFailed", "failureDetails.message has 0 characters"),
        (None, "JobFailed", "failureDetails.message must be a string"),
    ],
)
def test_a_job_failure_checks_its_arguments(message, kind, named):
    with pytest.raises(exceptions.LimitExceeded, match=named):
        JobFailure(message, kind)


def test_a_job_failure_is_cut_where_every_message_is():
    assert len(JobFailure("m" * 9000).message) == 5000
    assert JobFailure("m" * 9000).message.endswith("[cut]")


@pytest.mark.parametrize(("map_index", "words"), [(-1, "Part 2 has no target."), (0, None)])
def test_words_of_a_mapped_task_reach_no_other_customer(monkeypatch, map_index, words):
    """In a mapped group each instance has a job, and a mapped task outside may be about any of them."""
    held = {"message": "Part 2 has no target.", "type": "ConfigurationError"}
    monkeypatch.setattr(failures.RecordStore, "read_first", lambda self, key: held)
    monkeypatch.setattr(failures, "matching_instance", lambda task, own, other: None)
    context = {
        "ti": SimpleNamespace(dag_id="d", run_id="r", task_id="finish_job", map_index=map_index),
        "task": None,
        "dag": SimpleNamespace(get_task=lambda task_id: task_id),
    }
    found = failures.recorded_failure(context, {"check": ["success", "failed"]})
    assert (found and found.message) == words


def test_errors_that_are_chained_in_a_circle_have_an_end():
    one, other = AirflowFailException("one"), AirflowFailException("other")
    one.__cause__, other.__cause__ = other, one
    assert failures.cause_of(one) in (one, other)
