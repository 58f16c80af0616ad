# SPDX-License-Identifier: Apache-2.0
"""The parameters that lead to AWS, as Jinja renders them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_codepipeline_partner._aws_parameters import make_hook


def parameters(**given):
    defaults = {
        "aws_conn_id": "aws_default",
        "region_name": None,
        "verify": None,
        "botocore_config": None,
        "client_conn_id_template": "c_{client_id}",
    }
    return SimpleNamespace(**(defaults | given))


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
    hook = make_hook(parameters(**{name: rendered}))
    found = getattr(hook, {"region_name": "_region_name", "verify": "_verify"}.get(name, name))
    assert found is meant if meant is None or isinstance(meant, bool) else found == meant
