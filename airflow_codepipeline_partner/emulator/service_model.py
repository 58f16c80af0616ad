# SPDX-License-Identifier: Apache-2.0
"""Checks of requests against botocore's model of CodePipeline, as the service itself makes them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import botocore.session

from airflow_codepipeline_partner.emulator.clock import END_OF_TIME
from airflow_codepipeline_partner.emulator.errors import ApiError

# Messages end up in logs, so these values stay out of them.
_SECRET_MEMBERS = frozenset({"clientToken", "nonce"})
_HIDDEN_MAP = ".configuration."  # of an action
MAX_SHOWN_CHARS = 200  # of a value in a message
_START_OF_TIME = -62_135_596_800  # the year 1, in seconds since the epoch
_LIMITS = ("min", "max", "enum", "pattern")
_INTEGER_BITS = {"integer": 32, "long": 64}
_TYPES: dict[str, tuple[type[Any], ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "timestamp": (int, float),
    "structure": (dict,),
    "list": (list,),
    "map": (dict,),
}
# AWS's messages name the expected type and the type that was found, never the value.
_WANTED = {
    "string": "a String",
    "integer": "an Integer",
    "long": "a Long",
    "boolean": "a Boolean",
    "timestamp": "milliseconds since epoch",
}


@functools.cache
def _model() -> Any:
    return botocore.session.get_session().get_service_model("codepipeline")


@functools.cache
def operations() -> frozenset[str]:
    """Return the names of all of CodePipeline's operations."""
    return frozenset(_model().operation_names)


@functools.cache
def _input_shape(operation: str) -> Any:
    return _model().operation_model(operation).input_shape


def validate(operation: str, request: Any) -> dict[str, Any]:
    """
    Check a request, and return the members that the model knows.

    Unknown members are ignored, as AWS JSON 1.1 does: newer clients send them.

    :raises ApiError: SerializationException if a value has another type than in the model; otherwise
        ValidationException in AWS's words, with all violations.
    """
    shape = _input_shape(operation)
    _check_types(shape, request)
    wrong = list(_violations(shape, request, ""))
    if wrong:
        plural = "" if len(wrong) == 1 else "s"
        raise ApiError(
            "ValidationException", f"{len(wrong)} validation error{plural} detected: " + "; ".join(wrong)
        )
    known: dict[str, Any] = _known(shape, request)
    return known


def _known(shape: Any, value: Any) -> Any:
    """Return a value without the members that the model does not know, or that are null."""
    if shape.type_name == "structure":
        given = _known_members(shape, value)
        return {name: _known(shape.members[name], inner) for name, inner in given.items()}
    if shape.type_name == "list":
        return [_known(shape.member, inner) for inner in value]
    if shape.type_name == "map":
        return {key: _known(shape.value, inner) for key, inner in value.items()}
    return value


def _known_members(shape: Any, value: dict[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in shape.members if value.get(name) is not None}


def has_member(operation: str, path: str) -> bool:
    """Return whether an operation's response can have this member, for instance ``jobs.0.jobId``."""
    shape = _model().operation_model(operation).output_shape
    for part in path.split("."):
        if shape.type_name == "structure" and part in shape.members:
            shape = shape.members[part]
        elif shape.type_name == "list" and is_number(part):
            shape = shape.member
        elif shape.type_name == "map" and part:
            shape = shape.value
        else:
            return False
    return True


def is_number(text: str) -> bool:
    """Return whether a text is a whole number of a sensible size; ``str.isdigit`` accepts even ``²``."""
    return text.isascii() and text.isdigit() and len(text) < 10


def shortened(text: str) -> str:
    """Cut a caller's text to a length that fits in a message."""
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"


def _check_types(shape: Any, value: Any) -> None:
    kind = shape.type_name
    if not _is_a(kind, value):
        raise ApiError("SerializationException", _misread(kind, value))
    if kind == "structure":
        for name, inner in _known_members(shape, value).items():
            _check_types(shape.members[name], inner)
    elif kind in ("list", "map"):
        member = shape.member if kind == "list" else shape.value
        for inner in value if kind == "list" else value.values():
            if inner is not None:
                _check_types(member, inner)


def _misread(kind: str, value: Any) -> str:
    if isinstance(value, dict | list):
        found = "structure or map" if isinstance(value, dict) else "list"
        return f"Start of {found} found where not expected."
    if kind not in _WANTED:
        return "Unexpected field type"
    name = str(value).upper() if isinstance(value, bool) else "STRING" if isinstance(value, str) else "NUMBER"
    return f"{name}_VALUE can not be converted to {_WANTED[kind]}"


def _violations(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if value is None:
        yield f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
        return
    yield from _constraints(shape, value, path)
    if kind == "structure":
        for name, member in shape.members.items():
            inner = f"{path}.{name}" if path else name
            if value.get(name) is not None or name in shape.required_members:
                yield from _violations(member, value.get(name), inner)
    elif kind == "list":
        for place, item in enumerate(value, start=1):
            yield from _violations(shape.member, item, f"{path}.{place}.member")
    elif kind == "map":
        for key, item in value.items():
            yield from _violations(shape.key, key, f"{path}.key")
            yield from _violations(shape.value, item, f"{path}.{shortened(key)}.member")


def _is_a(kind: str, value: Any) -> bool:
    # In Python a bool is an int; for the service it is not.
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if kind in _INTEGER_BITS:
        return bool(-(2 ** (_INTEGER_BITS[kind] - 1)) <= value < 2 ** (_INTEGER_BITS[kind] - 1))
    return kind != "timestamp" or _START_OF_TIME <= value < END_OF_TIME


def _constraints(shape: Any, value: Any, path: str) -> Iterator[str]:
    limits = _limits(shape)
    if not limits:
        return
    number = shape.type_name in ("integer", "long")
    measure = "value" if number else "length"
    size = value if number else len(value) if isinstance(value, str | list | dict) else 0
    if "min" in limits and size < limits["min"]:
        yield _violation(path, value, f"Member must have {measure} greater than or equal to {limits['min']}")
    if "max" in limits and size > limits["max"]:
        yield _violation(path, value, f"Member must have {measure} less than or equal to {limits['max']}")
    if isinstance(value, str):
        if "enum" in limits and value not in limits["enum"]:
            choices = ", ".join(limits["enum"])
            yield _violation(path, value, f"Member must satisfy enum value set: [{choices}]")
        # The service's patterns are Java's and must match the whole value.
        if "pattern" in limits and not limits["pattern"].fullmatch(value):
            yield _violation(
                path, value, f"Member must satisfy regular expression pattern: {limits['pattern'].pattern}"
            )


@functools.cache
def _limits(shape: Any) -> dict[str, Any]:
    limits = {name: shape.metadata[name] for name in _LIMITS if name in shape.metadata}
    return limits | {name: re.compile(limits[name]) for name in limits if name == "pattern"}


def _violation(path: str, value: Any, constraint: str) -> str:
    hidden = path in _SECRET_MEMBERS or _HIDDEN_MAP in path or isinstance(value, dict | list)
    shown = "" if hidden else f" '{shortened(str(value))}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {constraint}"
