# SPDX-License-Identifier: Apache-2.0
"""What the graph of the DAG says about a job, and how the tasks before a task ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef


def states_before(context: Mapping[str, Any], task: Any) -> dict[str, list[str | None]]:
    """
    Return the states of all tasks before a task, over any distance.

    A task of the same mapped group counts with the instance of the same map index; any other mapped task
    with all its instances.

    :param context: The running task's context.
    :param task: The running task.
    :return: Task id → the states of its task instances.
    """
    ti, dag = context["ti"], context["dag"]
    group = mapped_group_of(task)
    alike: list[str] = []
    single: list[str] = []
    states: dict[str, list[str | None]] = {}
    for task_id in sorted(task.get_flat_relative_ids(upstream=True)):
        other = dag.get_task(task_id)
        other_group = mapped_group_of(other)
        if other_group is not None and other_group is group:
            alike.append(task_id)
        elif other.is_mapped or other_group is not None:
            # Asked for alone: the answer's keys (task id and map index in one text) can be ambiguous.
            states[task_id] = list(_ask(ti, [task_id]).values())
        else:
            single.append(task_id)
    if alike:
        found = _ask(ti, alike, map_index=ti.map_index)
        states.update({task_id: [found.get(f"{task_id}_{ti.map_index}")] for task_id in alike})
    if single:
        # -1 is what an unmapped task instance has.
        found = _ask(ti, single, map_index=-1)
        states.update({task_id: [found.get(task_id)] for task_id in single})
    return states


def _ask(ti: Any, task_ids: list[str], map_index: int | None = None) -> dict[str, str | None]:
    answer = ti.get_task_states(dag_id=ti.dag_id, task_ids=task_ids, run_ids=[ti.run_id], map_index=map_index)
    found: dict[str, str | None] = answer.get(ti.run_id, {})
    return found


#: States in which a task instance stays, unless somebody clears it.
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


def unended_work(task: Any, claim_task_id: str, states: Mapping[str, Collection[str | None]]) -> list[str]:
    """
    Return which of those have not ended whose end a task waited for: the claim, and the tasks just before it.

    One of them may have been cleared when the task was on its way already. Those further back need not have
    ended, by the trigger rules of the tasks between.

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
    Return the last tasks of the work: those before a task that follow a claim.

    What only cleans up behind the work (a teardown, a setup) or does not belong to it says nothing about
    whether there was any.

    :param dag: The DAG.
    :param task: The task that comes after the work.
    :param claim_task_id: The id of the claiming task.
    """
    after_claim = dag.get_task(claim_task_id).get_flat_relative_ids(upstream=False)
    work: set[str] = set()
    seen: set[str] = set()
    ahead = list(task.upstream_task_ids)
    while ahead:
        found = dag.get_task(ahead.pop())
        if found.task_id in seen or found.task_id not in after_claim:
            continue
        seen.add(found.task_id)
        if found.is_setup or found.is_teardown:
            ahead.extend(found.upstream_task_ids)
        else:
            work.add(found.task_id)
    return work


def claiming_tasks(dag: Any) -> Iterator[Any]:
    """Return the tasks of a DAG that claim jobs, mapped or not."""
    return (task for task in dag.tasks if is_marked(task, "claims_job"))


def reports_results(dag: Any) -> bool:
    """Tell whether a DAG has a task that ends jobs, or a callback, which may be the notifier."""
    tasks = any(is_marked(task, "ends_job") for task in dag.tasks)
    return tasks or bool(dag.has_on_failure_callback or dag.on_failure_callback)


def unknown_claim_of(claiming: Any) -> str:
    """Return what a claiming task says that a claim in doubt counts as."""
    given = claiming.partial_kwargs if claiming.is_mapped else vars(claiming)
    return str(given.get("unknown_claim", "assume_ours"))


def is_marked(task: Any, mark: str) -> bool:
    """Tell whether a task, mapped or not, is of a class that bears a mark of ours."""
    return bool(getattr(task.operator_class if task.is_mapped else type(task), mark, False))


def mapped_group_of(task: Any) -> Any:
    """Return the mapped task group that a task lies in, or None."""
    return task.get_closest_mapped_task_group()


def matching_instance(task: Any, own: TaskInstanceRef, other: Any) -> TaskInstanceRef | None:
    """Return the one instance of another task that belongs to the running one; None if there are several."""
    group = mapped_group_of(other)
    if other.is_mapped or (group is not None and group is not mapped_group_of(task)):
        return None
    return replace(own, task_id=other.task_id, map_index=-1 if group is None else own.map_index)
