# SPDX-License-Identifier: Apache-2.0
"""Somebody who works on the jobs of a pipeline while a DAG waits for it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from declaring import TRUST
from support import ACTION_TYPE, admin_client


@pytest.fixture
def partner(customer: Any) -> Iterator[Callable[[Callable[[Any, Any], None]], None]]:
    """Return a function that has each job of the pipeline ``pipe`` claimed, and ended as it is told."""
    from airflow_codepipeline_partner.hooks import CodePipelineHook

    ends = threading.Event()
    threads: list[threading.Thread] = []

    def work(end: Callable[[Any, Any], None]) -> None:
        def serve() -> None:
            hook = CodePipelineHook()
            while not ends.wait(0.05):
                for offered in hook.poll(ACTION_TYPE):
                    end(hook, hook.claim(offered))

        threads.append(threading.Thread(target=serve))
        threads[-1].start()

    yield work
    ends.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def executions(emulator: Any) -> Callable[[], dict[str, str]]:
    """Return a function that lists the executions of the pipeline ``pipe``: id → status."""
    client = admin_client(emulator, "codepipeline")

    def list_them() -> dict[str, str]:
        found = client.list_pipeline_executions(pipelineName="pipe")["pipelineExecutionSummaries"]
        return {each["pipelineExecutionId"]: each["status"] for each in found}

    return list_them


@pytest.fixture
def client(customer: Any, emulator: Any) -> Any:
    """Return boto3's own client, as somebody else would use it."""
    return admin_client(emulator, "codepipeline")


@pytest.fixture
def declare(client: Any, emulator: Any) -> Iterator[Callable[..., None]]:
    """Return a function that makes a pipeline of the given stages behind a source."""
    names: list[str] = []

    def make(name: str, *stages: dict[str, Any], mode: str = "SUPERSEDED", **more: Any) -> None:
        pipeline = client.get_pipeline(name="pipe")["pipeline"]
        del pipeline["version"]
        iam = admin_client(emulator, "iam")
        role = iam.create_role(RoleName=uuid.uuid4().hex, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        changed = {"name": name, "executionMode": mode, "pipelineType": "V2", "roleArn": role}
        changed["stages"] = [pipeline["stages"][0], *stages]
        changed |= more
        client.create_pipeline(pipeline={**pipeline, **changed})
        names.append(name)

    yield make
    # moto, which keeps the pipelines too, is one for all tests of the process.
    for name in names:
        client.delete_pipeline(name=name)
