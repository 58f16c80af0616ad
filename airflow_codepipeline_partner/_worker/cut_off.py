# SPDX-License-Identifier: Apache-2.0
"""
A task that claims a job while Airflow ends it.

A user may mark the task or its run as failed, or the run's time may be over. Its process runs on until its
supervisor hears of it. The task that finishes the job, or the callback, may have looked for a claim before
there was one. So a task that has claimed a job looks once more, and ends the job itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import tenacity

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._job_log import job_fields
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._protocol.jobs import ClaimedJob
from airflow_codepipeline_partner._worker import report, result_defaults
from airflow_codepipeline_partner._worker.dag import (
    ENDED,
    claiming_tasks,
    ends_job_of,
    is_marked,
    matching_instance,
    task_states,
)
from airflow_codepipeline_partner._worker.last_look import is_last_look_said

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

#: How often to look, and how many seconds apart. There is no other try of such a task.
LOOKS, PAUSE = 3, 1


def is_cut_off(ti: Any, *, reports_itself: bool = False) -> bool:
    """
    Return whether Airflow holds the running task for ended, although it still runs; or all that end its job.

    :param ti: The running task instance.
    :param reports_itself: Whether it works and reports, too, so that perhaps no task does so after it.
    """
    own = TaskInstanceRef.of(ti)
    finishing = [] if reports_itself else _finishing_tasks(ti.task, own)
    looking = _looking()
    state, *finished = (looking(_state_of, ti, ref) for ref in (own, *finishing))
    if state in ENDED and (reports_itself or state != "success"):
        return True
    # If a user has marked a claim as a success, the work goes on, and the finishing task reports. But it may
    # have ended, too; or a user has cleared this task alone, in a run that had ended. Or it looks a last
    # time, and has perhaps not seen this claim.
    return bool(finished) and all(
        each in ENDED or (each == "running" and looking(is_last_look_said, ref))
        for ref, each in zip(finishing, finished, strict=True)
    )


def is_ended_for_others(ti: Any) -> bool:
    """
    Return whether Airflow holds this try for ended, and a task that ends its job is still to come.

    :param ti: The running task instance.
    """
    looking, own = _looking(), TaskInstanceRef.of(ti)
    if looking(_state_of, ti, own) in ("running", None):
        return False
    return any(looking(_state_of, ti, ref) not in ENDED for ref in _finishing_tasks(ti.task, own))


def _looking() -> tenacity.Retrying:
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(LOOKS),
        wait=tenacity.wait_fixed(PAUSE),
        retry=tenacity.retry_if_exception_type(Exception),
        reraise=True,
    )


def _state_of(ti: Any, ref: TaskInstanceRef) -> str | None:
    return next(iter(task_states(ti, [ref.task_id], map_index=ref.map_index).values()), None)


def _finishing_tasks(task: Any, own: TaskInstanceRef) -> list[TaskInstanceRef]:
    """Return the instances after the running one that end its job, and not another claim's."""
    dag, before = task.dag, task.get_flat_relative_ids(upstream=True)
    # A task that goes on with an action works for the claim before it.
    claims = [each for each in claiming_tasks(dag) if each.task_id in before]
    claims = [task] if is_marked(task, "claims_job") else claims
    after = map(dag.get_task, sorted(task.get_flat_relative_ids(upstream=False)))
    ending = (other for other in after if any(ends_job_of(other, each, dag) for each in claims))
    refs = (matching_instance(task, own, other) for other in ending)
    return [ref for ref in refs if ref is not None]


def end_cut_off(hook: CodePipelineHook, ti: Any, store: report.ResultStore, job: ClaimedJob) -> NoReturn:
    """
    End a job with failure that the running task has claimed after Airflow had ended it.

    :param hook: The hook that ends it.
    :param ti: The running task instance.
    :param store: The store of the job's result.
    :param job: The job.
    :raises AirflowFailException: It is ended.
    """
    result = put_failure(
        hook,
        store,
        job,
        TaskInstanceRef.of(ti),
        "The work of this action was ended in Airflow. Retry the action.",
    )
    raise AirflowFailException(
        f"Airflow has ended this task while it claimed job {job.job_id}. The job's result is {result}."
    )


def put_failure(
    hook: CodePipelineHook, store: report.ResultStore, job: ClaimedJob, of: TaskInstanceRef, message: str
) -> str:
    """Put a failure that names a task's run, unless another result was put; return the job's result."""
    failure = result_defaults.failure(job.job, message, "JobFailed", dag_id=of.dag_id, run_id=of.run_id)
    with job_fields(job):
        return report.put_once(hook, store, failure, certain=job.certain)
