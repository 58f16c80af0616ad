# SPDX-License-Identifier: Apache-2.0
"""How one call is carried, over real HTTP, if the other side throttles, breaks or is not there."""

from __future__ import annotations

import re
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from support import ACTION_TYPE
from transport_calls import (
    ACKNOWLEDGE,
    OPERATIONS,
    POLL,
    SUCCESS,
    attempts,
    connect,
    sent,
)

from airflow_codepipeline_partner._protocol.requests import Call
from airflow_codepipeline_partner._secrets import Secret
from airflow_codepipeline_partner._transport import MAX_BACKOFF, Transport
from airflow_codepipeline_partner.emulator import Emulator
from airflow_codepipeline_partner.exceptions import (
    RequestRefused,
    ServiceUnavailable,
)

pytestmark = pytest.mark.usefixtures("quick_clients")
#: Fault → its parameters, how the last one is named, whether the outcome is unknown.
FAULTS = {
    "throttle": ({}, "ThrottlingException: Rate exceeded", False),
    "server_error": ({}, "InternalFailure", True),
    "drop_request": ({}, "ConnectionClosedError", True),
    "unavailable": ({"status": 503}, "InternalFailure", True),
    "too-many": ({"code": "TooMany", "message": "Slowly.", "status": 429}, "TooMany: Slowly.", False),
}
KINDS = {"unavailable": "server_error", "too-many": "error"}


def inject(emulator, fault, operation, times):
    parameters, _, _ = FAULTS[fault]
    emulator.inject(KINDS.get(fault, fault), operation, times=times, **parameters)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_unanswered_call_is_sent_again_with_back_off(
    emulator, prepare, make_hook, fake_time, operation, fault
):
    call = prepare(operation, make_hook())
    since = len(emulator.ledger)
    inject(emulator, fault, operation, times=3)
    call()
    outcomes = [entry.outcome for entry in attempts(emulator, operation, since)]
    assert len(outcomes) == 4
    assert outcomes[-1] == "ok"
    assert "ok" not in outcomes[:3]
    for slept, least in zip(fake_time.sleeps, (0.5, 1, 2), strict=True):
        assert least <= slept <= least + 0.5


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_is_given_up_at_its_deadline_with_its_cause(
    emulator, prepare, make_hook, fake_time, operation, fault
):
    call = prepare(operation, make_hook(retry_deadline=60))
    since = len(emulator.ledger)
    inject(emulator, fault, operation, times=None)
    with pytest.raises(ServiceUnavailable) as silence:
        call()
    _, cause, in_doubt = FAULTS[fault]
    tried = len(attempts(emulator, operation, since))
    assert tried == len(fake_time.sleeps) + 1
    # As long as it may, and no longer.
    assert 60 - MAX_BACKOFF - 0.5 < sum(fake_time.sleeps) <= 60
    assert max(fake_time.sleeps) <= MAX_BACKOFF + 0.5
    text = str(silence.value)
    for part in (operation, emulator.url, f"{tried} attempts", "retry_deadline 60 s", cause):
        assert part in text
    assert silence.value.in_doubt is in_doubt
    assert silence.value.retryable
    job_id = attempts(emulator, operation, since)[-1].job_id
    assert silence.value.job_id == job_id
    assert job_id is None or job_id in text
    assert silence.value.__cause__ is None
    assert silence.value.__context__ is None


@pytest.mark.parametrize("operation", OPERATIONS)
def test_without_a_deadline_a_call_is_tried_once(emulator, prepare, make_hook, fake_time, operation):
    call = prepare(operation, make_hook(retry_deadline=0))
    since = len(emulator.ledger)
    emulator.inject("throttle", operation, times=None)
    with pytest.raises(ServiceUnavailable, match="1 attempts"):
        call()
    assert len(attempts(emulator, operation, since)) == 1
    assert fake_time.sleeps == []


@pytest.mark.parametrize("configured", ["hook", "connection", "environment"])
def test_boto3s_own_retries_are_off_for_the_job_calls(emulator, customer, make_hook, monkeypatch, configured):
    """Whatever is configured: they would hide that an answer was lost."""
    parameters: dict[str, Any] = {"retry_deadline": 0}
    if configured == "hook":
        parameters["config"] = {"retries": {"max_attempts": 3, "mode": "adaptive"}}
    elif configured == "connection":
        retries = {"retries": {"total_max_attempts": 3, "mode": "legacy"}}
        connect(monkeypatch, endpoint_url=emulator.url, config_kwargs=retries)
    else:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    hook = make_hook(**parameters)
    emulator.inject("drop_request", POLL, times=None)
    with pytest.raises(ServiceUnavailable):
        hook.poll(ACTION_TYPE)
    assert len(attempts(emulator, POLL)) == 1


def test_the_conn_of_the_hook_keeps_boto3s_own_retries(emulator, customer, make_hook):
    hook = make_hook()
    # One retry, for which botocore waits a second at most.
    emulator.inject("throttle", POLL, times=1)
    assert hook.conn.poll_for_third_party_jobs(actionTypeId=ACTION_TYPE)["jobs"] == []
    assert [entry.outcome for entry in attempts(emulator, POLL)] == ["ThrottlingException", "ok"]


