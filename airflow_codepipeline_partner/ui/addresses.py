# SPDX-License-Identifier: Apache-2.0
"""Where the page is, and where Airflow's own pages are."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from airflow_codepipeline_partner.ui.job_row import Place

#: Where Airflow's API server has the page.
URL_PREFIX = "/codepipeline-jobs"


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

    def run(self, place: Place) -> str:
        """Return the address of a DAG run in Airflow."""
        return f"{self._airflow}/dags/{_quoted(place.dag_id)}/runs/{_quoted(place.run_id)}"

    def task(self, place: Place, task_id: str, map_index: int = -1) -> str:
        """Return the address of a task instance in Airflow, with its log."""
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        return f"{self.run(place)}/tasks/{_quoted(task_id)}{mapped}"

    def static(self, name: str) -> str:
        """Return the address of a file of this page."""
        return f"{self.base}/static/{name}"


def _quoted(part: str) -> str:
    return quote(part, safe="")
