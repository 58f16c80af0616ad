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

    def __str__(self) -> str:
        return "/".join(self)

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
    :param declaration: The action type as UpdateActionType gave it last; None if it never did.
    :param registered_secret_keys: The secret properties that the control named.
    :param region: The region that has it; None for all of them, if the control added it.
    :param tags: Its tags.
    """

    id: ActionTypeId
    definition: Mapping[str, Any] | None = None
    registered_secret_keys: frozenset[str] = frozenset()
    region: str | None = None
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    declaration: Mapping[str, Any] | None = None

    @property
    def job_timeout(self) -> float | None:
        """Seconds that a job of it may take; None if only the settings say so."""
        seconds: float | None = (self.declaration or {}).get("executor", {}).get("jobTimeout")
        return seconds

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


def not_available(type_id: ActionTypeId, where: str = "") -> str:
    """Return AWS's text for an action type that it does not know."""
    parts = zip(("Category", "Owner", "Provider", "Version"), type_id, strict=True)
    named = ", ".join(f"{part}: '{value}'" for part, value in parts)
    return f"ActionType ({named}){where} is not available"


class ActionTypeRegistry:
    """Keep the action types of each region, including deleted ones."""

    def __init__(self) -> None:
        #: By region; None stands for all regions.
        self._known: dict[ActionTypeId, dict[str | None, RegisteredActionType]] = {}
        self._deleted: set[tuple[str | None, ActionTypeId]] = set()

    def in_region(self, region: str | None) -> Iterator[RegisteredActionType]:
        """Yield the action types of a region, its own before those of all; None stands for all regions."""
        for type_id in self._known:
            found = self.find(type_id, region)
            if found is not None:
                yield found

    def register(self, type_id: ActionTypeId, secret_keys: frozenset[str] = frozenset()) -> None:
        """Add an action type to all regions, or secret keys to it. A deleted one comes back as it was."""
        # What one region has of this name, all others get.
        model = dataclasses.replace(self.as_it_was(type_id), region=None, tags={})
        by_region = self._known.setdefault(type_id, {})
        for region in {*by_region, None}:
            self._deleted.discard((region, type_id))
            known = by_region.get(region, model)
            keys = secret_keys | known.registered_secret_keys
            by_region[region] = dataclasses.replace(known, registered_secret_keys=keys)

    def for_pipeline(self, type_id: ActionTypeId) -> RegisteredActionType:
        """
        Return the action type that a new pipeline of the control's names; it need not be registered yet.

        :raises ControlError: It was deleted.
        """
        keys = self._keys(type_id, None)
        if keys and self._deleted.issuperset(keys):
            raise ControlError(f"the action type {'/'.join(type_id)} was deleted", 409)
        return self.as_it_was(type_id)

    def as_it_was(self, type_id: ActionTypeId, region: str | None = None) -> RegisteredActionType:
        """Return an action type, even if it was deleted."""
        keys = self._keys(type_id, region)
        return self._known[type_id][keys[0][0]] if keys else RegisteredActionType(type_id)

    def find(self, type_id: ActionTypeId, region: str | None = None) -> RegisteredActionType | None:
        """Return a region's action type, or None if there is none or it was deleted."""
        alive = [key for key in self._keys(type_id, region) if key not in self._deleted]
        return self._known[type_id][alive[0][0]] if alive else None

    def create(self, made: RegisteredActionType) -> RegisteredActionType:
        """
        Add a custom action type to its region.

        A deleted one can be created again as it was. Creating an existing one again changes nothing.

        :raises ApiError: It cannot be added.
        """
        by_region = self._known.setdefault(made.id, {})
        # What the control added is no hindrance once it was deleted.
        of_all = None in by_region and (None, made.id) not in self._deleted
        region = None if of_all and made.region not in by_region else made.region
        known, key = by_region.get(region), (region, made.id)
        if known is not None and known.definition != made.definition:
            raise ApiError(
                "ActionTypeAlreadyExistsException",
                f"The action type {made.id} already exists with a different definition.",
            )
        others = [each for each in self.in_region(made.region) if each.id.owner == CUSTOM]
        if len([each for each in others if each.id != made.id]) >= MAX_CUSTOM_TYPES:
            raise ApiError(
                "LimitExceededException", f"There are {MAX_CUSTOM_TYPES} custom action types already."
            )
        if known is not None and key not in self._deleted:
            return known
        self._deleted.discard(key)
        by_region[region] = made if known is None else dataclasses.replace(known, tags=made.tags)
        return by_region[region]

    def tag(self, known: RegisteredActionType, tags: Mapping[str, str]) -> None:
        """Give an action type other tags."""
        self._known[known.id][known.region] = dataclasses.replace(known, tags=tags)

    def update(
        self, known: RegisteredActionType, definition: Mapping[str, Any], declaration: Mapping[str, Any]
    ) -> None:
        """Change what an action type is, for pipelines that are made from now on."""
        updated = dataclasses.replace(known, definition=definition, declaration=declaration)
        self._known[known.id][known.region] = updated

    def delete(self, type_id: ActionTypeId, region: str | None = None) -> None:
        """
        Delete a custom action type, if there is one: AWS documents no error if there is none.

        One that the control added goes with it, in all regions.
        """
        self._deleted.update(self._keys(type_id, region))

    def _keys(self, type_id: ActionTypeId, region: str | None) -> list[tuple[str | None, ActionTypeId]]:
        """Return where a region's action type is kept, if it was deleted too: its own before that of all."""
        places = self._known.get(type_id, {})
        found = [(place, type_id) for place in places if region is None or place in (None, region)]
        return sorted(found, key=lambda key: key[0] is None)
