# SPDX-License-Identifier: Apache-2.0
"""A figure's curve as SVG: medians as a line, the spread as bars, the goal as a dashed line."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from benchmarks.figures import Figure, Place

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 40, 52
# Grey is read on white and on black.
_STYLE = (
    "text{font:13px sans-serif;fill:#808080}.title{font-weight:bold}.axis{stroke:#808080;stroke-opacity:.4}"
    ".goal{stroke:#d9534f;stroke-dasharray:6 4}.line{stroke:#2f81f7;stroke-width:2;fill:none}"
    ".spread{stroke:#2f81f7;stroke-opacity:.6}.median{fill:#2f81f7}.limit{fill:#d9534f}"
)


def plot(figure: Figure) -> str:
    """Return a figure with several points as an SVG document."""
    goal = figure.at_most if figure.at_least is None else figure.at_least
    highest = max(max(point.judged) for point in figure.points)
    # A goal that is far away would flatten the curve.
    if goal is not None and goal <= 3 * highest:
        highest = max(highest, goal)
    step = _round_step(highest * 1.1 / 4)
    top = 4 * step

    def x(number: int) -> float:
        return _LEFT + (number + 0.5) * (_WIDTH - _LEFT - _RIGHT) / len(figure.points)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _TOP - _BOTTOM)

    unit = "multiple of the other" if figure.is_ratio else figure.unit
    parts = [_text(_LEFT, 20, f"{figure.name}: {unit}", "title")]
    for value in (number * step for number in range(5)):
        parts += [_line(_LEFT, y(value), _WIDTH - _RIGHT, y(value), "axis")]
        parts += [_text(_LEFT - 6, y(value) + 4, short_number(value), anchor="end")]
    if goal is not None and goal <= top:
        said = "at most" if figure.at_least is None else "at least"
        parts += [_line(_LEFT, y(goal), _WIDTH - _RIGHT, y(goal), "goal")]
        parts += [_text(_WIDTH - _RIGHT, y(goal) - 5, f"goal: {said} {short_number(goal)}", "limit", "end")]
    middles = [(x(number), y(point.median)) for number, point in enumerate(figure.points)]
    parts.append(f'<polyline class="line" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in middles)}"/>')
    for (a, b), point in zip(middles, figure.points, strict=True):
        parts += [_line(a, y(min(point.judged)), a, y(max(point.judged)), "spread")]
        parts += [f'<circle class="median" cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>']
        parts += [_text(a, _HEIGHT - _BOTTOM + 18, place_text(point.at), anchor="middle")]
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, figure.axis, anchor="middle"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}">\n<style>{_STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _round_step(least: float) -> float:
    """Return the smallest of 1, 2, 2.5 and 5, at some power of ten, that is not less."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= least)


def short_number(value: float) -> str:
    """Return a number with some three digits, and commas between thousands."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 else f"{value:.3f}"


def place_text(at: Place | None) -> str:
    """Return a place of a curve as text."""
    return "" if at is None else at if isinstance(at, str) else f"{at:,g}" if at < 1 else f"{at:,.0f}"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
