# SPDX-License-Identifier: Apache-2.0
"""Checks of a pipeline in the own account: its artifact buckets and their keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_codepipeline_partner.doctor.aws_access import SEE_AWS, AwsAccess
from airflow_codepipeline_partner.doctor.examination import Shared
from airflow_codepipeline_partner.doctor.findings import (
    CannotCheck,
    Finding,
    LeftOut,
    failed,
    passed,
    unknown,
)

_NOT_NEEDED = "A worker does not need this permission: each job brings credentials for its own artifacts."


class Pipeline:
    """
    Check what a pipeline says of its artifacts.

    :param aws: The way to AWS.
    :param name: The pipeline.
    :param limit: How long the look at it may take, in seconds.
    """

    def __init__(self, aws: AwsAccess, name: str, limit: float) -> None:
        self._aws = aws
        self._name = name
        self._declaration = Shared(self._declared, limit)

    def check_there(self) -> Finding:
        """Check that the pipeline is there."""
        try:
            self._declaration.get()
        except LookupError:
            return failed(
                f"There is no pipeline {self._name!r} in {self._aws.region_name}.",
                "Check its name, the region and the account.",
            )
        return passed(f"The pipeline {self._name!r} is there.")

    def check_buckets(self) -> Iterator[Finding]:
        """Check that its artifact buckets exist."""
        for _, store in self._stores():
            bucket = store["location"]
            answer = self._aws.ask("s3", "head_bucket", Bucket=bucket)
            if answer.code in ("404", "NoSuchBucket"):
                yield failed(
                    f"There is no bucket {bucket}, in which the artifacts are.",
                    "Create it, or change artifactStore in the pipeline.",
                    bucket,
                )
            elif answer.error_name is not None or answer.code not in (None, "301", "PermanentRedirect"):
                advice = _NOT_NEEDED if answer.code == "403" or answer.is_denied else SEE_AWS
                yield unknown(f"HeadBucket of {bucket} got {answer.said}.", advice, bucket)
            else:
                yield passed(f"The artifact bucket {bucket} exists.", bucket)

    def check_keys(self) -> Iterator[Finding]:
        """Check that the keys of its artifacts can be used."""
        for region, store in self._stores():
            key = (store.get("encryptionKey") or {}).get("id")
            if key is None:
                yield passed(f"The artifacts in {store['location']} have AWS's own key.", store["location"])
            elif region not in (None, self._aws.region_name):
                yield unknown(
                    f"The key of {store['location']} is in {region}, where nothing was asked.",
                    "Give --region to ask there.",
                    store["location"],
                )
            else:
                yield self._check_key(key)

    def _check_key(self, key: str) -> Finding:
        answer = self._aws.ask("kms", "describe_key", KeyId=key)
        if answer.code == "NotFoundException":
            return failed(
                f"There is no KMS key {key}, with which the artifacts are encrypted.",
                "Change encryptionKey in the pipeline's artifactStore.",
                key,
            )
        state = ((answer.value or {}).get("KeyMetadata") or {}).get("KeyState")
        if state is None:
            advice = _NOT_NEEDED if answer.is_denied else SEE_AWS
            return unknown(f"DescribeKey of {key} got {answer.said}.", advice, key)
        if state != "Enabled":
            return failed(
                f"The KMS key {key} is in the state {state}.", "Enable it, or use another one.", key
            )
        return passed(f"The KMS key {key} is enabled.", key)

    def _stores(self) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
        try:
            declared = self._declaration.get()
        except LookupError:
            # The check of the pipeline says so.
            raise LeftOut from None
        if one := declared.get("artifactStore"):
            yield None, one
        yield from (declared.get("artifactStores") or {}).items()

    def _declared(self) -> Mapping[str, Any]:
        self._aws.check_answers()
        answer = self._aws.ask("codepipeline", "get_pipeline", name=self._name)
        if answer.code == "PipelineNotFoundException":
            raise LookupError
        if answer.value is None:
            allow = "To have it checked, allow codepipeline:GetPipeline. A worker does not need it."
            raise CannotCheck(f"GetPipeline got {answer.said}.", allow if answer.is_denied else SEE_AWS)
        declared: Mapping[str, Any] = answer.value["pipeline"]
        return declared
