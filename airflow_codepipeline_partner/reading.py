# SPDX-License-Identifier: Apache-2.0
"""How values are read from what users write, what Jinja renders and what XCom holds."""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from airflow_codepipeline_partner.exceptions import InvalidInput, LimitExceeded

#: What cannot well be anything but a name.
_PLAIN_NAME = re.compile("[A-Za-z_]{1,30}")


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
    """
    Return a name that a user wrote, in quotes, for an error; of what may be no name only its length.

    Not for what the work of a job gives: its keys may be a customer's data.

    :param name: A name of a member or of a property.
    """
    if isinstance(name, str) and _PLAIN_NAME.fullmatch(name):
        return repr(name)
    return f"({len(str(name))} characters)"


def near_name(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant, or None."""
    plain = {_letters(each): each for each in known}
    near = difflib.get_close_matches(_letters(str(name)), plain, 1)
    return plain[near[0]] if near else None


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def _meant(key: object, known: Iterable[str]) -> str:
    near = near_name(key, known)
    return "" if near is None else f"; {near} is meant?"


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
            # What the work gives may have anything for a key, and what it gave wrong, customers read.
            raise InvalidInput(
                f"{what} has no field of the name given ({len(str(key))} characters"
                f"{_meant(key, [*names, *names.values()])}); "
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
