# SPDX-License-Identifier: Apache-2.0
"""The defaults of a result."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.results import ExecutionDetails
from airflow_codepipeline_partner._worker import result_defaults
from airflow_codepipeline_partner.jobs import ActionType, OfferedJob

JOB = OfferedJob("job-1", "client", ActionType("Deploy", "Example"))


@pytest.mark.parametrize("nothing", [None, {}, "{}", ExecutionDetails()])
def test_what_is_missing_is_filled_in_and_percent_stays_unset(nothing):
    assert result_defaults.with_defaults(
        ExecutionDetails.from_value(nothing), dag_id="my dag", run_id="r:1"
    ) == ExecutionDetails(
        summary="The Airflow DAG my dag completed this action.",
        external_execution_id="my%20dag/runs/r%3A1",
        percent_complete=None,
    )


def test_a_continued_action_is_said_to_go_on():
    details = result_defaults.with_defaults(None, dag_id="d", run_id="r", continued=True)
    assert details.summary == "The Airflow DAG d is at work on this action."


@pytest.mark.parametrize("as_text", [False, True])
def test_what_is_given_is_kept(as_text):
    given = {"summary": "Mine.", "externalExecutionId": "mine", "percentComplete": "0"}
    details = result_defaults.with_defaults(
        ExecutionDetails.from_value(str(given) if as_text else given), dag_id="d", run_id="r"
    )
    assert details == ExecutionDetails("Mine.", "mine", 0)


def test_an_id_that_would_be_too_long_is_left_out():
    assert (
        result_defaults.with_defaults(None, dag_id="é" * 250, run_id="é" * 250).external_execution_id is None
    )


def test_a_failure_leads_back_to_the_run():
    call = result_defaults.failure(JOB, "Broken.", "SystemUnavailable", dag_id="my dag", run_id="r:1")
    assert call == Call(
        "PutThirdPartyJobFailureResult",
        {
            "jobId": "job-1",
            "failureDetails": {
                "type": "SystemUnavailable",
                "message": "Broken.",
                "externalExecutionId": "my%20dag/runs/r%3A1",
            },
        },
        JOB,
    )


@pytest.mark.parametrize(
    ("dag_id", "run_id", "name"),
    [
        ("my_dag", "manual__1", "my_dag/runs/manual__1"),
        (
            "my dag",
            "scheduled__2026-01-31T12:00:00+00:00",
            "my%20dag/runs/scheduled__2026-01-31T12%3A00%3A00%2B00%3A00",
        ),
        ("a/b", "c/d?e#f%", "a%2Fb/runs/c%2Fd%3Fe%23f%25"),
        ("dág", "rün", "d%C3%A1g/runs/r%C3%BCn"),
    ],
)
def test_the_external_execution_id_leads_back_to_the_run(dag_id, run_id, name):
    assert result_defaults.external_execution_id(dag_id, run_id) == name
    assert [unquote(part) for part in name.split("/runs/")] == [dag_id, run_id]


def test_an_external_execution_id_too_long_is_left_out():
    fits = 1500 - len("/runs/r")
    assert len(result_defaults.external_execution_id("d" * fits, "r")) == 1500
    assert result_defaults.external_execution_id("d" * (fits + 1), "r") is None
    # Quoted, a sign can take many characters.
    assert result_defaults.external_execution_id("é" * 250, "é" * 250) is None
