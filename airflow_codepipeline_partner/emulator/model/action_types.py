# SPDX-License-Identifier: Apache-2.0
"""The action types, and what their actions can be configured with."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from airflow_codepipeline_partner.emulator.errors import ApiError, ControlError

AWS, CUSTOM, THIRD_PARTY = "AWS", "Custom", "ThirdParty"
#: Providers of AWS's own action types, as far as known; a worker's action type can have the same name.
PROVIDERS_OF_AWS = frozenset(
    {
        "AppConfig",
        "CloudFormation",
        "CloudFormationStackInstances",
        "CloudFormationStackSet",
        "CodeBuild",
        "CodeCommit",
        "CodeDeploy",
        "CodeDeployToECS",
        "CodePipeline",
        "CodeStarSourceConnection",
        "Commands",
        "DeviceFarm",
        "EC2",
        "ECR",
        "ECRBuildAndPublish",
        "ECS",
        "EKS",
        "ElasticBeanstalk",
        "InspectorScan",
        "Lambda",
        "Manual",
        "OpsWorks",
        "S3",
        "ServiceCatalog",
        "StepFunctions",
    }
)
MAX_CUSTOM_TYPES = 50  # in a region; AWS's quota
MAX_QUERYABLE_CHARS = 20

_QUERYABLE = re.compile(r"[A-Za-z0-9_-]+")
_ANY_COUNT = {"minimumCount": 0, "maximumCount": 5}


#: ``category/owner/provider/version``, or a mapping of these four.
ActionTypeName = str | Mapping[str, str]


class ActionTypeId(NamedTuple):
    """The four parts that name an action type."""

    category: str
    owner: str
    provider: str
    version: str

    @classmethod
    def of(cls, parts: Mapping[str, str]) -> ActionTypeId:
        """Return the id that AWS's shape holds."""
        return cls(**{name: parts[name] for name in cls._fields})

    @classmethod
    def read(cls, name: ActionTypeName) -> ActionTypeId:
        """
        Return the id that a user gives, as a text or in AWS's shape.

        :raises ControlError: It has not exactly these four parts.
        """
        if isinstance(name, str):
            parts = name.split("/")
            if len(parts) == len(cls._fields):
                return cls(*parts)
        elif isinstance(name, Mapping) and set(name) == set(cls._fields):
            return cls.of(name)
        raise ControlError(f"an action type has {', '.join(cls._fields)}; as a text {'/'.join(cls._fields)}")

    def as_dict(self) -> dict[str, str]:
        """Return AWS's shape."""
        return self._asdict()


@dataclasses.dataclass(frozen=True)
class RegisteredActionType:
    """
    An action type.

    :param definition: The request of CreateCustomActionType without the id; None for a type that was added
        by the control, whose actions accept any configuration.
    :param registered_secret_keys: The secret properties that the control named.
    """

    id: ActionTypeId
    definition: Mapping[str, Any] | None = None
    registered_secret_keys: frozenset[str] = frozenset()

    @property
    def properties(self) -> list[dict[str, Any]]:
        """The properties of an action's configuration."""
        return list((self.definition or {}).get("configurationProperties", ()))

    @property
    def secret_keys(self) -> frozenset[str]:
        """The properties whose values only the worker sees."""
        return self.registered_secret_keys.union(each["name"] for each in self.properties if each["secret"])

    @property
    def queryable(self) -> str | None:
        """The property whose value a poll can select jobs by."""
        return next((each["name"] for each in self.properties if each.get("queryable")), None)

    @property
    def execution_url_template(self) -> str | None:
        """The link to an execution of an action."""
        return self._link("executionUrlTemplate")

    @property
    def entity_url_template(self) -> str | None:
        """The link to what an action works on."""
        return self._link("entityUrlTemplate")

    @property
    def revision_url_template(self) -> str | None:
        """The link to where an action's configuration can be changed."""
        return self._link("revisionUrlTemplate")

    def _link(self, name: str) -> str | None:
        url: str | None = ((self.definition or {}).get("settings") or {}).get(name)
        return url

    def faults_of(self, configuration: Mapping[str, str], inputs: int, outputs: int) -> Iterator[str]:
        """Yield what is wrong with an action of this type."""
        if self.definition is None:
            return
        names = {each["name"] for each in self.properties}
        for name in sorted(configuration.keys() - names):
            yield f"the action type has no configuration property {name}"
        for name in (each["name"] for each in self.properties if each["required"]):
            if name not in configuration:
                yield f"the configuration property {name} is required"
        value = configuration.get(self.queryable or "")
        if value is not None and not (len(value) <= MAX_QUERYABLE_CHARS and _QUERYABLE.fullmatch(value)):
            yield (
                f"the queryable property {self.queryable} has 1 to {MAX_QUERYABLE_CHARS} of A-Z a-z 0-9 _ -"
            )
        for what, count in (("input", inputs), ("output", outputs)):
            counts = self.definition[f"{what}ArtifactDetails"]
            if not counts["minimumCount"] <= count <= counts["maximumCount"]:
                yield f"it takes {counts['minimumCount']} to {counts['maximumCount']} {what} artifacts"

    def as_dict(self) -> dict[str, Any]:
        """Return AWS's shape ActionType. AWS omits the types of properties, as Terraform's users found."""
        definition = self.definition or {}
        shape = {
            "id": self.id.as_dict(),
            "settings": definition.get("settings"),
            "actionConfigurationProperties": [
                {name: value for name, value in each.items() if name != "type"} for each in self.properties
            ]
            or None,
            "inputArtifactDetails": definition.get("inputArtifactDetails", _ANY_COUNT),
            "outputArtifactDetails": definition.get("outputArtifactDetails", _ANY_COUNT),
        }
        return {name: value for name, value in shape.items() if value is not None}


