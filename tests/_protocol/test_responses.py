# SPDX-License-Identifier: Apache-2.0
"""What the answers of CodePipeline mean, without a socket."""

from __future__ import annotations

import botocore.exceptions
import botocore.session
import pytest

from airflow_codepipeline_partner import _aws_errors
from airflow_codepipeline_partner._aws_errors import ServiceError
from airflow_codepipeline_partner._protocol import requests, responses
from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._protocol.responses import Outcome
from airflow_codepipeline_partner.exceptions import (
    ActionTypeNotFound,
    InvalidClientToken,
    InvalidJobReference,
    InvalidNonce,
    JobNotFound,
    JobNotInProgress,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import ActionType, JobDetails, OfferedJob

TYPE = ActionType("Deploy", "Example", "2")
JOB = OfferedJob("job-1", "client-1", TYPE)
CUSTOM_TYPE = ActionType("Build", "Own", owner="Custom")
CUSTOM_JOB = OfferedJob("job-2", None, CUSTOM_TYPE, "3")


def outcome_of(code, http_status):
    return responses.outcome_of_error_response(ServiceError(code, http_status, "", "PollForJobs"))


@pytest.mark.parametrize("code", sorted(_aws_errors.TRANSIENT_ERROR_CODES))
@pytest.mark.parametrize("http_status", [400, 429, 503])
def test_what_was_throttled_was_not_carried_out(code, http_status):
    assert outcome_of(code, http_status) is Outcome.NOT_CARRIED_OUT


def test_a_429_is_throttling_whatever_its_code():
    assert outcome_of("Unheard", 429) is Outcome.NOT_CARRIED_OUT


@pytest.mark.parametrize("http_status", [500, 502, 503, 504, 599])
def test_what_broke_in_the_service_is_unknown(http_status):
    assert outcome_of("InternalFailure", http_status) is Outcome.UNKNOWN


@pytest.mark.parametrize("http_status", [400, 403, 404, 413, 499])
def test_another_refusal_is_final(http_status):
    assert outcome_of("AccessDeniedException", http_status) is Outcome.REFUSED


@pytest.mark.parametrize("code", ["", "302", "403", "404", "408"])
def test_a_refusal_without_a_code_leaves_the_outcome_unknown(code):
    """The service names an error in each of its refusals, so this one is somebody else's."""
    assert outcome_of(code, int(code or 400)) is Outcome.UNKNOWN


@pytest.mark.parametrize("name", sorted(responses.UNSENT_FAILURES))
def test_what_was_never_sent_was_not_carried_out(name):
    assert issubclass(getattr(botocore.exceptions, name), botocore.exceptions.BotoCoreError)
    assert responses.outcome_of_transport_error(name) is Outcome.NOT_CARRIED_OUT


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
def test_any_other_silence_is_unknown(name):
    assert responses.outcome_of_transport_error(name) is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("call", "answer", "is_one"),
    [
        (requests.details(JOB), {}, False),
        (requests.details(JOB), {"jobDetails": None}, False),
        (requests.details(JOB), {"jobDetails": {}}, True),
        (requests.acknowledge(JOB), {}, False),
        (requests.acknowledge(JOB), {"status": None}, False),
        (requests.acknowledge(JOB), {"status": "Failed"}, True),
    ],
    ids=lambda value: value.operation if isinstance(value, Call) else str(value),
)
def test_an_answer_holds_what_makes_it_one(call, answer, is_one):
    assert responses.is_answer(call, answer, b"whatever") is is_one


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
def test_the_body_shows_if_an_empty_answer_is_an_answer(body, of_a_poll, of_a_put):
    assert responses.is_answer(requests.poll(TYPE, 1), {}, body) is of_a_poll
    assert responses.is_answer(requests.success(JOB), {}, body) is of_a_put
    assert responses.is_answer(requests.failure(JOB, message="m"), {}, body) is of_a_put


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
    error = responses.error_for(
        requests.success(JOB), code, "As it said.", region_name="eu-west-1", in_doubt=in_doubt
    )
    assert type(error) is kind
    assert (error.code, error.job_id, error.in_doubt) == (code, "job-1", in_doubt)
    for part in ("PutThirdPartyJobSuccessResult", "job-1", "client-1", "eu-west-1", code, "As it said."):
        assert part in str(error)


