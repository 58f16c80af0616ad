# SPDX-License-Identifier: Apache-2.0
"""The parameters that lead to AWS, as Jinja renders them."""

from __future__ import annotations

import json

import pytest
from botocore.config import Config

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner.hooks import CodePipelineHook


@pytest.mark.parametrize(
    ("name", "rendered", "meant"),
    [
        ("verify", "False", False),
        ("verify", "True", True),
        ("verify", "None", None),
        ("verify", False, False),
        ("verify", "/etc/ca.pem", "/etc/ca.pem"),
        ("region_name", "None", None),
        ("region_name", "", None),
        ("region_name", "eu-west-1", "eu-west-1"),
        ("aws_conn_id", "None", None),
        ("aws_conn_id", "mine", "mine"),
    ],
)
def test_what_is_no_text_is_none_after_it_was_rendered(name, rendered, meant):
    hook = AwsParameters(**{name: rendered}).hook()
    found = getattr(hook, {"region_name": "_region_name", "verify": "_verify"}.get(name, name))
    assert found is meant if meant is None or isinstance(meant, bool) else found == meant


@pytest.fixture
def behind_a_proxy(monkeypatch):
    """A connection whose ``config_kwargs`` name a proxy, and patience of its own."""
    config = {"proxies": {"https": "http://proxy.example:3128"}, "read_timeout": 50, "connect_timeout": 40}
    connection = {"conn_type": "aws", "extra": {"region_name": "eu-west-1", "config_kwargs": config}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))


@pytest.mark.parametrize(
    ("given", "read_timeout"), [(None, 50), ({}, 50), ({"read_timeout": 7}, 7), (Config(read_timeout=7), 7)]
)
def test_the_connections_config_stays_in_force(behind_a_proxy, given, read_timeout):
    config = CodePipelineHook(config=given).config
    assert config.proxies == {"https": "http://proxy.example:3128"}
    assert (config.read_timeout, config.connect_timeout) == (read_timeout, 40)


def test_config_is_connection_then_defaults_then_users(behind_a_proxy):
    """Each is merged over the one before it."""
    aws = AwsParameters(botocore_config={"connect_timeout": 3})
    config = aws.with_config_defaults(connect_timeout=5, read_timeout=10).hook().config
    assert config.proxies == {"https": "http://proxy.example:3128"}
    assert (config.read_timeout, config.connect_timeout) == (10, 3)


def test_the_job_calls_go_through_the_connections_proxy(behind_a_proxy):
    used = CodePipelineHook(config={"read_timeout": 7})._transport.client.meta.config
    assert used.proxies == {"https": "http://proxy.example:3128"}
    assert used.read_timeout == 7


def test_a_config_of_botocores_is_taken_as_it_is():
    aws = AwsParameters(botocore_config=Config(read_timeout=7))
    assert aws.hook().config.read_timeout == 7
    in_time = aws.with_config_defaults(read_timeout=10, connect_timeout=5).hook().config
    assert (in_time.read_timeout, in_time.connect_timeout) == (7, 5)
    assert AwsParameters(**aws.to_arguments()) == aws


def test_the_repr_shows_no_password_of_a_proxy():
    config = {"proxies": {"https": "http://user:planted@proxy.example"}}
    assert "planted" not in repr(AwsParameters(botocore_config=config))