def test_the_hooks_conn_keeps_the_retries_configured(emulator, customer, make_hook):
    hook = make_hook(config={"retries": {"total_max_attempts": 7, "mode": "standard"}})
    assert hook.conn.meta.config.retries == {"total_max_attempts": 7, "mode": "standard"}


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_refused_connection_is_tried_until_the_deadline(
    customer, emulator, make_hook, fake_time, operation
):
    """Nothing was sent, so that the outcome is known."""
    hook = make_hook(retry_deadline=60)
    transport = hook._transport
    port = urlsplit(emulator.url).port
    emulator.stop()
    with pytest.raises(ServiceUnavailable, match="EndpointConnectionError") as silence:
        transport.send(*sent(operation))
    assert f"http://127.0.0.1:{port}" in str(silence.value)
    assert silence.value.in_doubt is False
    assert len(fake_time.sleeps) > 3
    assert 60 - MAX_BACKOFF - 0.5 < sum(fake_time.sleeps) <= 60


def test_a_service_that_comes_back_is_found_again(fake_time, make_hook, monkeypatch):
    late = Emulator(port=free_port())
    connect(monkeypatch, endpoint_url=f"http://127.0.0.1:{late._port}")
    late.add_action_type(ACTION_TYPE)
    hook = make_hook()

    def sleep(seconds: float) -> None:
        fake_time.sleep(seconds)
        if len(fake_time.sleeps) == 3:
            late.start()

    hook._sleep = sleep
    try:
        assert hook.poll(ACTION_TYPE) == []
    finally:
        late.stop()
    assert len(fake_time.sleeps) == 3


def test_each_retry_is_logged_with_its_reason(emulator, customer, make_hook, caplog):
    emulator.inject("throttle", POLL, times=2)
    make_hook().poll(ACTION_TYPE)
    logged = [
        record.getMessage()
        for record in caplog.records
        if record.name == "airflow_codepipeline_partner._transport"
    ]
    assert len(logged) == 2
    for number, text in enumerate(logged, 1):
        assert re.fullmatch(
            rf"{POLL}: attempt {number} failed \(ThrottlingException: Rate exceeded\); "
            r"the next follows in \d\.\d s\.",
            text,
        )


def test_a_refusal_is_not_tried_again(emulator, customer, make_hook, fake_time):
    emulator.inject("error", POLL, code="AccessDeniedException", message="Not you.", times=None)
    with pytest.raises(RequestRefused, match=r"AccessDeniedException: Not you\."):
        make_hook().poll(ACTION_TYPE)
    assert len(attempts(emulator, POLL)) == 1
    assert fake_time.sleeps == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_earlier_unknown_stays_with_a_later_refusal(emulator, prepare, make_hook, operation):
    call = prepare(operation, make_hook())
    emulator.inject("server_error", operation)
    emulator.inject("throttle", operation)
    emulator.inject("error", operation, code="AccessDeniedException", message="No.")
    with pytest.raises(RequestRefused) as refusal:
        call()
    assert refusal.value.in_doubt is True


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_throttled_call_that_is_refused_is_surely_refused(emulator, prepare, make_hook, operation):
    call = prepare(operation, make_hook())
    emulator.inject("throttle", operation, times=2)
    emulator.inject("error", operation, code="AccessDeniedException", message="No.")
    with pytest.raises(RequestRefused) as refusal:
        call()
    assert refusal.value.in_doubt is False


def test_an_unknown_from_before_is_handed_on(emulator, customer, make_hook):
    emulator.inject("error", POLL, code="AccessDeniedException", message="No.")
    call = Call(POLL, {"actionTypeId": ACTION_TYPE})
    with pytest.raises(RequestRefused) as refusal:
        make_hook()._transport.send(call, in_doubt=True)
    assert refusal.value.in_doubt is True


def test_what_boto3_refuses_to_send_is_ours_and_shows_no_secret(emulator, customer, make_hook, fake_time):
    transport: Transport = make_hook()._transport
    secrets = {"clientToken": Secret("planted-token"), "nonce": Secret("planted-nonce")}
    with pytest.raises(RequestRefused) as refusal:
        transport.send(Call(ACKNOWLEDGE, {}), secrets)
    text = str(refusal.value)
    assert "ParamValidationError" in text
    assert "planted" not in text
    assert emulator.ledger.where(kind="call") == []
    assert fake_time.sleeps == []


def test_trouble_before_the_call_leaves_nothing_unknown(emulator, customer, make_hook, fake_time):
    transport = make_hook()._transport

    def overflow(**event):
        raise OverflowError("too far away")

    transport.client.meta.events.register("before-sign.codepipeline", overflow)
    with pytest.raises(RequestRefused, match="could not be sent: OverflowError") as refusal:
        transport.send(*sent(SUCCESS))
    assert refusal.value.in_doubt is False
    assert fake_time.sleeps == []
    assert emulator.ledger.where(kind="call") == []


def test_trouble_after_the_call_leaves_it_unknown(emulator, customer, make_hook):
    transport = make_hook(retry_deadline=0)._transport

    def overflow(**event):
        raise OverflowError("too far away")

    transport.client.meta.events.register("response-received.codepipeline", overflow)
    with pytest.raises(ServiceUnavailable) as silence:
        transport.send(*sent(SUCCESS))
    assert silence.value.in_doubt is True
