# SPDX-License-Identifier: Apache-2.0
"""What the DAGs in Airflow's database say of the jobs that they claim. No code of a user's is imported."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from airflow_codepipeline_partner.operators.finish import CodePipelineFinishJobOperator
from airflow_codepipeline_partner.sensors import CodePipelineJobSensor

_PACKAGE = "airflow_codepipeline_partner"
#: Where the classes are of which users make subclasses.
_PUBLIC = ("operators", "sensors", "decorators.codepipeline_job")
#: How Airflow stores the link of our operators for jobs, also of their subclasses.
_LINK = "_link_CodePipelineLink"
#: What Airflow stores of a DAG that has callbacks, and of a task that has some.
_CALLBACKS = ("has_on_failure_callback", "has_on_success_callback")


def unended_claims(dag: Mapping[str, Any]) -> list[str] | None:
    """
    Return the tasks of a serialized DAG that claim a job which no task after them ends.

    :param dag: The DAG, as Airflow stores it.
    :return: None if no task claims a job.
    """
    tasks = tasks_of(dag)
    claiming = [task_id for task_id, task in tasks.items() if _has_mark(task, "claims_job")]
    ending = {task_id for task_id, task in tasks.items() if _has_mark(task, "ends_job")}
    if not claiming and not ending:
        return None
    return [task_id for task_id in claiming if not ({task_id, *_after(task_id, tasks)} & ending)]


def may_end_unrecorded(dag: Mapping[str, Any] | None, task_id: str, *, is_run_over: bool) -> bool:
    """
    Return whether something may have ended a job that leaves no record of it.

    This is the notifier, as a callback of the DAG or of a task, or the author's own code.

    :param dag: The DAG, as Airflow stores it; None if Airflow no longer has it.
    :param task_id: The task with the record of the claim.
    :param is_run_over: Whether the run has ended, so that Airflow may have called the DAG's callbacks.
    """
    tasks = tasks_of(dag or {})
    if dag is None or task_id not in tasks:
        # The run had another version of the DAG.
        return True
    if is_run_over and any(dag.get(name) for name in _CALLBACKS):
        return True
    after = [tasks[each] for each in {task_id, *_after(task_id, tasks)} if each in tasks]
    if not any(_has_mark(task, "ends_job") for task in after):
        return True
    # As a task's callback, the notifier leaves the job to finish_job.
    return not any(_is_finishing(task) for task in after) and any(
        task.get(name) for task in tasks.values() for name in task if name.startswith("has_on_")
    )


def is_job_sensor(task: Mapping[str, Any]) -> bool:
    """Return whether a task is of the sensor for jobs, or of a subclass, which inherits its fields."""
    if _has_mark(task, "offers_jobs"):
        return True
    fields = task.get("template_fields")
    inherits = isinstance(fields, list | tuple) and {*map(str, fields)} >= {
        *CodePipelineJobSensor.template_fields
    }
    return bool(task.get("_is_sensor")) and inherits


def tasks_of(dag: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the tasks of a serialized DAG."""
    stored = (each.get("__var", each) for each in dag.get("tasks") or () if isinstance(each, Mapping))
    return {task["task_id"]: task for task in stored if isinstance(task, Mapping) and "task_id" in task}


def _after(task_id: str, tasks: Mapping[str, Mapping[str, Any]]) -> set[str]:
    found: set[str] = set()
    left = [task_id]
    while left:
        for each in tasks.get(left.pop(), {}).get("downstream_task_ids", ()):
            if each not in found:
                found.add(each)
                left.append(each)
    return found


def _has_mark(task: Mapping[str, Any], mark: str) -> bool:
    """Return whether a task is of an operator of this package that has a mark, such as ``ends_job``."""
    return any(getattr(kind, mark, False) for kind in _kinds_of(task))


def _is_finishing(task: Mapping[str, Any]) -> bool:
    return any(issubclass(kind, CodePipelineFinishJobOperator) for kind in _kinds_of(task))


def _kinds_of(task: Mapping[str, Any]) -> list[type]:
    """
    Return the class of this package that a task is of, or is of a subclass of.

    A subclass inherits the link to AWS and the template fields, and Airflow stores both. If they fit several
    of our classes, those with the most fields are meant.
    """
    module, name = str(task.get("_task_module")), str(task.get("task_type"))
    if module.partition(".")[0] == _PACKAGE:
        try:
            return [getattr(importlib.import_module(module), name)]
        except (AttributeError, ImportError):
            # Of another version of this package.
            return []
    links, fields = task.get("_operator_extra_links"), task.get("template_fields")
    if not isinstance(links, Mapping) or _LINK not in links.values() or not isinstance(fields, list | tuple):
        return []
    fitting = {kind: own for kind, own in _public_kinds().items() if own <= set(map(str, fields))}
    return [kind for kind, own in fitting.items() if not any(own < other for other in fitting.values())]


@functools.cache
def _public_kinds() -> Mapping[type, frozenset[str]]:
    """Return the classes of which users make subclasses, with their template fields."""
    found: dict[type, frozenset[str]] = {}
    for room in _PUBLIC:
        module = importlib.import_module(f"{_PACKAGE}.{room}")
        kind: Any
        for _, kind in inspect.getmembers(module, inspect.isclass):
            links = getattr(kind, "operator_extra_links", None) or ()
            is_ours = kind.__module__.startswith(f"{_PACKAGE}.{room}")
            if is_ours and _LINK in (link.xcom_key for link in links):
                found[kind] = frozenset(kind.template_fields)
    return found
