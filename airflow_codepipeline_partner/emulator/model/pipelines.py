# SPDX-License-Identifier: Apache-2.0
"""A declared pipeline: its stages, and their actions."""

from __future__ import annotations

import dataclasses
import re
import secrets
import string
from collections.abc import Iterator, Mapping

from airflow_codepipeline_partner.emulator.errors import ControlError
from airflow_codepipeline_partner.emulator.model.action_types import CUSTOM, THIRD_PARTY, ActionTypeId
from airflow_codepipeline_partner.emulator.model.secret_masking import mask

ACCOUNT_ID = "123456789012"  # moto's default account
#: As moto's GetCallerIdentity answers for a key that it does not know: who calls is not checked.
CALLER_ARN = f"arn:aws:sts::{ACCOUNT_ID}:user/moto"
DEFAULT_REGION = "us-east-1"
PARALLEL, SUPERSEDED = "PARALLEL", "SUPERSEDED"  # and QUEUED
SOURCE_CATEGORY = "Source"
S3_SOURCE = ActionTypeId(SOURCE_CATEGORY, "AWS", "S3", "1")
MANUAL_APPROVAL = ActionTypeId("Approval", "AWS", "Manual", "1")
INVOKE_PIPELINE = ActionTypeId("Invoke", "AWS", "CodePipeline", "1")
#: AWS's own, despite its owner.
GITHUB_SOURCE = ActionTypeId(SOURCE_CATEGORY, "ThirdParty", "GitHub", "1")
GITHUB_SECRET = "OAuthToken"  # noqa: S105 - the name of a property
# CodePipeline shortens the names in an artifact's key, and ends the key with seven random characters.
PIPELINE_KEY_CHARS, ARTIFACT_KEY_CHARS, SUFFIX_CHARS = 20, 10, 7
MAX_URL_CHARS = 2048
MAX_ENCRYPTION_KEY_CHARS = 400
#: In the template of a URL: the placeholder of a value of the action's configuration.
CONFIG_PLACEHOLDER = re.compile(r"\{Config:([^}]*)\}")
EXECUTION_ID = "{ExternalExecutionId}"
_LINKS = ("execution_url_template", "entity_url_template", "revision_url_template")

_NAME = re.compile(r"[A-Za-z0-9.@\-_]{1,100}")


@dataclasses.dataclass(frozen=True)
class PipelineArtifact:
    """A named artifact, and its object in S3."""

    name: str
    bucket: str
    key: str
    revision: str | None = None


