# SPDX-License-Identifier: Apache-2.0
"""What tests share besides fixtures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

REPO = Path(__file__).resolve().parent.parent
#: The action type of the pipeline ``pipe``, and the default of the example DAGs.
ACTION_TYPE = {"category": "Deploy", "owner": "ThirdParty", "provider": "Example", "version": "1"}
#: That of the pipeline ``own``.
CUSTOM_TYPE = {"category": "Build", "owner": "Custom", "provider": "Airflow", "version": "1"}


def airflow_connections(emulator: Any, customer: Any) -> dict[str, str]:
    """Return the environment by which a real Airflow reaches the emulator, and knows a customer's token."""
    name = f"AIRFLOW_CONN_CODEPIPELINE_CLIENT_{customer.client_id.replace('-', '_').upper()}"
    extra = {"region_name": "us-east-1", "endpoint_url": emulator.url}
    aws = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "example-secret", "extra": extra}
    client = {
        "conn_type": "codepipeline_partner_client",
        "login": customer.client_id,
        "password": customer.client_token,
    }
    return {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws), name: json.dumps(client)}


def admin_client(emulator: Any, service: str) -> Any:
    """Return a client of the account's administrator."""
    keys = {"aws_access_key_id": "AKIAADMIN", "aws_secret_access_key": "admin", "region_name": "us-east-1"}
    return boto3.Session(**keys).client(service, endpoint_url=emulator.url)


def results_of(emulator: Any, job: Mapping[str, Any]) -> list[str]:
    """Return what the put calls of a job came to, in order: a result, or the error's code."""
    return [
        entry.result or entry.outcome
        for entry in emulator.ledger
        if entry.job_id == job["job_id"] and entry.operation.startswith("Put") and entry.kind == "call"
    ]


def action_state(emulator: Any, pipeline: str = "pipe") -> dict[str, Any]:
    """Return the state of the action that a worker does, as CodePipeline's console would show it."""
    state: dict[str, Any] = emulator.pipeline_state(pipeline)
    return state["stageStates"][1]["actionStates"][0]["latestExecution"]
