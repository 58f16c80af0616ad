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
from typing import Any

from airflow_codepipeline_partner._compat import is_resumed, threads_ask_in_turn
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._worker.dag import is_marked
from airflow_codepipeline_partner._worker.record_store import RecordStore, values_of
from airflow_codepipeline_partner._worker.records import UPLOADS_KEY
from airflow_codepipeline_partner.exceptions import ArtifactError

log = logging.getLogger(__name__)

#: At how many tasks a mere warning looks. A DAG may have thousands.
MAX_LOOKS = 100
#: (task instance, number of its try) → job id → names: what tasks of this process have uploaded.
_recorded: dict[tuple[TaskInstanceRef, int], dict[str, list[str]]] = {}


def _is_strict(task: Any) -> bool:
    given: Mapping[str, Any] = task.partial_kwargs if task.is_mapped else vars(task)
    return given.get("missing_outputs") == "fail"


def record_uploads(job_id: str, names: Collection[str]) -> None:
    """
    Record the output artifacts that the running task has uploaded; without a running task, do nothing.

    :param job_id: The job.
    :param names: The artifacts' names.
    :raises ArtifactError: The record could not be written, and a task of the DAG fails a job whose outputs it
        does not know of. A retry uploads them again.
    """
    from airflow.sdk import get_current_context

    try:
        context = get_current_context()
    except RuntimeError:
        log.info("No task runs here, so the upload of %s is not recorded.", ", ".join(sorted(names)))
        return
    ti, dag = context["ti"], context["dag"]
    # Airflow clears the record when a retry starts. Only this process writes it, and those before a deferral.
    own = (TaskInstanceRef.of(ti), ti.try_number)
    try:
        store = RecordStore.of(ti)
        with threads_ask_in_turn:
            if own not in _recorded:
                _recorded[own] = dict(store.read(UPLOADS_KEY) or {}) if is_resumed(ti) else {}
            known = _recorded[own]
            known[job_id] = sorted({*known.get(job_id, ()), *names})
            store.write(UPLOADS_KEY, known)
    except Exception as trouble:
        said = f"What this task has uploaded is not recorded: {type(trouble).__name__}."
        if any(map(_is_strict, dag.tasks)):
            raise ArtifactError(
                said, job_id=job_id, failure_type="SystemUnavailable", retryable=True
            ) from trouble
        # The artifacts are there all the same.
        log.warning("%s", said)


def may_have_uploaded(states: Mapping[str, Collection[str | None]]) -> list[str]:
    """
    Return the tasks that may have uploaded artifacts, by how their instances ended; the likely ones first.

    However they ended: a task that skipped itself, or a teardown that failed, may have done so before.
    """
    ended = {"success", "skipped", "failed"}
    found = [task_id for task_id, of_task in states.items() if not ended.isdisjoint(of_task)]
    return sorted(found, key=lambda task_id: ("success" not in states[task_id], task_id))


def check_outputs(
    context: Mapping[str, Any],
    job: ClaimedJob,
    task_ids: Collection[str],
    missing_outputs: str,
    *,
    former_job_ids: Collection[str] = (),
) -> None:
    """
    Warn or fail if no task has uploaded an output artifact of a job that is about to succeed.

    :param context: The running task's context.
    :param job: The job.
    :param task_ids: The tasks that may have uploaded artifacts.
    :param missing_outputs: ``warn``, ``fail`` or ``ignore``.
    :param former_job_ids: The action's earlier jobs in this run.
    :raises ArtifactError: One is missing, and ``missing_outputs`` is ``fail``.
    """
    expected = {artifact.name for artifact in job.output_artifacts}
    if not expected or missing_outputs == "ignore":
        return
    fails = missing_outputs == "fail"
    try:
        ti, likely = context["ti"], _most_likely(context, task_ids, fails)
        found = uploaded_in_run(ti.dag_id, ti.run_id, likely, {job.job_id, *former_job_ids}, expected)
    except Exception as trouble:
        if fails:
            raise
        # The work is done: a warning must not keep its result from the customer.
        log.warning("The records of uploads cannot be read: %s.", type(trouble).__name__)
        return
    missing = expected - found
    if not missing:
        return
    names = ", ".join(sorted(missing))
    # An earlier run of the same action may have uploaded them.
    if fails and (job.continuation_token is None or former_job_ids):
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


def _most_likely(context: Mapping[str, Any], task_ids: Collection[str], all_of_them: bool) -> list[str]:
    """Return the tasks to look at: those first that are there to upload something."""
    dag = context["dag"]
    ordered = sorted(task_ids, key=lambda it: not is_marked(dag.get_task(it), "uploads_artifacts"))
    return ordered if all_of_them else ordered[:MAX_LOOKS]


def uploaded_in_run(
    dag_id: str,
    run_id: str,
    task_ids: Iterable[str],
    job_ids: Collection[str],
    expected: Collection[str],
) -> set[str]:
    """
    Return which of the expected artifacts some tasks of a run have uploaded, for any of some jobs.

    The tasks after those that have uploaded all of them are not looked at.
    """
    found = set[str]()
    for task_id in task_ids:
        values = values_of(UPLOADS_KEY, dag_id=dag_id, run_id=run_id, task_id=task_id)
        for value in values:
            if isinstance(value, Mapping):
                found.update(name for job_id in job_ids for name in value.get(job_id) or ())
        if found.issuperset(expected):
            break
    return found
