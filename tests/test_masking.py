# SPDX-License-Identifier: Apache-2.0
"""Secrets are taken out of texts of other systems."""

from __future__ import annotations

import json

import pytest

from airflow_codepipeline_partner._masking import without_secrets

pytestmark = pytest.mark.usefixtures("quick_clients")


@pytest.mark.parametrize("token", ['quo"ted-token', "back\\slashed", "t\u00f6ken-\u00fc"])
def test_a_secret_that_is_quoted_in_json_is_taken_out_of_messages_too(token):
    for written in (token, json.dumps(token), json.dumps(token, ensure_ascii=False)):
        assert without_secrets({"clientToken": token}, f"Not valid: {written}.").count("***") == 1
