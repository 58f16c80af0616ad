# SPDX-License-Identifier: Apache-2.0
"""A pipeline with a source and one action that a worker does, and its executions."""

from __future__ import annotations

import dataclasses
import re
import secrets
import string
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_codepipeline_partner.emulator.errors import ControlError

if TYPE_CHECKING:
    from airflow_codepipeline_partner.emulator.action_types import ActionTypeId

ACCOUNT_ID = "123456789012"  # moto's default account
DEFAULT_REGION = "us-east-1"
SOURCE_STAGE = "Source"
SOURCE_ACTION = "Source"
MASKED = "****"
# CodePipeline cuts the names in an artifact's key, and ends the key with seven random characters.
PIPELINE_KEY_CHARS, ARTIFACT_KEY_CHARS, SUFFIX_CHARS = 20, 10, 7
MAX_URL_CHARS = 2048
MAX_ENCRYPTION_KEY_CHARS = 400
#: What stands in the template of a URL for a value of the action's configuration.
CONFIG_PLACEHOLDER = re.compile(r"\{Config:([^}]*)\}")

_NAME = re.compile(r"[A-Za-z0-9.@\-_]{1,100}")
_ARTIFACT_NAME = re.compile(r"[a-zA-Z0-9_\-]{1,100}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A named object in S3."""

    name: str
    bucket: str
    key: str
    revision: str | None = None


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """
    A pipeline: an emulated source stage, then a stage with the one action that a worker does.

    :param client_id: The customer, of a partner's action; None for a custom one.
    :param queryable: The configuration key by whose value a poll chooses jobs.
    """

    name: str
    client_id: str | None
    action_type: ActionTypeId
    configuration: Mapping[str, str] = dataclasses.field(repr=False)
    secret_configuration_keys: frozenset[str]
    input_artifacts: tuple[str, ...]
    output_artifacts: tuple[str, ...]
    stage_name: str
    action_name: str
    bucket: str
    encryption_key: str | None
    job_timeout: float | None
    execution_url_template: str | None
    created_at: float
    queryable: str | None = None

    def __post_init__(self) -> None:
        for what, name in (
            ("pipeline", self.name),
            ("stage", self.stage_name),
            ("action", self.action_name),
        ):
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ControlError(f"a name of a {what} is 1 to 100 of A-Z a-z 0-9 . @ - _, not {name!r}")
        artifacts = (*self.input_artifacts, *self.output_artifacts)
        for name in artifacts:
            if not isinstance(name, str) or not _ARTIFACT_NAME.fullmatch(name):
                raise ControlError(f"a name of an artifact is 1 to 100 of A-Z a-z 0-9 - _, not {name!r}")
        if len(set(artifacts)) < len(artifacts):
            raise ControlError("each artifact of a pipeline has a name of its own")
        if not isinstance(self.bucket, str) or not _BUCKET.fullmatch(self.bucket):
            raise ControlError(f"a name of a bucket is 3 to 63 of a-z 0-9 . -, not {self.bucket!r}")
        for what, text, most in (
            ("encryption_key", self.encryption_key, MAX_ENCRYPTION_KEY_CHARS),
            ("execution_url_template", self.execution_url_template, MAX_URL_CHARS),
        ):
            if text is not None and not (isinstance(text, str) and 1 <= len(text) <= most):
                raise ControlError(f"{what} is a text of 1 to {most} characters")
        for key, value in self.configuration.items():
            # The value may be a secret, so it is not shown.
            if not (isinstance(key, str) and 1 <= len(key) <= 50):
                raise ControlError(f"a configuration key has 1 to 50 characters: {key!r}")
            if not (isinstance(value, str) and 1 <= len(value) <= 1000):
                raise ControlError(f"the value of configuration key {key} has 1 to 1000 characters")
        unknown = self.secret_configuration_keys - set(self.configuration)
        if unknown:
            raise ControlError(f"no such configuration key: {', '.join(sorted(unknown))}")
        for key in CONFIG_PLACEHOLDER.findall(self.execution_url_template or ""):
            if key not in self.configuration or key in self.secret_configuration_keys:
                raise ControlError(
                    f"execution_url_template needs a configuration key that is no secret: {key}"
                )
        if self.job_timeout is not None and not self.job_timeout > 0:
            raise ControlError("job_timeout is seconds above 0")

    def arn(self, region: str | None) -> str:
        """Return the pipeline's ARN in a region, by default in that of those who name none."""
        return f"arn:aws:codepipeline:{region or DEFAULT_REGION}:{ACCOUNT_ID}:{self.name}"

    @property
    def queue(self) -> tuple[ActionTypeId, str | None]:
        """Where its jobs wait."""
        return self.action_type, None if self.queryable is None else self.configuration.get(self.queryable)

    def shown_configuration(self) -> dict[str, str]:
        """Return the configuration as everybody but the worker sees it."""
        secret = self.secret_configuration_keys
        return {key: MASKED if key in secret else value for key, value in self.configuration.items()}

    def execution_url(self, external_execution_id: str | None) -> str | None:
        """Return the link to the worker's own page of an execution, or None if there is none yet."""
        url = self.execution_url_template
        if url is None or ("{ExternalExecutionId}" in url and external_execution_id is None):
            return None
        url = CONFIG_PLACEHOLDER.sub(lambda found: self.configuration[found[1]], url)
        return url.replace("{ExternalExecutionId}", external_execution_id or "")[:MAX_URL_CHARS]

    def new_artifact(self, name: str, revision: str | None = None) -> Artifact:
        """Assign an artifact of a new execution its place in S3."""
        suffix = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(SUFFIX_CHARS))
        key = f"{self.name[:PIPELINE_KEY_CHARS]}/{name[:ARTIFACT_KEY_CHARS]}/{suffix}"
        return Artifact(name, self.bucket, key, revision)


@dataclasses.dataclass
class PipelineExecution:
    """One run of a pipeline."""

    pipeline: Pipeline
    started_at: float
    trigger: str
    pipeline_execution_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "InProgress"
    updated_at: float = 0.0
    stop_reason: str | None = None
    source_execution_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    inputs: tuple[Artifact, ...] = ()
    actions: list[ActionExecution] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class ActionExecution:
    """One run of that action: one job, or several by continuation."""

    execution: PipelineExecution
    started_at: float
    outputs: tuple[Artifact, ...]
    action_execution_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "InProgress"
    updated_at: float = 0.0
    current_job_id: str | None = None
    summary: str | None = None
    external_execution_id: str | None = None
    percent_complete: int | None = None
    error_details: dict[str, str] | None = None
    current_revision: dict[str, Any] | None = None
    output_variables: dict[str, str] | None = None

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline whose action this is."""
        return self.execution.pipeline
