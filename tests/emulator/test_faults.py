# SPDX-License-Identifier: Apache-2.0
"""What the emulator does wrong on demand."""

from __future__ import annotations

import random
import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError

from airflow_codepipeline_partner.emulator import ControlError
from airflow_codepipeline_partner.emulator.faults import (
    ARTIFACT_CALLS,
    JOB_CALLS,
    KINDS,
    Fault,
    stopping_fault,
)
from airflow_codepipeline_partner.emulator.http import app

ACK, POLL, DETAILS = "AcknowledgeThirdPartyJob", "PollForThirdPartyJobs", "GetThirdPartyJobDetails"
ARTIFACTS = {"input_artifacts": ["In"], "output_artifacts": ["Out"]}


def code(call, *arguments, **options):
    with pytest.raises(ClientError) as error:
        call(*arguments, **options)
    return error.value.response["Error"]["Code"], error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def entries(w):
    """Count the calls that have come so far that a fault may match them."""
    entered, match = threading.Semaphore(0), w.emu.state.faults.match
    w.emu.state.faults.match = lambda *call: (entered.release(), match(*call))[1]
    return entered


def test_a_call_is_throttled_as_often_as_asked_and_does_nothing(world):
    w = world()
    w.start()
    w.emu.inject("throttle", POLL, times=2)
    assert code(w.worker.poll) == ("ThrottlingException", 400)
    assert code(w.worker.poll) == ("ThrottlingException", 400)
    assert len(w.worker.poll()) == 1
    assert [entry.faults for entry in w.emu.ledger.polls()] == [("throttle",), ("throttle",), ()]
    assert w.emu.faults() == []


def test_boto3_itself_retries_a_throttled_call(world, client, aws):
    w = world()
    w.start()
    w.emu.inject("throttle", POLL, times=1)
    patient = client("codepipeline", w.emu, config=None)
    action_type = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
    answer = patient.poll_for_third_party_jobs(actionTypeId=action_type)
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    assert len(answer["jobs"]) == 1


def test_server_errors_and_errors_of_ones_own(world):
    w = world()
    w.start()
    job_id = w.worker.claim()
    w.emu.inject("server_error", "PutThirdPartyJobSuccessResult", status=503)
    assert code(w.worker.succeed, job_id) == ("InternalFailure", 503)
    assert w.status(job_id) == "InProgress"
    w.emu.inject("error", DETAILS, code="InvalidJobException", message="odd")
    with pytest.raises(w.worker.error.InvalidJobException, match="odd"):
        w.worker.details(job_id)
    [put] = w.emu.ledger.puts(job_id)
    assert (put.outcome, put.status_after, put.result) == ("InternalFailure", "InProgress", None)


def test_a_dropped_response_leaves_the_job_taken(world):
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    nonce = w.worker.details(job_id)["nonce"]
    w.emu.inject("drop_response", ACK)
    with pytest.raises(ConnectionClosedError):
        w.worker.acknowledge(job_id, nonce)
    assert w.status(job_id) == "InProgress"
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(job_id, nonce)
    lost = w.emu.ledger.where(operation=ACK)[0]
    assert (lost.outcome, lost.faults) == ("ok", ("drop_response",))


def test_a_dropped_request_leaves_the_job_as_it_was(world):
    w = world()
    w.start()
    [job_id] = w.worker.poll_ids()
    nonce = w.worker.details(job_id)["nonce"]
    w.emu.inject("drop_request", ACK)
    with pytest.raises(ConnectionClosedError):
        w.worker.acknowledge(job_id, nonce)
    assert w.status(job_id) == "Dispatched"
    assert w.worker.acknowledge(job_id, nonce) == "InProgress"


def test_a_refusal_can_get_lost_too(world):
    w = world()
    w.emu.inject("drop_response", DETAILS)
    with pytest.raises(ConnectionClosedError):
        w.worker.details("unknown")
    with pytest.raises(w.worker.error.JobNotFoundException):
        w.worker.details("unknown")


def test_two_faults_that_stop_a_call_hit_two_calls(world):
    w = world()
    w.emu.inject("drop_response", POLL)
    w.emu.inject("throttle", POLL)
    w.emu.inject("server_error", POLL)
    assert code(w.worker.poll) == ("ThrottlingException", 400)
    assert code(w.worker.poll) == ("InternalFailure", 500)
    with pytest.raises(ConnectionClosedError):
        w.worker.poll()
    assert w.worker.poll() == []


def a_fault(kind):
    return Fault(kind, None, 1, None, None, None, {}, random.Random())  # noqa: S311 - not a secret


