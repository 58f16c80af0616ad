# SPDX-License-Identifier: Apache-2.0
"""Pages of a list. Its token names what was shown last, so that the list can change between two pages."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import Any

from airflow_codepipeline_partner.emulator.errors import ApiError

_AFTER = "after "


def page(
    found: Sequence[Any],
    token: str | None,
    size: int,
    name_of: Callable[[Any], str],
    *,
    is_sorted: bool = False,
) -> tuple[Sequence[Any], dict[str, str]]:
    """
    Return one page of a list, and the token of the next one if there is one.

    :param token: The token of the page; None for the first one.
    :param size: The most members of a page.
    :param name_of: Returns the name of a member, which no other one has.
    :param is_sorted: The list is sorted by these names, so that also a member that was deleted has its place.
    :raises ApiError: The token does not belong to this list.
    """
    names = [name_of(each) for each in found]
    start = 0
    if token is not None:
        shown = token.removeprefix(_AFTER)
        if shown == token or not (is_sorted or shown in names):
            raise ApiError("InvalidNextTokenException", "The next token is not one of this list's.")
        start = bisect.bisect_right(names, shown) if is_sorted else names.index(shown) + 1
    end = start + size
    return found[start:end], {"nextToken": f"{_AFTER}{names[end - 1]}"} if end < len(found) else {}
