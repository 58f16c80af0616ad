# SPDX-License-Identifier: Apache-2.0
"""The routes of the page. Each needs a user whom Airflow knows, and all of them only read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, partial
from importlib.resources import files
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.staticfiles import StaticFiles

from airflow_codepipeline_partner._worker.record_values import RecordValues
from airflow_codepipeline_partner._worker.records import CLAIM_KEY
from airflow_codepipeline_partner.ui.activity import Activity, activities
from airflow_codepipeline_partner.ui.addresses import URL_PREFIX, Addresses
from airflow_codepipeline_partner.ui.charts import bars
from airflow_codepipeline_partner.ui.execution_queries import (
    EXECUTION_KEY,
    ExecutionRow,
    read_ended,
    read_waiting,
)
from airflow_codepipeline_partner.ui.job_filter import Choices, JobFilter, Page
from airflow_codepipeline_partner.ui.job_queries import find_place, read_story
from airflow_codepipeline_partner.ui.job_row import JobState
from airflow_codepipeline_partner.ui.permissions import may_read_asset, readable_dag_ids
from airflow_codepipeline_partner.ui.polling_queries import dag_ids_with_triggers, read_pollings
from airflow_codepipeline_partner.ui.record_queries import Window, dag_ids_with, read_rows, read_window
from airflow_codepipeline_partner.ui.rendering import render

#: Nothing comes from elsewhere, and only Airflow itself shows the page in a frame.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_ERRORS = {
    401: "Log in to Airflow to see this page.",
    403: "You may not see this page. It needs the right to view Airflow's plugins.",
    404: "There is no such job, or you may not see it.",
    422: "This address does not fit the page. Begin again at all jobs.",
    405: "This page only shows. It changes nothing.",
}

router = APIRouter(dependencies=[Depends(requires_access_view(AccessView.PLUGINS))])


def addresses_of(request: Request) -> Addresses:
    """Return the addresses as this request's browser needs them."""
    base = str(request.scope.get("root_path", "")).rstrip("/")
    return Addresses(base, base.removesuffix(URL_PREFIX))


AddressesDep = Annotated[Addresses, Depends(addresses_of)]


def _page(name: str, addresses: Addresses, *, status: int = 200, **values: Any) -> HTMLResponse:
    now = datetime.now(UTC)
    text = render(name, urls=addresses, now=now, bars=bars, **values)
    # JSON can name half of a character, which UTF-8 cannot.
    return HTMLResponse(text.encode(errors="replace"), status_code=status, headers=_HEADERS)


def _readable(session: Any, user: Any) -> set[str]:
    """Return the DAGs with something to show that a user may see."""
    found = dag_ids_with(session, [CLAIM_KEY, EXECUTION_KEY]) | dag_ids_with_triggers(session)
    return readable_dag_ids(session, user, found)


@router.get("/", response_class=HTMLResponse)
def list_jobs(
    request: Request,
    user: GetUserDep,
    session: SessionDep,
    addresses: AddressesDep,
    page: int = 1,
    before: int | None = None,
) -> HTMLResponse:
    """Show the list of jobs, and what happens with each action type."""
    dag_ids = _readable(session, user)
    window = read_window(session, dag_ids, before=before)
    shown: list[Activity] = []
    if before is None:
        now = datetime.now(UTC)
        shown = activities(
            window.rows, read_pollings(session, dag_ids, now, cache(partial(may_read_asset, user))), now
        )
    return _jobs_page(request, session, addresses, window, page, before=before, activity=shown)


@router.get("/executions", response_class=HTMLResponse)
def list_executions(
    user: GetUserDep, session: SessionDep, addresses: AddressesDep, before: int | None = None
) -> HTMLResponse:
    """Show the executions of pipelines that DAGs started, or waited for."""
    dag_ids = _readable(session, user)
    ended, older = read_ended(session, dag_ids, RecordValues(), before=before)
    waiting = [] if before is not None else read_waiting(session, dag_ids)
    rows = [*waiting, *ended]
    return _page("executions.html", addresses, tab="executions", executions=rows, older=older, before=before)


@router.get("/jobs/{dag_run_id}/{map_index}/{task_id:path}", response_class=HTMLResponse)
def show_job(
    dag_run_id: int,
    map_index: int,
    task_id: str,
    user: GetUserDep,
    session: SessionDep,
    addresses: AddressesDep,
) -> HTMLResponse:
    """Show a job with its history."""
    place = find_place(session, dag_run_id, task_id, map_index)
    if place is None or not readable_dag_ids(session, user, [place.dag_id]):
        raise HTTPException(404)
    story = read_story(
        session, place, _readable(session, user), RecordValues(), cache(partial(may_read_asset, user))
    )
    return _page("job.html", addresses, tab="job", story=story, row=story.row, place=place)


@router.get("/runs/{dag_id}/{run_id:path}", response_class=HTMLResponse)
def list_jobs_of_run(
    dag_id: str,
    run_id: str,
    request: Request,
    user: GetUserDep,
    session: SessionDep,
    addresses: AddressesDep,
    page: int = 1,
) -> HTMLResponse:
    """Show the jobs of one DAG run, and its executions, beside it."""
    dag_ids = readable_dag_ids(session, user, [dag_id])
    if not dag_ids:
        raise HTTPException(404)
    run = (dag_id, run_id)
    window = read_window(session, dag_ids, run=run)
    ended, _ = read_ended(session, dag_ids, RecordValues(), run=run)
    executions = [*read_waiting(session, dag_ids, run=run), *ended]
    return _jobs_page(request, session, addresses, window, page, run=run, executions=executions)


def _jobs_page(
    request: Request,
    session: Any,
    addresses: Addresses,
    window: Window,
    number: int,
    *,
    before: int | None = None,
    run: tuple[str, str] | None = None,
    activity: Sequence[Activity] = (),
    executions: Sequence[ExecutionRow] = (),
) -> HTMLResponse:
    """Return a list of jobs: the page of those of a window that fit the filter."""
    wanted = JobFilter.from_query(request.query_params)
    page = Page.of([row for row in window.rows if wanted.fits(row)], number)
    choices = Choices.of(window.rows)
    return _page(
        "jobs.html",
        addresses,
        tab="jobs",
        path=addresses.jobs_of_run(*run) if run else f"{addresses.base}/",
        window=window,
        before=before,
        run=run,
        wanted=wanted,
        choices=choices,
        state_options=[(state.value, state.label) for state in choices.states],
        opaque=sum(row.state is JobState.UNREADABLE for row in window.rows),
        page=page,
        rows=read_rows(session, page.items, RecordValues()),
        activities=activity,
        executions=executions,
    )


async def _show_error(request: Request, error: Exception) -> Response:
    """Show an error as a page, without what caused it."""
    status = 422 if isinstance(error, RequestValidationError) else getattr(error, "status_code", 500)
    message = _ERRORS.get(status, "The page could not be made. Airflow's log says why.")
    values = {"tab": "", "status_code": status, "message": message}
    response = _page("error.html", addresses_of(request), status=status, **values)
    if isinstance(error, StarletteHTTPException) and error.headers:
        response.headers.update(error.headers)
    return response


def make_app() -> FastAPI:
    """Return the page as an app that Airflow's API server mounts."""
    # Its API is for its own page, and is described nowhere.
    app = FastAPI(title="CodePipeline jobs", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(router)
    # They hold no data.
    folder = str(files("airflow_codepipeline_partner.ui") / "static")
    app.mount("/static", StaticFiles(directory=folder), name="static")
    # The last one for whatever else goes wrong; Starlette hands it on to Airflow, which logs it.
    for kind in (StarletteHTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _show_error)
    return app
