# SPDX-License-Identifier: Apache-2.0
"""What is said to CodePipeline and what its answers mean, without a socket."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import unquote

import botocore.exceptions
import botocore.session
import pytest
from botocore.retries.standard import ThrottledRetryableChecker
from botocore.validate import ParamValidator

from airflow_codepipeline_partner import exceptions, protocol
from airflow_codepipeline_partner.exceptions import (
    ActionTypeNotFound,
    InvalidClientToken,
    InvalidInput,
    InvalidNonce,
    JobNotFound,
    JobNotInProgress,
    LimitExceeded,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import (
    ActionType,
    ClaimedJob,
    CurrentRevision,
    ExecutionDetails,
    OfferedJob,
)
from airflow_codepipeline_partner.protocol import Call, Claim, ClaimState, Fate

TYPE = ActionType("Deploy", "Example", "2")
JOB = OfferedJob("job-1", "client-1", TYPE)
CLAIMED = ClaimedJob(JOB)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
AWS_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "2"}

# Calls.


def test_a_poll_is_composed():
    assert protocol.poll(TYPE, "7") == Call(
        "PollForThirdPartyJobs", {"actionTypeId": AWS_TYPE, "maxBatchSize": 7}, None
    )


def test_details_and_acknowledge_are_composed_without_token_and_nonce():
    assert protocol.details(JOB) == Call("GetThirdPartyJobDetails", {"jobId": "job-1"}, JOB)
    assert protocol.acknowledge(JOB) == Call("AcknowledgeThirdPartyJob", {"jobId": "job-1"}, JOB)


def test_a_success_is_composed_with_all_its_fields():
    call = protocol.success(
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
    assert protocol.success(JOB, execution_details=nothing) == Call(
        "PutThirdPartyJobSuccessResult", {"jobId": "job-1"}, JOB
    )


def test_a_revision_without_a_time_has_none():
    call = protocol.success(JOB, current_revision={"revision": "r", "changeIdentifier": "c"})
    assert call.arguments["currentRevision"] == {"revision": "r", "changeIdentifier": "c"}


def test_a_failure_is_composed_with_all_its_fields():
    assert protocol.failure(
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
    assert protocol.failure(JOB, message="m").arguments == {
        "jobId": "job-1",
        "failureDetails": {"type": "JobFailed", "message": "m"},
    }


def composed() -> list[Call]:
    return [
        protocol.poll(TYPE, 10),
        protocol.details(JOB),
        protocol.acknowledge(JOB),
        protocol.success(
            JOB,
            current_revision={"revision": "r", "changeIdentifier": "c", "created": NOON},
            continuation_token="t",
            execution_details={"percentComplete": "50"},
        ),
        protocol.failure(JOB, message="m"),
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


@pytest.mark.parametrize("size", [0, -1, "0", None, "many", 1.5])
def test_a_poll_for_less_than_one_job_is_refused(size):
    with pytest.raises(LimitExceeded) as refusal:
        protocol.poll(TYPE, size)
    assert refusal.value.field == "maxBatchSize"


@pytest.mark.parametrize("length", [1, 2048])
def test_a_continuation_token_within_its_limits_is_taken(length):
    assert (
        protocol.success(JOB, continuation_token="t" * length).arguments["continuationToken"] == "t" * length
    )


@pytest.mark.parametrize("length", [0, 2049])
def test_a_continuation_token_out_of_its_limits_is_refused_and_never_cut(length):
    with pytest.raises(LimitExceeded, match=f"{length} characters") as refusal:
        protocol.success(JOB, continuation_token="t" * length)
    assert refusal.value.field == "continuationToken"
    assert refusal.value.job_id == "job-1"


def test_jinjas_none_is_no_continuation_token_and_the_way_out_is_named():
    with pytest.raises(LimitExceeded, match="XComArg") as refusal:
        protocol.success(JOB, continuation_token="None")
    assert refusal.value.field == "continuationToken"
    assert refusal.value.job_id == "job-1"


@pytest.mark.parametrize("owner", ["Custom", "AWS"])
@pytest.mark.parametrize(
    "compose",
    [
        lambda job: protocol.poll(job.action_type, 1),
        protocol.details,
        protocol.acknowledge,
        protocol.success,
        lambda job: protocol.failure(job, message="m"),
    ],
    ids=["poll", "details", "acknowledge", "success", "failure"],
)
def test_jobs_of_other_owners_are_refused_with_clear_text(owner, compose):
    job = OfferedJob("j", None, ActionType("Build", "Own", owner=owner), "3")
    with pytest.raises(InvalidInput) as refusal:
        compose(job)
    text = str(refusal.value)
    assert f"Jobs of owner {owner} are not served" in text
    assert "ThirdParty" in text
    assert f"category Build, owner {owner}, provider Own, version 1" in text


def test_a_job_whose_action_type_is_not_known_is_a_partners():
    assert protocol.details(OfferedJob("j", "c")).operation == "GetThirdPartyJobDetails"


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (protocol.success(JOB), "success"),
        (protocol.success(JOB, continuation_token="t"), "continue"),
        (protocol.failure(JOB, message="m"), "failure"),
    ],
)
def test_a_result_is_named(call, result):
    assert protocol.result_of(call) == result


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
    assert protocol.external_execution_id(dag_id, run_id) == name
    assert [unquote(part) for part in name.split("/runs/")] == [dag_id, run_id]


def test_an_external_execution_id_that_would_be_too_long_is_left_out():
    fits = 1500 - len("/runs/r")
    assert len(protocol.external_execution_id("d" * fits, "r")) == 1500
    assert protocol.external_execution_id("d" * (fits + 1), "r") is None
    # Quoted, a sign can take many characters.
    assert protocol.external_execution_id("é" * 250, "é" * 250) is None


# Answers.


@pytest.mark.parametrize("code", sorted(protocol.PASSING_CODES))
@pytest.mark.parametrize("http_status", [400, 429, 503])
def test_what_was_throttled_was_not_carried_out(code, http_status):
    assert protocol.fate_of_answer(code, http_status) is Fate.NOT_CARRIED_OUT


def test_a_429_is_throttling_whatever_its_code():
    assert protocol.fate_of_answer("Unheard", 429) is Fate.NOT_CARRIED_OUT


@pytest.mark.parametrize("http_status", [500, 502, 503, 504, 599])
def test_what_broke_in_the_service_is_in_doubt(http_status):
    assert protocol.fate_of_answer("InternalFailure", http_status) is Fate.IN_DOUBT


@pytest.mark.parametrize("http_status", [400, 403, 404, 413, 499])
def test_another_refusal_is_final(http_status):
    assert protocol.fate_of_answer("AccessDeniedException", http_status) is Fate.REFUSED


@pytest.mark.parametrize("code", ["", "302", "403", "404", "408"])
def test_a_refusal_that_names_no_error_is_not_the_services_and_leaves_doubt(code):
    assert protocol.fate_of_answer(code, int(code or 400)) is Fate.IN_DOUBT


def test_all_that_botocore_takes_for_throttling_of_this_service_is_throttling():
    of_other_services = {
        "EC2ThrottledException",
        "ProvisionedThroughputExceededException",  # DynamoDB, Kinesis
        "TransactionInProgressException",  # DynamoDB
    }
    assert set(ThrottledRetryableChecker._THROTTLED_ERROR_CODES) - of_other_services <= protocol.PASSING_CODES


@pytest.mark.parametrize("name", sorted(protocol.UNSENT_FAILURES))
def test_what_was_never_sent_was_not_carried_out(name):
    assert issubclass(getattr(botocore.exceptions, name), botocore.exceptions.BotoCoreError)
    assert protocol.fate_of_silence(name) is Fate.NOT_CARRIED_OUT


@pytest.mark.parametrize(
    "name",
    [
        "ConnectionClosedError",
        "SSLError",
        "ReadTimeoutError",
        "HTTPClientError",
        "ResponseParserError",
        "Unheard",
    ],
)
def test_any_other_silence_is_in_doubt(name):
    assert protocol.fate_of_silence(name) is Fate.IN_DOUBT


@pytest.mark.parametrize(
    ("call", "answer", "is_one"),
    [
        (protocol.details(JOB), {}, False),
        (protocol.details(JOB), {"jobDetails": None}, False),
        (protocol.details(JOB), {"jobDetails": {}}, True),
        (protocol.acknowledge(JOB), {}, False),
        (protocol.acknowledge(JOB), {"status": None}, False),
        (protocol.acknowledge(JOB), {"status": "Failed"}, True),
    ],
    ids=lambda value: value.operation if isinstance(value, Call) else str(value),
)
def test_an_answer_holds_what_makes_it_one(call, answer, is_one):
    assert protocol.is_answer(call, answer, b"whatever") is is_one


@pytest.mark.parametrize(
    ("body", "of_a_poll", "of_a_put"),
    [
        (b"", True, True),
        (b"{}", True, True),
        (b' {"jobs": []}\n', True, False),
        (b'{"message": "maintenance"}', True, False),
        (b"<html>", False, False),
        (b"Service under maintenance", False, False),
        (b"null", False, False),
        (b"[]", False, False),
        (b"\xff\xfe", False, False),
    ],
)
def test_where_an_answer_may_be_empty_its_body_tells_whether_it_is_one(body, of_a_poll, of_a_put):
    assert protocol.is_answer(protocol.poll(TYPE, 1), {}, body) is of_a_poll
    assert protocol.is_answer(protocol.success(JOB), {}, body) is of_a_put
    assert protocol.is_answer(protocol.failure(JOB, message="m"), {}, body) is of_a_put


@pytest.mark.parametrize("in_doubt", [False, True])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ActionTypeNotFoundException", ActionTypeNotFound),
        ("InvalidClientTokenException", InvalidClientToken),
        ("InvalidJobException", JobNotFound),
        ("InvalidJobStateException", JobNotInProgress),
        ("InvalidNonceException", InvalidNonce),
        ("JobNotFoundException", JobNotFound),
        ("ValidationException", RequestRefused),
        ("AccessDeniedException", RequestRefused),
        ("ExpiredTokenException", RequestRefused),
        ("Unheard", RequestRefused),
    ],
)
def test_each_error_code_has_its_type(code, kind, in_doubt):
    error = protocol.error_for(
        protocol.success(JOB), code, "As it said.", region_name="eu-west-1", in_doubt=in_doubt
    )
    assert type(error) is kind
    assert (error.code, error.job_id, error.in_doubt) == (code, "job-1", in_doubt)
    for part in ("PutThirdPartyJobSuccessResult", "job-1", "client-1", "eu-west-1", code, "As it said."):
        assert part in str(error)


def test_every_error_that_the_service_declares_has_its_type():
    model = botocore.session.get_session().get_service_model("codepipeline")
    declared = {
        shape.name for call in composed() for shape in model.operation_model(call.operation).error_shapes
    }
    for code in declared - {"ValidationException"}:
        error = protocol.error_for(composed()[0], code, "", region_name="r", in_doubt=False)
        assert type(error) is not RequestRefused, code


@pytest.mark.parametrize("code", ["ActionTypeNotFoundException", "ValidationException"])
def test_an_unknown_action_type_is_named_with_all_its_parts_and_the_region(code):
    error = protocol.error_for(protocol.poll(TYPE, 1), code, "No.", region_name="eu-west-1", in_doubt=False)
    assert type(error) is ActionTypeNotFound
    for part in ("category Deploy", "owner ThirdParty", "provider Example", "version 2", "region eu-west-1"):
        assert part in str(error)
    assert error.job_id is None


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("InvalidClientTokenException", "store the customer's current token"),
        ("InvalidJobStateException", "retry it in CodePipeline"),
        ("JobNotFoundException", "AWS region"),
    ],
)
def test_an_error_says_what_to_do(code, advice):
    error = protocol.error_for(protocol.success(JOB), code, "No.", region_name="r", in_doubt=False)
    assert advice in str(error)


# Claims.


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("InProgress", ClaimState.CLAIMED),
        *(
            (status, ClaimState.LOST)
            for status in ("Created", "Queued", "Dispatched", "TimedOut", "Succeeded", "Failed", "Unheard")
        ),
    ],
)
def test_only_in_progress_makes_a_job_ours(status, state):
    claim = Claim.from_status(CLAIMED, status)
    assert claim == Claim(state, CLAIMED, status)
    assert claim.has_ended is (status in ("TimedOut", "Succeeded", "Failed"))


@pytest.mark.parametrize(
    ("state", "assumed", "left"),
    [
        (ClaimState.CLAIMED, True, True),
        (ClaimState.UNKNOWN, True, False),
        (ClaimState.LOST, False, False),
        (ClaimState.REFUSED, False, False),
        (ClaimState.INTENT, False, False),
    ],
)
def test_only_an_unknown_claim_depends_on_the_choice(state, assumed, left):
    claim = Claim(state, CLAIMED)
    assert claim.is_ours("assume_ours") is assumed
    assert claim.is_ours("leave") is left


@pytest.mark.parametrize("choice", protocol.UNKNOWN_CLAIM_CHOICES)
def test_both_choices_pass(choice):
    assert protocol.check_unknown_claim(choice) == choice


@pytest.mark.parametrize("choice", ["planted", "", "ASSUME_OURS", None, True, ["leave"]])
def test_another_choice_is_refused_with_the_right_ones(choice):
    with pytest.raises(InvalidInput, match="assume_ours, leave") as refusal:
        protocol.check_unknown_claim(choice)
    assert "planted" not in str(refusal.value)
    with pytest.raises(InvalidInput):
        Claim(ClaimState.UNKNOWN, CLAIMED).is_ours(choice)


# Puts.


@pytest.mark.parametrize("intended_before", [False, True])
@pytest.mark.parametrize("in_doubt", [False, True])
def test_a_job_that_takes_no_result_has_ours_only_if_we_may_have_put_it(in_doubt, intended_before):
    error = JobNotInProgress("m", in_doubt=in_doubt)
    settled = protocol.put_is_settled(error, intended_before=intended_before)
    assert settled is (in_doubt or intended_before)
    # Nobody may have acknowledged it.
    assert not protocol.put_is_settled(error, intended_before=intended_before, certain=False)


@pytest.mark.parametrize(
    "kind", [InvalidClientToken, JobNotFound, RequestRefused, ServiceUnavailable, exceptions.InvalidNonce]
)
def test_no_other_refusal_settles_a_put(kind):
    assert not protocol.put_is_settled(kind("m", in_doubt=True), intended_before=True)
