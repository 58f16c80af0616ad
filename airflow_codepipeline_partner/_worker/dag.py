# SPDX-License-Identifier: Apache-2.0
"""
Questions to the DAG: which tasks claim and report, which are the work, and how they ended.

Our operators and sensors mark their tasks: ``claims_job``, ``puts_result``, ``ends_job``, ``offers_jobs``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import XComArg

if TYPE_CHECKING:
    from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef

#: Most characters of ids in one request: an HTTP client or a proxy may refuse a longer URL.
MAX_IDS_CHARS = 4000
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
        if other_group is not None and other_group == group:
            same_group.append(task_id)
        elif other.is_mapped or other_group is not None:
            # One call for each: the keys of the answer (task id and map index in one text) can be ambiguous.
            # A file that was changed meanwhile may have a task of which Airflow has made no instance yet.
            states[task_id] = list(task_states(ti, [task_id]).values()) or [None]
        else:
            unmapped.append(task_id)
    if same_group:
        found = task_states(ti, same_group, map_index=ti.map_index)
        # A task that was skipped before Airflow expanded it has one instance, which goes with all.
        missing = [task_id for task_id in same_group if f"{task_id}_{ti.map_index}" not in found]
        unexpanded = task_states(ti, missing, map_index=-1) if missing else {}
        for task_id in same_group:
            states[task_id] = [found.get(f"{task_id}_{ti.map_index}", unexpanded.get(task_id))]
    if unmapped:
        # -1 is the map index of an unmapped task instance.
        found = task_states(ti, unmapped, map_index=-1)
        states.update({task_id: [found.get(task_id)] for task_id in unmapped})
    return states


def task_states(ti: Any, task_ids: list[str], map_index: int | None = None) -> dict[str, str | None]:
    """
    Return the states of tasks in the running task's run.

    :param ti: The running task instance.
    :param task_ids: The tasks, however many.
    :param map_index: Only instances with this map index; None for all.
    :return: Task id, for a mapped task with ``_`` and the map index behind it → state.
    """
    found: dict[str, str | None] = {}
    for some in in_parts(task_ids):
        answer = ti.get_task_states(dag_id=ti.dag_id, task_ids=some, run_ids=[ti.run_id], map_index=map_index)
        found.update(answer.get(ti.run_id, {}))
    return found


def in_parts(ids: list[str]) -> Iterator[list[str]]:
    """Yield ids of tasks or runs in parts that fit in one request, since Airflow sends them in its URL."""
    part: list[str] = []
    chars = 0
    for one in ids:
        # Quoted, a character may take twelve.
        needed = len(quote(one)) + len("&task_ids=")
        if part and chars + needed > MAX_IDS_CHARS:
            yield part
            part, chars = [], 0
        part.append(one)
        chars += needed
    if part:
        yield part


def task_ids_of_run(get_task_states: Callable[..., Any], dag_id: str, run_id: str) -> list[str]:
    """
    Return the ids of all tasks of a run, also of those that the DAG no longer has.

    For a mapped task, ids that no task has may be among them.

    :param get_task_states: A task instance's method.
    :param dag_id: The DAG.
    :param run_id: The run.
    """
    answer = get_task_states(dag_id=dag_id, run_ids=[run_id])
    names = set(answer.get(run_id, {}))
    # The answer has each instance of a mapped task, as its task id with the map index behind it.
    mapped = {task_id for task_id, _, index in (name.rpartition("_") for name in names) if index.isdigit()}
    return sorted(names | (mapped - {""}))


def unended_work(
    dag: Any, task: Any, claim_task_id: str, states: Mapping[str, Collection[str | None]]
) -> list[str]:
    """
    Return the tasks before a finishing task that have not ended: the claim, and those of its job.

    A user may have cleared one of them after the task was started. And the trigger rule of a task in between
    need not wait for all before it, so work further back may still go on.

    :param dag: The DAG.
    :param task: The finishing task.
    :param claim_task_id: The id of the claiming task.
    :param states: Task id → the states of its task instances.
    """
    awaited = {claim_task_id, *task.upstream_task_ids, *tasks_of_job(dag, task, claim_task_id)}
    return sorted(
        task_id for task_id in awaited if any(state not in ENDED for state in states.get(task_id, ()))
    )


def tasks_of_job(dag: Any, task: Any, claim_task_id: str) -> set[str]:
    """
    Return the ids of the tasks before a finishing task whose end matters for its job.

    These are the work and what the work needs, as setups and branches. What came before the claim may have
    been about another job, and so is what finishes the job of another claim. A teardown only counts if it
    is to fail the run.

    :param dag: The DAG.
    :param task: The finishing task.
    :param claim_task_id: The id of the claiming task.
    """
    claiming = dag.get_task(claim_task_id)
    before = task.get_flat_relative_ids(upstream=True) - claiming.get_flat_relative_ids(upstream=True)
    found = map(dag.get_task, before - {claim_task_id})
    return {
        each.task_id
        for each in found
        if getattr(each, "claim_task_id", claim_task_id) == claim_task_id
        and (not each.is_teardown or fails_run(each))
    }


def work_before(dag: Any, task: Any, claim_task_id: str) -> set[str]:
    """
    Return the ids of the tasks of the work: those after the claim and before a task.

    A teardown or a setup, and a task that does not follow the claim, say nothing about whether there was any
    work. A branch or an empty task is work only if there is nothing else.

    :param dag: The DAG.
    :param task: The task that comes after the work.
    :param claim_task_id: The id of the claiming task.
    """
    after_claim = dag.get_task(claim_task_id).get_flat_relative_ids(upstream=False)
    between = after_claim & task.get_flat_relative_ids(upstream=True)
    tasks = [found for found in map(dag.get_task, between) if not (found.is_setup or found.is_teardown)]
    work = {
        found.task_id for found in tasks if not (skips_others(found) or found.inherits_from_empty_operator)
    }
    return work or {found.task_id for found in tasks}


def claiming_tasks(dag: Any) -> Iterator[Any]:
    """Return the tasks of a DAG that claim jobs, mapped or not."""
    return (task for task in dag.tasks if is_marked(task, "claims_job"))


def claims_before(context: Mapping[str, Any]) -> list[str]:
    """Return the ids of the tasks before the running one that claim jobs."""
    before = context["task"].get_flat_relative_ids(upstream=True)
    return sorted(task.task_id for task in claiming_tasks(context["dag"]) if task.task_id in before)


def reporting_tasks(dag: Any, claiming: Any) -> list[Any]:
    """Return the tasks after a claiming task that may report a result of its job, mapped or not."""
    after = sorted(claiming.get_flat_relative_ids(upstream=False))
    return [task for task in map(dag.get_task, after) if is_marked(task, "puts_result")]


def ends_job_of(task: Any, claiming: Any, dag: Any) -> bool:
    """Return whether a task ends the job that a claiming task claims."""
    if not is_marked(task, "ends_job") or is_marked(task, "claims_job"):
        # A function ends the job that it claims itself.
        return False
    claim_task_id = getattr(task, "claim_task_id", None)
    of = _claims_behind(task, dag) if claim_task_id is None else {claim_task_id}
    # A job that a template names may be any.
    return not of or claiming.task_id in of


def _claims_behind(task: Any, dag: Any) -> set[str]:
    """Return the ids of the claims from whose output a task is given its job, be it by tasks in between."""
    found: set[str] = set()
    seen: set[str] = set()
    left = referenced_tasks(task, ("job", "job_id"))
    while left:
        seen |= left
        claims = {task_id for task_id in left if is_marked(dag.get_task(task_id), "claims_job")}
        found |= claims
        left = {each for task_id in left - claims for each in referenced_tasks(dag.get_task(task_id))} - seen
    return found


def has_many_instances(task: Any, claiming: Any) -> bool:
    """
    Return whether several instances of a task may work for one instance of a claiming task.

    If the claim is mapped by itself, the instances of a mapped task are taken to have a job each.
    """
    group = mapped_group_of(task)
    is_inside = group in (None, mapped_group_of(claiming))
    return (task.is_mapped or not is_inside) and not claiming.is_mapped


def unknown_claim_of(claiming: Any) -> str:
    """Return a claiming task's ``unknown_claim``: what an unknown claim counts as."""
    given = claiming.partial_kwargs if claiming.is_mapped else vars(claiming)
    return str(given.get("unknown_claim", "assume_ours"))


