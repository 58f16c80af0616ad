# SPDX-License-Identifier: Apache-2.0
"""
The plugin that puts the page into Airflow's navigation and beside its DAG runs.

Airflow imports it in each of its processes, so the page itself is imported at its first request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from airflow_codepipeline_partner.ui.addresses import URL_PREFIX

__all__ = ["CodePipelineJobsPlugin"]


class LazyApp:
    """An ASGI app that imports and makes the page at the first request."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        """Answer a request."""
        if self._app is None:
            from airflow_codepipeline_partner.ui.app import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


def _address(path: str) -> str:
    """Return an address as a browser needs it: Airflow may lie behind a path of its own."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + URL_PREFIX + path


class CodePipelineJobsPlugin(AirflowPlugin):
    """Show the jobs that Airflow has claimed from CodePipeline."""

    name = "codepipeline_jobs"
    # Airflow declares both as lists of the class.
    fastapi_apps: list[Any] = [  # noqa: RUF012
        {"app": LazyApp(), "url_prefix": URL_PREFIX, "name": "CodePipeline jobs"}
    ]
    external_views: list[Any] = [  # noqa: RUF012
        {
            "name": "CodePipeline jobs",
            "href": _address("/"),
            "destination": "nav",
            "category": "browse",
            "url_route": "codepipeline-jobs",
        },
        {
            "name": "CodePipeline jobs",
            # In the path: Airflow 3.1 does not quote what it puts in.
            "href": _address("/runs/{DAG_ID}/{RUN_ID}"),
            "destination": "dag_run",
            "url_route": "codepipeline-jobs-of-run",
        },
    ]
