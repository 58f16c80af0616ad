# SPDX-License-Identifier: Apache-2.0
"""An emulated CodePipeline for the benchmarks, and the connections by which hooks find it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

ACTION_TYPE = {"category": "Build", "owner": "ThirdParty", "provider": "Example", "version": "1"}
REGION = "us-east-1"
_OPENER = build_opener(ProxyHandler({}))


@contextlib.contextmanager
def emulator(
    jobs: int = 0, settings: Mapping[str, Any] | None = None, with_artifacts: bool = False
) -> Iterator[dict[str, Any]]:
    """
    Serve an emulator with one customer and their pipeline ``benchmark``.

    :param jobs: How many jobs are queued.
    :param settings: Settings of the emulator.
    :param with_artifacts: Whether the jobs have an input artifact, and so credentials.
    :return: Its ``url`` and ``pid``, and the customer's ``client_id`` and ``client_token``.
    """
    from airflow_codepipeline_partner.emulator import Emulator, Settings

    with Emulator(settings=Settings.from_mapping(settings or {})) as running:
        customer = running.add_customer()
        running.add_pipeline(
            "benchmark",
            client_id=customer.client_id,
            action_type=ACTION_TYPE,
            input_artifacts=["SourceOutput"] if with_artifacts else [],
        )
        for _ in range(jobs):
            running.start_execution("benchmark")
        yield {
            "url": running.url,
            "client_id": customer.client_id,
            "client_token": customer.client_token,
            "pid": os.getpid(),
        }


def connections(url: str, tokens: Mapping[str, str]) -> dict[str, str]:
    """
    Return the variables by which Airflow knows where AWS is, and the clients' tokens.

    :param url: Where AWS is.
    :param tokens: Client id → token.
    """
    extra = {"region_name": REGION, "endpoint_url": url}
    aws = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "secret-of-nobody", "extra": extra}
    found = {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(aws)}
    for client_id, token in tokens.items():
        client = {"conn_type": "codepipeline_partner_client", "login": client_id, "password": token}
        conn_id = f"codepipeline_client_{client_id.replace('-', '_')}".upper()
        found[f"AIRFLOW_CONN_{conn_id}"] = json.dumps(client)
    return found


def bare_client(service: str, url: str) -> Any:
    """Return a client of boto3's own."""
    import boto3

    session: Any = boto3.Session(
        region_name=REGION,
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="secret-of-nobody",  # noqa: S106 - nobody's
    )
    return session.client(service, endpoint_url=url)


def control(url: str, path: str, members: Mapping[str, Any]) -> Any:
    """
    Have the emulator do something.

    :param url: Where it is.
    :param path: What follows ``/_emu``.
    :param members: The arguments.
    """
    request = Request(  # noqa: S310 - the scheme is ours
        f"{url}/_emu{path}", json.dumps(members).encode(), {"Content-Type": "application/json"}
    )
    with _OPENER.open(request, timeout=60) as response:
        return json.load(response)