def test_every_error_that_the_service_declares_has_its_type():
    model = botocore.session.get_session().get_service_model("codepipeline")
    calls = [
        call
        for job in (JOB, CUSTOM_JOB)
        for call in (
            requests.poll(job.action_type, 1),
            requests.details(job),
            requests.acknowledge(job),
            requests.success(job),
            requests.failure(job, message="m"),
        )
    ]
    declared = {shape.name for call in calls for shape in model.operation_model(call.operation).error_shapes}
    assert "OutputVariablesSizeExceededException" in declared
    # These two say of a request what is wrong in it; the operations' own limits come before them.
    for code in declared - {"ValidationException", "OutputVariablesSizeExceededException"}:
        error = responses.error_for(calls[0], code, "", region_name="r", in_doubt=False)
        assert type(error) is not RequestRefused, code


@pytest.mark.parametrize("code", ["ActionTypeNotFoundException", "ValidationException"])
def test_an_unknown_action_type_is_named_in_full(code):
    """With all its parts and the region."""
    error = responses.error_for(requests.poll(TYPE, 1), code, "No.", region_name="eu-west-1", in_doubt=False)
    assert type(error) is ActionTypeNotFound
    for part in ("Deploy/ThirdParty/Example/2", "region eu-west-1"):
        assert part in str(error)
    assert error.job_id is None


def test_a_wrong_query_is_no_unknown_action_type():
    said = "queryParam must have the key Project."
    error = responses.error_for(
        requests.poll(CUSTOM_JOB.action_type, 1), "ValidationException", said, region_name="r", in_doubt=False
    )
    assert type(error) is RequestRefused
    assert not error.retryable
    assert "Build/Custom/Own/1" in str(error)
    assert f"{said} Check query_param" in str(error)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("InvalidClientTokenException", "store the customer's current token"),
        ("InvalidJobStateException", "retry it in CodePipeline"),
        ("JobNotFoundException", "AWS region"),
    ],
)
def test_an_error_says_what_to_do(code, advice):
    error = responses.error_for(requests.success(JOB), code, "No.", region_name="r", in_doubt=False)
    assert advice in str(error)


@pytest.mark.parametrize("code", ["ValidationException", "OutputVariablesSizeExceededException"])
def test_what_is_found_invalid_stays_so(code):
    error = responses.error_for(requests.success(JOB), code, "No.", region_name="r", in_doubt=False)
    assert not error.retryable


def test_the_refusal_of_a_custom_job_names_no_client():
    error = responses.error_for(
        requests.success(CUSTOM_JOB), "Unheard", "No.", region_name="r", in_doubt=False
    )
    assert "for job job-2, region r" in str(error)


def test_a_refused_query_is_advised_of():
    call = requests.poll(CUSTOM_TYPE, 1)
    error = responses.error_for(call, "ValidationException", "No.", region_name="r", in_doubt=False)
    assert "query_param" in str(error)


def test_a_partners_job_is_offered_with_its_client():
    job = responses.offered_job(TYPE, {"jobId": "j", "clientId": "c", "nonce": "never there"})
    assert job == OfferedJob("j", "c", TYPE)


def test_a_custom_job_is_offered_with_its_nonce_alone():
    """Nothing of its data is kept."""
    offered = {"id": "j", "nonce": "3", "accountId": "1", "data": {"artifactCredentials": {"a": "planted"}}}
    job = responses.offered_job(CUSTOM_TYPE, offered, {"Project": "shop"})
    assert job == OfferedJob("j", None, CUSTOM_TYPE, "3", {"Project": "shop"})
    assert "planted" not in f"{job!r}{vars(job)}"