@dataclasses.dataclass(frozen=True)
class Action:
    """
    An action of a stage.

    :param client_id: The customer, for a partner's action; None for all others.
    :param run_order: Actions with the same number run in parallel, those with a higher number after them.
    :param namespace: Under this name later actions find its output variables; None if they cannot.
    :param queryable: The configuration key by whose value a poll chooses jobs.
    :param job_timeout: Seconds for one job; None for ``Settings.job_timeout``.
    :param timeout_minutes: Minutes that an approval waits for its answer; None for AWS's seven days.
    """

    name: str
    action_type: ActionTypeId
    configuration: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    secret_configuration_keys: frozenset[str] = frozenset()
    input_artifacts: tuple[str, ...] = ()
    output_artifacts: tuple[str, ...] = ()
    run_order: int = 1
    namespace: str | None = None
    region: str | None = None
    client_id: str | None = None
    queryable: str | None = None
    execution_url_template: str | None = None
    entity_url_template: str | None = None
    revision_url_template: str | None = None
    job_timeout: float | None = None
    timeout_minutes: int | None = None

    def __post_init__(self) -> None:
        _check_name("action", self.name)
        for name in _LINKS:
            self._check_link(name, getattr(self, name))
        for key, value in self.configuration.items():
            # The value may be a secret, so it is not shown.
            if not (isinstance(key, str) and 1 <= len(key) <= 50):
                raise ControlError(f"a configuration key has 1 to 50 characters: {key!r}")
            if not (isinstance(value, str) and 1 <= len(value) <= 1000):
                raise ControlError(f"the value of configuration key {key} has 1 to 1000 characters")
        unknown = self.secret_configuration_keys - set(self.configuration)
        if unknown:
            raise ControlError(f"no such configuration key: {', '.join(sorted(unknown))}")
        if self.job_timeout is not None and not self.job_timeout > 0:
            raise ControlError("job_timeout is seconds above 0")

    def _check_link(self, name: str, template: str | None) -> None:
        _check_text(name, template, MAX_URL_CHARS)
        for key in CONFIG_PLACEHOLDER.findall(template or ""):
            if key not in self.configuration or key in self.secret_configuration_keys:
                raise ControlError(f"{name} needs a configuration key that is no secret: {key}")

    @property
    def makes_jobs(self) -> bool:
        """Whether a worker does it, not AWS."""
        return self.action_type.owner in (CUSTOM, THIRD_PARTY) and self.action_type != GITHUB_SOURCE

    @property
    def is_emulated(self) -> bool:
        """Whether its work is done, by somebody or here; AWS's other actions just succeed."""
        return self.makes_jobs or self.action_type in (S3_SOURCE, MANUAL_APPROVAL, INVOKE_PIPELINE)

    def link(
        self, template: str | None, configuration: Mapping[str, str] | None, execution_id: str | None = None
    ) -> str | None:
        """
        Return a link with its placeholders filled in; None if there is no link, or not yet.

        :param configuration: None for the declared one, in which variables are still references.
        :param execution_id: The external execution id of the worker's result.
        """
        if template is None or (EXECUTION_ID in template and execution_id is None):
            return None
        values = self.configuration if configuration is None else configuration
        # Each part by itself: the worker's id may look like a placeholder.
        parts = [
            CONFIG_PLACEHOLDER.sub(lambda found: values.get(found[1], ""), part)
            for part in template.split(EXECUTION_ID)
        ]
        return (execution_id or "").join(parts)[:MAX_URL_CHARS]

    def shown(self, configuration: Mapping[str, str]) -> dict[str, str]:
        """Return a configuration of this action as everybody except the worker sees it."""
        return mask(configuration, self.secret_configuration_keys)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage; an execution enters and leaves it as a whole."""

    name: str
    actions: tuple[Action, ...]

    def __post_init__(self) -> None:
        _check_name("stage", self.name)

    def run_orders(self) -> list[int]:
        """Return the run orders of its actions, sorted."""
        return sorted({action.run_order for action in self.actions})


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """
    A pipeline.

    :param bucket: The bucket of its artifacts.
    :param encryption_key: KMS key id of the artifacts; None for AWS's managed key.
    :param execution_mode: What an execution does if another one is in the stage that it arrives at: with
        ``PARALLEL`` it enters, with ``QUEUED`` it waits, with ``SUPERSEDED`` it waits and replaces the one
        that waited.
    :param variables: The pipeline's own variables and their defaults; None if a start must give a value.
    :param declared_in: The region whose CreatePipeline made it, so that moto has it too; None if the
        emulator's control made it.
    """

    name: str
    stages: tuple[Stage, ...]
    bucket: str
    encryption_key: str | None
    created_at: float
    updated_at: float
    version: int = 1
    execution_mode: str = PARALLEL
    variables: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    declared_in: str | None = None

    def __post_init__(self) -> None:
        _check_name("pipeline", self.name)
        _check_text("encryption_key", self.encryption_key, MAX_ENCRYPTION_KEY_CHARS)

    def actions(self) -> Iterator[Action]:
        """Yield the actions of all its stages."""
        for stage in self.stages:
            yield from stage.actions

    def find_action(self, name: str, stage_name: str | None = None) -> tuple[Stage, Action]:
        """
        Return an action and its stage.

        :param stage_name: May be left out if only one stage has an action of this name.
        :raises ControlError: There is none, or more than one.
        """
        found = [
            (stage, action)
            for stage in self.stages
            for action in stage.actions
            if action.name == name and stage_name in (None, stage.name)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise ControlError(f"more than one stage has an action {name}: say which by stage_name")
        where = "" if stage_name is None else f" in the stage {stage_name}"
        raise ControlError(f"the pipeline {self.name} has no action {name}{where}", 404)

    @property
    def client_id(self) -> str | None:
        """The customer whose pipeline it is; None if it has no partner's action."""
        return next((action.client_id for action in self.actions() if action.client_id is not None), None)

    @property
    def source_artifacts(self) -> tuple[str, ...]:
        """The names of the artifacts that its first stage makes without a worker."""
        built_in = (action for action in self.stages[0].actions if not action.makes_jobs)
        return tuple(name for action in built_in for name in action.output_artifacts)

    @property
    def has_artifacts(self) -> bool:
        """Whether any of its actions takes or makes an artifact."""
        return any(action.input_artifacts or action.output_artifacts for action in self.actions())

    def is_in(self, region: str | None) -> bool:
        """Return whether a region has this pipeline; all have those that the emulator's control made."""
        return None in (self.declared_in, region) or self.declared_in == region

    def fault_of_variables(self, values: Mapping[str, str]) -> str | None:
        """Return what is wrong with a start's values for the pipeline's variables, or None."""
        for name in sorted(values.keys() - self.variables.keys()):
            return f"the pipeline has no variable {name}"
        for name, default in self.variables.items():
            if default is None and name not in values:
                return f"the pipeline's variable {name} has no value"
        return None

    def arn(self, region: str | None) -> str:
        """Return the pipeline's ARN, in this region (or the default one) if it has none of its own."""
        return f"arn:aws:codepipeline:{self.declared_in or region or DEFAULT_REGION}:{ACCOUNT_ID}:{self.name}"

    def new_artifact(self, name: str) -> PipelineArtifact:
        """Return an artifact of a new execution, with its location in S3."""
        suffix = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(SUFFIX_CHARS))
        key = f"{self.name[:PIPELINE_KEY_CHARS]}/{name[:ARTIFACT_KEY_CHARS]}/{suffix}"
        return PipelineArtifact(name, self.bucket, key)


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ControlError(f"a name of a {what} is 1 to 100 of A-Z a-z 0-9 . @ - _, not {name!r}")


def _check_text(what: str, text: str | None, most: int) -> None:
    if text is not None and not (isinstance(text, str) and 1 <= len(text) <= most):
        raise ControlError(f"{what} is a text of 1 to {most} characters")
