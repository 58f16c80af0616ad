# SPDX-License-Identifier: Apache-2.0
"""Which connection, region and client token the hook uses, and what it says if one is wrong."""

from __future__ import annotations

import inspect

import pytest
from hook_calls import status
from support import ACTION_TYPE

from airflow_codepipeline_partner.exceptions import (
    ClientConnectionError,
    InvalidClientToken,
    InvalidJobReference,
    JobNotFound,
)

pytestmark = pytest.mark.usefixtures("quick_clients", "customer")


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
def test_a_client_without_a_connection_stops_before_any_call(emulator, hook, name):
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


def test_the_hooks_region_goes_before_the_connections(emulator, make_hook):
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


def test_the_user_agent_names_the_hook(make_hook, monkeypatch):
    """Without a look at the stack."""

    def look():
        raise AssertionError("The source of each function on the stack was read.")

    # The amazon provider looks there, which takes longer than all else that makes a client.
    monkeypatch.setattr(inspect, "stack", look)
    agent = make_hook()._transport.client.meta.config.user_agent
    assert "Caller/CodePipelineHook" in agent