@pytest.mark.parametrize(
    ("kind", "offered"),
    [
        (TYPE, None),
        (TYPE, {}),
        (TYPE, {"jobId": "j"}),
        (TYPE, {"id": "j", "clientId": "c"}),
        (CUSTOM_TYPE, None),
        (CUSTOM_TYPE, {"id": "j"}),
        (CUSTOM_TYPE, {"id": "j", "nonce": ""}),
        (CUSTOM_TYPE, {"jobId": "j", "nonce": "3"}),
    ],
)
def test_what_nobody_could_claim_is_no_offer(kind, offered):
    with pytest.raises(InvalidJobReference):
        responses.offered_job(kind, offered)


# In AWS's own examples ids and nonces are of no form that its model would allow.
DOCUMENTED_POLL = {
    "jobs": [
        {
            "accountId": "111111111111",
            "data": {
                "actionConfiguration": {
                    "__type": "ActionConfiguration",
                    "configuration": {"ProjectName": "X"},
                },
                "actionTypeId": {
                    "__type": "ActionTypeId",
                    "category": "Test",
                    "owner": "Custom",
                    "provider": "MyJenkinsProviderName",
                    "version": "1",
                },
                "artifactCredentials": {
                    "__type": "AWSSessionCredentials",
                    "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
                    "secretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                    "sessionToken": "fICCQD6m7oRw0uXOjANBgkqhkiG9w0BAQUFADCBiDELMAkGA1UEBhMCVVMxCzAJBgNVBA=",
                },
                "inputArtifacts": [
                    {
                        "__type": "Artifact",
                        "location": {
                            "s3Location": {
                                "bucketName": "codepipeline-us-east-1-11EXAMPLE11",
                                "objectKey": "k",
                            },
                            "type": "S3",
                        },
                        "name": "MyAppBuild",
                    }
                ],
                "outputArtifacts": [],
                "pipelineContext": {
                    "__type": "PipelineContext",
                    "action": {"name": "MyJenkinsTest-Action"},
                    "pipelineName": "MySecondPipeline",
                    "stage": {"name": "Testing"},
                },
            },
            "id": "ef66c259-64f9-EXAMPLE",
            "nonce": "3",
        }
    ]
}


def test_a_documented_poll_is_understood():
    [offered] = DOCUMENTED_POLL["jobs"]
    job = responses.offered_job(CUSTOM_TYPE, offered)
    assert (job.job_id, job.nonce) == ("ef66c259-64f9-EXAMPLE", "3")


def test_documented_details_are_understood():
    [offered] = DOCUMENTED_POLL["jobs"]
    details = JobDetails.from_api({name: offered[name] for name in ("id", "accountId", "data")}, job_id="x")
    assert (details.job_id, details.account_id) == ("ef66c259-64f9-EXAMPLE", "111111111111")
    assert (details.pipeline_name, details.action_name) == ("MySecondPipeline", "MyJenkinsTest-Action")
    assert (details.nonce, details.action_execution_id, details.pipeline_arn) == (None, None, None)
    assert details.configuration == {"ProjectName": "X"}
    assert [artifact.name for artifact in details.input_artifacts] == ["MyAppBuild"]


@pytest.mark.parametrize("in_doubt", [False, True])
@pytest.mark.parametrize("kind", [JobNotInProgress, JobNotFound])
def test_a_job_that_takes_no_result_may_have_ours(kind, in_doubt):
    """A job that has ended has ours if the answer to the same call was lost before."""
    assert responses.put_is_settled(kind("m", in_doubt=in_doubt)) is in_doubt


@pytest.mark.parametrize("kind", [InvalidClientToken, RequestRefused, ServiceUnavailable, InvalidNonce])
def test_no_other_refusal_settles_a_put(kind):
    assert not responses.put_is_settled(kind("m", in_doubt=True))
