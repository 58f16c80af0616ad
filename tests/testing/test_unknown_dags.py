# SPDX-License-Identifier: Apache-2.0
"""What the kit adds to Airflow's refusal to start a run, and to no other error."""

from __future__ import annotations

import httpx
import pytest

from airflow_codepipeline_partner.testing.dag_runs import DagRuns

START = "http://api/execution/dag-runs/deploy/codepipeline__1"


def refusal(status=404, method="POST", url=START):
    request = httpx.Request(method, url)
    return httpx.HTTPStatusError("x", request=request, response=httpx.Response(status, request=request))


class OfAnotherLibrary(Exception):
    """As of requests: its request's address is a text."""

    request = type("Request", (), {"method": "POST", "url": START})
    response = type("Response", (), {"status_code": 404})


def notes(error):
    runs = object.__new__(DagRuns)
    runs._known = {"take_jobs": None}
    runs._explain_unknown_dag(error)
    return getattr(error, "__notes__", [])


def test_a_dag_that_was_not_named_is_explained():
    [note] = notes(refusal())
    assert "load_dag(path, 'deploy')" in note


@pytest.mark.parametrize(
    "error",
    [
        refusal(500),
        refusal(method="GET"),
        refusal(url="http://api/execution/variables/deploy"),
        refusal(url="http://api/execution/dag-runs/take_jobs/codepipeline__1"),
        httpx.ConnectError("no request is set"),
        OfAnotherLibrary(),
        ValueError(),
    ],
)
def test_nothing_is_said_of_other_errors(error):
    assert notes(error) == []
