# SPDX-License-Identifier: Apache-2.0
"""
Read a user's declaration of a custom action type, and check all of it.

All faults are reported at once, each with its path in the declaration and its limit, so that a user can
correct them all in one go. A fault shows names of members, but no value of the declaration.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airflow_codepipeline_partner._limit_checks import number_fault, text_fault
from airflow_codepipeline_partner._limits import (
    ACTION_TYPE_NUMBERS,
    ACTION_TYPE_TEXTS,
    MAX_CONFIGURATION_PROPERTIES,
    MAX_TAGS,
    RESERVED_TAG_PREFIX,
)
from airflow_codepipeline_partner._suggestions import did_you_mean, quoted_name
from airflow_codepipeline_partner.exceptions import InvalidInput

#: Our spelling → AWS's.
MEMBERS = {
    "category": "category",
    "owner": "owner",
    "provider": "provider",
    "version": "version",
    "settings": "settings",
    "configuration_properties": "configurationProperties",
    "input_artifact_details": "inputArtifactDetails",
    "output_artifact_details": "outputArtifactDetails",
    "tags": "tags",
}
SETTINGS = {
    "third_party_configuration_url": "thirdPartyConfigurationUrl",
    "entity_url_template": "entityUrlTemplate",
    "execution_url_template": "executionUrlTemplate",
    "revision_url_template": "revisionUrlTemplate",
}
PROPERTY = {name: name for name in ("name", "description", "required", "key", "secret", "queryable", "type")}
ARTIFACT_DETAILS = {"minimum_count": "minimumCount", "maximum_count": "maximumCount"}
_TAG = {"key": "key", "value": "value"}
_FLAGS = ("required", "key", "secret", "queryable")
_PLACEHOLDER = re.compile(r"\{Config:([^{}]*)\}")
#: The placeholder for the external execution id in the worker's result.
EXECUTION_ID = "{ExternalExecutionId}"
_IN_BRACES = re.compile(r"\{[^{}]*\}")
#: The scheme of a link, which may begin with a placeholder instead. Browsers execute some schemes.
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:")
_WEB = ("http://", "https://")


class InvalidDeclaration(InvalidInput):
    """
    A declaration that CodePipeline would refuse. No call was made.

    :param faults: All faults, each with its path.
    """

    def __init__(
        self, message: str, *, faults: Iterable[str] = (), job_id: str | None = None, **facts: Any
    ) -> None:
        self.faults = tuple(faults)
        super().__init__(message, job_id=job_id, faults=self.faults, **facts)


def read_declaration(value: object) -> dict[str, Any]:
    """
    Return the members of a declaration under their snake_case names, without those that are not given.

    :param value: A mapping with AWS's or with snake_case keys.
    :raises InvalidDeclaration: The declaration has faults. The error lists all of them.
    """
    reading = _Reading()
    members = reading.read(value)
    if reading.faults:
        count = "1 fault" if len(reading.faults) == 1 else f"{len(reading.faults)} faults"
        lines = "\n".join(f"  {fault}." for fault in reading.faults)
        raise InvalidDeclaration(
            f"The declaration of a custom action type has {count}:\n{lines}", faults=reading.faults
        )
    return members


class _Reading:
    """One reading of a declaration, and the faults found so far."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def read(self, value: object) -> dict[str, Any]:
        given = self._members(value, "", MEMBERS)
        read: dict[str, Any] = {}
        if given is None:
            return read
        for name in ("category", "provider"):
            if name in given:
                read[name] = self._text(given[name], name)
            else:
                self._refuse(name, "is missing")
        if "version" in given:
            dotted = isinstance(given["version"], str | float) and "." in str(given["version"])
            hint = "; it can have no dot: write 1 or 1_0" if dotted else ""
            read["version"] = self._text(given["version"], "version", hint=hint)
        self._check_owner(given.get("owner"))
        properties: list[dict[str, Any]] = []
        if "configuration_properties" in given:
            properties = self._properties(given["configuration_properties"])
            read["configuration_properties"] = properties
        if "settings" in given:
            read["settings"] = self._settings(given["settings"], properties)
        for name in ("input_artifact_details", "output_artifact_details"):
            if name in given:
                read[name] = self._artifact_details(given[name], MEMBERS[name])
        if "tags" in given:
            read["tags"] = self._tags(given["tags"])
        return read

    def _refuse(self, path: str, why: str) -> None:
        self.faults.append(f"{path}: {why}" if path else f"It {why}")

    def _members(self, value: object, path: str, names: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the members that have a value, or None if the value is not a mapping."""
        if not isinstance(value, Mapping):
            self._refuse(path, f"must be a mapping with {', '.join(names.values())}, not {_kind(value)}")
            return None
        to_snake = {aws: snake for snake, aws in names.items()} | {snake: snake for snake in names}
        read: dict[str, Any] = {}
        seen: set[str] = set()
        for key, member in value.items():
            snake = to_snake.get(key) if isinstance(key, str) else None
            if snake is None:
                self._refuse(path, _unknown(key, names.values()))
            elif snake in seen:
                self._refuse(path, f"has {names[snake]} twice, in both spellings")
            else:
                seen.add(snake)
                if member is not None:
                    read[snake] = member
        return read

    def _text(self, value: object, path: str, field: str = "", hint: str = "") -> str | None:
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
            # The usual way to write version 1.
            value = str(value)
        fault = text_fault(value, ACTION_TYPE_TEXTS[field or path][1])
        if fault:
            if not hint and isinstance(value, bool | int | float):
                hint = "; put it in quotes"
            self._refuse(path, fault + hint)
        return value if isinstance(value, str) else None

    def _check_owner(self, owner: object) -> None:
        if owner not in (None, "Custom"):
            self._refuse(
                "owner",
                "must be Custom, or left out: only AWS creates its own action types and registers those of "
                "its partners (ThirdParty)",
            )

    def _settings(self, value: object, properties: list[dict[str, Any]]) -> dict[str, Any]:
        given = self._members(value, "settings", SETTINGS) or {}
        read = {}
        for name, aws in SETTINGS.items():
            if name in given:
                path = f"settings.{aws}"
                read[name] = self._text(given[name], path)
                link = read[name] or ""
                if _SCHEME.match(link) and not link.lower().startswith(_WEB):
                    self._refuse(path, f"must be a link that begins with {' or '.join(_WEB)}")
                if name.endswith("_template"):
                    self._check_placeholders(link, path, properties)
                    self._check_spelling(link, path)
        return read

    def _check_spelling(self, template: str, path: str) -> None:
        """Refuse a misspelled placeholder. Other braces may be part of the link."""
        for found in _IN_BRACES.finditer(template):
            near, is_config = found[0].replace(" ", "").lower(), _PLACEHOLDER.fullmatch(found[0])
            if near.startswith("{config:") and not is_config:
                self._refuse(
                    path,
                    f"has at character {found.start() + 1} a misspelled {{Config:name}}",
                )
            elif found[0] != EXECUTION_ID and difflib.get_close_matches(near, [EXECUTION_ID.lower()], 1, 0.8):
                self._refuse(path, f"has at character {found.start() + 1} a misspelled {EXECUTION_ID}")

    def _check_placeholders(self, template: str, path: str, properties: list[dict[str, Any]]) -> None:
        """Check what ``{Config:name}`` names, which may be a property with faults of its own."""
        indexes = {each.get("name"): index for index, each in enumerate(properties)}
        for found in _PLACEHOLDER.finditer(template):
            which = f"has at character {found.start() + 1} a {{Config:…}} that names"
            index = indexes.get(found[1])
            if index is None:
                if None not in indexes:
                    self._refuse(path, f"{which} none of the configurationProperties")
                continue
            named = properties[index]
            is_secret = named.get("secret", False)
            if is_secret or named.get("required", False) is False:
                why = "which is secret" if is_secret else "which is not required"
                self._refuse(
                    path,
                    f"{which} configurationProperties[{index}], {why}; it can name only required "
                    "properties that are not secret",
                )

    def _properties(self, value: object) -> list[dict[str, Any]]:
        path = "configurationProperties"
        if not isinstance(value, list | tuple):
            self._refuse(path, f"must be a list of mappings with {', '.join(PROPERTY)}, not {_kind(value)}")
            return [{}]
        if len(value) > MAX_CONFIGURATION_PROPERTIES:
            self._refuse(
                path,
                f"has {len(value)} properties; CodePipeline takes at most {MAX_CONFIGURATION_PROPERTIES}",
            )
        read = [self._property(each, f"{path}[{index}]") for index, each in enumerate(value)]
        first: dict[str, int] = {}
        queryable: int | None = None
        for index, each in enumerate(read):
            name = each.get("name")
            if name is not None and first.setdefault(name, index) != index:
                self._refuse(f"{path}[{index}].name", f"is already the name of {path}[{first[name]}]")
            if each.get("queryable"):
                if queryable is not None:
                    self._refuse(
                        f"{path}[{index}].queryable",
                        f"is true, as it is for {path}[{queryable}]; an action type has at most one "
                        "queryable property",
                    )
                queryable = index
        return read

    def _property(self, value: object, path: str) -> dict[str, Any]:
        given = self._members(value, path, PROPERTY)
        read: dict[str, Any] = {}
        if given is None:
            return read
        for name in ("name", "description", "type"):
            if name in given:
                text = self._text(given[name], f"{path}.{name}", f"configurationProperties.{name}")
                if text is not None:
                    read[name] = text
        if "name" not in given:
            self._refuse(f"{path}.name", "is missing")
        for name in _FLAGS:
            if name in given:
                # An invalid value counts as neither true nor false.
                read[name] = given[name] if isinstance(given[name], bool) else None
                if read[name] is None:
                    self._refuse(f"{path}.{name}", f"must be true or false, not {_kind(given[name])}")
        if read.get("queryable") and (read.get("secret") or read.get("required", False) is False):
            self._refuse(f"{path}.queryable", "can be true only if required is true and secret is not")
        return read

    def _artifact_details(self, value: object, path: str) -> dict[str, Any]:
        given = self._members(value, path, ARTIFACT_DETAILS) or {}
        read: dict[str, Any] = {}
        for name, aws in ARTIFACT_DETAILS.items():
            if name in given:
                fault = number_fault(given[name], ACTION_TYPE_NUMBERS[f"{path}.{aws}"][1])
                if fault:
                    self._refuse(f"{path}.{aws}", fault)
                else:
                    read[name] = given[name]
        if len(read) == len(ARTIFACT_DETAILS) and read["minimum_count"] > read["maximum_count"]:
            self._refuse(
                path, f"minimumCount {read['minimum_count']} is over maximumCount {read['maximum_count']}"
            )
        return read

    def _tags(self, value: object) -> dict[str, str]:
        pairs: list[tuple[str, object, object]] = []
        if isinstance(value, Mapping):
            pairs = [(f"tags[{index}]", key, held) for index, (key, held) in enumerate(value.items())]
        elif isinstance(value, list | tuple):
            for index, each in enumerate(value):
                given = self._members(each, f"tags[{index}]", _TAG)
                if given is None:
                    continue
                if "key" in given:
                    pairs.append((f"tags[{index}]", given["key"], given.get("value")))
                else:
                    self._refuse(f"tags[{index}].key", "is missing")
        else:
            self._refuse(
                "tags", f"must be a mapping, or a list of mappings with key, value, not {_kind(value)}"
            )
        if len(pairs) > MAX_TAGS:
            self._refuse("tags", f"has {len(pairs)} tags; CodePipeline takes at most {MAX_TAGS}")
        read: dict[str, str] = {}
        for path, key, held in pairs:
            text = self._text(key, f"{path}.key", "tags.key")
            # For AWS a tag without a value has an empty one.
            content = self._text("" if held is None else held, f"{path}.value", "tags.value")
            if text is None or content is None:
                continue
            if text.lower().startswith(RESERVED_TAG_PREFIX):
                self._refuse(f"{path}.key", f"begins with {RESERVED_TAG_PREFIX}, which is reserved for AWS")
            if text in read:
                self._refuse(f"{path}.key", "is already the key of an earlier tag")
            read[text] = content
        return read


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _unknown(key: object, known: Collection[str]) -> str:
    """Return the fault of an unknown field, with the known ones."""
    meant = did_you_mean(key, known) if isinstance(key, str) else ""
    others = f"; it has {', '.join(known)}"
    return f"has no field {quoted_name(key)}{meant or others}"
