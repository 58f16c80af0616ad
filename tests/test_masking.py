# SPDX-License-Identifier: Apache-2.0
"""Secrets are known to Airflow's masker, and are taken out of texts of other systems."""

from __future__ import annotations

import json

import pytest

from airflow_codepipeline_partner._masking import MIN_SECRET_CHARS, mask_secret, without_secrets

pytestmark = pytest.mark.usefixtures("quick_clients")

TOKENS = ['quo"ted-token', "back\\slashed", "t\u00f6ken-\u00fc"]


@pytest.mark.parametrize("token", TOKENS)
def test_a_secret_quoted_in_json_is_taken_out_too(token):
    for written in (token, json.dumps(token), json.dumps(token, ensure_ascii=False)):
        assert without_secrets({"clientToken": token}, f"Not valid: {written}.").count("***") == 1


def test_all_secrets_are_taken_out_wherever_they_are():
    secrets = {"clientToken": "a-client-token", "nonce": "a-long-nonce"}
    text = without_secrets(secrets, "a-client-token, a-long-nonce and a-client-token are no good.")
    assert text == "***, *** and *** are no good."


def test_a_secret_as_short_as_a_word_stays_in_a_message():
    short = "1" * (MIN_SECRET_CHARS - 1)
    assert without_secrets({"nonce": short}, f"Try {short} of 3.") == f"Try {short} of 3."
    assert without_secrets({"nonce": short + "1"}, f"Try {short}1.") == "Try ***."


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
