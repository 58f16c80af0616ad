# SPDX-License-Identifier: Apache-2.0
"""
Which of a job's output artifacts a run has made.

CodePipeline takes a success although an output artifact is missing, and then the next action that reads it
fails. S3 cannot be asked: a job's credentials are for writing its output artifacts, and S3 answers a reader
who may not list the bucket the same for a missing object as for a forbidden one. So each task that uploads
artifacts with this package records their names in its own XCom, and the task that reports reads these.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, get_args

from airflow_codepipeline_partner._compat import XCom
from airflow_codepipeline_partner._limit_checks import text_fault
from airflow_codepipeline_partner._limits import Text
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._worker.dag import is_marked, matching_instance
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import UPLOADS_KEY
from airflow_codepipeline_partner.exceptions import ArtifactError, InvalidInput

log = logging.getLogger(__name__)

#: What to do if an output artifact is missing as a success is about to be reported.
MissingOutputs = Literal["warn", "fail", "ignore"]


def check_missing_outputs(value: str) -> str:
    """
    Return ``missing_outputs`` if it is valid.

    :raises InvalidInput: It is not.
    """
    given = value if isinstance(value, str) else ""
    fault = text_fault(given, Text(one_of=get_args(MissingOutputs)))
    if fault is not None:
        raise InvalidInput(f"missing_outputs {fault}.")
    return given


def record_uploads(job_id: str, names: Collection[str]) -> None:
    """
    Record the output artifacts that the running task has uploaded; without a running task, do nothing.

    :param job_id: The job.
    :param names: The artifacts' names.
    """
    from airflow.sdk import get_current_context

    try:
        store = RecordStore.of(get_current_context()["ti"])
    except RuntimeError:
        return
    try:
        before = store.read_if_any(UPLOADS_KEY)
        known = dict(before) if isinstance(before, Mapping) else {}
        known[job_id] = sorted({*known.get(job_id, ()), *names})
        store.write(UPLOADS_KEY, known)
    except Exception as trouble:
        # The artifacts are there all the same.
        log.warning("What this task has uploaded is not recorded: %s.", type(trouble).__name__)


def check_outputs(
    context: Mapping[str, Any],
    job: ClaimedJob,
    task_ids: Iterable[str],
    missing_outputs: str,
    *,
    former_job_ids: Iterable[str] = (),
) -> None:
    """
    Warn or fail if no task has uploaded an output artifact of a job that is about to succeed.

    :param context: The running task's context.
    :param job: The job.
    :param task_ids: The tasks that may have uploaded artifacts.
    :param missing_outputs: ``warn``, ``fail`` or ``ignore``.
    :param former_job_ids: The action's earlier jobs.
    :raises ArtifactError: One is missing, and ``missing_outputs`` is ``fail``.
    """
    expected = {artifact.name for artifact in job.output_artifacts}
    if not expected or missing_outputs == "ignore":
        return
    try:
        missing = expected - _uploaded(context, {job.job_id, *former_job_ids}, task_ids, expected)
    except Exception as trouble:
        if missing_outputs == "fail":
            raise
        # The work is done: a warning must not keep its result from the customer.
        log.warning("The records of uploads cannot be read: %s.", type(trouble).__name__)
        return
    if not missing:
        return
    names = ", ".join(sorted(missing))
    if missing_outputs == "fail":
        raise ArtifactError(
            f"The work was done in Airflow, but it has not uploaded the output artifacts: {names}.",
            job_id=job.job_id,
        )
    log.warning(
        "Job %s succeeds, but no task uploaded these output artifacts with this package: %s. If nothing else "
        "did, the next action that reads one of them fails.",
        job.job_id,
        names,
    )


def _uploaded(
    context: Mapping[str, Any], job_ids: Collection[str], task_ids: Iterable[str], expected: Collection[str]
) -> set[str]:
    """Return which of the expected artifacts some tasks have uploaded, for any job of the action."""
    own = TaskInstanceRef.of(context["ti"])
    tasks = [context["dag"].get_task(task_id) for task_id in sorted(set(task_ids))]
    found: set[str] = set()
    # Those that most likely did, first: a DAG may have thousands of tasks.
    for task in sorted(tasks, key=lambda it: not is_marked(it, "uploads_artifacts")):
        for value in _records(context["task"], own, task):
            if isinstance(value, Mapping):
                found.update(name for job_id in job_ids for name in value.get(job_id, ()))
        if found.issuperset(expected):
            break
    return found.intersection(expected)


def _records(running: Any, own: TaskInstanceRef, task: Any) -> Collection[Any]:
    instance = matching_instance(running, own, task)
    if instance is not None and instance.map_index >= 0:
        # Not those of all other jobs of a mapped group.
        value = RecordStore(instance).read_if_any(UPLOADS_KEY)
        return () if value is None else (value,)
    names = {"dag_id": own.dag_id, "run_id": own.run_id, "task_id": task.task_id}
    return XCom.get_all(key=UPLOADS_KEY, **names) or ()
