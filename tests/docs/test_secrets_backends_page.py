# SPDX-License-Identifier: Apache-2.0
"""A client token that is stored as docs/secrets-backends.md says is found."""

from __future__ import annotations

import configparser
import json

from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend

from tests.docs.pages import blocks, blocks_of, in_shell

PAGE = "docs/secrets-backends.md"
CONN_ID = "codepipeline_client_6f0d6e0c_2f3b_4c55_9d5e_0d3a1b2c3d4e"


def test_every_block_is_run_here():
    assert [language for language, _ in blocks(PAGE)] == ["ini", "bash"]


def test_a_stored_token_is_found(emulator, tmp_path, monkeypatch):
    in_shell(blocks_of(PAGE, "bash")[0], emulator, tmp_path)
    configured = configparser.ConfigParser()
    configured.read_string(blocks_of(PAGE, "ini")[0])
    assert configured["secrets"]["backend"].endswith(f".{SecretsManagerBackend.__name__}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)
    backend = SecretsManagerBackend(**json.loads(configured["secrets"]["backend_kwargs"]))
    found = backend.get_connection(CONN_ID)
    assert (found.conn_type, found.password) == ("codepipeline_partner_client", "the client token")
    assert found.login.replace("-", "_") == CONN_ID.removeprefix("codepipeline_client_")
