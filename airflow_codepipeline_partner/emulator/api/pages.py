# SPDX-License-Identifier: Apache-2.0
"""Pages of a list. Its token names what was shown last, so that the list can change between two pages."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from airflow_codepipeline_partner.emulator.errors import ApiError

_AFTER = "after "


def page(
    found: Iterable[Any], token: str | None, size: int, name_of: Callable[[Any], str]
) -> tuple[Sequence[Any], dict[str, str]]:
    """
    Return one page of a list, and the token of the next one if there is one.

    What comes after the page is not looked at.

    :param token: The token of the page; None for the first one.
    :param size: The most members of a page.
    :param name_of: Returns the name of a member, which no other one has.
    :raises ApiError: The token does not belong to this list.
    """
    rest = iter(found)
    shown = _shown(token)
    if shown is not None and not any(name_of(each) == shown for each in rest):
        raise _refusal()
    return _cut(list(itertools.islice(rest, size + 1)), size, name_of)


def sorted_page(
    found: Sequence[Any], token: str | None, size: int, name_of: Callable[[Any], str]
) -> tuple[Sequence[Any], dict[str, str]]:
    """
    Return one page of a list that is sorted by its names.

    So also a member that was deleted has its place. For the parameters see :func:`page`.
    """
    shown = _shown(token)
    start = 0 if shown is None else bisect.bisect_right(found, shown, key=name_of)
    return _cut(found[start : start + size + 1], size, name_of)


def _shown(token: str | None) -> str | None:
    if token is None:
        return None
    shown = token.removeprefix(_AFTER)
    if shown == token:
        raise _refusal()
    return shown


def _cut(
    rest: Sequence[Any], size: int, name_of: Callable[[Any], str]
) -> tuple[Sequence[Any], dict[str, str]]:
    shown = rest[:size]
    return shown, {"nextToken": f"{_AFTER}{name_of(shown[-1])}"} if len(rest) > size else {}


def _refusal() -> ApiError:
    return ApiError("InvalidNextTokenException", "The next token is not one of this list's.")
