# SPDX-License-Identifier: Apache-2.0
"""Suggest the name that was meant, and show in errors only what can hardly be a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: A text that can hardly be anything but a name.
_PLAIN_NAME = re.compile("[A-Za-z_]{1,30}")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown name, with the known name that is most like it."""
    near = near_name(name, known)
    return "" if near is None else f"; did you mean {near!r}?"


def is_plain_name(name: object) -> bool:
    """Return whether a text can hardly be anything but a name."""
    return isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is not None


def quoted_name(name: object) -> str:
    """
    Return a name that a DAG's author wrote, in quotes, for an error; only its length if it may not be a name.

    Not for keys that the work of a job gives: they may be a customer's data.

    :param name: A name of a member or of a property.
    """
    if is_plain_name(name):
        return repr(name)
    return f"({len(str(name))} characters)"


def near_name(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a name, or None if none is near."""
    # Only an error needs it.
    import difflib

    plain = {_letters(each): each for each in known}
    near = difflib.get_close_matches(_letters(str(name)), plain, 1)
    return plain[near[0]] if near else None


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())
