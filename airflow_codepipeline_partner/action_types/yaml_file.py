# SPDX-License-Identifier: Apache-2.0
"""
A declaration as text, in YAML or JSON.

PyYAML by itself keeps the last of several equal keys, and reads ``010`` as a number and ``2026-01-31`` as a
date. Here equal keys are refused, and a plain value that is not a truth value, a whole number or null is a
text. An error names the line, and shows nothing of the content.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

# A dependency of Airflow's. It has no types.
import yaml  # type: ignore[import-untyped]

from airflow_codepipeline_partner.exceptions import InvalidInput

#: The file name for the standard input.
STDIN = "-"
#: The short forms of CloudFormation's functions, which only CloudFormation can resolve.
_FUNCTIONS = frozenset(
    {"And", "Base64", "Cidr", "Condition", "Equals", "FindInMap", "ForEach", "GetAtt", "GetAZs", "If"}
    | {"ImportValue", "Join", "Length", "Not", "Or", "Ref", "Select", "Split", "Sub", "ToJsonString"}
    | {"Transform"}
)
_TEMPLATE_ADVICE = (
    "Write a declaration of the action type alone, with plain values and keys like those of "
    "CreateCustomActionType (category, provider, configurationProperties, …). The command show prints that "
    "of an action type that CloudFormation has made."
)
#: Largest file. A declaration has at most ten properties and fifty tags.
MAX_BYTES = 1024 * 1024


def read_file(name: str) -> object:
    """
    Return a file's content, parsed by :func:`parse`.

    :param name: The file's name, or ``-`` for the standard input.
    :raises InvalidInput: It cannot be read, or is neither YAML nor JSON. The error names the file.
    """
    shown = shown_name(name)
    try:
        if name == STDIN:
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        # A name with a null byte is a ValueError.
        reason = error.strerror if isinstance(error, OSError) else "no file can have this name"
        raise InvalidInput(f"{shown} cannot be read: {reason}.") from None
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"{shown} has more than {MAX_BYTES} bytes, and cannot be a declaration.")
    try:
        value = parse(content.decode("utf-8-sig"))
        _refuse_template(value)
        return value
    except UnicodeDecodeError:
        raise InvalidInput(f"{shown} is not in UTF-8.") from None
    except InvalidInput as error:
        raise InvalidInput(f"{shown}: {error}") from None


def shown_name(name: str) -> str:
    """Return a file's name for messages."""
    return "The standard input" if name == STDIN else name


def parse(text: str) -> object:
    """
    Return the content of a text of YAML or JSON.

    :raises InvalidInput: It is neither, or has a key twice. The error names the line.
    """
    try:
        # PyYAML does not read all JSON: it accepts no tabs for indentation.
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except _Twice:
        # PyYAML will say the line.
        text = text.replace("\t", " ")
    except ValueError:
        # Then it should be YAML.
        pass
    except RecursionError:
        raise InvalidInput("it is nested too deeply.") from None
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - made from the safe one
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        said = ": ".join(_without_content(part) for part in (error.context, error.problem) if part)
        raise InvalidInput(f"{where}: {said}.") from None
    except yaml.YAMLError:
        raise InvalidInput("it holds characters that YAML does not allow.") from None
    except RecursionError:
        raise InvalidInput("it is nested too deeply.") from None


def dump(value: object) -> str:
    """Return a declaration as YAML for :func:`parse`."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    return text


def _refuse_template(value: object) -> None:
    """
    Refuse a template of CloudFormation, a resource in one, or the properties of one.

    :raises InvalidInput: It is one.
    """
    if not isinstance(value, dict):
        return
    if {"AWSTemplateFormatVersion", "Resources"} & value.keys():
        raise InvalidInput(f"this is a template of CloudFormation. {_TEMPLATE_ADVICE}")
    kind = value.get("Type")
    if "Properties" in value and isinstance(kind, str) and kind.startswith("AWS::"):
        raise InvalidInput(f"this is a resource of a CloudFormation template. {_TEMPLATE_ADVICE}")
    if {"Category", "Provider", "ConfigurationProperties", "InputArtifactDetails"} & value.keys():
        raise InvalidInput(f"its keys are written as in CloudFormation. {_TEMPLATE_ADVICE}")
    tags = value.get("tags")
    # The keys of tags are the user's.
    plain = {**value, "tags": list(tags.values())} if isinstance(tags, dict) else value
    if _has_function(plain):
        raise InvalidInput(f"it holds a function of CloudFormation, such as Ref. {_TEMPLATE_ADVICE}")


def _has_function(value: object) -> bool:
    """Return whether a value or a part of it is an object like ``{"Ref": …}`` or ``{"Fn::Sub": …}``."""
    if isinstance(value, list):
        return any(map(_has_function, value))
    if not isinstance(value, dict):
        return False
    is_function = len(value) == 1 and all(key == "Ref" or key.startswith("Fn::") for key in map(str, value))
    return is_function or any(map(_has_function, value.values()))


class _Twice(ValueError):
    """An object of JSON has a key twice."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _Twice
    return members


def _without_content(problem: str) -> str:
    """Return PyYAML's message without quoted content, except single characters and names of its tokens."""
    return re.sub(r"'(?:<[a-z ]+>|..?)'|(['\"]).*\1", lambda found: "…" if found[1] else found[0], problem)


def _refusal(said: str, node: Any) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(problem=said, problem_mark=node.start_mark)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML's safe loader, made stricter."""

    #: First character of a plain value → its possible types besides text.
    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own way

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Return a mapping, whose keys must be texts and unique."""
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise _refusal("a key must be a text", key)
            if key.value in seen:
                raise _refusal("this key occurs twice in its mapping", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Return a value, or refuse one that does not fit its tag."""
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, KeyError, TypeError, AttributeError):
            # PyYAML fails on numbers with thousands of digits, too.
            raise _refusal("this value does not fit its type", node) from None


def _refuse_tag(loader: Any, suffix: str, node: Any) -> Any:
    if suffix in _FUNCTIONS:
        raise _refusal(f"!{suffix} is a function of CloudFormation. {_TEMPLATE_ADVICE[:-1]}", node)
    raise _refusal("could not determine a constructor for the tag", node)


# A tag of the application's own: one !.
_Loader.add_multi_constructor("!", _refuse_tag)
for _first, _resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items():
    for _tag, _pattern in _resolvers:
        if _tag.rpartition(":")[2] in ("bool", "null", "merge"):
            _Loader.yaml_implicit_resolvers.setdefault(_first, []).append((_tag, _pattern))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile("[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
