# SPDX-License-Identifier: Apache-2.0
"""Secrets are known to Airflow's masker."""

from __future__ import annotations

import json

import pytest

from airflow_codepipeline_partner._masking import mask_secret

pytestmark = pytest.mark.usefixtures("quick_clients")

TOKENS = ['quo"ted-token', "back\\slashed", "t\u00f6ken-\u00fc"]


@pytest.mark.parametrize("token", TOKENS)
def test_a_secret_is_masked_plain_and_as_json_writes_it(token):
    from airflow.sdk.log import mask_logs

    mask_secret(token)
    for written in (token, json.dumps(token)[1:-1]):
        assert mask_logs(None, "info", {"event": f"with {written}."})["event"] == "with ***."


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_secret_masks_nothing(nothing):
    from airflow.sdk.log import mask_logs

    mask_secret(nothing)
    assert mask_logs(None, "info", {"event": "as it was"})["event"] == "as it was"
