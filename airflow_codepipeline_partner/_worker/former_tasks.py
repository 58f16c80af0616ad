# SPDX-License-Identifier: Apache-2.0
"""The jobs of claiming tasks that a run had and its DAG no longer has: the DAG was changed during the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_codepipeline_partner._compat import AirflowFailException
from airflow_codepipeline_partner._job_log import name_of
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.cut_off import put_failure
from airflow_codepipeline_partner._worker.dag import mapped_group_of, task_ids_of_run
from airflow_codepipeline_partner._worker.job_life import Results, Step
from airflow_codepipeline_partner._worker.record_search import records_of_run
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import ClaimRecord, ResultRecord
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError, JobNotFound, JobNotInProgress

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)


def claims_of_former_tasks(
    get_task_states: Callable[..., Any], dag: Any, run_id: str
) -> Iterator[tuple[ClaimRecord, Results]]:
    """
    Yield the claims of the tasks that a run had and its DAG no longer has.

    :param get_task_states: A task instance's method.
    :param dag: The DAG.
    :param run_id: The run.
    """
    names = task_ids_of_run(get_task_states, dag.dag_id, run_id)
    for task_id in names:
        # A claim whose id another kind of task has now is not looked for: that would take a request for each
        # task of the DAG.
        if dag.has_task(task_id) or _is_instance(task_id, dag):
            continue
        if any(records_of_run(dag.dag_id, run_id, task_id)):
            # Any task of the run may have reported.
            yield from records_of_run(dag.dag_id, run_id, task_id, names)


def _is_instance(name: str, dag: Any) -> bool:
    """Return whether Airflow may mean an instance of a mapped task by a name."""
    task_id, _, index = name.rpartition("_")
    if not index.isdigit() or not dag.has_task(task_id):
        return False
    task = dag.get_task(task_id)
    return bool(task.is_mapped or mapped_group_of(task))


def end_jobs_of_former_tasks(hook: CodePipelineHook, context: Mapping[str, Any]) -> None:
    """
    End the jobs that such tasks claimed and that have no result: nothing else of the run ends them.

    :param hook: The hook that ends them.
    :param context: The context of a task that finishes a job.
    :raises AirflowFailException: There was one, so this task fails.
    :raises CodePipelineProviderError: One could not be ended.
    """
    ti, ended = context["ti"], []
    trouble: Exception | None = None
    store = RecordStore(TaskInstanceRef.of(ti), shared=True)
    message = "The work of this action was changed in Airflow while it ran. Retry the action."
    for record, results in claims_of_former_tasks(ti.get_task_states, context["dag"], ti.run_id):
        # Such a task's parameter is not known; its record says what is not the default.
        has_result = results.step is Step.NOTHING or (results.left and not record.is_certain)
        if has_result or not record.counts_as_ours(record.unknown_claim or "assume_ours"):
            continue
        job = replace(record.job, certain=record.is_certain)
        ended.append(job.job_id)
        try:
            put_failure(hook, _Beside(store, results), job, TaskInstanceRef.of(ti), message)
        except (JobNotFound, JobNotInProgress):
            # An earlier try of this task, or the customer, has ended it.
            continue
        except Exception as error:
            # Of whatever kind: one customer's trouble must not keep another's job from its end.
            said = str(error) if isinstance(error, CodePipelineProviderError) else type(error).__name__
            log.warning("Not ended: %s: %s", name_of(job), said)
            trouble = error
    if trouble is not None:
        raise trouble
    if ended:
        raise AirflowFailException(
            "The DAG was changed during this run, and the task that claimed is no longer there. Ended: job "
            f"{', job '.join(ended)}."
        )


@dataclass(frozen=True)
class _Beside:
    """
    The running task's records of a result, beside those that the former tasks have left.

    :param store: The running task's store.
    :param former: The former tasks' records.
    """

    store: RecordStore
    former: Results

    def read_results(self, job_id: str) -> Results:
        """Return all records."""
        own = self.store.read_results(job_id)
        return replace(self.former, own=own.own, left=(*own.left, *self.former.left))

    def write_result(self, record: ResultRecord) -> None:
        """Write the running task's own record."""
        self.store.write_result(record)

    def withdraw_result(self, job_id: str) -> None:
        """Forget the running task's own record."""
        self.store.withdraw_result(job_id)
