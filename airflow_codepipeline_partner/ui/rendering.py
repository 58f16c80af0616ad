# SPDX-License-Identifier: Apache-2.0
"""From values to HTML: the templates, and how times and addresses are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from airflow_codepipeline_partner.ui.job_row import Place


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


class Addresses:
    """
    The addresses of this page and of Airflow's own pages.

    :param base: The path of this page, without a slash at its end.
    :param airflow: The path of Airflow, without a slash at its end.
    """

    def __init__(self, base: str, airflow: str) -> None:
        self.base = base
        self._airflow = airflow

    def job(self, place: Place) -> str:
        """Return the address of a job's own page."""
        return f"{self.base}/jobs/{place.dag_run_id}/{place.map_index}/{_quoted(place.task_id)}"

    def jobs_of_run(self, dag_id: str, run_id: str) -> str:
        """Return the address of the jobs of a DAG run."""
        return f"{self.base}/runs/{_quoted(dag_id)}/{_quoted(run_id)}"

    def run(self, place: Any) -> str:
        """Return the address of a DAG run in Airflow."""
        return f"{self._airflow}/dags/{_quoted(place.dag_id)}/runs/{_quoted(place.run_id)}"

    def task(self, place: Any, task_id: str, map_index: int = -1) -> str:
        """Return the address of a task instance in Airflow, with its log."""
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        return f"{self.run(place)}/tasks/{_quoted(task_id)}{mapped}"

    def static(self, name: str) -> str:
        """Return the address of a file of this page."""
        return f"{self.base}/static/{name}"


def _quoted(part: str) -> str:
    return quote(part, safe="")
