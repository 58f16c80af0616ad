# SPDX-License-Identifier: Apache-2.0
"""
Why a task of the work was skipped: by the DAG, or because somebody ended the run.

If a user marks a run failed, Airflow fails its running tasks and *skips* those that have not begun or wait
for a retry. Nothing in a task's state distinguishes such a skip from one that the DAG's author wanted. So a
skip has to be explained: by the task's trigger rule, a task before it that was skipped, a branch, nothing to
expand, or by the task itself, which then left a record. A skip without an explanation cut the work off.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from typing import Any

from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.dag import matching_instance, skips_others, task_states
from airflow_codepipeline_partner._worker.record_store import RecordStore

log = logging.getLogger(__name__)

#: XCom key of a task that skipped itself.
SKIP_KEY = "codepipeline_skip"
#: XCom key under which Airflow's branches record which tasks they skip, or follow.
BRANCH_KEY = "skipmixin_key"
#: Trigger rules that skip a task although all tasks before it have succeeded.
SELECTIVE_RULES = frozenset({"all_failed", "one_failed", "all_skipped"})
#: Trigger rules that skip a task if one task before it was skipped.
STRICT_RULES = frozenset({"all_success", "none_skipped", "all_done_setup_success"})
#: Trigger rules that skip a task if tasks before it were skipped, and none has succeeded.
LENIENT_RULES = frozenset(
    {"none_failed_min_one_success", "one_success", "all_done_min_one_success", "one_done"}
)


def record_skip(context: Mapping[str, Any]) -> None:
    """Record that the running task skipped itself; an ``on_skipped_callback``."""
    try:
        RecordStore.of(context["ti"]).write(SKIP_KEY, True)
    except Exception as error:
        log.warning("It is not recorded that this task skipped itself: %s.", type(error).__name__)


def tasks_cut_off(
    context: Mapping[str, Any],
    states: Mapping[str, Collection[str | None]],
    work: Collection[str],
    delay: float,
) -> list[str]:
    """
    Return the tasks of the work that were skipped without an explanation.

    :param context: The context of the task that comes after the work.
    :param states: Task id → the states of its task instances.
    :param work: The ids of the tasks of the work.
    :param delay: After how many seconds to look again: a task that skipped itself records that a moment after
        its state has changed.
    """
    skipped = [task_id for task_id in sorted(work) if "skipped" in states.get(task_id, ())]
    found = [task_id for task_id in skipped if not _is_explained(context, task_id, states)]
    if found:
        time.sleep(delay)
    return [task_id for task_id in found if not _is_explained(context, task_id, states)]


def _is_explained(
    context: Mapping[str, Any], task_id: str, states: Mapping[str, Collection[str | None]]
) -> bool:
    dag = context["dag"]
    task = dag.get_task(task_id)
    if record_skip not in (task.on_skipped_callback or ()):
        # It would leave no record if it skipped itself, so a missing record proves nothing.
        return True
    if _is_skipped_by_rule(task, states):
        return True
    own = TaskInstanceRef.of(context["ti"])
    branches = (dag.get_task(before) for before in sorted(task.get_flat_relative_ids(upstream=True)))
    if any(_skips(context, own, branch, task_id) for branch in branches if skips_others(branch)):
        return True
    found = matching_instance(context["task"], own, task)
    if found is not None:
        return bool(RecordStore(found).read_if_any(SKIP_KEY))
    # One of a mapped task's instances, or of those in a mapped group.
    names = task_states(context["ti"], [task_id])
    if task_id in names:
        # There was nothing to expand.
        return True
    indexes = [int(name.rpartition("_")[2]) for name, state in names.items() if state == "skipped"]
    return all(
        RecordStore(TaskInstanceRef(own.dag_id, own.run_id, task_id, index)).read_if_any(SKIP_KEY)
        for index in indexes
    )


def _is_skipped_by_rule(task: Any, states: Mapping[str, Collection[str | None]]) -> bool:
    """Return whether a task's trigger rule skips it, by the states of the tasks just before it."""
    rule = getattr(task.trigger_rule, "value", task.trigger_rule)
    before = {state for task_id in task.upstream_task_ids for state in states.get(task_id, ())}
    was_skipped = not _SKIPS.isdisjoint(before)
    if rule in LENIENT_RULES:
        return was_skipped and "success" not in before
    return rule in SELECTIVE_RULES or (rule in STRICT_RULES and was_skipped)


_SKIPS = frozenset({"skipped", "removed"})


def _skips(context: Mapping[str, Any], own: TaskInstanceRef, branch: Any, task_id: str) -> bool:
    """Return whether a branch before a task has skipped it."""
    found = matching_instance(context["task"], own, branch)
    if found is None:
        # Each of its instances may have decided otherwise; that one has is explanation enough.
        return True
    decision = RecordStore(found).read_if_any(BRANCH_KEY)
    if not isinstance(decision, Mapping):
        return False
    if task_id in (decision.get("skipped") or ()):
        return True
    followed = decision.get("followed")
    return followed is not None and task_id in branch.downstream_task_ids and task_id not in followed
