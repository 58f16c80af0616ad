# SPDX-License-Identifier: Apache-2.0
"""Jobs with artifacts, and the objects behind them."""

from __future__ import annotations

import io
import json
import os
import zipfile

import boto3
import pytest
from support import ACTION_TYPE

from airflow_codepipeline_partner.exceptions import ArtifactError

KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
LARGE = os.urandom(20_000_000)


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


#: An artifact that no job's credentials open.
ELSEWHERE = {
    "name": "Source",
    "location": {"type": "S3", "s3Location": {"bucketName": "b", "objectKey": "k"}},
}
SOURCE = zipped({"a": "content of a"})


def refused(match, call, kind=ArtifactError):
    """Check that a call fails with an error of ours whose text matches, and return that."""
    with pytest.raises(kind, match=match) as refusal:
        call()
    return refusal.value


class World:
    """A claimed job with artifacts, and the objects behind them."""

    def __init__(self, emulator, customer, hook, fake_time):
        self.emulator, self.customer, self.hook, self.time = emulator, customer, hook, fake_time

    def claim(self, source=SOURCE, *, inputs=("Source",), outputs=("Built",), key=KEY):
        name = f"pipe{len(self.emulator.jobs())}"
        self.emulator.add_pipeline(
            name,
            client_id=self.customer.client_id,
            action_type=ACTION_TYPE,
            input_artifacts=inputs,
            output_artifacts=outputs,
            encryption_key=key,
        )
        self.emulator.start_execution(name, dict.fromkeys(inputs, source))
        [job] = self.hook.poll(ACTION_TYPE)
        return self.hook.claim(job)

    def calls(self, *operations):
        entries = self.emulator.ledger.where(kind="artifact")
        return [entry for entry in entries if not operations or entry.operation in operations]

    def client(self):
        """Return a client for S3 that may do all."""
        return s3_client(self.emulator, "customer", "customer")

    def read(self, artifact):
        return self.client().get_object(Bucket=artifact.bucket, Key=artifact.key)["Body"].read()


def s3_client(emulator, access_key, secret_key):
    return boto3.client(
        "s3",
        endpoint_url=emulator.url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )


def own_storage(emulator, monkeypatch):
    """Yield a client for S3 of the user's own: its connection is own_s3, its account not the artifacts'."""
    extra = {"region_name": "us-east-1", "endpoint_url": emulator.url}
    connection = {"conn_type": "aws", "login": "AKIAOWN", "password": "own", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_OWN_S3", json.dumps(connection))
    s3 = s3_client(emulator, "AKIAOWN", "own")
    s3.create_bucket(Bucket="own")
    yield s3
    s3.close()
