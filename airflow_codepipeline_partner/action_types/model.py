# SPDX-License-Identifier: Apache-2.0
"""
A custom action type as a value: declared by a user, in CodePipeline's shape, and with its worker's policy.

Nothing here reads a file or calls AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from airflow_codepipeline_partner._protocol.dialects import CUSTOM
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._protocol.parsing import without_none
from airflow_codepipeline_partner.action_types.declaration import (
    ARTIFACT_DETAILS,
    PROPERTY,
    SETTINGS,
    read_declaration,
)
from airflow_codepipeline_partner.exceptions import InvalidInput

#: What users write; the owner may be left out.
PATH = f"CATEGORY/{CUSTOM}/PROVIDER/VERSION"


@dataclass(frozen=True)
class ConfigurationProperty:
    """
    A configuration property, which the user of an action sets.

    :param name: 1 to 50 characters. The key of the value in an action's configuration.
    :param description: The console's text beside it, 1 to 160 characters.
    :param required: Whether an action must have a value.
    :param key: Whether it is a key. AWS does not say more; its examples set it for the property that names
        what the action works on, such as a project.
    :param secret: Whether the value is hidden from everybody except the worker.
    :param queryable: Whether a worker can poll for only the jobs with one value. At most one property can be
        queryable. It must be required and not secret; its values have 1 to 20 of ``0-9 A-Z a-z _ -``.
    :param type: ``String``, ``Number`` or ``Boolean``. If None, CodePipeline's default is used, a string.

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

    The templates may contain ``{Config:name}`` for a property that is required and not secret.

    :param third_party_configuration_url: Where a user signs up for the service behind the action.
    :param entity_url_template: The link of the action in a pipeline.
    :param execution_url_template: The link of an execution; ``{ExternalExecutionId}`` in it stands for the
        external execution id in the worker's result.
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
    A custom action type. Only :meth:`from_declaration` checks limits.

    :param category: One of Source, Build, Deploy, Test, Invoke, Approval, Compute. AWS's guide names Build,
        Deploy, Test and Invoke for custom actions, and its samples contain custom sources.
    :param provider: The provider's name, 1 to 35 of ``0-9 A-Z a-z _ -``.
    :param version: The version, 1 to 9 of ``0-9 A-Z a-z _ -``.
    :param settings: The links.
    :param configuration_properties: At most 10.
    :param input_artifact_details: How many artifacts an action takes.
    :param output_artifact_details: How many artifacts an action makes.
    :param tags: At most 50. CodePipeline does not return them with the action type.

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

        :param value: A mapping with AWS's or with snake_case keys. Only category and provider are required.
            ``tags`` is a mapping, or AWS's list of ``key`` and ``value``; ``owner`` can only be Custom.
        :raises InvalidDeclaration: The declaration is invalid. The error lists all faults.
        """
        return cls._from_members(read_declaration(value))

    @classmethod
    def from_api(cls, value: Mapping[str, Any]) -> Self:
        """
        Return an action type from CodePipeline's shape.

        That has neither tags nor, usually, the types of properties.

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
        """Return a declaration for :meth:`from_declaration`, without what has its default."""
        declaration = self.to_api()
        if self.tags:
            declaration["tags"] = dict(self.tags)
        return declaration

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


def _in_aws_spelling(value: Any, names: Mapping[str, str]) -> dict[str, Any]:
    return {names[name]: held for name, held in asdict(value).items() if held is not None}


def _in_snake_case(value: Mapping[str, Any] | None, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the known members of AWS's shape that have a value; an empty string counts as none."""
    given = value or {}
    return {name: given[aws] for name, aws in names.items() if given.get(aws) not in (None, "")}


def path_of(action_type: ActionType) -> str:
    """Return ``CATEGORY/PROVIDER/VERSION`` of an action type."""
    return f"{action_type.category}/{action_type.provider}/{action_type.version}"


def action_type_from_path(text: str) -> ActionType | None:
    """
    Return the custom action type that ``CATEGORY/Custom/PROVIDER/VERSION`` names, or None for another text.

    The owner may be left out.

    :param text: A user's argument, which may be the name of a file instead.
    """
    parts = text.split("/")
    if len(parts) == 4 and parts[1] == CUSTOM:
        del parts[1]
    if len(parts) != 3:
        return None
    category, provider, version = parts
    try:
        return ActionType(category, provider, version, CUSTOM)
    except InvalidInput:
        return None