def test_these_kinds_stop_a_call():
    stopping = [kind for kind in KINDS if stopping_fault([a_fault(kind)]) is not None]
    assert stopping == ["throttle", "server_error", "error", "drop_request", "lose_event"]


def test_the_first_that_stops_it_counts():
    slow, error, throttle = a_fault("slow"), a_fault("error"), a_fault("throttle")
    assert stopping_fault([slow, error, throttle]) is error
    assert stopping_fault([slow]) is None
    assert stopping_fault([]) is None


def test_a_slow_call_is_done_late_and_delays_no_other(world, client, monkeypatch):
    w = world()
    waiting, go = threading.Event(), threading.Event()

    def wait(seconds):
        assert seconds == 7
        waiting.set()
        assert go.wait(20)

    monkeypatch.setattr(w.emu.state.faults.cleared, "wait", wait)
    w.start()
    w.emu.inject("slow", POLL, seconds=7)
    w.emu.inject("throttle", DETAILS)
    got = []
    slow = threading.Thread(target=lambda: got.append(w.worker.poll_ids()))
    slow.start()
    assert waiting.wait(20)
    [job] = w.emu.jobs()
    assert job.status == "Queued"
    other = client("codepipeline", w.emu)
    assert code(other.get_third_party_job_details, jobId="x", clientToken="x")[0] == "ThrottlingException"
    go.set()
    slow.join(20)
    assert got == [[job.job_id]]


def test_slow_calls_leave_the_controls_free(world, http):
    """And clearing the faults ends the wait."""
    w = world()
    w.emu.inject("slow", POLL, times=None, seconds=60)
    entered = entries(w)
    got = []
    calls = [threading.Thread(target=lambda: got.append(w.worker.poll())) for _ in range(20)]
    for call in calls:
        call.start()
    for _ in calls:
        assert entered.acquire(timeout=20)
    assert http(f"{w.emu.url}/_emu/faults/clear", b"")[0] == 200
    for call in calls:
        call.join(20)
    assert got == [[]] * len(calls)


def test_a_reset_ends_the_waiting_too(world):
    w = world()
    w.emu.inject("slow", "GetThirdPartyJobDetails", seconds=60)
    entered = entries(w)
    caught = []
    call = threading.Thread(target=lambda: caught.append(code(w.worker.details, "unknown")))
    call.start()
    assert entered.acquire(timeout=20)
    w.emu.reset()
    call.join(20)
    assert caught == [("JobNotFoundException", 400)]


def test_more_slow_calls_than_can_wait_do_not_wait(world, monkeypatch):
    monkeypatch.setattr(app, "MAX_SLOW_CALLS", 0)
    w = world()
    w.emu.inject("slow", POLL, seconds=60)
    assert w.worker.poll() == []


def test_stopping_does_not_wait_for_slow_calls(world):
    w = world()
    w.emu.inject("slow", POLL, seconds=60)
    entered = entries(w)
    got = []
    slow = threading.Thread(target=lambda: got.append(w.worker.poll_ids()))
    slow.start()
    assert entered.acquire(timeout=20)
    w.emu.stop()
    slow.join(20)
    assert got == [[]]


def test_jobs_can_be_handed_out_twice(world):
    w = world()
    w.start()
    w.start()
    [one] = w.worker.poll_ids(1)
    w.emu.inject("duplicate")
    both = w.worker.poll_ids()
    assert both[0] == one
    assert len(both) == 2
    assert w.worker.poll_ids() == []


def test_a_batch_stays_within_its_size_with_duplicates(world):
    w = world()
    w.start()
    w.start()
    [one] = w.worker.poll_ids(1)
    w.emu.inject("duplicate")
    assert w.worker.poll_ids(1) == [one]


def test_a_job_in_progress_can_be_handed_out_again(world):
    """It still belongs to its owner."""
    w = world()
    w.start()
    job_id = w.worker.claim()
    w.emu.inject("duplicate", times=1)
    assert w.worker.poll_ids() == []
    w.emu.inject("duplicate", in_progress=True)
    assert w.worker.poll_ids() == [job_id]
    with pytest.raises(w.worker.error.InvalidNonceException):
        w.worker.acknowledge(job_id)
    w.worker.succeed(job_id)
    w.emu.inject("duplicate", in_progress=True)
    assert w.worker.poll_ids() == []


def test_members_of_the_details_can_be_missing(world):
    w = world(pipeline=ARTIFACTS | {"configuration": {"Host": "h", "Port": "1"}})
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.inject("omit", members=["data.pipelineContext", "jobDetails.nonce", "data.inputArtifacts.0.name"])
    details = w.worker.details(job_id)
    assert "pipelineContext" not in details["data"]
    assert "nonce" not in details
    assert "name" not in details["data"]["inputArtifacts"][0]
    w.emu.inject("omit", members=["data.actionConfiguration.configuration.Host"])
    assert w.worker.details(job_id)["data"]["actionConfiguration"]["configuration"] == {"Port": "1"}
    w.emu.inject("omit", DETAILS, members=["data"])
    assert "data" not in w.worker.details(job_id)
    assert "pipelineContext" in w.worker.details(job_id)["data"]