def skips_others(task: Any) -> bool:
    """Return whether a task, mapped or not, may skip others, as a branch does."""
    kind = task.operator_class if task.is_mapped else type(task)
    # Not every operator that can has the flag.
    return task.inherits_from_skipmixin or any(each.__name__ == "SkipMixin" for each in kind.__mro__)


def fails_run(teardown: Any) -> bool:
    """Return whether a teardown, mapped or not, is to fail the run if it fails."""
    if teardown.is_mapped:
        # There, Airflow has what the decorator was given.
        return bool(teardown.partial_kwargs.get("on_failure_fail_dagrun"))
    return bool(teardown.on_failure_fail_dagrun)


def referenced_tasks(task: Any, names: Collection[str] | None = None) -> set[str]:
    """
    Return the ids of the tasks whose output a task, mapped or not, is given in the DAG.

    :param task: The task.
    :param names: The parameters that count; None for all templated ones. What a task is mapped over counts.
    """
    if task.is_mapped:
        held = task.partial_kwargs
        mapped = {operator.task_id for operator in task.iter_mapped_dependencies()}
    else:
        held, mapped = {name: getattr(task, name, None) for name in task.template_fields}, set()
    given = [value for name, value in held.items() if names is None or name in names]
    return mapped | {operator.task_id for operator, _ in XComArg.iter_xcom_references(given)}


def is_marked(task: Any, mark: str) -> bool:
    """Return whether the class of a task, mapped or not, has one of our marks."""
    return bool(getattr(task.operator_class if task.is_mapped else type(task), mark, False))


def mapped_group_of(task: Any) -> str | None:
    """Return the id of the innermost mapped task group around a task, or None."""
    # Not the group: of one and the same, Airflow hands out the object itself, or a proxy of it.
    group = task.get_closest_mapped_task_group()
    return None if group is None else str(group.group_id)


def matching_instance(task: Any, own: TaskInstanceRef, other: Any) -> TaskInstanceRef | None:
    """Return the one instance of another task that goes with the running one; None if there are several."""
    group = mapped_group_of(other)
    if other.is_mapped or group not in (None, mapped_group_of(task)):
        return None
    return replace(own, task_id=other.task_id, map_index=-1 if group is None else own.map_index)
