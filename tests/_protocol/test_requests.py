# SPDX-License-Identifier: Apache-2.0
"""How the calls to CodePipeline are composed, without a socket."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import botocore.exceptions
import botocore.session
import pytest
from botocore.validate import ParamValidator

from airflow_codepipeline_partner._protocol import requests
from airflow_codepipeline_partner._protocol.jobs import check_query_param
from airflow_codepipeline_partner._protocol.parsing import check_number
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.results import (
    CurrentRevision,
    ExecutionDetails,
    read_output_variables,
)
from airflow_codepipeline_partner.exceptions import (
    InvalidInput,
    LimitExceeded,
)
from airflow_codepipeline_partner.jobs import (
    ActionType,
    OfferedJob,
)

TYPE = ActionType("Deploy", "Example", "2")
JOB = OfferedJob("job-1", "client-1", TYPE)
CUSTOM_TYPE = ActionType("Build", "Own", owner="Custom")
CUSTOM_JOB = OfferedJob("job-2", None, CUSTOM_TYPE, "3")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
AWS_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "2"}


def poll(action_type, max_batch_size, query_param=None):
    """Compose a poll from what a user gives, as the hook does."""
    query = check_query_param(action_type, query_param)
    return requests.poll(action_type, check_number("maxBatchSize", max_batch_size), query)


def success(job, *, current_revision=None, execution_details=None, output_variables=None, **more):
    """Compose a success from what a user gives, as the hook does."""
    return requests.success(
        job,
        current_revision=CurrentRevision.from_value(current_revision),
        execution_details=ExecutionDetails.from_value(execution_details),
        output_variables=read_output_variables(output_variables),
        **more,
    )


def test_a_poll_is_composed():
    assert poll(TYPE, "7") == Call(
        "PollForThirdPartyJobs", {"actionTypeId": AWS_TYPE, "maxBatchSize": 7}, None
    )


def test_composed_claim_calls_hold_no_token_and_no_nonce():
    assert requests.details(JOB) == Call("GetThirdPartyJobDetails", {"jobId": "job-1"}, JOB)
    assert requests.acknowledge(JOB) == Call("AcknowledgeThirdPartyJob", {"jobId": "job-1"}, JOB)


def test_a_success_is_composed_with_all_its_fields():
    call = success(
        JOB,
        current_revision=CurrentRevision("r1", "c1", NOON, "What changed"),
        continuation_token="step-2",
        execution_details=ExecutionDetails("Half way", "dag/runs/run", 50),
    )
    assert call == Call(
        "PutThirdPartyJobSuccessResult",
        {
            "jobId": "job-1",
            "currentRevision": {
                "revision": "r1",
                "changeIdentifier": "c1",
                "created": "2026-01-31T12:00:00+00:00",
                "revisionSummary": "What changed",
            },
            "continuationToken": "step-2",
            "executionDetails": {
                "summary": "Half way",
                "externalExecutionId": "dag/runs/run",
                "percentComplete": 50,
            },
        },
        JOB,
    )


@pytest.mark.parametrize("nothing", [None, {}, "{}", ExecutionDetails()])
def test_a_bare_success_names_only_its_job(nothing):
    assert success(JOB, execution_details=nothing) == Call(
        "PutThirdPartyJobSuccessResult", {"jobId": "job-1"}, JOB
    )


def test_a_revision_without_a_time_has_none():
    call = success(JOB, current_revision={"revision": "r", "changeIdentifier": "c"})
    assert call.arguments["currentRevision"] == {"revision": "r", "changeIdentifier": "c"}


def test_a_failure_is_composed_with_all_its_fields():
    assert requests.failure(
        JOB,
        message="No such bucket.",
        failure_type="ConfigurationError",
        external_execution_id="dag/runs/run",
    ) == Call(
        "PutThirdPartyJobFailureResult",
        {
            "jobId": "job-1",
            "failureDetails": {
                "type": "ConfigurationError",
                "message": "No such bucket.",
                "externalExecutionId": "dag/runs/run",
            },
        },
        JOB,
    )


def test_a_bare_failure_is_of_type_job_failed():
    assert requests.failure(JOB, message="m").arguments == {
        "jobId": "job-1",
        "failureDetails": {"type": "JobFailed", "message": "m"},
    }


def composed() -> list[Call]:
    return [
        poll(TYPE, 10),
        requests.details(JOB),
        requests.acknowledge(JOB),
        success(
            JOB,
            current_revision={"revision": "r", "changeIdentifier": "c", "created": NOON},
            continuation_token="t",
            execution_details={"percentComplete": "50"},
        ),
        requests.failure(JOB, message="m"),
        poll(CUSTOM_TYPE, 10, {"Project": "shop"}),
        requests.details(CUSTOM_JOB),
        requests.acknowledge(CUSTOM_JOB),
        success(CUSTOM_JOB, output_variables={"Digest": "abc"}),
        requests.failure(CUSTOM_JOB, message="m"),
    ]


@pytest.mark.parametrize("call", composed(), ids=lambda call: call.operation)
def test_every_call_is_json_and_passes_botocores_own_check(call):
    arguments = json.loads(json.dumps(call.arguments))
    assert arguments == call.arguments
    model = botocore.session.get_session().get_service_model("codepipeline")
    shape = model.operation_model(call.operation).input_shape
    secrets = {name: "x" for name in ("clientToken", "nonce") if name in shape.members}
    assert not ParamValidator().validate({**arguments, **secrets}, shape).has_errors()
    assert {"clientToken", "nonce"}.isdisjoint(arguments)


def test_a_query_is_part_of_a_custom_poll():
    call = poll(CUSTOM_TYPE, 1, {"Project": "shop_1-a"})
    assert call.arguments["queryParam"] == {"Project": "shop_1-a"}
    assert "queryParam" not in poll(CUSTOM_TYPE, 1).arguments


@pytest.mark.parametrize("nothing", [None, {}, "", "None", "{}"])
def test_no_query_is_none_for_either_owner(nothing):
    assert "queryParam" not in poll(CUSTOM_TYPE, 1, nothing).arguments
    assert "queryParam" not in poll(TYPE, 1, nothing).arguments


def test_a_query_for_a_partners_jobs_is_refused_by_name():
    with pytest.raises(InvalidInput, match=r"query_param is for custom .*Deploy/ThirdParty/Example"):
        poll(TYPE, 1, {"Project": "planted"})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"a": "1", "b": "2"}, "queryParam"),
        ({"": "v"}, "queryParam.key"),
        ({"k" * 51: "v"}, "queryParam.key"),
        ({"k": ""}, "queryParam.value"),
        ({"k": "planted" * 8}, "queryParam.value"),
        ({"k": "planted value"}, "queryParam.value"),
        ({"k": None}, "queryParam.value"),
    ],
)
def test_a_query_over_its_limits_is_refused_by_name(query, field):
    with pytest.raises(LimitExceeded) as refusal:
        poll(CUSTOM_TYPE, 1, query)
    assert refusal.value.field == field
    assert "planted" not in str(refusal.value)


@pytest.mark.parametrize("query", ["planted", ["planted"], 7])
def test_a_query_that_is_no_mapping_is_refused(query):
    with pytest.raises(InvalidInput, match="query_param must be a mapping") as refusal:
        poll(CUSTOM_TYPE, 1, query)
    assert "planted" not in str(refusal.value)


def test_a_custom_success_may_have_output_variables():
    call = success(CUSTOM_JOB, output_variables={"Digest": "abc", "Files_1-@": 2, "Share": 0.5})
    assert call.arguments["outputVariables"] == {"Digest": "abc", "Files_1-@": "2", "Share": "0.5"}


@pytest.mark.parametrize("nothing", [None, {}, "", "None", "{}"])
@pytest.mark.parametrize("job", [JOB, CUSTOM_JOB])
def test_no_output_variables_are_none_for_either_owner(job, nothing):
    assert "outputVariables" not in success(job, output_variables=nothing).arguments


def test_output_variables_of_a_partner_are_refused_by_name():
    with pytest.raises(InvalidInput, match="output_variables are for custom actions") as refusal:
        success(JOB, output_variables={"a": "b"})
    assert refusal.value.job_id == "job-1"


def test_output_variables_exclude_a_continuation_token():
    with pytest.raises(InvalidInput, match="exclude each other"):
        success(CUSTOM_JOB, output_variables={"a": "b"}, continuation_token="t")


@pytest.mark.parametrize("name", ["", "a b", "ä", "a.b", "a#"])
def test_the_name_of_an_output_variable_keeps_its_pattern(name):
    with pytest.raises(LimitExceeded) as refusal:
        success(CUSTOM_JOB, output_variables={name: "v"})
    assert refusal.value.field == "outputVariables.key"


@pytest.mark.parametrize("value", [None, True, ["a"], {"a": "b"}, b"a"])
def test_an_output_variable_is_a_text(value):
    with pytest.raises(LimitExceeded, match="must be strings, or numbers; number 1 is of type") as refusal:
        success(CUSTOM_JOB, output_variables={"Kind": value})
    assert refusal.value.field == "outputVariables"


def test_output_variables_have_a_limit_of_all_together_in_bytes():
    fits = {"a": "é" * 30_000, "b": "v" * (122_880 - 60_000 - 2)}
    assert success(CUSTOM_JOB, output_variables=fits).arguments["outputVariables"] == fits
    with pytest.raises(LimitExceeded, match="122881 bytes") as refusal:
        success(CUSTOM_JOB, output_variables={**fits, "b": fits["b"] + "v"})
    assert refusal.value.field == "outputVariables"


@pytest.mark.parametrize("size", [0, -1, "0", None, "many", 1.5])
def test_a_poll_for_less_than_one_job_is_refused(size):
    with pytest.raises(LimitExceeded) as refusal:
        poll(TYPE, size)
    assert refusal.value.field == "maxBatchSize"


@pytest.mark.parametrize("length", [1, 2048])
def test_a_continuation_token_within_its_limits_is_taken(length):
    assert success(JOB, continuation_token="t" * length).arguments["continuationToken"] == "t" * length


@pytest.mark.parametrize("length", [0, 2049])
def test_a_token_out_of_its_limits_is_refused_and_never_cut(length):
    with pytest.raises(LimitExceeded, match=f"{length} characters") as refusal:
        success(JOB, continuation_token="t" * length)
    assert refusal.value.field == "continuationToken"
    assert refusal.value.job_id == "job-1"


def test_jinjas_none_is_no_continuation_token():
    """The error names the way out."""
    with pytest.raises(LimitExceeded, match="one expression") as refusal:
        success(JOB, continuation_token="None")
    assert refusal.value.field == "continuationToken"
    assert refusal.value.job_id == "job-1"


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (success(JOB), "success"),
        (success(JOB, continuation_token="t"), "continue"),
        (requests.failure(JOB, message="m"), "failure"),
    ],
)
def test_a_result_is_named(call, result):
    assert requests.result_of(call) == result
