# SPDX-License-Identifier: Apache-2.0
"""What the tests of the hook work with."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from support import ACTION_TYPE


class Rival:
    """Another worker of the same partner, in plain boto3."""

    def __init__(self, client: Any, token: str) -> None:
        self.client = client
        self.token = token

    def poll(self) -> list[str]:
        jobs = self.client.poll_for_third_party_jobs(actionTypeId=ACTION_TYPE, maxBatchSize=10)["jobs"]
        return [job["jobId"] for job in jobs]

    def acknowledge(self, job_id: str) -> str:
        details = self.client.get_third_party_job_details(jobId=job_id, clientToken=self.token)["jobDetails"]
        return self.client.acknowledge_third_party_job(
            jobId=job_id, nonce=details["nonce"], clientToken=self.token
        )["status"]

    def succeed(self, job_id: str) -> None:
        self.client.put_third_party_job_success_result(jobId=job_id, clientToken=self.token)


@pytest.fixture
def rival(emulator, customer):
    client = boto3.client(
        "codepipeline",
        region_name="us-east-1",
        endpoint_url=emulator.url,
        aws_access_key_id="AKIARIVAL",
        aws_secret_access_key="rival-secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield Rival(client, customer.client_token)
    client.close()


@pytest.fixture
def hook(make_hook):
    return make_hook()


@pytest.fixture
def offered(emulator, hook):
    emulator.start_execution("pipe")
    [job] = hook.poll(ACTION_TYPE)
    return job


@pytest.fixture
def claimed(hook, offered):
    return hook.claim(offered)
