# SPDX-License-Identifier: Apache-2.0
"""How the tests of the public names read a signature."""

from __future__ import annotations

import inspect
from typing import Any

from airflow_codepipeline_partner import (
    jobs,
)

NEEDED = inspect.Parameter.empty
TEMPLATE = "codepipeline_client_{client_id}"
#: On every operator, sensor, trigger and notifier.
AWS = {
    "aws_conn_id": "aws_default",
    "region_name": None,
    "verify": None,
    "botocore_config": None,
    "client_conn_id_template": TEMPLATE,
}


def parameters_of(function: Any) -> dict[str, Any]:
    """The parameters of a function, or of a class and those of ours that it inherits from, with defaults."""
    found: dict[str, Any] = {}
    functions = [function]
    if isinstance(function, type):
        own = "airflow_codepipeline_partner"
        functions = [cls.__init__ for cls in function.__mro__ if cls.__module__.startswith(own)]
    for each in functions:
        for name, parameter in inspect.signature(each).parameters.items():
            named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            if named and name not in ("self", "args"):
                found.setdefault(name, parameter.default)
    return found


AWS_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
OFFERED = jobs.OfferedJob("j", "c", jobs.ActionType("Deploy", "Example"))
OFFERED_XCOM = {"job_id": "j", "client_id": "c", "action_type": AWS_TYPE}
