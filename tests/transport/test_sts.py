# SPDX-License-Identifier: Apache-2.0
"""Where STS is, and what its trouble means for the call that needs the role."""

from __future__ import annotations

import socket

import botocore.loaders
import pytest
from support import ACTION_TYPE
from transport_calls import (
    POLL,
    SUCCESS,
    Front,
    connect,
    sent,
)

from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
    RequestRefused,
    ServiceUnavailable,
)

pytestmark = pytest.mark.usefixtures("quick_clients")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


ROLE = "arn:aws:iam::123456789012:role/partner"


def test_a_role_is_assumed_at_the_endpoint_that_is_not_awss_own(front, customer, make_hook, monkeypatch):
    connect(monkeypatch, endpoint_url=front.url, role_arn=ROLE)
    hook = make_hook()
    assert hook.poll(ACTION_TYPE) == []
    assert front.requests == ["AssumeRole", POLL]


def test_an_endpoint_of_sts_that_is_configured_wins(emulator, front, customer, make_hook, monkeypatch):
    with Front(emulator.url) as sts:
        config = {"sts": {"endpoint_url": sts.url}, "s3": {"endpoint_url": "http://elsewhere"}}
        connect(monkeypatch, endpoint_url=front.url, role_arn=ROLE, service_config=config)
        hook = make_hook()
        assert hook.poll(ACTION_TYPE) == []
        assert sts.requests == ["AssumeRole"]
    assert front.requests == [POLL]
    assert hook.conn_config.service_config["s3"] == {"endpoint_url": "http://elsewhere"}


def test_another_setting_of_sts_is_kept_beside_the_endpoint(customer, make_hook, monkeypatch):
    connect(
        monkeypatch,
        endpoint_url="http://localhost:1",
        role_arn=ROLE,
        service_config={"sts": {"region_name": "eu-west-1"}},
    )
    assert make_hook().conn_config.service_config["sts"] == {
        "endpoint_url": "http://localhost:1",
        "region_name": "eu-west-1",
    }


def partition_suffixes() -> list[str]:
    """The domains of every AWS partition that the installed botocore knows."""
    data = botocore.loaders.Loader().load_data("endpoints")
    return sorted({partition["dnsSuffix"] for partition in data["partitions"]})


@pytest.mark.parametrize("suffix", [*partition_suffixes(), "api.aws"])
def test_an_endpoint_of_awss_own_is_not_taken_for_sts(customer, make_hook, monkeypatch, suffix):
    connect(monkeypatch, endpoint_url=f"https://codepipeline.some-region-1.{suffix}", role_arn=ROLE)
    assert "sts" not in make_hook().conn_config.service_config


@pytest.mark.parametrize("extra", [{"role_arn": ROLE}, {"endpoint_url": "http://localhost:1"}, {}], ids=str)
def test_without_a_role_or_an_endpoint_nothing_is_changed(customer, make_hook, monkeypatch, extra):
    connect(monkeypatch, **extra)
    assert make_hook().conn_config.service_config == {}


def test_a_name_that_only_looks_like_awss_own_is_not(customer, make_hook, monkeypatch):
    url = "https://codepipeline.eu-west-1.amazonaws.com.example.org"
    connect(monkeypatch, endpoint_url=url, role_arn=ROLE)
    assert make_hook().conn_config.service_config["sts"]["endpoint_url"] == url


def sts_answer(code: str) -> bytes:
    error = f"<Error><Code>{code}</Code><Message>Why.</Message></Error>"
    return f"<ErrorResponse>{error}</ErrorResponse>".encode()


@pytest.fixture
def connect_with_role(emulator, front, monkeypatch):
    """Have calls need a role first, which is asked for at the front, once an attempt."""

    def connected(sts: str | None = None) -> None:
        retries = {"retries": {"total_max_attempts": 1, "mode": "standard"}}
        connect(
            monkeypatch,
            endpoint_url=emulator.url,
            role_arn=ROLE,
            service_config={"sts": {"endpoint_url": sts or front.url}},
            config_kwargs=retries,
        )

    return connected


@pytest.mark.parametrize("trouble", ["unreachable", "throttled", "broken"])
def test_sts_is_tried_until_the_deadline(
    emulator, front, customer, make_hook, connect_with_role, fake_time, trouble
):
    """The call itself was not sent, so that its outcome is known."""
    connect_with_role(f"http://127.0.0.1:{free_port()}" if trouble == "unreachable" else None)
    code, status = ("Throttling", 400) if trouble == "throttled" else ("InternalFailure", 500)
    for _ in range(100):
        front.spoil("AssumeRole", sts_answer(code), status)
    with pytest.raises(ServiceUnavailable) as silence:
        make_hook(retry_deadline=60)._transport.send(*sent(SUCCESS))
    assert silence.value.in_doubt is False
    assert len(fake_time.sleeps) > 3
    assert emulator.ledger.where(kind="call") == []


def test_a_short_trouble_of_sts_is_got_over(front, customer, make_hook, connect_with_role, fake_time):
    connect_with_role()
    front.spoil("AssumeRole", sts_answer("Throttling"), 400)
    assert make_hook().poll(ACTION_TYPE) == []
    assert front.requests == ["AssumeRole", "AssumeRole"]
    assert len(fake_time.sleeps) == 1


def test_a_refused_role_is_named_and_not_tried_again(
    emulator, front, customer, make_hook, connect_with_role, fake_time
):
    connect_with_role()
    front.spoil("AssumeRole", sts_answer("AccessDenied"), 403)
    with pytest.raises(RequestRefused, match=r"AssumeRole.*AccessDenied: Why\..*Check the role") as refusal:
        make_hook()._transport.send(*sent(SUCCESS))
    assert refusal.value.in_doubt is False
    assert refusal.value.code == "AccessDenied"
    assert fake_time.sleeps == []
    assert emulator.ledger.where(kind="call") == []


def test_a_malformed_answer_of_sts_is_no_unknown_call(
    emulator, front, customer, make_hook, connect_with_role
):
    connect_with_role()
    for _ in range(100):
        front.spoil("AssumeRole", b"<html>Bad gateway</html>")
    with pytest.raises(CodePipelineProviderError) as error:
        make_hook(retry_deadline=5)._transport.send(*sent(SUCCESS))
    assert error.value.in_doubt is False
    assert emulator.ledger.where(kind="call") == []
