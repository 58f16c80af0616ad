# SPDX-License-Identifier: Apache-2.0
"""
Questions to the DAG: which tasks claim and report, which are the work, and how they ended.

Our operators and sensors mark their tasks: ``claims_job``, ``puts_result``, ``ends_job``, ``offers_jobs``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef

#: States in which a task instance stays, unless a user clears it.
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


def states_before(context: Mapping[str, Any], task: Any) -> dict[str, list[str | None]]:
    """
    Return the states of all tasks before a task, over any distance.

    Of a task in the same mapped group, only the instance with the same map index counts. Of any other mapped
    task, all instances count.

    :param context: The running task's context.
    :param task: The running task.
    :return: Task id → the states of its task instances.
    """
    ti, dag = context["ti"], context["dag"]
    group = mapped_group_of(task)
    same_group: list[str] = []
    unmapped: list[str] = []
    states: dict[str, list[str | None]] = {}
    for task_id in sorted(task.get_flat_relative_ids(upstream=True)):
        other = dag.get_task(task_id)
        other_group = mapped_group_of(other)
        if other_group is not None and other_group is group:
            same_group.append(task_id)
        elif other.is_mapped or other_group is not None:
            # One call for each: the keys of the answer (task id and map index in one text) can be ambiguous.
            states[task_id] = list(_task_states(ti, [task_id]).values())
        else:
            unmapped.append(task_id)
    if same_group:
        found = _task_states(ti, same_group, map_index=ti.map_index)
        states.update({task_id: [found.get(f"{task_id}_{ti.map_index}")] for task_id in same_group})
    if unmapped:
        # -1 is the map index of an unmapped task instance.
        found = _task_states(ti, unmapped, map_index=-1)
        states.update({task_id: [found.get(task_id)] for task_id in unmapped})
    return states


def _task_states(ti: Any, task_ids: list[str], map_index: int | None = None) -> dict[str, str | None]:
    answer = ti.get_task_states(dag_id=ti.dag_id, task_ids=task_ids, run_ids=[ti.run_id], map_index=map_index)
    found: dict[str, str | None] = answer.get(ti.run_id, {})
    return found


def unended_work(task: Any, claim_task_id: str, states: Mapping[str, Collection[str | None]]) -> list[str]:
    """
    Return the tasks that a task had to wait for and that have not ended: the claim, and those just before it.

    A user may have cleared one of them after the task was started. Tasks further back need not have ended:
    the trigger rules of the tasks in between may not require it.

    :param task: The task.
    :param claim_task_id: The id of the claiming task.
    :param states: Task id → the states of its task instances.
    """
    awaited = {claim_task_id, *task.upstream_task_ids}
    return sorted(
        task_id for task_id in awaited if any(state not in ENDED for state in states.get(task_id, ()))
    )


def work_before(dag: Any, task: Any, claim_task_id: str) -> set[str]:
    """
    Return the ids of the last tasks of the work: those just before a task that follow the claim.

    A teardown or a setup, and a task that does not follow the claim, say nothing about whether there was any
    work. Instead of a setup or teardown, the tasks before it count.

    :param dag: The DAG.
    :param task: The task that comes after the work.
    :param claim_task_id: The id of the claiming task.
    """
    after_claim = dag.get_task(claim_task_id).get_flat_relative_ids(upstream=False)
    work: set[str] = set()
    seen: set[str] = set()
    to_visit = list(task.upstream_task_ids)
    while to_visit:
        found = dag.get_task(to_visit.pop())
        if found.task_id in seen or found.task_id not in after_claim:
            continue
        seen.add(found.task_id)
        if found.is_setup or found.is_teardown:
            to_visit.extend(found.upstream_task_ids)
        else:
            work.add(found.task_id)
    return work


def claiming_tasks(dag: Any) -> Iterator[Any]:
    """Return the tasks of a DAG that claim jobs, mapped or not."""
    return (task for task in dag.tasks if is_marked(task, "claims_job"))


def reports_results(dag: Any) -> bool:
    """Return whether a DAG has a task that ends jobs, or a callback, which may be the notifier."""
    tasks = any(is_marked(task, "ends_job") for task in dag.tasks)
    return tasks or bool(dag.has_on_failure_callback or dag.on_failure_callback)


def unknown_claim_of(claiming: Any) -> str:
    """Return a claiming task's ``unknown_claim``: what an unknown claim counts as."""
    given = claiming.partial_kwargs if claiming.is_mapped else vars(claiming)
    return str(given.get("unknown_claim", "assume_ours"))


def is_marked(task: Any, mark: str) -> bool:
    """Return whether the class of a task, mapped or not, has one of our marks."""
    return bool(getattr(task.operator_class if task.is_mapped else type(task), mark, False))


def mapped_group_of(task: Any) -> Any:
    """Return the innermost mapped task group around a task, or None."""
    return task.get_closest_mapped_task_group()


def matching_instance(task: Any, own: TaskInstanceRef, other: Any) -> TaskInstanceRef | None:
    """Return the one instance of another task that goes with the running one; None if there are several."""
    group = mapped_group_of(other)
    if other.is_mapped or (group is not None and group is not mapped_group_of(task)):
        return None
    return replace(own, task_id=other.task_id, map_index=-1 if group is None else own.map_index)
