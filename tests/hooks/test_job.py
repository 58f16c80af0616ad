# SPDX-License-Identifier: Apache-2.0
"""A job on its whole way through the hook, under every reading of what AWS leaves open."""

from __future__ import annotations

import json

import pytest
from hook_calls import ACKNOWLEDGE, DETAILS, SUCCESS, status
from support import ACTION_TYPE

pytestmark = pytest.mark.usefixtures("quick_clients", "customer")


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
def test_the_whole_way_is_the_same_under_every_reading(emulator, hook, settings):
    """Of what AWS leaves open."""
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
    # The first may be forgotten by now.
    assert {job.status for job in emulator.jobs()} == {"Succeeded"}
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