def test_members_of_the_details_can_be_wrong(world):
    w = world(pipeline=ARTIFACTS)
    w.start()
    [job_id] = w.worker.poll_ids()
    key = "data.inputArtifacts.0.location.s3Location.objectKey"
    w.emu.inject(
        "replace",
        members={key: "../../etc", "data.inputArtifacts.7.name": "x", "data.continuationToken": "t"},
    )
    data = w.worker.details(job_id)["data"]
    assert data["inputArtifacts"][0]["location"]["s3Location"]["objectKey"] == "../../etc"
    assert data["continuationToken"] == "t"
    assert len(data["inputArtifacts"]) == 1


def test_a_whole_item_of_a_list_can_be_missing_or_wrong(world):
    w = world(pipeline={"input_artifacts": ["One", "Two"]})
    w.start()
    [job_id] = w.worker.poll_ids()
    w.emu.inject("omit", members=["data.inputArtifacts.0", "data.inputArtifacts.7"])
    w.emu.inject("replace", members={"data.inputArtifacts.0": {"name": "Odd"}})
    assert [artifact["name"] for artifact in w.worker.details(job_id)["data"]["inputArtifacts"]] == ["Odd"]


@pytest.mark.parametrize(("body", "headers"), [(b"{", {}), (b"{}", {"Authorization": ""})])
def test_a_malformed_call_is_throttled_too(world, signed_call, body, headers):
    w = world()
    w.emu.inject("throttle", POLL)
    assert signed_call(w.emu, POLL, body, **headers)[1]["__type"] == "ThrottlingException"
    assert signed_call(w.emu, POLL, body, **headers)[1]["__type"] != "ThrottlingException"


def test_a_fault_can_be_for_one_job_or_one_client_only(world):
    w = world()
    other = w.emu.add_customer()
    w.emu.add_pipeline("other", client_id=other.client_id, input_artifacts=())
    w.start()
    w.start("other")
    mine, theirs = w.worker.poll_ids()
    w.emu.inject("throttle", times=None, client_id=other.client_id)
    w.worker.details(mine)
    assert code(w.worker.details, theirs) == ("ThrottlingException", 400)
    w.emu.clear_faults()
    w.emu.inject("throttle", times=None, job_id=mine)
    assert code(w.worker.details, mine) == ("ThrottlingException", 400)
    with pytest.raises(w.worker.error.InvalidClientTokenException):
        w.worker.details(theirs)


def test_a_fault_without_end_lasts_until_it_is_cleared(world):
    w = world()
    w.emu.inject("throttle", times=None)
    for _ in range(5):
        assert code(w.worker.poll)[0] == "ThrottlingException"
    assert code(w.worker.details, "x")[0] == "ThrottlingException"
    w.emu.clear_faults()
    assert w.worker.poll() == []


def test_chance_is_repeatable_by_its_seed(world):
    def outcomes(seed):
        w = world()
        w.emu.inject("throttle", POLL, times=None, probability=0.5, seed=seed)
        for _ in range(20):
            try:
                w.worker.poll()
            except ClientError:
                continue
        return [entry.outcome for entry in w.emu.ledger.polls()]

    assert outcomes(1) == outcomes(1)
    assert outcomes(1) != outcomes(2)
    assert set(outcomes(1)) == {"ok", "ThrottlingException"}


