# SPDX-License-Identifier: Apache-2.0
"""Requests are checked against botocore's model of CodePipeline, as the service does itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import botocore.session

from airflow_codepipeline_partner.emulator.errors import ApiError

# Their values stay out of messages, which end up in logs.
_SECRET_MEMBERS = frozenset({"clientToken", "nonce"})
_END_OF_TIME = 253_402_300_800  # the year 10000, in seconds since the epoch
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
    Check a request, and return what of it the model knows.

    Members that the model does not know are ignored: so does AWS JSON 1.1, and newer clients send them.

    :raises ApiError: ValidationException in AWS's words, with all that is wrong.
    """
    shape = _input_shape(operation)
    if not isinstance(request, dict):
        raise ApiError("SerializationException", "The request is no JSON object.")
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
        given = {name: value[name] for name in shape.members if value.get(name) is not None}
        return {name: _known(shape.members[name], inner) for name, inner in given.items()}
    return value


def _violations(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if not _is_a(kind, value):
        yield _violation(path, value, f"Member must be a {kind}")
        return
    yield from _constraints(shape, value, path)
    if kind == "structure":
        for name, member in shape.members.items():
            inner = f"{path}.{name}" if path else name
            if value.get(name) is not None:
                yield from _violations(member, value[name], inner)
            elif name in shape.required_members:
                yield f"Value null at '{inner}' failed to satisfy constraint: Member must not be null"
    elif kind == "list":
        for place, item in enumerate(value, start=1):
            yield from _violations(shape.member, item, f"{path}.{place}.member")
    elif kind == "map":
        for key, item in value.items():
            yield from _violations(shape.key, key, f"{path}.key")
            yield from _violations(shape.value, item, f"{path}.{key}.member")


def _is_a(kind: str, value: Any) -> bool:
    # To Python a bool is an int; to the service it is not.
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    return kind != "timestamp" or 0 <= value < _END_OF_TIME


def _constraints(shape: Any, value: Any, path: str) -> Iterator[str]:
    limits = shape.metadata
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
        # The service's patterns are Java's and hold for the whole value.
        if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
            yield _violation(
                path, value, f"Member must satisfy regular expression pattern: {limits['pattern']}"
            )


def _violation(path: str, value: Any, constraint: str) -> str:
    shown = "" if path in _SECRET_MEMBERS or isinstance(value, dict | list) else f" '{value}'"
    return f"Value{shown} at '{path}' failed to satisfy constraint: {constraint}"
