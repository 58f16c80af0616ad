# SPDX-License-Identifier: Apache-2.0
"""From values to HTML: the templates, and how times are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def templates() -> Environment:
    """Return the templates. All that they show is escaped."""
    environment = Environment(
        loader=PackageLoader("airflow_codepipeline_partner.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=moment, duration=duration, iso=iso, pair=lambda text: (text, text))
    return environment


def render(name: str, **values: Any) -> str:
    """Return a page."""
    return templates().get_template(name).render(**values)


def moment(value: datetime | None) -> str:
    """Write a time for people, in UTC."""
    return "–" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def iso(value: datetime) -> str:
    """Write a time for programs."""
    return value.astimezone(UTC).isoformat(timespec="seconds")


def duration(value: timedelta | None) -> str:
    """Write how long something takes: its two largest units."""
    if value is None:
        return "–"
    seconds = int(value.total_seconds())
    hours, minutes = seconds // 3600, seconds // 60
    units = ((hours // 24, "d"), (hours % 24, "h"), (minutes % 60, "min"), (seconds % 60, "s"))
    first = next((number for number, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count) or "0 s"
