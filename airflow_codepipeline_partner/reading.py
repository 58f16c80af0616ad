# SPDX-License-Identifier: Apache-2.0
"""How values are read from what users write, what Jinja renders and what XCom holds."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from airflow_codepipeline_partner.exceptions import InvalidInput, LimitExceeded

#: So many characters of a name are shown.
_MOST_SHOWN = 50


def read_mapping(value: object, what: str, names: Iterable[str] = ()) -> Mapping[str, Any]:
    """
    Return a mapping from a mapping or from a string that holds one (JSON or a Python literal).

    :param value: What was given; the string form is what a Jinja template renders.
    :param what: What it is, for the error.
    :param names: Its fields, for the error.
    :raises InvalidInput: It is no mapping.
    """
    held = _read_literal(value) if isinstance(value, str) else value
    if isinstance(held, Mapping):
        return held
    given = f"a {type(value).__name__}"
    if isinstance(value, str):
        given = f"a string of {len(value)} characters that holds none"
    fields = f" with {', '.join(names)}" if names else ""
    raise InvalidInput(f"{what} must be a mapping{fields}, not {given}.")


def read_list(text: str) -> list[Any]:
    """Return the list that a string holds (JSON or a Python literal), or a list of the string itself."""
    held = _read_literal(text)
    return list(held) if isinstance(held, list | tuple) else [text]


def _read_literal(text: str) -> object:
    """Return what a string of JSON or of a Python literal holds, or None."""
    readers: tuple[Callable[[str], object], ...] = (json.loads, ast.literal_eval)
    for read in readers:
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def quoted_name(name: object) -> str:
    """Return a name (of a member, a property, a variable) in quotes; errors show names, but no values."""
    shown = name[:_MOST_SHOWN] if isinstance(name, str) else name
    text = repr(shown)[: _MOST_SHOWN + 2]
    return f"{text}…" if isinstance(name, str) and len(name) > _MOST_SHOWN else text


def is_missing(value: object) -> bool:
    """Tell whether an optional value is not there; Jinja renders a missing one to a text."""
    return value is None or value in ("", "None")


def by_snake_case(value: object, what: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the members under their snake_case names; an unknown key is refused."""
    given: dict[str, Any] = {}
    aws_to_snake = {aws: snake for snake, aws in names.items()}
    for key, member in read_mapping(value, what, names.values()).items():
        snake = key if key in names else aws_to_snake.get(key)
        if snake is None:
            raise InvalidInput(
                f"{what} has no field {quoted_name(key)}; "
                f"it has {', '.join(names.values())} (or {', '.join(names)})."
            )
        if snake in given:
            raise InvalidInput(f"{what} has {names[snake]} twice, in both spellings.")
        given[snake] = member
    return given


def without_none(**members: Any) -> dict[str, Any]:
    """Return the members that there are."""
    return {name: member for name, member in members.items() if member is not None}


def read_created(value: object) -> datetime | None:
    """
    Return the time that a datetime or an ISO 8601 string names, with a zone; None stays None.

    :raises LimitExceeded: It names none.
    """
    moment: datetime | None = None
    if value is None:
        return None
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str) and not value.strip().isdigit():
        # Digits alone are seconds or milliseconds since some time, of which Python would make a date.
        with suppress(ValueError):
            moment = datetime.fromisoformat(value.strip().upper())
    if moment is None:
        raise LimitExceeded(
            "currentRevision.created must be a datetime or an ISO 8601 string such as "
            f"2026-01-31T12:00:00+00:00, not this {type(value).__name__} of {len(str(value))} characters.",
            field="currentRevision.created",
        )
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise LimitExceeded(
            f"currentRevision.created is in the year {moment.year} and, in UTC, outside the years 1 to 9999.",
            field="currentRevision.created",
        ) from None
