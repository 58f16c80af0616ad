# SPDX-License-Identifier: Apache-2.0
"""What the states of the tasks before the one that ends a job say: whether the work, or the claim, failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._protocol.results import FailureDetails
from airflow_codepipeline_partner._worker.dag import tasks_of_job, work_before
from airflow_codepipeline_partner._worker.failures import recorded_failure
from airflow_codepipeline_partner._worker.skips import tasks_cut_off


def failure_of_work(
    context: Mapping[str, Any],
    claim_task_id: str,
    states: Mapping[str, Collection[str | None]],
    delay: float,
) -> FailureDetails | None:
    """
    Judge the work, and return the failure for the customer, or None for success.

    :param context: The context of the task that finishes the job.
    :param claim_task_id: The id of the claiming task.
    :param states: Task id → the states of its task instances, of all tasks before the finishing one.
    :param delay: For how many seconds the record of a task that skipped itself may be on its way.
    """
    dag = context["dag"]
    task_ids = tasks_of_job(dag, context["task"], claim_task_id)
    cut_off = tasks_cut_off(context, states, task_ids, delay)
    if "skipped" in states[claim_task_id]:
        # A task that claims is skipped if it has not won the job. If this one has a job, somebody ended
        # the run before the task was done: for instance, a function waited for its retry.
        cut_off = [*cut_off, claim_task_id]
    of_job = {task_id: states[task_id] for task_id in (claim_task_id, *task_ids)}
    work = work_before(dag, context["task"], claim_task_id)
    message = failure_of_run(context["ti"].dag_id, of_job, work, cut_off)
    return None if message is None else recorded_failure(context, of_job) or FailureDetails(message)


def failure_of_run(
    dag_id: str,
    states: Mapping[str, Collection[str | None]],
    work: Collection[str],
    cut_off: Collection[str] = (),
) -> str | None:
    """
    Judge the work by what ran, and return the message for the customer, or None for success.

    It failed if any task failed or could not run because of a failure, if somebody ended the run before the
    work was done, or if nothing of the work ran. Steps that the DAG skipped do not matter otherwise.

    :param dag_id: The DAG that did the work.
    :param states: Task id → the states of its task instances, of all tasks before the finishing task.
    :param work: The ids of the tasks of the work; see :func:`work_before`.
    :param cut_off: The ids of those that somebody ended; see :func:`tasks_cut_off`.
    """
    for state in ("failed", "upstream_failed"):
        failed = sorted(task_id for task_id, found in states.items() if state in found)
        if failed:
            what = "failed" if state == "failed" else "could not run"
            return f"The work of this action failed in Airflow: {_tasks(failed)} of DAG {dag_id} {what}."
    if cut_off:
        ended = _tasks(sorted(cut_off))
        return f"The work of this action was ended in Airflow before {ended} of DAG {dag_id} had run."
    if work and not any("success" in states.get(task_id, ()) for task_id in work):
        return f"The work of this action was skipped in Airflow: {_tasks(sorted(work))} of DAG {dag_id}."
    return None


def hide_no_failure(why: str, states: Mapping[str, Collection[str | None]]) -> None:
    """
    Fail if a task before the running one failed, which has no job to end, and would be skipped.

    Airflow judges a run by its last tasks: one that is skipped would hide the failure.

    :param why: Why there is no job.
    :param states: Task id → the states of its task instances, of all tasks before the running one.
    :raises AirflowFailException: A task before it failed.
    """
    failed = sorted(task_id for task_id, found in states.items() if "failed" in found)
    if failed:
        raise AirflowFailException(
            f"{why} This task fails, as {', '.join(failed)} did, so that the run does, too."
        )


def _tasks(task_ids: Collection[str]) -> str:
    shown = list(task_ids)[:10]
    more = f" and {len(task_ids) - len(shown)} more" if len(task_ids) > len(shown) else ""
    return ("task " if len(task_ids) == 1 else "tasks ") + ", ".join(shown) + more
