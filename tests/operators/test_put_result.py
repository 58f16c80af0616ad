# SPDX-License-Identifier: Apache-2.0
"""The operators that put one result by one call of CodePipeline's API."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, task
from support import action_state, results_of

from airflow_codepipeline_partner._transport import Transport
from airflow_codepipeline_partner.exceptions import InvalidInput, LimitExceeded
from airflow_codepipeline_partner.jobs import ActionType, ExecutionDetails, OfferedJob
from airflow_codepipeline_partner.operators import (
    CodePipelineClaimJobOperator,
    PutThirdPartyJobFailureResultOperator,
    PutThirdPartyJobSuccessResultOperator,
)


@pytest.fixture
def claimed(offer, make_hook):
    """A job that this worker has claimed, outside any DAG."""
    job = offer()
    make_hook().claim(job)
    return job


def test_every_field_of_a_success_result_arrives(emulator, claimed, run_dag):
    run = run_dag(
        "one_call_each",
        **claimed,
        revision={
            "revision": "r1",
            "changeIdentifier": "c1",
            "created": "2026-01-31T12:00:00+00:00",
            "revisionSummary": "Third try.",
        },
        token="step-2",
        details={"summary": "Half done.", "externalExecutionId": "e1", "percentComplete": "50"},
    )
    assert run.states["succeed"] == "success"
    [put] = [entry for entry in emulator.ledger if entry.operation == "PutThirdPartyJobSuccessResult"]
    assert put.outcome == "ok"
    sent = run.xcoms["job", "codepipeline_result"]["call"]
    assert sent == {
        "jobId": claimed["job_id"],
        "currentRevision": {
            "revision": "r1",
            "changeIdentifier": "c1",
            "created": "2026-01-31T12:00:00+00:00",
            "revisionSummary": "Third try.",
        },
        "continuationToken": "step-2",
        "executionDetails": {"summary": "Half done.", "externalExecutionId": "e1", "percentComplete": 50},
    }
    assert action_state(emulator)["status"] == "InProgress"
    assert action_state(emulator)["percentComplete"] == 50
    assert action_state(emulator)["externalExecutionId"] == "e1"


def test_every_field_of_a_failure_result_arrives(emulator, claimed, run_dag):
    run_dag(
        "one_call_each_failure",
        **claimed,
        message="Out of disk.",
        failure_type="SystemUnavailable",
        execution_id="e2",
    )
    assert action_state(emulator)["errorDetails"] == {"code": "SystemUnavailable", "message": "Out of disk."}
    assert action_state(emulator)["externalExecutionId"] == "e2"


def test_a_second_result_is_an_error_that_says_what_to_do(emulator, claimed, run_dag, make_hook, capfd):
    make_hook().succeed(claimed)
    run = run_dag("one_call_each", **claimed)
    assert run.states["succeed"] == "failed"
    assert results_of(emulator, claimed) == ["success", "InvalidJobStateException"]
    shown = "".join(capfd.readouterr())
    assert "JobNotInProgress" in shown
    assert "retry it in CodePipeline" in shown
    # Nothing was put, so that nothing stands in the way of another result.
    assert ("job", "codepipeline_result") not in run.xcoms


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"details": {"percentComplete": 101}}, "executionDetails.percentComplete is 101"),
        ({"details": {"percentComplete": "-1"}}, "executionDetails.percentComplete is -1"),
        ({"token": "t" * 2049}, "continuationToken has 2049 characters"),
        ({"token": ""}, "continuationToken has 0 characters"),
        ({"revision": {"revision": "r"}}, "currentRevision needs changeIdentifier"),
        (
            {"revision": {"revision": "r" * 1501, "changeIdentifier": "c"}},
            "currentRevision.revision has 1501",
        ),
    ],
)
def test_a_wrong_rendered_value_fails_before_any_call(emulator, claimed, run_dag, capfd, given, named):
    run = run_dag("one_call_each", **claimed, **given)
    assert run.states["succeed"] == "failed"
    assert results_of(emulator, claimed) == []
    assert named in "".join(capfd.readouterr())


def test_an_unknown_failure_type_fails_before_any_call(emulator, claimed, run_dag, capfd):
    run_dag("one_call_each_failure", **claimed, failure_type="Unheard")
    assert results_of(emulator, claimed) == []
    assert "failureDetails.type must be one of JobFailed" in "".join(capfd.readouterr())


def test_long_texts_are_cut_with_a_mark_and_a_warning(emulator, claimed, run_dag, caplog):
    run_dag("one_call_each_failure", **claimed, message="m" * 9000)
    message = action_state(emulator)["errorDetails"]["message"]
    assert len(message) == 5000
    assert message.endswith("[cut]")
    assert "failureDetails.message has 9000 characters and was cut to 5000" in caplog.text


def test_results_can_be_mapped(emulator, offer, make_hook, run_dag):
    jobs = [offer() for _ in range(3)]
    for job in jobs:
        make_hook().claim(job)
    run = run_dag("mapped_results", jobs=jobs)
    assert [run.states[f"succeed[{index}]"] for index in range(3)] == ["success"] * 3
    assert [results_of(emulator, job) for job in jobs] == [["success"]] * 3
    # Not in the task's own XCom, which a retry would clear.
    recorded = [run.xcoms["jobs", f"codepipeline_result_{job['job_id']}"] for job in jobs]
    assert [(record["job_id"], record["state"]) for record in recorded] == [
        (job["job_id"], "done") for job in jobs
    ]


def test_two_jobs_behind_one_task_have_records_of_their_own(emulator, offer, run_dag, make_hook):
    jobs = [offer() for _ in range(2)]
    for each in jobs:
        make_hook().claim(each)
    run = run_dag("two_results_behind_one_task", jobs=jobs)
    recorded = [run.xcoms["job", f"codepipeline_result_{each['job_id']}"]["state"] for each in jobs]
    assert recorded == ["done", "done"]


@pytest.mark.parametrize("dag_id", ["mapped_results", "mapped_claims_and_results"])
def test_a_retry_knows_a_mapped_result_that_was_put(emulator, offer, make_hook, run_dag, monkeypatch, dag_id):
    """The try before it died after its put."""
    jobs = [offer() for _ in range(3)]
    if dag_id == "mapped_results":
        for job in jobs:
            make_hook().claim(job)
    send = Transport.send
    deaths = []

    def dying(self, call, *args, **kwargs):
        answer = send(self, call, *args, **kwargs)
        if call.operation.startswith("Put") and call.job.job_id == jobs[1]["job_id"] and not deaths:
            deaths.append(call)
            raise SystemExit(9)
        return answer

    monkeypatch.setattr(Transport, "send", dying)
    run = run_dag(dag_id, jobs=jobs)
    assert len(deaths) == 1
    assert run.state == "success"
    assert [results_of(emulator, job)[0] for job in jobs] == ["success"] * 3
    assert len(emulator.ledger.terminal_results()) == 3


def test_the_details_of_a_job_cannot_be_returned_from_a_task(emulator, offer, run_dag, capfd):
    run = run_dag("details_in_xcom", job=offer())
    assert run.states["details"] == "failed"
    assert ("details", "return_value") not in run.xcoms
    assert "hold secrets and cannot be returned from a task" in "".join(capfd.readouterr())


def test_a_second_result_fails_its_task(emulator, offer, run_dag):
    job = offer()
    run = run_dag("claim_and_put_twice", job=job)
    assert run.states == {"claim": "success", "put": "success", "put_again": "failed"}
    assert results_of(emulator, job) == ["continue"]


@pytest.mark.parametrize("operator", ["succeed", "fail"])
def test_nothing_is_put_on_a_job_that_the_run_did_not_win(emulator, offer, run_dag, make_hook, operator):
    job = offer()
    make_hook().claim(job)
    run = run_dag("put_whatever_became_of_the_claim", job=job, operator=operator)
    assert run.states["claim"] == "skipped"
    assert run.states[operator] == "skipped"
    assert results_of(emulator, job) == []


JOB = {"job_id": "j", "client_id": "c"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"job": JOB, "job_id": "j", "client_id": "c"}, "both"),
        ({}, "neither"),
        ({"job_id": "j"}, "needs client_id"),
        ({"job": {"client_id": "c"}}, "needs job_id"),
        ({"job": JOB, "client_id": "other"}, "both"),
        ({"job": "nonsense"}, "must be a mapping"),
        ({"job": ["j"]}, "one of the jobs that the sensor returned"),
        ({"job_id": "j", "client_id": ""}, "needs client_id"),
        ({"job_id": "", "client_id": "{{ c }}"}, "jobId has 0 characters"),
        ({"job_id": "j" * 513, "client_id": "c"}, "jobId has 513 characters"),
    ],
)
@pytest.mark.parametrize(
    ("operator", "more"),
    [
        (PutThirdPartyJobSuccessResultOperator, {}),
        (PutThirdPartyJobFailureResultOperator, {"message": "m"}),
    ],
)
def test_which_job_is_meant_must_be_said_once(operator, more, given, said):
    with pytest.raises(InvalidInput, match=said):
        operator(task_id="put", **given, **more)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"execution_details": {"percentComplete": 101}}, "percentComplete is 101"),
        ({"execution_details": {"percent_complete": -1}}, "percentComplete is -1"),
        ({"execution_details": {"percentComplete": "50", "colour": "red"}}, "has no field"),
        ({"execution_details": {"percentComplete": "1", "percent_complete": "2"}}, "twice"),
        ({"continuation_token": ""}, "continuationToken has 0"),
        ({"continuation_token": "t" * 2049}, "continuationToken has 2049"),
        ({"current_revision": {"revision": "r"}}, "needs changeIdentifier"),
        ({"current_revision": {"revision": "{{ r }}"}}, "needs changeIdentifier"),
        ({"current_revision": {"revision": "r" * 1501, "changeIdentifier": "{{ c }}"}}, "has 1501"),
    ],
)
def test_an_unsendable_success_is_refused_at_construction(wrong, named):
    with pytest.raises(InvalidInput, match=named):
        PutThirdPartyJobSuccessResultOperator(task_id="put", job=JOB, **wrong)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"message": ""}, "message has 0"),
        ({"message": "m", "failure_type": "Unheard"}, "failureDetails.type"),
        ({"message": "m", "external_execution_id": "e" * 1501}, "externalExecutionId has 1501"),
    ],
)
def test_an_unsendable_failure_is_refused_at_construction(wrong, named):
    with pytest.raises(LimitExceeded, match=named):
        PutThirdPartyJobFailureResultOperator(task_id="put", job=JOB, **wrong)


def test_what_is_known_later_is_not_judged_at_construction():
    with DAG("d", schedule=None):

        @task
        def upstream():
            """Return something."""

        given = upstream()
        put = PutThirdPartyJobSuccessResultOperator(
            task_id="put",
            job=given,
            continuation_token=given,
            current_revision={"revision": given, "changeIdentifier": "{{ c }}"},
            execution_details={"percentComplete": given, "summary": "{{ s }}"},
        )
        CodePipelineClaimJobOperator(task_id="claim", job={"job_id": "{{ j }}", "client_id": given})
    assert put.upstream_task_ids == {"upstream"}


def test_objects_of_ours_are_taken_as_well():
    job = OfferedJob("j", "c", ActionType("Deploy", "Example"))
    put = PutThirdPartyJobSuccessResultOperator(
        task_id="put", job=job, execution_details=ExecutionDetails(percent_complete=5)
    )
    call = put.compose(job, "d", "r")
    assert call.arguments["executionDetails"]["percentComplete"] == 5


@pytest.mark.parametrize(
    ("operator", "needed"),
    [
        (CodePipelineClaimJobOperator, {"job": JOB}),
        (PutThirdPartyJobFailureResultOperator, {"job": JOB, "message": "m"}),
        (PutThirdPartyJobSuccessResultOperator, {"job": JOB}),
    ],
)
def test_no_operator_takes_a_client_token(operator, needed):
    with pytest.raises(TypeError, match="client_token"):
        operator(task_id="t", client_token="a literal would lie in clear in the serialized DAG", **needed)


def test_without_a_certain_claim_it_looks_twice(emulator, offer, run_dag):
    """And says so before the last look, for a claim whose process may still be there."""
    job = offer()
    emulator.inject("drop_response", operation="AcknowledgeThirdPartyJob", times=None)
    run = run_dag("puts_behind_a_claim_that_is_left", job=job)
    assert run.xcoms["put", "codepipeline_last_look"] is True


def test_with_a_certain_claim_it_looks_once(emulator, offer, run_dag):
    run = run_dag("details_in_xcom", job=offer())
    assert "codepipeline_last_look" not in {key for _, key in run.xcoms}