class ActionTypeRegistry:
    """Keep the action types, including deleted ones."""

    def __init__(self) -> None:
        self._known: dict[ActionTypeId, RegisteredActionType] = {}
        self._deleted: set[ActionTypeId] = set()

    def __iter__(self) -> Iterator[RegisteredActionType]:
        return (each for each in self._known.values() if each.id not in self._deleted)

    def register(self, type_id: ActionTypeId, secret_keys: frozenset[str] = frozenset()) -> None:
        """Add an action type, or secret keys to it. A deleted one comes back as it was."""
        self._deleted.discard(type_id)
        known = self.as_it_was(type_id)
        secret_keys |= known.registered_secret_keys
        self._known[type_id] = dataclasses.replace(known, registered_secret_keys=secret_keys)

    def for_pipeline(self, type_id: ActionTypeId) -> RegisteredActionType:
        """
        Return the action type that a new pipeline names; it need not be registered yet.

        :raises ControlError: It was deleted.
        """
        if type_id in self._deleted:
            raise ControlError(f"the action type {'/'.join(type_id)} was deleted", 409)
        return self.as_it_was(type_id)

    def as_it_was(self, type_id: ActionTypeId) -> RegisteredActionType:
        """Return an action type, even if it was deleted."""
        return self._known.get(type_id, RegisteredActionType(type_id))

    def find(self, type_id: ActionTypeId) -> RegisteredActionType | None:
        """Return an action type, or None if there is none or it was deleted."""
        return None if type_id in self._deleted else self._known.get(type_id)

    def create(self, made: RegisteredActionType) -> RegisteredActionType:
        """
        Add a custom action type.

        A deleted one can be created again as it was. Creating an existing one again changes nothing.

        :raises ApiError: It cannot be added.
        """
        known = self._known.get(made.id)
        if known is not None and known.definition != made.definition:
            name = "/".join(made.id)
            raise ApiError(
                "ActionTypeAlreadyExistsException",
                f"The action type {name} already exists with a different definition.",
            )
        others = [each for each in self if each.id.owner == CUSTOM and each.id != made.id]
        if len(others) >= MAX_CUSTOM_TYPES:
            raise ApiError(
                "LimitExceededException", f"There are {MAX_CUSTOM_TYPES} custom action types already."
            )
        self._deleted.discard(made.id)
        self._known[made.id] = made
        return made

    def delete(self, type_id: ActionTypeId) -> None:
        """Delete a custom action type, if there is one: AWS documents no error if there is none."""
        if type_id in self._known:
            self._deleted.add(type_id)
