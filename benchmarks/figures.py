# SPDX-License-Identifier: Apache-2.0
"""Figures: what was measured round by round, beside what it is compared with, and the goal."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any, Literal

#: Where on a curve a point is: a number, or a name.
Place = float | str


@dataclasses.dataclass(frozen=True)
class Point:
    """
    One place of a figure, measured in some rounds.

    :param ours: What was measured of this package, one value a round.
    :param against: What was measured of the other in the same rounds. Empty if that value is judged
        by itself.
    :param at: Where on the curve. None if the figure is no curve.
    """

    ours: Sequence[float]
    against: Sequence[float] = ()
    at: Place | None = None

    @property
    def judged(self) -> list[float]:
        """What is judged, one value a round: ours as a multiple of the other, or the value itself."""
        if not self.against:
            return list(self.ours)
        # What costs nothing on both sides is equal.
        pairs = zip(self.ours, self.against, strict=True)
        return [ours / against if against else 1.0 for ours, against in pairs]

    @property
    def median(self) -> float:
        """The median of what is judged."""
        return statistics.median(self.judged)


@dataclasses.dataclass(frozen=True)
class Figure:
    """
    One thing that was measured.

    :param name: Its name, unique among all figures: lower case, with ``-`` between words.
    :param what: What was measured of this package, for people.
    :param against: What it is compared with, in the same words.
    :param unit: The unit of the measured values, for instance ``ms of CPU a job``.
    :param points: The points of the curve, or one.
    :param at_most: The goal: no point's median is higher. None if there is no such goal.
    :param at_least: The goal: no point's median is lower. None if there is no such goal.
    :param alarm: What the short form allows instead of the goal, since it measures for a moment only. None if
        the short form allows anything.
    :param axis: What the places of the points are, for instance ``jobs done``. Empty if it is no curve.
    """

    name: str
    what: str
    against: str
    unit: str
    points: Sequence[Point]
    at_most: float | None = None
    at_least: float | None = None
    alarm: float | None = None
    axis: str = ""

    @property
    def is_ratio(self) -> bool:
        """Whether a multiple of the other is judged, not the value itself."""
        return any(point.against for point in self.points)

    @property
    def worst(self) -> Point:
        """The point that is the farthest from the goal; without a goal, the highest."""
        choose = max if self.at_least is None else min
        return choose(self.points, key=lambda point: point.median)

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met. None if there is none."""
        return self._is_within(self.at_most if self.at_least is None else self.at_least)

    @property
    def is_alarming(self) -> bool:
        """Whether even the short form must fail."""
        return self._is_within(self.alarm) is False

    def _is_within(self, limit: float | None) -> bool | None:
        if limit is None:
            return None
        return self.worst.median <= limit if self.at_least is None else self.worst.median >= limit

    def to_json(self) -> dict[str, Any]:
        """Return the figure as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Figure:
        """Return the figure of JSON values."""
        return cls(**{**values, "points": [Point(**point) for point in values["points"]]})


def curve(
    found: Sequence[Sequence[float]],
    places: Sequence[Place],
    against: Sequence[Sequence[float]] | Literal["the first"] | None = "the first",
) -> list[Point]:
    """
    Return the points of a curve.

    :param found: For each round, the value of this package at each place.
    :param places: The places.
    :param against: For each round, the other's value at each place. By default each round is compared with
        its own first place. None if the values are judged by themselves.
    """
    points = []
    for number, at in enumerate(places):
        ours = [values[number] for values in found]
        other: list[float] = []
        if against == "the first":
            other = [values[0] for values in found]
        elif against is not None:
            other = [values[number] for values in against]
        points.append(Point(ours, other, at))
    return points
