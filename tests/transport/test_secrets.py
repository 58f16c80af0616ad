# SPDX-License-Identifier: Apache-2.0
"""Secrets are taken out of what CodePipeline and other systems write."""

from __future__ import annotations

import json

import pytest

from airflow_codepipeline_partner._secrets import Secret
from airflow_codepipeline_partner._transport import MIN_SECRET_CHARS, _without_secrets


@pytest.mark.parametrize("token", ['quo"ted-token', "back\\slashed", "t\u00f6ken-\u00fc"])
def test_a_secret_quoted_in_json_is_taken_out_too(token):
    for written in (token, json.dumps(token), json.dumps(token, ensure_ascii=False)):
        assert _without_secrets({"clientToken": Secret(token)}, f"Not valid: {written}.").count("***") == 1


def test_all_secrets_are_taken_out_wherever_they_are():
    secrets = {"clientToken": Secret("a-client-token"), "nonce": Secret("a-long-nonce")}
    text = _without_secrets(secrets, "a-client-token, a-long-nonce and a-client-token are no good.")
    assert text == "***, *** and *** are no good."


def test_a_secret_as_short_as_a_word_stays_in_a_message():
    short = "1" * (MIN_SECRET_CHARS - 1)
    assert _without_secrets({"nonce": Secret(short)}, f"Try {short} of 3.") == f"Try {short} of 3."
    assert _without_secrets({"nonce": Secret(short + "1")}, f"Try {short}1.") == "Try ***."
