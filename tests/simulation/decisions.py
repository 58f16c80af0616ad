# SPDX-License-Identifier: Apache-2.0
"""What happens in a history: drawn from a seed, or given, so that a history can be replayed and shrunk."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

Option = TypeVar("Option")


class Decisions:
    """
    Decide, by name, what happens next. The first option is always the one in which nothing bad happens.

    :param seed: What the decisions are drawn from.
    :param given: Name → the number of the option. If it is given, nothing is drawn: what it does not name
        gets the first option.
    """

    def __init__(self, seed: int, given: Mapping[str, int] | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - it keeps no secret
        self._given = given
        #: All decisions that were not for the first option.
        self.made: dict[str, int] = {}
        #: All decisions with their options, in their order, if they are given.
        self.seen: list[tuple[str, list[Any]]] = []

    def choose(self, name: str, options: Sequence[Option], chance: float = 1.0) -> Option:
        """
        Choose one of several options.

        :param name: The decision's name, used once in a history.
        :param options: The options; the first one is the harmless one.
        :param chance: How likely it is that one of all options is drawn, and not simply the first.
        """
        if self._given is not None:
            self.seen.append((name, list(options)))
            number = min(self._given.get(name, 0), len(options) - 1)
        else:
            is_drawn = chance >= 1 or self._random.random() < chance
            number = self._random.randrange(len(options)) if is_drawn and len(options) > 1 else 0
        if number:
            self.made[name] = number
        return options[number]
