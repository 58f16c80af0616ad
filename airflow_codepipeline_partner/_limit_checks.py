# SPDX-License-Identifier: Apache-2.0
"""Check a value against its limit; cut free text that is too long. The limits are in ``_limits``."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from airflow_codepipeline_partner._limits import TEXTS, Number, Text
from airflow_codepipeline_partner._suggestions import did_you_mean, is_plain_name, near_name

log = logging.getLogger(__name__)

#: The end of a text that was cut to its limit.
CUT_MARK = " … [cut]"


def text_fault(value: object, limit: Text) -> str | None:
    """
    Return what is wrong with a text; None if nothing is.

    Nothing is cut, not even free text. The value is not shown, unless it is nearly one of the allowed ones.

    :param value: What was given.
    :param limit: The limits of the text.
    """
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    if not value.isascii() and _with_characters_only(value) != value:
        return "has characters that are none, as of a file name in another encoding"
    if limit.one_of is not None:
        if value in limit.one_of:
            return None
        near = near_name(value, limit.one_of)
        # What is spelled nearly like one of them is no secret.
        is_shown = near is not None and is_plain_name(value)
        given = repr(value) if is_shown else f"this text of {len(value)} characters"
        return f"must be one of {', '.join(limit.one_of)}, not {given}{did_you_mean(value, limit.one_of)}"
    if len(value) < limit.min_chars or (limit.max_chars is not None and len(value) > limit.max_chars):
        return f"has {len(value)} characters; CodePipeline takes {limit.min_chars} to {limit.max_chars}"
    if limit.pattern is not None and not re.fullmatch(limit.pattern, value):
        return f"({len(value)} characters) must match {limit.pattern}"
    return None


def _with_characters_only(value: str) -> str:
    """Return a text in which what is no character, and cannot be sent, is a question mark."""
    return value.encode("utf-8", "replace").decode("utf-8")


def number_fault(value: object, limit: Number) -> str | None:
    """
    Return what is wrong with a whole number; None if nothing is.

    :param value: What was given; a string does not count as a number.
    :param limit: The limits of the number.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        return f"must be a whole number, not {type(value).__name__}"
    if not limit.minimum <= value <= limit.maximum:
        shown = value if abs(value) < 10**18 else "beyond all bounds"
        return f"is {shown}; it must be at least {limit.minimum} and at most {limit.maximum}"
    return None


def fit_text(field: str, value: object) -> tuple[str | None, str]:
    """
    Return a text that keeps the field's limits, or what is wrong with the value.

    :param field: A key of :data:`TEXTS`.
    :param value: What was given.
    :return: The text and an empty text, or None and the fault.
    """
    limit = TEXTS[field][1]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        # A build number comes like this from XCom.
        value = str(value)
    if limit.free and isinstance(value, Mapping | list | tuple):
        # As Jinja writes it. Work that is done, or has failed, is to be reported all the same.
        value = str(value)
    if isinstance(value, str) and limit.free:
        value = _with_characters_only(value)
    fault = text_fault(value, limit)
    if isinstance(value, str) and fault is None:
        return value, ""
    if not isinstance(value, str) or limit.one_of is not None:
        return None, f"{fault}."
    if limit.max_chars is not None and len(value) > limit.max_chars:
        if limit.free:
            log.warning(
                "%s has %d characters and was cut to %d, the most that CodePipeline takes.",
                field,
                len(value),
                limit.max_chars,
            )
            return value[: limit.max_chars - len(CUT_MARK)] + CUT_MARK, ""
        return None, f"{fault}. It is not cut, since a part of it would mean something else."
    if len(value) < limit.min_chars:
        return None, f"{fault}. Leave it out (None) if there is nothing to say."
    return None, f"{fault}."
