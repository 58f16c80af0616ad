# SPDX-License-Identifier: Apache-2.0
"""
What log lines say of a job: pipeline, stage, action, execution and customer, in their text and as fields.

The fields are context variables of structlog. Airflow adds these to each line, of structlog's loggers and of
the standard library's; it leaves out what the latter are given as ``extra``. In a log in JSON, they are
members of the line. They hold no secret: no client token, nonce, credential or configuration value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from structlog.contextvars import bind_contextvars, get_contextvars, unbind_contextvars

if TYPE_CHECKING:
    from airflow_codepipeline_partner._protocol.jobs import ClaimedJob, OfferedJob
    from airflow_codepipeline_partner._protocol.results import ExecutionDetails

#: Field of a line → the attribute of a claimed job.
_ATTRIBUTES = {
    "job_id": "job_id",
    "pipeline": "pipeline_name",
    "stage": "stage_name",
    "action": "action_name",
    "execution": "pipeline_execution_id",
    "client_id": "client_id",
}
#: The names of the fields.
FIELDS = tuple(_ATTRIBUTES)
#: Of an id that stands beside names. The field has the whole id.
SHORT_ID_CHARS = 8
#: Of a text for the customer, in a line. CodePipeline has the whole text.
MAX_TEXT_CHARS = 500
#: Of the name of a mapped task's instance; Airflow's database has no more room.
MAX_LABEL_CHARS = 250


@contextmanager
def job_fields(job: OfferedJob | ClaimedJob | None) -> Iterator[None]:
    """
    Have the lines that are logged meanwhile bear the fields of a job.

    Around the same job, the names that only its details have stay.

    :param job: The job. If None, the fields stay as they are.
    """
    with _fields({} if job is None else fields_of(job), FIELDS if job is not None else ()):
        yield


@contextmanager
def pipeline_fields(
    pipeline: str, execution: str | None = None, *, stage: str | None = None, action: str | None = None
) -> Iterator[None]:
    """
    Have the lines that are logged meanwhile bear the fields of a pipeline that a DAG has started or watches.

    :param pipeline: The pipeline's name.
    :param execution: The id of its execution.
    :param stage: The stage's name.
    :param action: The action's name.
    """
    named = {"pipeline": pipeline, "execution": execution, "stage": stage, "action": action}
    with _fields({name: value for name, value in named.items() if value}, FIELDS):
        yield


@contextmanager
def _fields(fields: Mapping[str, str], replaced: tuple[str, ...]) -> Iterator[None]:
    known = get_contextvars()
    before = {name: known[name] for name in replaced if name in known}
    unbind_contextvars(*replaced)
    bind_contextvars(**fields)
    try:
        yield
    finally:
        unbind_contextvars(*replaced)
        bind_contextvars(**before)


def fields_of(job: OfferedJob | ClaimedJob) -> dict[str, str]:
    """Return the fields of a job: those that it has, and those that the lines about it bear already."""
    known = get_contextvars()
    if known.get("job_id") != job.job_id:
        known = {}
    found = {field: getattr(job, name, None) or known.get(field) for field, name in _ATTRIBUTES.items()}
    return {field: str(value) for field, value in found.items() if value}


def place_of(job: OfferedJob | ClaimedJob) -> str:
    """Return where a job's action is, such as ``shop / Deploy / Airflow``, or the job's id."""
    fields = fields_of(job)
    return _place(fields) or f"job {fields['job_id']}"


def name_of(job: OfferedJob | ClaimedJob) -> str:
    """Return the place of a job's action, its execution, its customer, and the job's id."""
    fields = fields_of(job)
    place, execution, client_id = _place(fields), fields.get("execution"), fields.get("client_id")
    customer = client_id and f"customer {client_id}"
    if not place:
        return ", ".join(filter(None, (f"job {fields['job_id']}", customer)))
    short = execution and f"execution {execution[:SHORT_ID_CHARS]}"
    return ", ".join(filter(None, (place, short, customer, f"job {fields['job_id']}")))


def _place(fields: Mapping[str, str]) -> str:
    return " / ".join(fields[name] for name in ("pipeline", "stage", "action") if name in fields)


def progress_text(details: ExecutionDetails | Mapping[str, Any] | None) -> str:
    """
    Return how far the work is, such as ``40 %, 120 of 300 files``; an empty text if nothing says so.

    :param details: The execution details, or their mapping in AWS's spelling.
    """
    if details is None:
        return ""
    given = details if isinstance(details, Mapping) else details.to_api()
    percent = given.get("percentComplete")
    return ", ".join(filter(None, ("" if percent is None else f"{percent} %", in_line(given.get("summary")))))


def in_line(text: object) -> str:
    """Return a text for the customer as it stands in a line of a log."""
    line = " ".join(str(text or "").split())
    return line if len(line) <= MAX_TEXT_CHARS else f"{line[: MAX_TEXT_CHARS - 1]}…"


def label_instance(context: Any, job: ClaimedJob) -> None:
    """
    Name the running instance of a mapped task after its job's action, unless the author has named it.

    :param context: The task's context. Airflow renders its template when the task ends.
    :param job: The job.
    """
    place = place_of(job)
    map_index = getattr(context["ti"], "map_index", None)
    # Airflow may read a text without a slash as a number, if the DAG renders to Python's own values.
    if map_index is None or map_index < 0 or "/" not in place or context.get("map_index_template"):
        return
    # As a value, so that Jinja reads nothing in the customer's names.
    context["codepipeline_job"] = place[:MAX_LABEL_CHARS]
    context["map_index_template"] = "{{ codepipeline_job }}"
