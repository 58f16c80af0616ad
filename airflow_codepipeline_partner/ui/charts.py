# SPDX-License-Identifier: Apache-2.0
"""The geometry of small bar charts. Pure: the template draws them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 240, 48
_GAP = 2
#: A value above 0 is to be seen, however small.
_LEAST = 2.0


@dataclass(frozen=True)
class Bar:
    """
    One bar.

    :param x: Its left edge.
    :param y: Its upper edge.
    :param width: Its width.
    :param height: Its height; 0 if there is nothing.
    :param value: What it stands for; None if that is not known.
    """

    x: float
    y: float
    width: float
    height: float
    value: float | None


def bars(values: Sequence[float | None]) -> list[Bar]:
    """
    Return the bars of a chart, from left to right, the highest as high as the chart.

    :param values: What they stand for, at least 0; None if that is not known.
    """
    most = max((value for value in values if value), default=0)
    step = WIDTH / max(len(values), 1)
    found = []
    for number, value in enumerate(values):
        height = max(value / most * HEIGHT, _LEAST) if value else 0.0
        place = round(number * step, 1), round(HEIGHT - height, 1)
        found.append(Bar(*place, round(step - _GAP, 1), round(height, 1), value))
    return found
