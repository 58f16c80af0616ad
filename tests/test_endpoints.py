# SPDX-License-Identifier: Apache-2.0
"""Which S3 belongs to a connection's CodePipeline."""

from __future__ import annotations

import json

import pytest

from airflow_codepipeline_partner._endpoints import endpoint_of
from airflow_codepipeline_partner.artifacts.credentials import JobCredentials, make_client
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.jobs import OfferedJob

OF_CODEPIPELINE = "https://vpce-1.codepipeline.eu-west-1.vpce.amazonaws.com"
OF_S3 = "https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com"


@pytest.fixture
def hook_with(monkeypatch):
    def make(**extra):
        connection = {"conn_type": "aws", "login": "AKIAWORKER", "password": "worker", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        return CodePipelineHook(region_name="eu-west-1")

    return make


@pytest.mark.parametrize(
    ("extra", "endpoint"),
    [
        ({}, None),
        ({"endpoint_url": OF_CODEPIPELINE}, None),
        ({"endpoint_url": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
        ({"service_config": {"s3": {"endpoint_url": OF_S3}}}, OF_S3),
        ({"endpoint_url": "http://127.0.0.1:1", "service_config": {"s3": {"endpoint_url": OF_S3}}}, OF_S3),
        ({"service_config": {"codepipeline": {"endpoint_url": "http://127.0.0.1:1"}}}, None),
    ],
)
def test_the_endpoint_of_s3(hook_with, extra, endpoint):
    assert endpoint_of(hook_with(**extra).conn_config, "s3") == endpoint


def client_of(hook):
    return make_client(hook, JobCredentials(hook, OfferedJob("j", "c")))


def test_without_an_endpoint_s3_is_that_of_the_jobs_region(hook_with):
    """With a host for each bucket."""
    client = client_of(hook_with())
    assert client.meta.endpoint_url == "https://s3.eu-west-1.amazonaws.com"
    assert client.meta.config.signature_version == "s3v4"
    assert (client.meta.config.s3 or {}).get("addressing_style") is None


def test_the_connections_network_settings_count(hook_with):
    """What it says of the signature does not."""
    hook = hook_with(config_kwargs={"read_timeout": 7, "signature_version": "unsigned"}, verify=False)
    client = client_of(hook)
    assert client.meta.config.read_timeout == 7
    assert client.meta.config.signature_version == "s3v4"
