# SPDX-License-Identifier: Apache-2.0
"""What a DAG reads of the ends of a pipeline: from the events of its run, or from the run's conf."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import Asset

from airflow_codepipeline_partner.assets import ended_executions, offered_jobs
from airflow_codepipeline_partner.exceptions import InvalidInput

ENDED = {
    "pipeline_name": "shop",
    "pipeline_execution_id": "7ce2",
    "status": "Succeeded",
    "status_summary": None,
}
OTHER = {**ENDED, "pipeline_execution_id": "8df3", "status": "Failed", "status_summary": "No such host."}


def context(*payloads, conf=None):
    # Airflow promises no order.
    made = [SimpleNamespace(extra=payload, timestamp=number) for number, payload in enumerate(payloads)][::-1]
    # No dict: until Airflow 3.1 an asset cannot be a key of one.
    events = [(Asset("ends"), made)] if payloads else []
    return {
        "triggering_asset_events": SimpleNamespace(items=lambda: events),
        "dag_run": SimpleNamespace(conf=conf),
    }


def said(*executions):
    return {"from_trigger": True, "payload": {"status": "reached", "executions": list(executions)}}


def test_the_executions_of_all_events_are_given_each_once():
    assert ended_executions(context(said(ENDED), said(ENDED, OTHER))) == [ENDED, OTHER]


def test_of_one_execution_the_last_state_counts():
    failed = {**ENDED, "status": "Failed"}
    assert ended_executions(context(said(failed), said(ENDED))) == [ENDED]


def test_events_of_two_assets_are_read_in_the_order_of_time():
    of_starts = SimpleNamespace(extra=said({**ENDED, "status": "InProgress"}), timestamp=1)
    of_ends = SimpleNamespace(extra=said(ENDED), timestamp=10)
    events = [(Asset("ends"), [of_ends]), (Asset("starts"), [of_starts])]
    known = {"triggering_asset_events": SimpleNamespace(items=lambda: events)}
    assert ended_executions({**known, "dag_run": SimpleNamespace(conf=None)}) == [ENDED]


@pytest.mark.parametrize(
    "conf",
    [
        ENDED,
        {"executions": [ENDED]},
        # What the sensor returned.
        {**ENDED, "failed_actions": []},
        {name: value for name, value in ENDED.items() if name != "status_summary"},
    ],
)
def test_without_events_they_are_those_of_the_conf(conf):
    assert ended_executions(context(conf=conf)) == [ENDED]


def test_the_conf_does_not_matter_where_there_are_events():
    assert ended_executions(context(said(ENDED), conf=OTHER)) == [ENDED]


@pytest.mark.parametrize(
    "strange",
    [
        {"posted": "by hand"},
        None,
        said({"no": "execution"}),
        said(7, None, "text"),
        # Of a DAG that waits for jobs, too.
        {"payload": {"status": "offered", "jobs": [{"job_id": "j", "client_id": "c"}], "error": None}},
    ],
)
def test_an_event_of_somebody_else_holds_up_nothing(strange, caplog):
    assert ended_executions(context(strange, said(ENDED))) == [ENDED]
    assert ended_executions(context(said(ENDED), strange)) == [ENDED]
    assert ended_executions(context(strange, conf=ENDED)) == [ENDED]


@pytest.mark.parametrize("member", ["pipeline_name", "pipeline_execution_id", "status"])
@pytest.mark.parametrize("wrong", [None, "", 7, ["a"]])
def test_one_that_is_malformed_holds_up_no_other(member, wrong, caplog):
    assert ended_executions(context(said({**ENDED, member: wrong}, OTHER))) == [OTHER]
    assert f"holds something that is no execution of a pipeline: An execution needs {member}" in caplog.text


@pytest.mark.parametrize(
    ("known", "named"),
    [
        (context(), "has no conf"),
        (context(conf={}), "has no conf"),
        (context(conf={"no": "execution"}), "needs pipeline_name"),
        (context(conf={"executions": "7ce2"}), "must be a list, not a str"),
        (context(conf={"executions": [7]}), "An execution must be a mapping"),
        (context({"posted": "by hand"}), "'ends' holds no executions"),
        (context({"payload": {"executions": None}}), "'ends' holds no executions"),
        (context(said({"no": "execution"})), "needs pipeline_name"),
    ],
)
def test_what_is_no_execution_is_named(known, named):
    with pytest.raises(InvalidInput, match=named):
        ended_executions(known)


def test_events_of_executions_are_no_jobs():
    with pytest.raises(InvalidInput, match="'ends' holds no jobs"):
        offered_jobs(context(said(ENDED)))
