# SPDX-License-Identifier: Apache-2.0
"""
Why a task of the work was skipped: by the DAG, or because somebody ended the run.

If a user marks a run failed, Airflow fails its running tasks and *skips* those that have not begun or wait
for a retry. Nothing in a task's state distinguishes such a skip from one that the DAG's author wanted. So a
skip has to be explained: by the task's trigger rule, a setup that was skipped, a branch, nothing to expand,
or by the task itself, which then left a record. A skip without an explanation cut the work off.

A skip that explains another one has to be explained, too. So all tasks between the claim and the finishing
task are looked at, also branches, setups and those that do not follow the claim, and each instance of a
mapped one by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_codepipeline_partner._compat import XCom, expanded_over, is_empty_argument
from airflow_codepipeline_partner._protocol.continuation_tokens import TaskInstanceRef
from airflow_codepipeline_partner._worker.callbacks import record_skip
from airflow_codepipeline_partner._worker.dag import (
    mapped_group_of,
    matching_instance,
    skips_others,
    task_states,
)
from airflow_codepipeline_partner._worker.record_store import RecordStore
from airflow_codepipeline_partner._worker.records import SKIP_KEY

log = logging.getLogger(__name__)

#: XCom key under which Airflow's branches record which tasks they skip, or follow.
BRANCH_KEY = "skipmixin_key"


def tasks_cut_off(
    context: Mapping[str, Any],
    states: Mapping[str, Collection[str | None]],
    task_ids: Collection[str],
    delay: float,
) -> list[str]:
    """
    Return the tasks of which an instance was skipped without an explanation.

    :param context: The context of the task that comes after them.
    :param states: Task id → the states of its task instances, of all tasks before that one.
    :param task_ids: The ids of the tasks to look at.
    :param delay: After how many seconds to look again: a task that skipped itself records that a moment after
        its state has changed.
    """
    skipped = [task_id for task_id in sorted(task_ids) if "skipped" in states.get(task_id, ())]
    run = _Run(context, states)
    found = [task_id for task_id in skipped if not run.explains(task_id)]
    if found:
        time.sleep(delay)
        run = _Run(context, states)
    return [task_id for task_id in found if not run.explains(task_id)]


def skips_by_rule(rule: str, before: Iterable[str | None]) -> bool:
    """
    Return whether a trigger rule skips a task.

    :param rule: The rule.
    :param before: The states of the task instances just before the task, all ended.
    """
    states = set(before) - {"removed"}
    failed, skipped = not states.isdisjoint(("failed", "upstream_failed")), "skipped" in states
    match rule:
        case "all_success" | "none_skipped" | "all_done_min_one_success":
            # Airflow does so at the first skip, whatever fails later.
            return skipped
        case "one_success" | "none_failed_min_one_success":
            return states == {"skipped"}
        case "one_failed":
            return not failed
        case "one_done":
            return states.isdisjoint(("failed", "success"))
        case "all_failed":
            return not states.isdisjoint(("success", "skipped"))
        case "all_skipped":
            return failed or "success" in states
    return False


@dataclass(frozen=True)
class _Run:
    """
    How the tasks before a finishing task ended, instance by instance.

    :param context: The finishing task's context.
    :param states: Task id → the states of its task instances.
    """

    context: Mapping[str, Any]
    states: Mapping[str, Collection[str | None]]
    _instances: dict[str, dict[int, str | None]] = field(default_factory=dict)
    _recorded: dict[tuple[str, int, str], Any] = field(default_factory=dict)

    def explains(self, task_id: str) -> bool:
        """Return whether all skips of a task's instances are explained."""
        task = self.context["dag"].get_task(task_id)
        if record_skip not in (task.on_skipped_callback or ()):
            # It would leave no record if it skipped itself, so a missing record proves nothing.
            return True
        skipped = [index for index, state in self._instances_of(task).items() if state == "skipped"]
        before = map(self.context["dag"].get_task, sorted(task.get_flat_relative_ids(upstream=True)))
        branches = [each for each in before if skips_others(each)]
        setups = {each.task_id for each in task.get_upstreams_only_setups()}
        return all(
            self._is_by_rule(task, index)
            or self._is_by_setups(task, index, setups)
            or any(self._skips(branch, task, index) for branch in branches)
            or bool(self._record(task, index, SKIP_KEY))
            or self._had_nothing_to_expand(task, index)
            for index in skipped
        )

    def _is_by_rule(self, task: Any, index: int) -> bool:
        rule = getattr(task.trigger_rule, "value", task.trigger_rule)
        return skips_by_rule(rule, self._states(task, index, task.upstream_task_ids))

    def _is_by_setups(self, task: Any, index: int, setups: Collection[str]) -> bool:
        """Return whether Airflow skipped an instance because setups were skipped."""
        if task.is_teardown:
            rule = getattr(task.trigger_rule, "value", task.trigger_rule)
            direct = (each for each in task.upstream_task_ids if self.context["dag"].get_task(each).is_setup)
            return rule == "all_done_setup_success" and set(self._states(task, index, direct)) == {"skipped"}
        # Whatever the rule.
        return "skipped" in self._states(task, index, setups - task.upstream_task_ids)

    def _had_nothing_to_expand(self, task: Any, index: int) -> bool:
        if index >= 0:
            return False
        mapped = [*([task] if task.is_mapped else []), *task.iter_mapped_task_groups()]
        sources = (source for each in mapped for source in each.iter_mapped_dependencies())
        return any(self._instances_of(source).get(-1) == "skipped" for source in sources) or any(
            is_empty_argument(values, self._gave_nothing) for each in mapped for values in expanded_over(each)
        )

    def _gave_nothing(self, source: Any) -> bool:
        """Return whether a task returned nothing over which others could be expanded."""
        try:
            returned = self._record(source, -1, XCom.XCOM_RETURN_KEY)
            is_empty = not returned
        except Exception as error:
            if type(error).__name__ == "AirflowRuntimeError":
                # The server's, which may pass.
                raise
            # What users return may be unreadable here. It is something.
            log.warning("What %s returned cannot be read: %s.", source.task_id, type(error).__name__)
            return False
        if -1 not in self._instances_of(source):
            # Of a mapped task, Airflow counts what its instances have returned.
            return returned is None
        # If a user has marked it as a success, it has returned nothing at all, not even an empty list.
        return returned is not None and is_empty

    def _states(self, task: Any, index: int, task_ids: Iterable[str]) -> list[str | None]:
        """Return the states of those instances of tasks before a task that count for one instance of it."""
        found: list[str | None] = []
        for other in map(self.context["dag"].get_task, task_ids):
            if _shares_mapped_group(other, task):
                instances = self._instances_of(other)
                found.append(instances.get(index, instances.get(-1)))
            else:
                found.extend(self.states.get(other.task_id, ()))
        return found

    def _skips(self, branch: Any, task: Any, index: int) -> bool:
        """Return whether a branch before a task has skipped an instance of it."""
        is_alongside = _shares_mapped_group(branch, task)
        indexes = [index] if is_alongside else list(self._instances_of(branch))
        return any(self._decides(branch, each, task.task_id) for each in indexes)

    def _decides(self, branch: Any, index: int, task_id: str) -> bool:
        decision = self._record(branch, index, BRANCH_KEY)
        if not isinstance(decision, Mapping):
            return False
        if task_id in (decision.get("skipped") or ()):
            return True
        followed = decision.get("followed")
        return followed is not None and task_id in branch.downstream_task_ids and task_id not in followed

    def _instances_of(self, task: Any) -> dict[int, str | None]:
        """Return map index → state, of all instances of a task that count for the finishing task."""
        if task.task_id not in self._instances:
            self._instances[task.task_id] = dict(self._read_instances(task))
        return self._instances[task.task_id]

    def _read_instances(self, task: Any) -> Iterator[tuple[int, str | None]]:
        own = TaskInstanceRef.of(self.context["ti"])
        found = matching_instance(self.context["task"], own, task)
        if found is not None:
            yield found.map_index, next(iter(self.states[task.task_id]))
            return
        for name, state in task_states(self.context["ti"], [task.task_id]).items():
            yield (-1 if name == task.task_id else int(name.rpartition("_")[2])), state

    def _record(self, task: Any, index: int, key: str) -> Any:
        """Return what an instance of a task has under an XCom key, or None."""
        own = TaskInstanceRef.of(self.context["ti"])
        store = RecordStore(TaskInstanceRef(own.dag_id, own.run_id, task.task_id, index))
        # One request shows whether any instance has something.
        anyone = (task.task_id, -1, key)
        if anyone not in self._recorded:
            self._recorded[anyone] = store.read_first(key)
        if index < 0 or self._recorded[anyone] is None:
            return self._recorded[anyone]
        if (task.task_id, index, key) not in self._recorded:
            self._recorded[task.task_id, index, key] = store.read(key)
        return self._recorded[task.task_id, index, key]


def _shares_mapped_group(one: Any, other: Any) -> bool:
    """Return whether of two tasks in a mapped group, the instances with one map index go together."""
    group = mapped_group_of(one)
    return group is not None and group == mapped_group_of(other)
