# SPDX-License-Identifier: Apache-2.0
"""The hook over real HTTP, against the emulator."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import re
import traceback
from typing import Any

import boto3
import pytest
from botocore.config import Config
from support import ACTION_TYPE

from airflow_codepipeline_partner._limits import CUT_MARK
from airflow_codepipeline_partner._protocol.claims import ClaimState
from airflow_codepipeline_partner.client_tokens import ClientTokenHook
from airflow_codepipeline_partner.emulator import Emulator
from airflow_codepipeline_partner.exceptions import (
    ActionTypeNotFound,
    ClientConnectionError,
    CodePipelineProviderError,
    InvalidClientToken,
    InvalidInput,
    InvalidJobReference,
    JobNotFound,
    JobNotInProgress,
    LimitExceeded,
    RequestRefused,
    ServiceUnavailable,
)
from airflow_codepipeline_partner.jobs import ActionType, CurrentRevision, OfferedJob

pytestmark = pytest.mark.usefixtures("quick_clients", "customer")

POLL = "PollForThirdPartyJobs"
DETAILS = "GetThirdPartyJobDetails"
ACKNOWLEDGE = "AcknowledgeThirdPartyJob"
SUCCESS = "PutThirdPartyJobSuccessResult"
FAILURE = "PutThirdPartyJobFailureResult"


class Rival:
    """Another worker of the same partner, in plain boto3."""

    def __init__(self, client: Any, token: str) -> None:
        self.client = client
        self.token = token

    def poll(self) -> list[str]:
        jobs = self.client.poll_for_third_party_jobs(actionTypeId=ACTION_TYPE, maxBatchSize=10)["jobs"]
        return [job["jobId"] for job in jobs]

    def acknowledge(self, job_id: str) -> str:
        details = self.client.get_third_party_job_details(jobId=job_id, clientToken=self.token)["jobDetails"]
        return self.client.acknowledge_third_party_job(
            jobId=job_id, nonce=details["nonce"], clientToken=self.token
        )["status"]

    def succeed(self, job_id: str) -> None:
        self.client.put_third_party_job_success_result(jobId=job_id, clientToken=self.token)


@pytest.fixture
def rival(emulator, customer):
    client = boto3.client(
        "codepipeline",
        region_name="us-east-1",
        endpoint_url=emulator.url,
        aws_access_key_id="AKIARIVAL",
        aws_secret_access_key="rival-secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield Rival(client, customer.client_token)
    client.close()


@pytest.fixture
def hook(make_hook):
    return make_hook()


@pytest.fixture
def offered(emulator, hook):
    emulator.start_execution("pipe")
    [job] = hook.poll(ACTION_TYPE)
    return job


@pytest.fixture
def claimed(hook, offered):
    return hook.claim(offered)


def outcomes(emulator: Emulator, operation: str) -> list[str]:
    return [entry.outcome for entry in emulator.ledger.where(kind="call", operation=operation)]


def status(emulator: Emulator) -> str:
    [job] = emulator.jobs()
    return job.status


# The way of a job.


def test_a_job_is_polled_claimed_and_ended(emulator, make_hook):
    emulator.start_execution("pipe")
    hook = make_hook()
    [offered] = hook.poll(ACTION_TYPE)
    claimed = hook.claim(offered)
    assert claimed is not None
    assert claimed.pipeline_name == "pipe"
    hook.succeed(claimed, execution_details={"percentComplete": "100"})
    [job] = emulator.jobs()
    assert job.status == "Succeeded"


@pytest.mark.parametrize(
    "given",
    [ACTION_TYPE, ActionType("Deploy", "Example"), {"category": "Deploy", "provider": "Example"}],
    ids=["aws", "ours", "with-defaults"],
)
def test_a_poll_offers_the_jobs_that_wait_and_claims_none(emulator, customer, hook, given):
    assert hook.poll(given) == []
    emulator.start_execution("pipe")
    [job] = hook.poll(given)
    assert job == OfferedJob(emulator.jobs()[0].job_id, customer.client_id, ActionType("Deploy", "Example"))
    assert status(emulator) == "Dispatched"


def test_a_poll_asks_for_ten_jobs_or_for_as_many_as_it_is_told(emulator, hook):
    for _ in range(12):
        emulator.start_execution("pipe")
    assert len(hook.poll(ACTION_TYPE)) == 10
    assert len(hook.poll(ACTION_TYPE, 1)) == 1
    assert [poll.details["maxBatchSize"] for poll in emulator.ledger.polls()] == [10, 1]


def test_what_is_not_claimed_is_offered_again(emulator, hook, offered):
    assert hook.poll(ACTION_TYPE) == []
    emulator.advance(61)
    assert hook.poll(ACTION_TYPE) == [offered]


@pytest.mark.parametrize("form", ["job", "xcom", "json", "two-ids"])
def test_a_job_may_be_named_in_every_form(emulator, hook, offered, form):
    named = {
        "job": offered,
        "xcom": offered.to_xcom(),
        "json": json.dumps(offered.to_xcom()),
        "two-ids": {"job_id": offered.job_id, "client_id": offered.client_id},
    }[form]
    assert hook.details(named).job_id == offered.job_id
    claimed = hook.claim(named)
    hook.fail(claimed.to_xcom(), message="Broken.")
    assert status(emulator) == "Failed"


def test_the_details_hold_what_the_customer_configured(emulator, customer, hook):
    emulator.add_pipeline(
        "rich",
        client_id=customer.client_id,
        action_type=ACTION_TYPE,
        configuration={"Key": "value"},
        output_artifacts=("Out",),
        encryption_key="arn:aws:kms:us-east-1:123456789012:key/1",
        stage_name="Ship",
        action_name="Partner",
    )
    emulator.start_execution("rich")
    [job] = hook.poll(ACTION_TYPE)
    details = hook.details(job)
    assert details.configuration == {"Key": "value"}
    assert (details.pipeline_name, details.stage_name, details.action_name) == ("rich", "Ship", "Partner")
    assert details.action_execution_id == emulator.jobs()[0].action_execution_id
    assert [artifact.name for artifact in details.input_artifacts] == ["SourceOutput"]
    assert [artifact.name for artifact in details.output_artifacts] == ["Out"]
    assert details.artifact_credentials is not None
    assert set(details.artifact_credentials) == {"accessKeyId", "secretAccessKey", "sessionToken"}
    assert details.encryption_key == {"id": "arn:aws:kms:us-east-1:123456789012:key/1", "type": "KMS"}


def test_all_that_a_result_can_tell_arrives(emulator, hook, claimed):
    hook.succeed(
        claimed,
        current_revision=CurrentRevision("r1", "c1", "2026-01-31T12:00:00", "What changed"),
        continuation_token="step-2",
        execution_details=str(
            {"summary": "Half way", "externalExecutionId": "d/runs/r", "percentComplete": "50"}
        ),
    )
    [put] = emulator.ledger.puts()
    assert put.result == "continue"
    assert put.details == {
        "currentRevision": {
            "revision": "r1",
            "changeIdentifier": "c1",
            "created": put.details["currentRevision"]["created"],
            "revisionSummary": "What changed",
        },
        "continuationToken": "step-2",
        "executionDetails": {"summary": "Half way", "externalExecutionId": "d/runs/r", "percentComplete": 50},
    }
    assert put.details["currentRevision"]["created"] == 1769860800


def test_all_that_a_failure_can_tell_arrives(emulator, hook, claimed):
    hook.fail(claimed, message="No.", failure_type="ConfigurationError", external_execution_id="d/runs/r")
    [put] = emulator.ledger.terminal_results()
    assert put.result == "failure"
    assert put.details == {
        "failureDetails": {"type": "ConfigurationError", "message": "No.", "externalExecutionId": "d/runs/r"}
    }


SETTINGS = [
    {},
    # Row 19: when a job that nobody acknowledged is handed out again.
    {"lease_seconds": 0},
    {"lease_seconds": 0, "nonce_on_redelivery": "same"},
    {"lease_seconds": 10_000_000},
    # Row 24: whether nonces change.
    {"nonce_on_redelivery": "same"},
    {"details_rotate_nonce": True},
    {"lease_seconds": 0, "details_rotate_nonce": True},
    # Row 25: what a second acknowledge with the winning nonce is answered.
    {"repeated_acknowledge": "in_progress"},
    # Row 30: when the job of a continuation comes.
    {"continuation_delay": 0},
    {"continuation_delay": 600},
    # Rows 37 to 39: how long a job and an action may take, from when, and what happens then.
    {"job_timeout": 60},
    {"job_timeout": 43_200},
    {"action_timeout": 24 * 3600},
    {"job_timeout_from": "hand_out"},
    {"job_timeout_effect": "requeue"},
    {"job_timeout_from": "hand_out", "job_timeout_effect": "requeue"},
    # Row 63: whether a former client token stays valid.
    {"rotation_overlap": 3600},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_whole_way_is_the_same_under_every_reading_of_what_aws_leaves_open(emulator, hook, settings):
    emulator.configure(**settings)
    emulator.start_execution("pipe")
    [first] = hook.poll(ACTION_TYPE)
    claimed = hook.claim(first)
    assert claimed.certain
    assert claimed.continuation_token is None
    hook.succeed(claimed, continuation_token="step-2", execution_details={"percentComplete": 50})
    emulator.advance(emulator.settings.continuation_delay)
    [second] = hook.poll(ACTION_TYPE)
    assert second.job_id != first.job_id
    again = hook.claim(second.to_xcom())
    assert again.continuation_token == "step-2"
    assert again.action_execution_id == claimed.action_execution_id
    hook.succeed(again)
    assert [job.status for job in emulator.jobs()] == ["Succeeded", "Succeeded"]
    assert [put.result for put in emulator.ledger.puts()] == ["continue", "success"]
    assert len(emulator.ledger.terminal_results()) == 1
    [action] = emulator.pipeline_state("pipe")["stageStates"][1]["actionStates"]
    assert action["latestExecution"]["status"] == "Succeeded"


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_lost_answers_change_nothing_under_every_reading(emulator, hook, settings):
    emulator.configure(**settings)
    emulator.start_execution("pipe")
    [first] = hook.poll(ACTION_TYPE)
    for operation in (DETAILS, ACKNOWLEDGE, SUCCESS):
        emulator.inject("drop_response", operation)
    claimed = hook.claim(first)
    assert claimed is not None
    hook.succeed(claimed)
    assert status(emulator) == "Succeeded"
    assert len(emulator.ledger.terminal_results()) == 1


# Claims in trouble.


@pytest.mark.parametrize("changed", [{"password": "t" * 257}, {"password": ""}, {"login": "another"}])
def test_a_token_that_got_unusable_leaves_the_doubt_about_the_call(
    hook, emulator, customer, store_token, monkeypatch, changed
):
    emulator.start_execution("pipe")
    [job] = hook.poll(ACTION_TYPE)
    hook.claim(job)
    emulator.inject("drop_response", operation=SUCCESS, times=1)
    # The repetition, after a wait, is refused.
    hook._transport._sleep = lambda seconds: emulator.rotate_token(customer.client_id)
    look_up = ClientTokenHook.get_token

    def changing(self, client_id, *, uncached=False):
        if uncached:
            store_token(customer, **changed)
        return look_up(self, client_id, uncached=uncached)

    monkeypatch.setattr(ClientTokenHook, "get_token", changing)
    with pytest.raises(InvalidClientToken) as refusal:
        hook.succeed(job)
    assert refusal.value.in_doubt is True


def test_a_job_that_is_offered_twice_at_once_is_one_job_and_what_is_none_is_passed_over(
    hook, emulator, monkeypatch
):
    offered = {"jobId": "j", "clientId": "c"}
    strange = [{}, None, {"jobId": "without-client"}, {"jobId": "", "clientId": "c"}]
    monkeypatch.setattr(hook, "_send", lambda call: {"jobs": [offered, *strange, offered]})
    assert [job.job_id for job in hook.poll(ACTION_TYPE)] == ["j"]


def test_a_lost_poll_loses_no_job(emulator, hook):
    emulator.start_execution("pipe")
    emulator.inject("drop_response", POLL)
    assert hook.poll(ACTION_TYPE) == []
    emulator.advance(61)
    assert len(hook.poll(ACTION_TYPE)) == 1
    assert outcomes(emulator, POLL) == ["ok", "ok", "ok"]


def test_the_lost_answer_of_the_details_is_asked_for_again(emulator, hook, offered):
    emulator.inject("drop_response", DETAILS, times=2)
    assert hook.details(offered).nonce
    assert outcomes(emulator, DETAILS) == ["ok"] * 3


def test_after_a_lost_answer_to_the_acknowledge_the_claim_is_unknown(emulator, hook, offered):
    emulator.inject("drop_response", ACKNOWLEDGE)
    claim = hook.try_claim(offered)
    assert claim.state is ClaimState.UNKNOWN
    assert claim.job.pipeline_name == "pipe"
    # The same nonce again, and no other; the details are asked whether it still is the job's.
    assert outcomes(emulator, DETAILS) == ["ok"] * 2
    assert outcomes(emulator, ACKNOWLEDGE) == ["ok", "InvalidNonceException"]


def test_a_refusal_whose_answer_was_lost_is_no_claim(emulator, hook, offered, rival):
    def hand_out_again(job):
        emulator.advance(61)
        assert rival.poll() == [job.job_id]

    emulator.inject("drop_response", ACKNOWLEDGE)
    assert hook.try_claim(offered, before_acknowledge=hand_out_again).state is ClaimState.LOST
    assert outcomes(emulator, ACKNOWLEDGE) == ["InvalidNonceException"] * 2
    # It is offered again, and then it can be claimed.
    emulator.advance(61)
    assert hook.claim(hook.poll(ACTION_TYPE)[0]) is not None


def test_where_details_change_the_nonce_a_claim_in_doubt_stays_so(emulator, hook, offered, monkeypatch):
    details = hook._details
    numbers = iter(range(100))
    monkeypatch.setattr(
        hook, "_details", lambda job: dataclasses.replace(details(job), nonce=f"nonce-{next(numbers)}")
    )
    assert hook.try_claim(offered, in_doubt=True).state is ClaimState.UNKNOWN


@pytest.mark.parametrize("nonce", [None, ""])
def test_where_details_tell_no_nonce_any_more_a_claim_in_doubt_stays_so(
    hook, offered, claimed, monkeypatch, nonce
):
    details = hook._details
    answers = iter([{}, {"nonce": nonce}, {"nonce": nonce}])
    monkeypatch.setattr(hook, "_details", lambda job: dataclasses.replace(details(job), **next(answers)))
    assert hook.try_claim(offered, in_doubt=True).state is ClaimState.UNKNOWN


def test_where_the_details_cannot_be_asked_a_claim_in_doubt_stays_so(emulator, hook, offered):
    emulator.inject("drop_response", ACKNOWLEDGE)

    def no_more_details(job):
        emulator.inject("error", operation=DETAILS, code="AccessDeniedException", status=400)

    assert hook.try_claim(offered, before_acknowledge=no_more_details).state is ClaimState.UNKNOWN


@pytest.mark.parametrize("choice", ["assume_ours", "leave"])
def test_an_unknown_claim_is_taken_or_left_as_told(emulator, hook, offered, choice):
    emulator.inject("drop_response", ACKNOWLEDGE)
    claimed = hook.claim(offered, unknown_claim=choice)
    assert (claimed is not None) is (choice == "assume_ours")
    assert status(emulator) == "InProgress"
    assert emulator.ledger.puts() == []


def test_a_lost_answer_is_no_doubt_where_the_service_says_again_that_the_job_is_ours(emulator, hook, offered):
    emulator.configure(repeated_acknowledge="in_progress")
    emulator.inject("drop_response", ACKNOWLEDGE)
    assert hook.try_claim(offered).state is ClaimState.CLAIMED


def test_a_claim_of_an_earlier_process_makes_a_spent_nonce_unknown(hook, offered, claimed):
    assert hook.try_claim(offered, in_doubt=True).state is ClaimState.UNKNOWN
    assert hook.try_claim(offered).state is ClaimState.LOST


@pytest.mark.parametrize(
    "fault", [{"kind": "throttle"}, {"kind": "error", "code": "SlowDown", "status": 429}], ids=str
)
def test_a_race_that_is_lost_while_we_were_throttled_is_lost_for_certain(
    emulator, hook, offered, rival, fault
):
    emulator.inject(operation=ACKNOWLEDGE, **fault)
    hook._transport._sleep = lambda seconds: rival.acknowledge(offered.job_id) and None
    claim = hook.try_claim(offered)
    assert claim.state is ClaimState.LOST
    assert outcomes(emulator, ACKNOWLEDGE)[1:] == ["ok", "InvalidNonceException"]


def test_a_lost_race_is_an_outcome_and_nothing_is_acknowledged_again(emulator, hook, offered, rival):
    claim = hook.try_claim(offered, before_acknowledge=lambda job: rival.acknowledge(job.job_id) and None)
    assert claim.state is ClaimState.LOST
    assert outcomes(emulator, ACKNOWLEDGE) == ["ok", "InvalidNonceException"]


@pytest.mark.parametrize("choice", ["assume_ours", "leave"])
def test_a_job_that_another_worker_has_is_none_of_ours(emulator, hook, offered, rival, choice):
    assert rival.acknowledge(offered.job_id) == "InProgress"
    assert hook.claim(offered, unknown_claim=choice) is None
    assert outcomes(emulator, ACKNOWLEDGE) == ["ok", "InvalidNonceException"]
    assert emulator.ledger.puts() == []
    rival.succeed(offered.job_id)
    assert status(emulator) == "Succeeded"


def test_a_job_that_is_offered_twice_is_claimed_once(emulator, hook, claimed):
    emulator.inject("duplicate", in_progress=True)
    [again] = hook.poll(ACTION_TYPE)
    assert again.job_id == claimed.job_id
    assert hook.claim(again) is None
    assert status(emulator) == "InProgress"


def test_a_stale_nonce_loses_the_claim_and_the_job_is_offered_again(emulator, hook, offered, rival):
    def hand_out_again(job):
        emulator.advance(61)
        assert rival.poll() == [job.job_id]

    assert hook.try_claim(offered, before_acknowledge=hand_out_again).state is ClaimState.LOST
    assert outcomes(emulator, ACKNOWLEDGE) == ["InvalidNonceException"]
    assert status(emulator) == "Dispatched"
    emulator.advance(61)
    [again] = hook.poll(ACTION_TYPE)
    assert again == offered
    assert hook.claim(again) is not None


@pytest.mark.parametrize("answer", ["status", "error"])
def test_a_job_that_has_ended_is_lost(emulator, hook, offered, rival, answer):
    emulator.configure(acknowledge_ended_job=answer)
    rival.acknowledge(offered.job_id)
    rival.succeed(offered.job_id)
    assert hook.try_claim(offered).state is ClaimState.LOST
    assert hook.claim(offered) is None


def test_the_intent_is_told_with_the_jobs_data_before_the_acknowledge(emulator, hook, offered):
    seen = []

    def note(job):
        seen.append((job, outcomes(emulator, DETAILS), outcomes(emulator, ACKNOWLEDGE)))

    claim = hook.try_claim(offered, before_acknowledge=note)
    assert seen == [(claim.job, ["ok"], [])]


def test_an_intent_that_cannot_be_recorded_stops_the_claim(emulator, hook, offered):
    def fail(job):
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        hook.try_claim(offered, before_acknowledge=fail)
    assert outcomes(emulator, ACKNOWLEDGE) == []


def test_an_acknowledge_without_an_answer_is_an_error_in_doubt(emulator, hook, offered):
    emulator.inject("drop_response", ACKNOWLEDGE, times=1)
    emulator.inject("drop_request", ACKNOWLEDGE, times=None)
    with pytest.raises(ServiceUnavailable) as silence:
        hook.claim(offered)
    assert silence.value.in_doubt
    assert silence.value.job_id == offered.job_id


@pytest.mark.parametrize("choice", ["planted", "", None])
def test_a_wrong_choice_for_an_unknown_claim_is_refused_before_any_call(emulator, hook, offered, choice):
    with pytest.raises(InvalidInput):
        hook.claim(offered, unknown_claim=choice)
    assert outcomes(emulator, DETAILS) == []


# Details with members missing.

MEMBERS = (
    "id",
    "data",
    "data.actionTypeId",
    "data.actionConfiguration",
    "data.actionConfiguration.configuration",
    "data.pipelineContext",
    "data.pipelineContext.pipelineName",
    "data.pipelineContext.stage",
    "data.pipelineContext.stage.name",
    "data.pipelineContext.action",
    "data.pipelineContext.action.name",
    "data.pipelineContext.action.actionExecutionId",
    "data.inputArtifacts",
    "data.inputArtifacts.0.name",
    "data.inputArtifacts.0.revision",
    "data.inputArtifacts.0.location",
    "data.inputArtifacts.0.location.s3Location",
    "data.inputArtifacts.0.location.s3Location.objectKey",
    "data.outputArtifacts",
    "data.artifactCredentials",
    "data.artifactCredentials.sessionToken",
)


@pytest.mark.parametrize("members", [*([member] for member in MEMBERS), list(MEMBERS)], ids=str)
def test_a_job_is_claimed_and_ended_whatever_members_its_details_lack(emulator, hook, offered, members):
    emulator.inject("omit", members=members)
    claimed = hook.claim(offered)
    assert claimed.job == offered
    hook.succeed(claimed)
    assert status(emulator) == "Succeeded"


def test_without_details_the_job_is_not_acknowledged(emulator, hook, offered):
    emulator.inject("omit", members=["jobDetails"], times=None)
    with pytest.raises(ServiceUnavailable, match="the answer is none"):
        hook.claim(offered)
    assert outcomes(emulator, ACKNOWLEDGE) == []


def test_without_a_nonce_the_job_is_not_acknowledged_and_the_error_says_why(emulator, hook, offered):
    emulator.inject("omit", members=["nonce"])
    with pytest.raises(RequestRefused, match="hold no nonce") as refusal:
        hook.claim(offered)
    assert refusal.value.job_id == offered.job_id
    assert outcomes(emulator, ACKNOWLEDGE) == []
    assert status(emulator) == "Dispatched"


def test_an_offer_without_a_job_id_or_a_client_id_is_passed_over(hook, monkeypatch):
    # The emulator never gives one; the model says that both members are optional.
    answer = {"jobs": [{"clientId": "c"}, {"jobId": "j"}, {"jobId": "k", "clientId": "c"}]}
    monkeypatch.setattr(hook, "_send", lambda call: answer)
    assert [(job.job_id, job.client_id) for job in hook.poll(ACTION_TYPE)] == [("k", "c")]
    monkeypatch.setattr(hook, "_send", lambda call: {})
    assert hook.poll(ACTION_TYPE) == []


# Results in trouble.


def end(hook, job, operation):
    if operation == SUCCESS:
        hook.succeed(job)
    else:
        hook.fail(job, message="Broken.")


@pytest.mark.parametrize("operation", [SUCCESS, FAILURE])
def test_a_put_whose_answer_was_lost_is_taken_as_put_and_there_is_one_result(
    emulator, hook, claimed, operation, caplog
):
    emulator.inject("drop_response", operation)
    end(hook, claimed, operation)
    assert outcomes(emulator, operation) == ["ok", "InvalidJobStateException"]
    [result] = emulator.ledger.terminal_results()
    assert result.result == ("success" if operation == SUCCESS else "failure")


def test_a_continuation_whose_answer_was_lost_is_put_once(emulator, hook, claimed):
    emulator.inject("drop_response", SUCCESS)
    hook.succeed(claimed, continuation_token="step-2")
    assert [put.result for put in emulator.ledger.puts() if put.outcome == "ok"] == ["continue"]
    assert len(emulator.jobs()) == 2


@pytest.mark.parametrize("first", [SUCCESS, FAILURE])
@pytest.mark.parametrize("second", [SUCCESS, FAILURE])
def test_a_second_put_is_an_error_and_changes_nothing(emulator, hook, claimed, first, second):
    end(hook, claimed, first)
    before = status(emulator)
    with pytest.raises(JobNotInProgress, match="retry it in CodePipeline") as refusal:
        end(hook, claimed, second)
    assert refusal.value.job_id == claimed.job_id
    assert status(emulator) == before
    assert len(emulator.ledger.terminal_results()) == 1


@pytest.mark.parametrize("operation", [SUCCESS, FAILURE])
def test_a_put_that_was_only_throttled_is_not_taken_as_put(emulator, hook, claimed, rival, operation):
    emulator.inject("throttle", operation)
    hook._transport._sleep = lambda seconds: rival.succeed(claimed.job_id)
    with pytest.raises(JobNotInProgress):
        end(hook, claimed, operation)


def test_a_put_that_an_earlier_process_intended_is_taken_as_put(emulator, hook, claimed):
    from airflow_codepipeline_partner._protocol import requests

    call = requests.success(claimed.job)
    hook.put(call)
    hook.put(call, intended_before=True)
    with pytest.raises(JobNotInProgress):
        hook.put(call)
    assert len(emulator.ledger.terminal_results()) == 1


@pytest.mark.parametrize("operation", [SUCCESS, FAILURE])
def test_no_result_is_taken_for_a_job_that_is_not_acknowledged(emulator, hook, offered, operation):
    with pytest.raises(JobNotInProgress):
        end(hook, offered, operation)
    assert status(emulator) == "Dispatched"


def test_no_result_is_taken_for_a_job_that_timed_out(emulator, hook, claimed):
    emulator.advance(3601)
    with pytest.raises(JobNotInProgress, match="its state is TimedOut"):
        hook.succeed(claimed)
    assert emulator.ledger.terminal_results() == []


def test_a_put_that_was_lost_on_the_way_arrives_in_the_end(emulator, hook, claimed, fake_time):
    emulator.inject("drop_request", SUCCESS, times=4)
    hook.succeed(claimed)
    assert len(emulator.ledger.terminal_results()) == 1
    assert len(fake_time.sleeps) == 4


# Refusals, each of its own type.


def calls(hook, job):
    return {
        "details": lambda: hook.details(job),
        "claim": lambda: hook.claim(job),
        "succeed": lambda: hook.succeed(job),
        "fail": lambda: hook.fail(job, message="m"),
    }


CALLS = ("details", "claim", "succeed", "fail")


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_client_token_is_an_invalid_client_token(
    emulator, customer, hook, offered, store_token, name
):
    store_token(customer, password="planted-wrong-token")
    with pytest.raises(InvalidClientToken) as refusal:
        calls(hook, offered)[name]()
    assert refusal.value.job_id == offered.job_id
    assert customer.client_id in str(refusal.value)
    assert "planted" not in str(refusal.value)
    assert status(emulator) == "Dispatched"


@pytest.mark.parametrize("name", CALLS)
def test_one_customers_bad_token_holds_up_no_other(emulator, hook, offered, store_token, name):
    other = emulator.add_customer()
    emulator.add_pipeline("other", client_id=other.client_id, action_type=ACTION_TYPE)
    store_token(other, password="planted-wrong-token")
    emulator.start_execution("other")
    [theirs] = hook.poll(ACTION_TYPE)
    with pytest.raises(InvalidClientToken):
        calls(hook, theirs)[name]()
    hook.succeed(hook.claim(offered))
    assert {job.client_id: job.status for job in emulator.jobs()}[offered.client_id] == "Succeeded"


@pytest.mark.parametrize("check_first", ["job", "token"])
@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_job_is_not_found(emulator, customer, hook, name, check_first):
    emulator.configure(check_first=check_first)
    job = {"job_id": "no-such-job", "client_id": customer.client_id}
    with pytest.raises(JobNotFound, match="no-such-job") as refusal:
        calls(hook, job)[name]()
    assert refusal.value.job_id == "no-such-job"


@pytest.mark.parametrize("name", CALLS)
def test_a_client_without_a_connection_is_refused_before_any_call(emulator, hook, name):
    before = len(emulator.ledger)
    with pytest.raises(ClientConnectionError, match="airflow connections add"):
        calls(hook, {"job_id": "j", "client_id": "unheard-of"})[name]()
    assert len(emulator.ledger) == before


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("job", [None, {}, {"job_id": "j"}, "planted", 7], ids=str)
def test_what_is_no_job_is_refused_before_any_call(emulator, hook, name, job):
    before = len(emulator.ledger)
    with pytest.raises(InvalidJobReference):
        calls(hook, job)[name]()
    assert len(emulator.ledger) == before


@pytest.mark.parametrize(
    ("asked", "settings", "region"),
    [
        ({**ACTION_TYPE, "provider": "Nobody"}, {}, "us-east-1"),
        ({**ACTION_TYPE, "version": "9"}, {}, "us-east-1"),
        (ACTION_TYPE, {"region": "eu-west-1"}, "us-east-1"),
    ],
    ids=["provider", "version", "region"],
)
def test_an_unknown_action_type_is_named_with_all_its_parts_and_the_region(
    emulator, hook, asked, settings, region
):
    emulator.configure(**settings)
    with pytest.raises(ActionTypeNotFound) as refusal:
        hook.poll(asked)
    text = str(refusal.value)
    for part in (*(f"{name} {value}" for name, value in asked.items()), f"region {region}"):
        assert part in text
    assert not refusal.value.retryable
    assert outcomes(emulator, POLL) == ["ActionTypeNotFoundException"]


def test_the_region_of_the_hook_goes_before_that_of_the_connection(emulator, make_hook):
    emulator.configure(region="eu-west-1")
    hook = make_hook(region_name="eu-west-1")
    assert hook.poll(ACTION_TYPE) == []
    assert hook.location == ("aws", "eu-west-1")


@pytest.mark.parametrize(
    ("region_name", "partition"),
    [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_the_location_names_the_partition(make_hook, region_name, partition):
    assert make_hook(region_name=region_name).location == (partition, region_name)


def test_awss_own_actions_are_refused_before_any_call(emulator, hook):
    with pytest.raises(InvalidInput, match="owner AWS are not served"):
        hook.poll({**ACTION_TYPE, "owner": "AWS"})
    assert emulator.ledger.polls() == []


# Input that cannot be sent.


@pytest.mark.parametrize(
    ("result", "field"),
    [
        ({"execution_details": {"percentComplete": 101}}, "executionDetails.percentComplete"),
        ({"execution_details": {"percentComplete": -1}}, "executionDetails.percentComplete"),
        ({"execution_details": {"externalExecutionId": "x" * 1501}}, "executionDetails.externalExecutionId"),
        ({"continuation_token": "t" * 2049}, "continuationToken"),
        ({"continuation_token": ""}, "continuationToken"),
        ({"continuation_token": "None"}, "continuationToken"),
        ({"current_revision": {"revision": "r"}}, "currentRevision.changeIdentifier"),
        (
            {"current_revision": {"revision": "x" * 1501, "changeIdentifier": "c"}},
            "currentRevision.revision",
        ),
        (
            {"current_revision": {"revision": "r", "changeIdentifier": "x" * 101}},
            "currentRevision.changeIdentifier",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_success_that_cannot_be_sent_is_refused_before_any_call(emulator, hook, claimed, result, field):
    with pytest.raises(LimitExceeded) as refusal:
        hook.succeed(claimed, **result)
    assert refusal.value.field == field
    assert emulator.ledger.puts() == []
    assert status(emulator) == "InProgress"


@pytest.mark.parametrize(
    ("result", "field"),
    [
        ({"message": "m", "failure_type": "Unheard"}, "failureDetails.type"),
        ({"message": ""}, "failureDetails.message"),
        ({"message": None}, "failureDetails.message"),
        ({"message": "m", "external_execution_id": "x" * 1501}, "failureDetails.externalExecutionId"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failure_that_cannot_be_sent_is_refused_before_any_call(emulator, hook, claimed, result, field):
    with pytest.raises(LimitExceeded) as refusal:
        hook.fail(claimed, **result)
    assert refusal.value.field == field
    assert emulator.ledger.puts() == []


@pytest.mark.parametrize("size", [0, -1, "many", None])
def test_a_batch_size_that_cannot_be_sent_is_refused_before_any_call(emulator, hook, size):
    with pytest.raises(LimitExceeded):
        hook.poll(ACTION_TYPE, size)
    assert emulator.ledger.polls() == []


def test_a_summary_and_a_message_that_are_too_long_are_cut_and_put(emulator, hook, claimed, caplog):
    with caplog.at_level(logging.WARNING):
        hook.succeed(claimed, continuation_token="t", execution_details={"summary": "s" * 3000})
        emulator.advance(30)
        [second] = hook.poll(ACTION_TYPE)
        hook.fail(hook.claim(second), message="m" * 9000)
    shown, failed = emulator.ledger.puts()
    summary = shown.details["executionDetails"]["summary"]
    message = failed.details["failureDetails"]["message"]
    assert (len(summary), len(message)) == (2048, 5000)
    assert summary.endswith(CUT_MARK)
    assert message.endswith(CUT_MARK)
    cut = [record for record in caplog.records if record.name.endswith("._limits")]
    assert [re.search(r"has (\d+) characters", record.getMessage())[1] for record in cut] == ["3000", "9000"]


# Secrets.


def everything(error: BaseException) -> str:
    """All that an exception and those it hides can show."""
    shown, seen, left = [], set(), [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        shown += [str(each), repr(each), repr(each.args), repr(vars(each)), *traceback.format_exception(each)]
        left += [each.__cause__, each.__context__]
    return "\n".join(shown)


TROUBLES = [
    {"kind": "throttle", "times": None},
    {"kind": "drop_response", "times": None},
    {"kind": "server_error", "times": None},
    {"kind": "error", "code": "ValidationException"},
    {"kind": "error", "code": "InvalidClientTokenException", "times": None},
    {"kind": "error", "code": "InvalidNonceException"},
    {"kind": "error", "code": "InternalFailure", "status": 500, "times": None},
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: "-".join(map(str, trouble.values())))
def test_no_secret_is_shown_whatever_goes_wrong(
    emulator, make_hook, store_token, monkeypatch, caplog, capfd, trouble
):
    from airflow.sdk._shared.secrets_masker import SecretsMasker

    # The masker would hide what should not be there at all.
    monkeypatch.setattr(SecretsMasker, "redact", lambda self, item, *args, **kwargs: item)
    # botocore's own debug log shows requests; that is AWS's, and the masker's business.
    caplog.set_level(logging.DEBUG, "airflow_codepipeline_partner")
    caplog.set_level(logging.DEBUG, "airflow")

    token = "planted-client-token-0123456789"
    planted = {token, "planted-configuration-value", "planted-aws-secret-key"}
    connection = {
        "conn_type": "aws",
        "login": "AKIAEXAMPLE",
        "password": "planted-aws-secret-key",
        "extra": {"region_name": "us-east-1", "endpoint_url": emulator.url},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    customer = emulator.add_customer(client_token=token)
    store_token(customer)
    configuration = {"Password": "planted-configuration-value"}
    emulator.add_pipeline(
        "secret", client_id=customer.client_id, action_type=ACTION_TYPE, configuration=configuration
    )
    hook = make_hook(retry_deadline=3)
    shown = []

    def work(operation):
        emulator.start_execution("secret")
        [job] = hook.poll(ACTION_TYPE)
        # The emulator's own is a random number that may be short.
        emulator.state.jobs[job.job_id].nonce = f"planted-nonce-{operation}"
        details = hook.details(job)
        shown.append(repr(details))
        planted.add(details.nonce)
        planted.update(details.artifact_credentials[name] for name in ("secretAccessKey", "sessionToken"))
        claimed = hook.claim(job) if operation in (SUCCESS, FAILURE) else job
        shown.append(repr(claimed))
        # AWS may quote what it was sent and refuses.
        said = f"Value {token} or {details.nonce if operation == ACKNOWLEDGE else ''} is no good."
        message = {"message": said} if trouble["kind"] == "error" else {}
        emulator.inject(operation=operation, **trouble, **message)
        if operation == DETAILS:
            shown.append(repr(hook.details(job)))
        elif operation == ACKNOWLEDGE:
            shown.append(repr(hook.try_claim(job)))
        else:
            end(hook, claimed, operation)

    failed = []
    for operation in (DETAILS, ACKNOWLEDGE, SUCCESS, FAILURE):
        try:
            work(operation)
        except CodePipelineProviderError as error:
            failed.append(operation)
            shown.append(everything(error))
            # What a log of the exception would hold.
            logging.getLogger("airflow_codepipeline_partner").exception("It failed.")
        emulator.clear_faults()
    out = capfd.readouterr()
    everywhere = "\n".join([*shown, caplog.text, *(repr(vars(r)) for r in caplog.records), out.out, out.err])
    assert failed
    assert len(planted) == 3 + 4 * 3
    assert all(len(secret) >= 16 for secret in planted)
    assert [secret for secret in planted if secret in everywhere] == []


def test_the_search_for_secrets_sees_what_exceptions_hide():
    try:
        raise ValueError("planted-inner")
    except ValueError:
        error = KeyError("outer")
        error.__context__ = None
        try:
            raise error from None
        except KeyError as hiding:
            found = everything(hiding)
    assert "planted-inner" in found


def test_what_the_details_hold_is_known_to_airflows_masker(hook, offered):
    from airflow.sdk.log import mask_logs

    details = hook.details(offered)
    secrets = (
        details.artifact_credentials["secretAccessKey"],
        details.artifact_credentials["sessionToken"],
        details.nonce,
    )
    for secret in secrets:
        shown = mask_logs(None, "info", {"event": f"A log line with {secret} in it."})["event"]
        assert shown == "A log line with *** in it."


def test_the_client_token_is_known_to_airflows_masker(hook, customer):
    from airflow.sdk.log import mask_logs

    token = hook.client_token(customer.client_id)
    assert token == customer.client_token
    assert mask_logs(None, "info", {"event": f"with {token}"})["event"] == "with ***"


def test_the_ledger_of_a_claim_names_the_client_and_its_outcome(hook, offered, caplog, capfd):
    caplog.set_level(logging.INFO)
    hook.try_claim(offered)
    out = capfd.readouterr()
    told = caplog.text + out.out + out.err
    assert f"Claim of job {offered.job_id} (client {offered.client_id}): claimed" in told


def test_the_user_agent_names_the_hook_without_a_look_at_the_stack(make_hook, monkeypatch):
    def look():
        raise AssertionError("The source of each function on the stack was read.")

    # The amazon provider looks there, which takes longer than all else that makes a client.
    monkeypatch.setattr(inspect, "stack", look)
    agent = make_hook()._transport.client.meta.config.user_agent
    assert "Caller/CodePipelineHook" in agent
