# SPDX-License-Identifier: Apache-2.0
"""The names that users depend on, frozen: the emulator, which users' own tests drive."""

from __future__ import annotations

import pytest
from public_surface import NEEDED, parameters_of

from airflow_codepipeline_partner import (
    emulator,
)

EMULATOR = {
    "add_customer": {"client_id": None, "client_token": None},
    "rotate_token": {"client_id": NEEDED, "client_token": None, "overlap": None},
    "add_pipeline": {
        "name": NEEDED,
        "client_id": None,
        "action_type": "Deploy/ThirdParty/Example/1",
        "configuration": None,
        "secret_configuration_keys": (),
        "input_artifacts": ("SourceOutput",),
        "output_artifacts": (),
        "stage_name": "Partner",
        "action_name": "Partner",
        "encryption_key": None,
        "job_timeout": None,
        "execution_url_template": None,
        "bucket": None,
    },
    "start_execution": {
        "name": NEEDED,
        "artifacts": None,
        "trigger": "start_execution",
        "variables": None,
    },
    "add_action_type": {"action_type": NEEDED, "secret_configuration_keys": ()},
    "fail_action": {
        "name": NEEDED,
        "action_name": NEEDED,
        "stage_name": None,
        "code": "JobFailed",
        "message": "The control fail_action made this action fail.",
        "times": 1,
    },
    "advance": {"seconds": NEEDED},
    "inject": {
        "kind": NEEDED,
        "operation": None,
        "times": 1,
        "probability": None,
        "seed": None,
        "job_id": None,
        "client_id": None,
    },
}


@pytest.mark.parametrize("name", EMULATOR)
def test_the_emulator_is_driven_as_it_was(name):
    assert parameters_of(getattr(emulator.Emulator, name)) == EMULATOR[name]


def test_the_emulator_is_a_context_manager():
    """With a URL and a ledger."""
    for name in ("url", "ledger", "__enter__", "__exit__", "start", "stop", "jobs", "pipeline_state"):
        assert hasattr(emulator.Emulator, name)
