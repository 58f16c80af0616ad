# SPDX-License-Identifier: Apache-2.0
"""What the DAGs in Airflow's database say of what they poll for, also while they are paused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._trigger_arguments import decoded
from airflow_codepipeline_partner.doctor.stored_dags import is_job_sensor, tasks_of
from airflow_codepipeline_partner.exceptions import InvalidInput
from airflow_codepipeline_partner.operators.dispatch_jobs import DispatchJobsOperator
from airflow_codepipeline_partner.triggers import CodePipelineJobTrigger

_TRIGGER = f"{CodePipelineJobTrigger.__module__}.{CodePipelineJobTrigger.__qualname__}"


@dataclass
class StoredPolls:
    """
    What one DAG polls for.

    :param assets: The assets that start it.
    :param watched: Asset → the action types that its watchers poll for.
    :param sensors: Action type → the tasks that poll for it.
    :param hidden: The tasks that poll for what is known only when they run.
    :param targets: The DAGs whose runs it starts for jobs.
    """

    assets: set[str] = field(default_factory=set)
    watched: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    sensors: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    hidden: list[str] = field(default_factory=list)
    targets: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, dag: Mapping[str, Any]) -> StoredPolls:
        """Return what a DAG polls for, as Airflow stores the DAG."""
        found = cls()
        for asset in _assets_in(dag.get("timetable")):
            name = str(asset.get("name"))
            found.assets.add(name)
            found.watched[name].update(_watched_by(asset))
        for task_id, task in tasks_of(dag).items():
            if is_job_sensor(task):
                found._add_sensor(task_id, task)
            target = _argument(task, "trigger_dag_id")
            if task.get("task_type") == DispatchJobsOperator.__name__ and isinstance(target, str):
                found.targets.update(() if "{" in target else (target,))
        return found

    def _add_sensor(self, task_id: str, task: Mapping[str, Any]) -> None:
        value = _argument(task, "action_type")
        # A mapped task may have one for each of its instances.
        texts = [_text(each) for each in (value if isinstance(value, list) else [value])]
        for text in texts:
            if text is not None:
                self.sensors[text].append(task_id)
        if None in texts or not texts:
            self.hidden.append(task_id)


def _assets_in(schedule: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the assets of a schedule. A mere reference to an asset makes Airflow watch nothing."""
    if isinstance(schedule, list):
        for each in schedule:
            yield from _assets_in(each)
    elif isinstance(schedule, Mapping):
        if schedule.get("__type") == "asset":
            yield schedule
        else:
            yield from _assets_in(list(schedule.values()))


def _watched_by(asset: Mapping[str, Any]) -> Iterator[str]:
    watchers = asset.get("watchers")
    for watcher in watchers if isinstance(watchers, list) else ():
        trigger = watcher.get("trigger") if isinstance(watcher, Mapping) else None
        if isinstance(trigger, Mapping) and trigger.get("classpath") == _TRIGGER:
            text = _text((decoded(trigger.get("kwargs")) or {}).get("action_type"))
            if text is not None:
                yield text


def _argument(task: Mapping[str, Any], name: str) -> Any:
    """Return an argument of a task, or of a mapped one."""
    if name in task:
        return decoded(task[name])
    for held in (task.get("partial_kwargs"), (decoded(task.get("expand_input")) or {}).get("value")):
        plain = decoded(held)
        if isinstance(plain, Mapping) and name in plain:
            return plain[name]
    return None


def _text(value: Any) -> str | None:
    """Return the text of an action type; None if it is a template, or no action type."""
    try:
        return str(ActionType.from_value(value))
    except InvalidInput:
        return None
