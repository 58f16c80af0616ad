# SPDX-License-Identifier: Apache-2.0
"""An emulator with all that a pipeline needs, and a client of another maker."""

from __future__ import annotations

import boto3
import pytest
from clients.sdks import AwsCli, GoSdk, NodeSdk
from declaring import TRUST

from airflow_codepipeline_partner.emulator import Emulator, Settings

ADMIN = {"aws_access_key_id": "AKIAADMIN", "aws_secret_access_key": "any", "region_name": "us-east-1"}


@pytest.fixture(params=[NodeSdk, GoSdk, AwsCli])
def make_calls(request):
    """Return a function that has a client do calls, on an emulator with all that a pipeline needs."""
    with Emulator(settings=Settings(continuation_delay=0)) as emulator:
        emulator.reset()
        iam = boto3.client("iam", endpoint_url=emulator.url, **ADMIN)
        role = iam.create_role(RoleName="pipelines", AssumeRolePolicyDocument=TRUST)["Role"]
        s3 = boto3.client("s3", endpoint_url=emulator.url, **ADMIN)
        s3.create_bucket(Bucket="sources")
        s3.put_object(Bucket="sources", Key="app.zip", Body=b"the source")

        def run(calls):
            return request.param(emulator.url).make(calls)

        run.emulator, run.role = emulator, role["Arn"]
        yield run
