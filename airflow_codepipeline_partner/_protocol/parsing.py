# SPDX-License-Identifier: Apache-2.0
"""Read values from what users write, what Jinja renders and what is in XCom, and check them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from airflow_codepipeline_partner._limit_checks import fit_text, number_fault
from airflow_codepipeline_partner._limits import NUMBERS
from airflow_codepipeline_partner._suggestions import did_you_mean, quoted_name
from airflow_codepipeline_partner.exceptions import InvalidInput, LimitExceeded


def read_mapping(value: object, what: str, names: Iterable[str] = ()) -> Mapping[str, Any]:
    """
    Return a mapping from a mapping or from a string that holds one (JSON or a Python literal).

    :param value: What was given; a string is what a Jinja template renders.
    :param what: What it is, for the error.
    :param names: Its fields, for the error.
    :raises InvalidInput: It is not a mapping.
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
    """Return the list in a string (JSON or a Python literal), or a list of the string itself."""
    held = _read_literal(text)
    return list(held) if isinstance(held, list | tuple) else [text]


def _read_literal(text: str) -> object:
    """Return the value of a string of JSON or of a Python literal, or None."""
    readers: tuple[Callable[[str], object], ...] = (_read_json, ast.literal_eval)
    for read in readers:
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def _read_json(text: str) -> object:
    # A version 1.10 that somebody wrote without quotation marks stays as it was written.
    return json.loads(text, parse_float=str)


def is_missing(value: object) -> bool:
    """Return whether an optional value is missing, or is what Jinja makes of a missing one in a text."""
    return value is None or value in ("", "None")


def by_snake_case(value: object, what: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the members under their snake_case names; an unknown key is refused."""
    given: dict[str, Any] = {}
    aws_to_snake = {aws: snake for snake, aws in names.items()}
    for key, member in read_mapping(value, what, names.values()).items():
        snake = key if key in names else aws_to_snake.get(key)
        if snake is None:
            # A key that the work gave may be a customer's data, and customers read this error.
            raise InvalidInput(
                f"{what} has no field of the name given ({len(str(key))} characters"
                f"{did_you_mean(key, [*names, *names.values()])}); "
                f"it has {', '.join(names.values())} (or {', '.join(names)})."
            )
        if snake in given:
            raise InvalidInput(f"{what} has {names[snake]} twice, in both spellings.")
        given[snake] = member
    return given


def without_none(**members: Any) -> dict[str, Any]:
    """Return the members that are not None."""
    return {name: member for name, member in members.items() if member is not None}


def read_created(value: object) -> datetime | None:
    """
    Return the time of a datetime or an ISO 8601 string, in UTC; None stays None.

    :raises LimitExceeded: It is not a time.
    """
    moment: datetime | None = None
    if value is None:
        return None
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str) and not value.strip().isdigit():
        # Digits alone are seconds or milliseconds since some time, but Python would read a date.
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


def check_text(field: str, value: object, *, job_id: str | None = None, named: str | None = None) -> str:
    """
    Return a text that keeps the field's limits.

    Free text over its limit is cut, with a mark at its end and a warning in the log. Anything else that does
    not fit is refused. The error gives the value's kind and length, and never the value, except a name that
    is nearly one of the allowed ones.

    :param field: A key of :data:`TEXTS`.
    :param value: What was given.
    :param job_id: The job that it is for, for the error.
    :param named: The user's name for the value, for the error. If None, the field's name is used.
    :raises LimitExceeded: The value does not fit.
    """
    text, fault = fit_text(field, value)
    if text is None:
        raise LimitExceeded(f"{named or field} {fault}", field=field, job_id=job_id)
    return text


def check_number(field: str, value: object, *, job_id: str | None = None) -> int:
    """
    Return a whole number that keeps the field's limits; a numeric string, as Jinja renders it, counts.

    :param field: A key of :data:`NUMBERS`.
    :param value: What was given.
    :param job_id: The job that it is for, to be named in the error.
    :raises LimitExceeded: The value does not fit.
    """
    limit = NUMBERS[field][1]
    number: int | None = None
    whole = isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value)
    if whole or (isinstance(value, float) and value.is_integer()):
        number = int(value)  # type: ignore[call-overload]  # a string or a float, as just seen
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    fault = number_fault(value if number is None else number, limit)
    if number is None or fault is not None:
        raise LimitExceeded(f"{field} {fault}.", field=field, job_id=job_id)
    return number


def read_wake_queue(value: object) -> str | None:
    """
    Return the URL of an SQS queue; None stays None.

    :param value: The URL, such as ``https://sqs.eu-central-1.amazonaws.com/123456789012/started``.
    :raises InvalidInput: It is something else.
    """
    if is_missing(value):
        return None
    url = value.strip() if isinstance(value, str) else ""
    if not re.fullmatch(r"https?://[^\s/@?#]+/[^\s@?#]+", url):
        raise InvalidInput(
            "wake_queue must be the URL of an SQS queue, such as "
            "https://sqs.eu-central-1.amazonaws.com/123456789012/started, not this "
            f"{type(value).__name__} of {len(str(value))} characters."
        )
    return url


def read_query_param(value: object) -> dict[str, str] | None:
    """
    Return the query from a value; None if it is None or an empty mapping.

    :param value: A mapping of one name, 1 to 50 characters, to one value, 1 to 50 of ``0-9 A-Z a-z _ -``.
    :raises InvalidInput: It is something else.

    Source: PollForJobs, CodePipeline API 2015-07-09.
    """
    if is_missing(value):
        return None
    given = read_mapping(value, "query_param")
    if not given:
        return None
    if len(given) > 1:
        raise LimitExceeded(
            f"query_param has {len(given)} entries; an action type has at most one queryable property.",
            field="queryParam",
        )
    return {
        check_text("queryParam.key", name, named=f"The name {quoted_name(name)} in query_param"): check_text(
            "queryParam.value", wanted, named=f"The value of {quoted_name(name)} in query_param"
        )
        for name, wanted in given.items()
    }
