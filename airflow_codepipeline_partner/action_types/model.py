# SPDX-License-Identifier: Apache-2.0
"""
A custom action type as code: what is declared, what CodePipeline takes and gives, and what a worker may do.

Everything here is a value; nothing is read, written or called.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from airflow_codepipeline_partner._protocol.dialects import CUSTOM, DIALECTS, THIRD_PARTY, Dialect
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._protocol.parsing import without_none
from airflow_codepipeline_partner.action_types.declaration import (
    ARTIFACT_DETAILS,
    MEMBERS,
    PROPERTY,
    SETTINGS,
    read_declaration,
)
from airflow_codepipeline_partner.exceptions import InvalidInput

PATH = "CATEGORY/PROVIDER/VERSION"
#: Part of an ARN → what it may be.
_ARN_PARTS = {"account_id": r"\d{12}|\*", "region": r"[a-z0-9-]+|\*", "partition": r"aws[a-z-]*|\*"}


@dataclass(frozen=True)
class ConfigurationProperty:
    """
    A property that whoever uses the action configures.

    :param name: 1 to 50 characters. An action's configuration has the value under it.
    :param description: What the console shows beside it, 1 to 160 characters.
    :param required: Whether an action must have a value.
    :param key: Whether it is a key; AWS says no more of it. Its examples set it for the property that names
        what the action works on, such as a project.
    :param secret: Whether the value is hidden from everybody but the worker.
    :param queryable: Whether a worker can poll for the jobs of one value only. At most one property can be
        so; it must be required and not secret, and its values have 1 to 20 of ``0-9 A-Z a-z _ -``.
    :param type: ``String``, ``Number`` or ``Boolean``; None leaves it to CodePipeline, which takes it for a
        string.

    Source: ActionConfigurationProperty, CodePipeline API 2015-07-09.
    """

    name: str
    description: str | None = None
    required: bool = False
    key: bool = False
    secret: bool = False
    queryable: bool = False
    type: str | None = None

    def to_api(self) -> dict[str, Any]:
        """Return AWS's shape, which is also that of the declaration."""
        return without_none(
            name=self.name,
            description=self.description,
            required=self.required,
            key=self.key,
            secret=self.secret,
            queryable=self.queryable or None,
            type=self.type,
        )


@dataclass(frozen=True)
class ActionTypeSettings:
    """
    The links of an action type, each 1 to 2048 characters or None.

    The templates may hold ``{Config:name}`` for a property that is required and not secret.

    :param third_party_configuration_url: Where a user signs up for the service behind the action.
    :param entity_url_template: The link of the action in a pipeline.
    :param execution_url_template: The link of an execution; ``{ExternalExecutionId}`` in it stands for what
        the worker's result names.
    :param revision_url_template: Where a user can change the configuration.

    Source: ActionTypeSettings, CodePipeline API 2015-07-09.
    """

    third_party_configuration_url: str | None = None
    entity_url_template: str | None = None
    execution_url_template: str | None = None
    revision_url_template: str | None = None

    def to_api(self) -> dict[str, str]:
        """Return AWS's shape, which is also that of the declaration."""
        return _in_aws_spelling(self, SETTINGS)


@dataclass(frozen=True)
class ArtifactDetails:
    """
    How many artifacts an action of this type takes or makes.

    :param minimum_count: Fewest, 0 to 5.
    :param maximum_count: Most, 0 to 5.

    Source: ArtifactDetails, CodePipeline API 2015-07-09.
    """

    minimum_count: int = 0
    maximum_count: int = 5

    def to_api(self) -> dict[str, int]:
        """Return AWS's shape, which is also that of the declaration."""
        return _in_aws_spelling(self, ARTIFACT_DETAILS)


