# SPDX-License-Identifier: Apache-2.0
"""The results that are kept in docs/benchmarks, and the page docs/performance.md that is made of them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.apart import ROOT
from benchmarks.figures import Figure, Point
from benchmarks.plot import place_text, plot, short_number

RESULTS = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- begin {}: made by python -m benchmarks --page -->", "<!-- end {} -->"


def surroundings() -> dict[str, Any]:
    """Return where the figures are measured, as JSON values."""
    return {
        "python": platform.python_version(),
        "airflow": version("apache-airflow"),
        "boto3": version("boto3"),
        "processors": os.cpu_count(),
        # Of the last quarter of an hour; more than there are processors is other work's, too.
        "load": round(os.getloadavg()[2], 1),
    }


def keep(benchmark: str, figures: Iterable[Figure], folder: Path = RESULTS) -> None:
    """
    Write a benchmark's figures where the page finds them.

    :param benchmark: Its name.
    :param figures: Its figures.
    :param folder: Where to write.
    """
    values = {"measured_on": surroundings(), "figures": [figure.to_json() for figure in figures]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{benchmark}.json").write_text(json.dumps(values, indent=1) + "\n")


def kept(names: Iterable[str], folder: Path = RESULTS) -> list[Figure]:
    """
    Return all figures that were kept, in the order of the benchmarks.

    :param names: The benchmarks' names. One that has not been kept is left out.
    :param folder: Where they lie.
    """
    files = [folder / f"{name}.json" for name in names]
    read = [json.loads(file.read_text()) for file in files if file.exists()]
    return [Figure.from_json(values) for found in read for values in found["figures"]]


def is_curve(figure: Figure) -> bool:
    """Return whether a figure is worth a plot."""
    return len(figure.points) > 2


def table(figures: Iterable[Figure]) -> str:
    """Return figures as a Markdown table."""
    rows = [
        "| figure | ours | against | median (lowest to highest) | goal | met |",
        "|---|---|---|---|---|---|",
    ]
    for figure in figures:
        met = {True: "yes", False: "**no**", None: "–"}[figure.is_met]
        cells = (figure.name, figure.what, figure.against or "–", result_text(figure), goal_text(figure), met)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def result_text(figure: Figure) -> str:
    """Return a figure's worst point in words; for a curve its last one, too."""
    unit = " ×" if figure.is_ratio else f" {figure.unit}"
    worst, last = figure.worst, figure.points[-1]
    texts = [_point_text(worst, unit)]
    if last.at != worst.at and not isinstance(last.at, str):
        texts.append(_point_text(last, unit))
    return "; ".join(texts)


def goal_text(figure: Figure) -> str:
    """Return a figure's goal in words."""
    unit = " ×" if figure.is_ratio else f" {figure.unit}"
    if figure.at_least is not None:
        return f"≥ {short_number(figure.at_least)}{unit}"
    return "–" if figure.at_most is None else f"≤ {short_number(figure.at_most)}{unit}"


def _point_text(point: Point, unit: str) -> str:
    spread = f" ({short_number(min(point.judged))} to {short_number(max(point.judged))})"
    where = "" if point.at is None else f", at {place_text(point.at)}"
    return f"{short_number(point.median)}{unit}{spread if len(point.judged) > 1 else ''}{where}"


def make(figures: Iterable[Figure]) -> None:
    """Make the plots and the page of all figures that were kept."""
    listed = list(figures)
    plots = {RESULTS / f"{figure.name}.svg": plot(figure) for figure in listed if is_curve(figure)}
    for path in set(RESULTS.glob("*.svg")) - plots.keys():
        path.unlink()
    for path, drawn in plots.items():
        path.write_text(drawn)
    PAGE.write_text(made_page(PAGE.read_text(), listed))


def made_page(text: str, figures: Iterable[Figure]) -> str:
    """
    Return the page with the table and the plots of these figures; the rest of it stays.

    :param text: The page as it is.
    :param figures: All figures.
    """
    listed = list(figures)
    curves = [f"![{figure.name}](benchmarks/{figure.name}.svg)\n" for figure in listed if is_curve(figure)]
    parts: Mapping[str, str] = {"table": table(listed), "curves": "\n".join(curves)}
    for name, made in parts.items():
        begin, end = _BEGIN.format(name), _END.format(name)
        before, _, rest = text.partition(begin)
        _, _, behind = rest.partition(end)
        text = f"{before}{begin}\n\n{made}\n{end}{behind}"
    return text