def test_transfers_of_a_job_can_go_wrong_too(world):
    w = world(pipeline=ARTIFACTS)
    w.start()
    job_id = w.worker.claim()
    data = w.worker.details(job_id)["data"]
    keys = data["artifactCredentials"]
    s3 = w.make_client(
        "s3",
        w.emu,
        aws_access_key_id=keys["accessKeyId"],
        aws_secret_access_key=keys["secretAccessKey"],
        aws_session_token=keys["sessionToken"],
    )
    source, built = (
        {"Bucket": place["bucketName"], "Key": place["objectKey"]}
        for place in (
            data[name][0]["location"]["s3Location"] for name in ("inputArtifacts", "outputArtifacts")
        )
    )
    w.emu.inject("server_error", "PutObject", status=503)
    assert code(s3.put_object, **built, Body=b"x") == ("InternalError", 503)
    w.emu.inject("throttle", "GetObject")
    assert code(s3.get_object, **source) == ("SlowDown", 503)
    w.emu.inject("drop_request", "GetObject")
    with pytest.raises(ConnectionClosedError):
        s3.get_object(**source)
    w.emu.inject("drop_response", "GetObject")
    with pytest.raises(ConnectionClosedError):
        s3.get_object(**source)
    w.emu.inject("cut_body", after_bytes=2)
    answer = s3.get_object(**source)
    assert answer["ContentLength"] > 2
    with pytest.raises(BotoCoreError, match="2"):
        answer["Body"].read()
    w.emu.inject("throttle")
    s3.put_object(**built, Body=b"x")
    said = [(entry.operation, entry.outcome, entry.faults) for entry in w.emu.ledger.where(kind="artifact")]
    assert said == [
        ("PutObject", "InternalError", ("server_error",)),
        ("GetObject", "SlowDown", ("throttle",)),
        ("GetObject", "drop_request", ("drop_request",)),
        ("GetObject", "ok", ("drop_response",)),
        ("GetObject", "ok", ("cut_body",)),
        ("PutObject", "ok", ()),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "nonsense"}, "no such kind"),
        ({"kind": "throttle", "operation": "GetPipeline"}, "no faults at"),
        (
            {"kind": "omit", "operation": POLL, "members": []},
            "applies to GetThirdPartyJobDetails and GetJobDetails only",
        ),
        ({"kind": "throttle", "times": 0}, "times"),
        ({"kind": "throttle", "times": "2"}, "times"),
        ({"kind": "throttle", "times": True}, "times"),
        ({"kind": "throttle", "probability": True}, "probability"),
        ({"kind": "throttle", "seed": []}, "seed"),
        ({"kind": "throttle", "job_id": 5}, "job_id"),
        ({"kind": "throttle", "client_id": ""}, "client_id"),
        ({"kind": "slow", "seconds": True}, "0 to 60"),
        ({"kind": "cut_body"}, "needs after_bytes"),
        ({"kind": "cut_body", "after_bytes": -1}, "whole number"),
        ({"kind": "cut_body", "operation": "PutObject", "after_bytes": 1}, "applies to GetObject only"),
        ({"kind": "error", "code": ""}, "code is a text"),
        ({"kind": "error", "code": "X", "message": 5}, "message is a text"),
        ({"kind": "error", "code": "X", "status": 399}, "400 to 599"),
        ({"kind": "duplicate", "in_progress": "no"}, "true or false"),
        ({"kind": "omit", "members": []}, "no member"),
        ({"kind": "omit", "members": {"data": 1}}, "list of paths"),
        ({"kind": "replace", "members": {"data": object()}}, "no JSON"),
        *(
            ({"kind": "omit", "members": [path]}, "has no member")
            for path in (
                1,
                "",
                "data.typo",
                "data.inputArtifacts.².name",
                "data.inputArtifacts.one",
                "data.continuationToken.x",
                "data.actionConfiguration.configuration.",
            )
        ),
        ({"kind": "replace", "members": {"data.typo": 1}}, "has no member"),
        ({"kind": "omit", "operation": "GetJobDetails", "members": ["nonce"]}, "GetJobDetails has no member"),
        ({"kind": "omit", "operation": DETAILS, "members": ["accountId"]}, f"{DETAILS} has no member"),
        ({"kind": "throttle", "probability": 2}, "probability"),
        ({"kind": "throttle", "seconds": 2}, "takes no seconds"),
        ({"kind": "slow"}, "needs seconds"),
        ({"kind": "slow", "seconds": 61}, "0 to 60"),
        ({"kind": "slow", "operation": "ActionEvent", "seconds": 1}, "applies to .* only"),
        ({"kind": "lose_event", "operation": POLL}, "applies to PipelineEvent and StageEvent"),
        ({"kind": "delay_event", "seconds": -1}, "seconds is 0 to"),
        ({"kind": "server_error", "status": 404}, "500 to 599"),
        ({"kind": "error"}, "needs code"),
        ({"kind": "omit", "members": "data"}, "list of paths"),
        ({"kind": "replace", "members": ["data"]}, "mapping"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(world, arguments, message):
    w = world()
    with pytest.raises(ControlError, match=message):
        w.emu.inject(**arguments)
    assert w.emu.faults() == []


def test_faults_are_listed(world):
    w = world()
    w.emu.inject("slow", POLL, seconds=1)
    [fault] = w.emu.faults()
    assert fault.as_dict() == {
        "kind": "slow",
        "operation": POLL,
        "times": 1,
        "probability": None,
        "job_id": None,
        "client_id": None,
        "params": {"seconds": 1},
    }
    assert not set(JOB_CALLS) & set(ARTIFACT_CALLS)
