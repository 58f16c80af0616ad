# SPDX-License-Identifier: Apache-2.0
"""The details of a job, which hold secrets, and its artifacts. Frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn, Self

from airflow_codepipeline_partner._secrets import Secret
from airflow_codepipeline_partner.exceptions import InvalidInput, InvalidJobReference


@dataclass(frozen=True)
class Artifact:
    """
    One artifact of a job: the place where it is, or the place to upload it.

    :param name: The artifact's name in the pipeline.
    :param revision: The artifact's revision id, or None.
    :param bucket: The S3 bucket, or None if the answer names no place.
    :param key: The key in the bucket, or None.
    """

    name: str
    revision: str | None = None
    bucket: str | None = None
    key: str | None = None

    @classmethod
    def from_api(cls, answer: Mapping[str, Any]) -> Self:
        """Return the artifact that a job's data names."""
        place = (answer.get("location") or {}).get("s3Location") or {}
        return cls(
            name=answer.get("name") or "",
            revision=answer.get("revision"),
            bucket=place.get("bucketName"),
            key=place.get("objectKey"),
        )

    @classmethod
    def from_xcom(cls, value: object, job_id: str) -> Self:
        """
        Return the artifact that lies in a claimed job's XCom.

        :raises InvalidJobReference: It is none.
        """
        names = [part.name for part in fields(cls)]
        if not isinstance(value, Mapping) or "name" not in value:
            raise InvalidJobReference(
                f"An artifact of the claimed job {job_id} must be a mapping with {', '.join(names)}, "
                f"not a {type(value).__name__}{' without name' if isinstance(value, Mapping) else ''}.",
                job_id=job_id,
            )
        name, *more = (value.get(name) for name in names)
        if not isinstance(name, str) or not all(isinstance(each, str | None) for each in more):
            raise InvalidJobReference(
                f"The members of an artifact of the claimed job {job_id} must be texts.", job_id=job_id
            )
        return cls(name, *more)

    def to_xcom(self) -> dict[str, str | None]:
        """Return name, revision, bucket and key."""
        return {"name": self.name, "revision": self.revision, "bucket": self.bucket, "key": self.key}


def _artifacts(answer: Iterable[Mapping[str, Any]] | None) -> tuple[Artifact, ...]:
    return tuple(Artifact.from_api(artifact) for artifact in answer or () if isinstance(artifact, Mapping))


@dataclass(frozen=True)
class JobDetails:
    """
    All that CodePipeline returns about a job.

    The details hold secrets. Never log them, and never store them in XCom.

    :param job_id: The job's id.
    :param nonce: The nonce for the acknowledgement. It can be used once. For custom jobs it is None, because
        their poll returned the nonce.
    :param configuration: The action's configuration, with the customer's secrets in plain text.
    :param pipeline_name: Name of the customer's pipeline, or None.
    :param stage_name: Name of the stage, or None.
    :param action_name: Name of the action, or None.
    :param action_execution_id: The id that all jobs of one run of the action share, or None.
    :param input_artifacts: The action's input artifacts.
    :param output_artifacts: The action's output artifacts, with the places to upload them.
    :param artifact_credentials: AWS's mapping with accessKeyId, secretAccessKey and sessionToken, valid for
        about 15 minutes. None if the action needs no artifacts.
    :param continuation_token: The token that ended the action's former job, or None.
    :param encryption_key: AWS's mapping with id and type. If None, the AWS managed key is used.
    :param account_id: The pipeline's AWS account. Only for a custom job.
    :param pipeline_arn: The pipeline's ARN. Only for a custom job.
    :param pipeline_execution_id: The id of the pipeline's run. Only for a custom job.

    Source: GetThirdPartyJobDetails, GetJobDetails, CodePipeline API 2015-07-09.
    """

    job_id: str
    nonce: str | None = field(default=None, repr=False)
    configuration: Mapping[str, str] = field(default_factory=dict, repr=False)
    pipeline_name: str | None = None
    stage_name: str | None = None
    action_name: str | None = None
    action_execution_id: str | None = None
    input_artifacts: tuple[Artifact, ...] = ()
    output_artifacts: tuple[Artifact, ...] = ()
    artifact_credentials: Mapping[str, str] | None = field(default=None, repr=False)
    continuation_token: str | None = None
    encryption_key: Mapping[str, str] | None = None
    account_id: str | None = None
    pipeline_arn: str | None = None
    pipeline_execution_id: str | None = None

    @classmethod
    def from_api(cls, answer: Mapping[str, Any], *, job_id: str) -> Self:
        """
        Return the details from a response of GetThirdPartyJobDetails or GetJobDetails.

        :param answer: The response's ``jobDetails``; any member may be missing.
        :param job_id: The id that was asked for; used if the response has none.
        """
        data = answer.get("data") or {}
        context = data.get("pipelineContext") or {}
        action = context.get("action") or {}
        return cls(
            job_id=answer.get("id") or job_id,
            nonce=answer.get("nonce"),
            configuration=dict((data.get("actionConfiguration") or {}).get("configuration") or {}),
            pipeline_name=context.get("pipelineName"),
            stage_name=(context.get("stage") or {}).get("name"),
            action_name=action.get("name"),
            action_execution_id=action.get("actionExecutionId"),
            input_artifacts=_artifacts(data.get("inputArtifacts")),
            output_artifacts=_artifacts(data.get("outputArtifacts")),
            artifact_credentials=data.get("artifactCredentials"),
            continuation_token=data.get("continuationToken"),
            encryption_key=data.get("encryptionKey"),
            account_id=answer.get("accountId"),
            pipeline_arn=context.get("pipelineArn"),
            pipeline_execution_id=context.get("pipelineExecutionId"),
        )

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The nonce and the artifact credentials, except the access key's id, which AWS itself logs."""
        keys = self.artifact_credentials or {}
        held = (self.nonce, keys.get("secretAccessKey"), keys.get("sessionToken"))
        return tuple(Secret(each) for each in held if each)

    def serialize(self) -> NoReturn:
        """
        Keep the details out of XCom: Airflow calls this for a value that a task returns.

        :raises InvalidInput: Always.
        """
        raise InvalidInput(
            f"The details of job {self.job_id} hold secrets and cannot be returned from a task, since XCom "
            "is stored in clear. Return only what the next task needs, or let that task ask for the details.",
            job_id=self.job_id,
        )