@dataclass(frozen=True)
class CustomActionType:
    """
    A custom action type. What :meth:`from_declaration` makes keeps all limits; the others are not checked.

    :param category: One of Source, Build, Deploy, Test, Invoke, Approval, Compute. AWS's guide names Build,
        Deploy, Test and Invoke for custom actions, and there are custom sources in its samples.
    :param provider: The provider's name, 1 to 35 of ``0-9 A-Z a-z _ -``.
    :param version: The version, 1 to 9 of ``0-9 A-Z a-z _ -``.
    :param settings: The links.
    :param configuration_properties: At most 10.
    :param input_artifact_details: How many artifacts an action takes.
    :param output_artifact_details: How many artifacts an action makes.
    :param tags: At most 50. CodePipeline does not tell them with the action type.

    Source: CreateCustomActionType, CodePipeline API 2015-07-09.
    """

    category: str
    provider: str
    version: str = "1"
    settings: ActionTypeSettings = field(default_factory=ActionTypeSettings)
    configuration_properties: tuple[ConfigurationProperty, ...] = ()
    input_artifact_details: ArtifactDetails = field(default_factory=ArtifactDetails)
    output_artifact_details: ArtifactDetails = field(default_factory=ArtifactDetails)
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_declaration(cls, value: object) -> Self:
        """
        Return the action type that a user declares.

        :param value: A mapping with AWS's or with snake_case keys. Only category and provider are needed.
            ``tags`` is a mapping, or AWS's list of ``key`` and ``value``; ``owner`` may be there, as Custom.
        :raises InvalidDeclaration: Something is wrong; all of it is told.
        """
        return cls._from_members(read_declaration(value))

    @classmethod
    def from_api(cls, value: Mapping[str, Any]) -> Self:
        """
        Return the action type that CodePipeline tells of.

        It tells neither tags nor, mostly, the types of properties.

        Source: ActionType, CodePipeline API 2015-07-09.
        """
        properties = [
            _in_snake_case(each, PROPERTY) for each in value.get("actionConfigurationProperties") or ()
        ]
        return cls._from_members(
            {
                **{name: value["id"][name] for name in ("category", "provider", "version")},
                "configuration_properties": properties,
                "settings": _in_snake_case(value.get("settings"), SETTINGS),
                "input_artifact_details": _in_snake_case(value.get("inputArtifactDetails"), ARTIFACT_DETAILS),
                "output_artifact_details": _in_snake_case(
                    value.get("outputArtifactDetails"), ARTIFACT_DETAILS
                ),
            }
        )

    @classmethod
    def _from_members(cls, members: dict[str, Any]) -> Self:
        made: dict[str, Any] = dict(members)
        kinds = {"settings": ActionTypeSettings, "input_artifact_details": ArtifactDetails}
        kinds["output_artifact_details"] = ArtifactDetails
        for name, kind in kinds.items():
            if name in made:
                made[name] = kind(**made[name])
        if "configuration_properties" in made:
            made["configuration_properties"] = tuple(
                ConfigurationProperty(**each) for each in made["configuration_properties"]
            )
        return cls(**made)

    @property
    def action_type(self) -> ActionType:
        """What a worker polls for."""
        return ActionType(self.category, self.provider, self.version, CUSTOM)

    @property
    def path(self) -> str:
        """``CATEGORY/PROVIDER/VERSION``."""
        return f"{self.category}/{self.provider}/{self.version}"

    def to_declaration(self) -> dict[str, Any]:
        """Return what :meth:`from_declaration` takes back, with what is said by leaving it out left out."""
        told = self.to_api()
        if self.tags:
            told["tags"] = dict(self.tags)
        return told

    def to_api(self) -> dict[str, Any]:
        """Return the arguments of CreateCustomActionType."""
        arguments = {
            "category": self.category,
            "provider": self.provider,
            "version": self.version,
            "settings": self.settings.to_api() or None,
            "configurationProperties": [each.to_api() for each in self.configuration_properties] or None,
            "inputArtifactDetails": self.input_artifact_details.to_api(),
            "outputArtifactDetails": self.output_artifact_details.to_api(),
            "tags": [{"key": key, "value": value} for key, value in self.tags.items()] or None,
        }
        return without_none(**arguments)

    def differences(self, existing: CustomActionType) -> list[str]:
        """
        Return the paths of what is declared otherwise than it is.

        What CodePipeline does not tell is not compared: tags, and types of properties where it is silent.

        :param existing: What CodePipeline has, as :meth:`from_api` reads it.
        """
        paths = [
            MEMBERS[name]
            for name in (
                "category",
                "provider",
                "version",
                "input_artifact_details",
                "output_artifact_details",
            )
            if getattr(self, name) != getattr(existing, name)
        ]
        paths += [
            f"settings.{aws}"
            for name, aws in SETTINGS.items()
            if getattr(self.settings, name) != getattr(existing.settings, name)
        ]
        there = {each.name: each for each in existing.configuration_properties}
        for index, mine in enumerate(self.configuration_properties):
            path = f"{MEMBERS['configuration_properties']}[{index}]"
            its = there.pop(mine.name, None)
            paths += [path] if its is None else [f"{path}.{name}" for name in _other_members(mine, its)]
        if there:
            paths.append(f"{MEMBERS['configuration_properties']} ({len(there)} more are there)")
        return paths


