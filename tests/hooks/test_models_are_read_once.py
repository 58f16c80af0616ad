# SPDX-License-Identifier: Apache-2.0
"""botocore's models are read once in a process: while Python reads one, a triggerer's loop stands still."""

from __future__ import annotations

import json

import botocore.loaders
import botocore.session
import pytest

from airflow_codepipeline_partner import _connected_hook
from airflow_codepipeline_partner.hooks import CodePipelineHook


@pytest.fixture
def read(monkeypatch):
    """The models that were read from files, in order."""
    read, load = [], botocore.loaders.JSONFileLoader._load_file

    def noting(self, full_path, open_method):
        found = load(self, full_path, open_method)
        if found is not None:
            read.append(full_path)
        return found

    monkeypatch.setattr(botocore.loaders.JSONFileLoader, "_load_file", noting)
    # Tests share a loader otherwise.
    monkeypatch.setattr(botocore.session, "create_loader", botocore.loaders.create_loader)
    monkeypatch.setattr(_connected_hook, "_loaders", {})
    return read


def connect(monkeypatch, emulator, name, **extra):
    place = {"region_name": "eu-central-1", "endpoint_url": emulator.url, **extra}
    connection = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example-secret", "extra": place}
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    return CodePipelineHook(name)._transport.client


def test_a_second_connection_reads_none(monkeypatch, emulator, read):
    first = connect(monkeypatch, emulator, "one")
    assert any(path.endswith("endpoints.json") or "endpoints" in path for path in read)
    read.clear()
    second = connect(monkeypatch, emulator, "two", region_name="us-east-1")
    assert read == []
    # They are clients of their own all the same.
    assert (first.meta.region_name, second.meta.region_name) == ("eu-central-1", "us-east-1")
    assert first._request_signer is not second._request_signer


def test_a_connection_with_a_role_reads_none_either(monkeypatch, emulator, read):
    role = "arn:aws:iam::123456789012:role/one"
    connect(monkeypatch, emulator, "one", role_arn=role)
    read.clear()
    connect(monkeypatch, emulator, "two", role_arn=role)
    assert read == []


def test_models_of_another_place_are_read(monkeypatch, emulator, read, tmp_path):
    connect(monkeypatch, emulator, "one")
    read.clear()
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    connect(monkeypatch, emulator, "two")
    assert read
