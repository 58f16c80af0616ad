# SPDX-License-Identifier: Apache-2.0
"""A pipeline that DAGs start, and the executions that they have started."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import boto3

from airflow_codepipeline_partner.emulator import Emulator
from airflow_codepipeline_partner.testing.offline_airflow import ACCESS_KEY, REGION

__all__: list[str] = []

_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "codepipeline.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
_ROLE = "codepipeline-testing"


class Pipeline:
    """
    A pipeline with a source and a deployment, which end at once: with success, unless :meth:`fail` says so.

    :param emulator: The emulator.
    :param name: The pipeline's name.
    """

    #: The actions of the pipeline.
    SOURCE, DEPLOY = "Source", "Deploy"

    def __init__(self, emulator: Emulator, name: str) -> None:
        self.name = name
        self._emulator = emulator

    @classmethod
    def create(cls, emulator: Emulator, name: str, variables: Iterable[str]) -> Pipeline:
        """Create the pipeline, as a user of AWS does."""
        client = _client(emulator, "codepipeline")
        source = {"category": "Source", "owner": "AWS", "provider": "CodeCommit", "version": "1"}
        deploy = {"category": "Deploy", "owner": "AWS", "provider": "CodeDeploy", "version": "1"}
        made: dict[str, Any] = {
            "name": name,
            "roleArn": _role(emulator),
            "pipelineType": "V2",
            "artifactStore": {"type": "S3", "location": "codepipeline-testing"},
            "variables": [{"name": variable} for variable in variables],
            "stages": [
                _stage(cls.SOURCE, source, outputArtifacts=[{"name": "App"}]),
                _stage(cls.DEPLOY, deploy, inputArtifacts=[{"name": "App"}]),
            ],
        }
        client.create_pipeline(pipeline=made)
        return cls(emulator, name)

    def fail(self, action: str = DEPLOY, *, code: str = "JobFailed", message: str = "It failed.") -> None:
        """
        Let an action fail in the pipeline's next execution.

        :param action: ``Source`` or ``Deploy``.
        :param code: The error's code.
        :param message: The error's message.
        """
        self._emulator.fail_action(self.name, action, code=code, message=message)

    @property
    def executions(self) -> list[Mapping[str, Any]]:
        """What GetPipelineExecution answers for each execution, the oldest first."""
        client = _client(self._emulator, "codepipeline")
        pages = client.get_paginator("list_pipeline_executions").paginate(pipelineName=self.name)
        ids = [each["pipelineExecutionId"] for page in pages for each in page["pipelineExecutionSummaries"]]
        return [
            client.get_pipeline_execution(pipelineName=self.name, pipelineExecutionId=each)[
                "pipelineExecution"
            ]
            for each in reversed(ids)
        ]

    def assert_started(
        self, times: int = 1, *, status: str = "Succeeded", variables: Mapping[str, str] | None = None
    ) -> None:
        """
        Assert that DAGs have started the pipeline.

        :param times: How often, at least 1.
        :param status: The status of each execution.
        :param variables: Values that each execution was started with. Others may be there.
        :raises AssertionError: They have not; the message lists the executions.
        """
        __tracebackhide__ = True
        found = [
            (each["status"], {one["name"]: one["resolvedValue"] for one in each.get("variables", ())})
            for each in self.executions
        ]
        wanted = dict(variables or {})
        if len(found) == times and all(
            state == status and wanted.items() <= values.items() for state, values in found
        ):
            return
        shown = "\n".join(f"  {state}, variables {values}" for state, values in found) or "  none"
        raise AssertionError(
            f"Pipeline {self.name} was not started {times} times with the status {status}"
            f"{f' and the variables {wanted}' if wanted else ''}. Its executions:\n{shown}"
        )


def _stage(name: str, action_type: Mapping[str, str], **artifacts: Any) -> dict[str, Any]:
    return {"name": name, "actions": [{"name": name, "actionTypeId": action_type, **artifacts}]}


def _role(emulator: Emulator) -> str:
    iam = _client(emulator, "iam")
    try:
        found: str = iam.get_role(RoleName=_ROLE)["Role"]["Arn"]
    except iam.exceptions.NoSuchEntityException:
        found = iam.create_role(RoleName=_ROLE, AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
    return found


def _client(emulator: Emulator, service: Any) -> Any:
    session = boto3.Session(ACCESS_KEY["login"], ACCESS_KEY["password"], region_name=REGION)
    return session.client(service, endpoint_url=emulator.url)