def _other_members(mine: ConfigurationProperty, its: ConfigurationProperty) -> list[str]:
    other = [each.name for each in fields(mine) if getattr(mine, each.name) != getattr(its, each.name)]
    if its.type is None or (its.type, mine.type) == ("String", None):
        other = [name for name in other if name != "type"]
    return other


def _in_aws_spelling(value: Any, names: Mapping[str, str]) -> dict[str, Any]:
    return {names[name]: held for name, held in asdict(value).items() if held is not None}


def _in_snake_case(value: Mapping[str, Any] | None, names: Mapping[str, str]) -> dict[str, Any]:
    """Return those members of what AWS tells that are known and have a value; an empty text is none."""
    told = value or {}
    return {name: told[aws] for name, aws in names.items() if told.get(aws) not in (None, "")}


def path_of(action_type: ActionType) -> str:
    """Return ``CATEGORY/PROVIDER/VERSION`` of an action type."""
    return f"{action_type.category}/{action_type.provider}/{action_type.version}"


def action_type_from_path(text: str) -> ActionType | None:
    """
    Return the custom action type that a text names as ``CATEGORY/PROVIDER/VERSION``; None if it names none.

    ``CATEGORY/Custom/PROVIDER/VERSION`` names one, too.

    :param text: What a user gave, which may be the name of a file instead.
    """
    parts = text.split("/")
    if len(parts) == 4 and parts[1] == CUSTOM:
        # So the emulator's commands name it.
        del parts[1]
    if len(parts) != 3:
        return None
    category, provider, version = parts
    try:
        return ActionType(category, provider, version, CUSTOM)
    except InvalidInput:
        return None


def worker_policy(
    action_type: ActionType, *, account_id: str = "*", region: str = "*", partition: str = "*"
) -> dict[str, Any]:
    """
    Return the IAM policy that lets a worker work on the jobs of a custom action type, and nothing else.

    Artifacts need no more: each job brings credentials for its own.

    :param action_type: The action type; only the poll can be restricted to it.
    :param account_id: The account of the action type, 12 digits; ``*`` leaves that open, as does the default.
    :param region: Its region, such as ``eu-central-1``, or ``*``.
    :param partition: Its partition, such as ``aws`` or ``aws-cn``, or ``*``.
    :raises InvalidInput: A part is none.

    Source: Actions, resources, and condition keys for AWS CodePipeline, Service Authorization Reference.
    """
    given = {"account_id": account_id, "region": region, "partition": partition}
    for name, pattern in _ARN_PARTS.items():
        if not re.fullmatch(pattern, given[name], re.ASCII):
            raise InvalidInput(f"{name} ({len(given[name])} characters) must match {pattern}.")
    resource = f"actiontype:{CUSTOM}/{path_of(action_type)}"
    arn = f"arn:{partition}:codepipeline:{region}:{account_id}:{resource}"
    calls = DIALECTS[CUSTOM]
    # Of these only the poll knows a resource.
    return _policy(
        _statement("PollForJobs", (calls.poll,), arn), _statement("WorkOnJobs", _calls_on_jobs(calls), "*")
    )


def partner_worker_policy() -> dict[str, Any]:
    """
    Return the IAM policy that lets a partner's worker work on jobs. None of its calls knows a resource.

    Source: Actions, resources, and condition keys for AWS CodePipeline, Service Authorization Reference.
    """
    calls = DIALECTS[THIRD_PARTY]
    return _policy(_statement("WorkOnThirdPartyJobs", (calls.poll, *_calls_on_jobs(calls)), "*"))


def _calls_on_jobs(calls: Dialect) -> tuple[str, ...]:
    return calls.details, calls.acknowledge, calls.success, calls.failure


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _statement(sid: str, calls: tuple[str, ...], resource: str) -> dict[str, Any]:
    actions = [f"codepipeline:{call}" for call in calls]
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
