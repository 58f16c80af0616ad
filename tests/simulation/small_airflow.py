# SPDX-License-Identifier: Apache-2.0
"""
A small Airflow: runs, task instances, XComs, task states, and the answers to what a task's process asks.

Only the server is small. The tasks run in Airflow's own task runner, which asks this server instead of the
real one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import airflow
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms
from packaging.version import Version

#: States in which a task instance stays.
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
#: States of a task instance that a process, or a trigger, has in hand.
IN_HAND = ("running", "deferred", "restarting")
#: States that Airflow counts as running if a user marks the run.
RUNNING = ("running", "deferred", "up_for_reschedule")
#: Whether a run's ``clear_number`` counts each clear of its tasks, as from Airflow 3.2 on. Before, it counts
#: those after its end only.
COUNTS_EACH_CLEAR = Version(airflow.__version__) >= Version("3.2")
#: Whether Airflow skips the tasks that have not begun if a user marks their run as a success, as from 3.3 on.
SKIPS_IN_A_SUCCESS = Version(airflow.__version__) >= Version("3.3")
_RELATED_RULES = {
    "all_success": ("failed", "skipped"),
    "none_failed": ("failed",),
    "none_failed_min_one_success": ("failed",),
}


@dataclass(eq=False)
class Instance:
    """
    A task instance.

    :param run: Its run.
    :param task: The task, as the DAG has it.
    :param map_index: -1 if it is not mapped.
    """

    run: Run
    task: Any
    map_index: int = -1
    state: str | None = None
    try_number: int = 0
    max_tries: int = 0
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    retry_at: float = 0.0
    next_method: str | None = None
    next_kwargs: Any = None
    trigger: tuple[str, dict[str, Any]] | None = None
    deferred_until: float = 0.0
    #: How often this try has been put off, and until when.
    reschedules: int = 0
    rescheduled_until: float = 0.0

    @property
    def key(self) -> tuple[str, str, str, int]:
        """The key of its XComs."""
        return self.run.dag.dag_id, self.run.run_id, self.task.task_id, self.map_index

    @property
    def side(self) -> str:
        """Its run, with its map index in brackets: the instances of one side work for one job."""
        return self.run.run_id if self.map_index < 0 else f"{self.run.run_id}[{self.map_index}]"

    @property
    def name(self) -> str:
        """Its name in states and stories."""
        index = f"_{self.map_index}" if self.map_index >= 0 else ""
        return f"{self.task.task_id}{index}"

    def begin_next_try(self) -> None:
        """Forget what belongs to one try only."""
        self.id = uuid.uuid4()
        self.next_method = self.next_kwargs = self.trigger = None
        self.reschedules = 0

    @property
    def due_at(self) -> float | None:
        """When it starts again by itself; None if it does not wait for that."""
        return {"up_for_retry": self.retry_at, "up_for_reschedule": self.rescheduled_until}.get(
            self.state or ""
        )


@dataclass(eq=False)
class Run:
    """A DAG run."""

    dag: Any
    run_id: str
    conf: dict[str, Any]
    started_at: float
    state: str = "running"
    clear_number: int = 0
    #: Why Airflow ended it, if it did.
    reason: str = ""
    #: Which tasks a user ended before they were done, by marking the run, and when.
    cut_off: list[str] = field(default_factory=list)
    cut_off_at: float = 0.0
    #: When a user or its time limit ended it, although its processes may go on for a moment.
    ended_at: float | None = None
    instances: dict[tuple[str, int], Instance] = field(default_factory=dict)

    def of_task(self, task_id: str) -> list[Instance]:
        """Return the instances of a task."""
        return [each for each in self.instances.values() if each.task.task_id == task_id]


class SmallAirflow:
    """The server's side of Airflow."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], Run] = {}
        #: Task instance → key → value.
        self.xcoms: dict[tuple[str, str, str, int], dict[str, Any]] = {}
        self.task_states: dict[tuple[str, str, str, int], dict[str, Any]] = {}
        self.now = 0.0
        self._answers: dict[str, Callable[[Any], Any]] = {
            "GetXCom": self._get_xcom,
            "GetXComSequenceSlice": self._get_xcom_slice,
            "GetXComSequenceItem": self._get_xcom_item,
            "GetXComCount": self._get_xcom_count,
            "GetTaskStateStore": self._get_task_state,
            "GetTICount": self._get_ti_count,
            "GetTaskStates": self._get_task_states,
            "GetDRCount": self._get_dr_count,
            "GetDagRunState": self._get_dag_run_state,
        }

    # Runs and their instances.

    def start_run(self, dag: Any, run_id: str, conf: dict[str, Any], now: float) -> Run:
        """Start a run."""
        run = self.runs[dag.dag_id, run_id] = Run(dag, run_id, conf, now)
        for task in dag.tasks:
            if task.get_closest_mapped_task_group() is None and not task.is_mapped:
                self._add(run, task, -1)
        return run

    def _add(self, run: Run, task: Any, map_index: int, state: str | None = None) -> None:
        instance = Instance(run, task, map_index, state, max_tries=task.retries)
        run.instances[task.task_id, map_index] = instance

    def expand(self, run: Run) -> None:
        """Make the instances of mapped tasks, if what they are mapped over is known."""
        for task in run.dag.tasks:
            group = task.get_closest_mapped_task_group()
            expanded = group if group is not None else task if task.is_mapped else None
            if expanded is None or run.of_task(task.task_id):
                continue
            sources = [operator for operator, _ in _expand_input(expanded).iter_references()]
            before = [each for source in sources for each in run.of_task(source.task_id)]
            if not before or any(each.state not in ENDED for each in before):
                continue
            values = self.xcoms.get(before[0].key, {}).get("return_value")
            if any(each.state != "success" for each in before):
                # Whatever the trigger rule is.
                is_skipped = all(each.state in ("success", "skipped") for each in before)
                self._add(run, task, -1, "skipped" if is_skipped else "upstream_failed")
            elif not values:
                self._add(run, task, -1, "skipped")
            else:
                for index in range(len(values)):
                    self._add(run, task, index)

    def startable(self, run: Run) -> Iterator[Instance]:
        """Yield the instances that may start now; mark those that never will."""
        self.expand(run)
        for instance in list(run.instances.values()):
            due_at = instance.due_at
            if instance.state is None or (due_at is not None and due_at <= self.now):
                verdict = self._may_start(instance)
                if verdict is True:
                    yield instance
                elif verdict is not None:
                    instance.state = verdict

    def before(self, instance: Instance) -> list[Instance] | None:
        """Return the instances just before one, or None if they are not all made."""
        found: list[Instance] = []
        group = instance.task.get_closest_mapped_task_group()
        for task_id in instance.task.upstream_task_ids:
            other = instance.run.dag.get_task(task_id)
            instances = instance.run.of_task(task_id)
            if not instances:
                return None
            if group is not None and other.get_closest_mapped_task_group() is group:
                instances = [each for each in instances if each.map_index == instance.map_index]
            found += instances
        return found

    def _may_start(self, instance: Instance) -> bool | str | None:
        """Return True, the state of one that never starts, or None if it has to wait."""
        before = self.before(instance)
        if before is None:
            return None
        states = [each.state for each in before]
        rule = getattr(instance.task.trigger_rule, "value", instance.task.trigger_rule)
        done = all(state in ENDED for state in states)
        if rule == "all_done":
            return True if done else None
        stoppers = _RELATED_RULES[rule]
        if "failed" in stoppers and any(state in ("failed", "upstream_failed") for state in states):
            return "upstream_failed"
        if "skipped" in stoppers and "skipped" in states:
            return "skipped"
        if done and rule == "none_failed_min_one_success" and "success" not in states:
            return "skipped"
        return True if done else None

    def update_state(self, run: Run) -> None:
        """End a run whose tasks have all ended."""
        if run.state != "running" or any(each.state not in ENDED for each in run.instances.values()):
            return
        made = {each.task.task_id for each in run.instances.values()}
        if made != set(run.dag.task_dict):
            return
        leaves = [each for each in run.instances.values() if _is_leaf(run.dag, each.task)]
        failed = any(each.state in ("failed", "upstream_failed") for each in leaves)
        run.state = "failed" if failed else "success"

    # What a task's process asks.

    def answer(self, message: Any, asking: Instance | None, id_of_try: uuid.UUID | None) -> Any:
        """
        Answer a message of a task's process.

        :param message: As Airflow's task runner sends it.
        :param asking: Whose process asks; None for a callback's.
        :param id_of_try: The id that the asking try was started with.
        :raises AirflowRuntimeError: The real server would refuse it.
        """
        name = type(message).__name__
        if name.startswith("Get"):
            return self._answers[name](message)
        if name == "SetXCom":
            self.xcoms.setdefault(_key(message), {})[message.key] = message.value
        elif name == "DeleteXCom":
            self.xcoms.get(_key(message), {}).pop(message.key, None)
        elif name == "SetTaskStateStore":
            self.task_states.setdefault(self._key_of_try(message.ti_id), {})[message.key] = message.value
        elif name in ("SucceedTask", "TaskState", "RetryTask", "DeferTask", "RescheduleTask"):
            if asking is None or asking.id != id_of_try or asking.state != "running":
                raise refused()
            self._end_try(asking, message)
        elif name not in ("SetRenderedFields", "SetRenderedMapIndex"):
            raise NotImplementedError(name)
        return comms.OKResponse(ok=True)

    def _end_try(self, instance: Instance, message: Any) -> None:
        name = type(message).__name__
        if name == "DeferTask":
            instance.state = "deferred"
            instance.trigger = message.classpath, decoded(message.trigger_kwargs)
            instance.next_method, instance.next_kwargs = message.next_method, decoded(message.next_kwargs)
            seconds = message.trigger_timeout.total_seconds() if message.trigger_timeout else 1e9
            instance.deferred_until = self.now + seconds
            return
        instance.next_method = instance.next_kwargs = instance.trigger = None
        if name == "RescheduleTask":
            instance.state, instance.reschedules = "up_for_reschedule", instance.reschedules + 1
            instance.rescheduled_until = message.reschedule_date.timestamp()
            return
        if name == "RetryTask":
            self.retry(instance)
            return
        instance.state = (
            "success" if name == "SucceedTask" else str(getattr(message.state, "value", message.state))
        )

    def retry(self, instance: Instance) -> None:
        """Have an instance try again after its delay."""
        instance.begin_next_try()
        delay = instance.task.retry_delay.total_seconds()
        instance.state, instance.retry_at = "up_for_retry", self.now + delay

    def fail_try(self, instance: Instance) -> None:
        """End a try whose process is gone, as the scheduler does."""
        if instance.state not in IN_HAND:
            return
        if instance.state == "restarting":
            instance.max_tries = instance.try_number + instance.task.retries
            self.retry(instance)
        elif instance.try_number <= instance.max_tries:
            self.retry(instance)
        else:
            instance.state = "failed"

    def _key_of_try(self, ti_id: uuid.UUID) -> tuple[str, str, str, int]:
        for run in self.runs.values():
            for instance in run.instances.values():
                if instance.id == ti_id:
                    return instance.key
        # The try is over: its id is another now.
        raise refused()

    def _get_task_state(self, message: Any) -> Any:
        value = self.task_states.get(self._key_of_try(message.ti_id), {}).get(message.key)
        if value is None:
            return comms.ErrorResponse(error=ErrorType.TASK_STORE_NOT_FOUND)
        return comms.TaskStateStoreResult(value=value)

    def _get_xcom(self, message: Any) -> Any:
        value = self.xcoms.get(_key(message), {}).get(message.key)
        return comms.XComResult(key=message.key, value=value)

    def _values(self, message: Any) -> list[Any]:
        found = [
            (key[3], values[message.key])
            for key, values in self.xcoms.items()
            if key[:3] == (message.dag_id, message.run_id, message.task_id) and message.key in values
        ]
        return [value for _, value in sorted(found, key=lambda it: it[0])]

    def _get_xcom_slice(self, message: Any) -> Any:
        return comms.XComSequenceSliceResult(
            root=self._values(message)[message.start : message.stop : message.step]
        )

    def _get_xcom_item(self, message: Any) -> Any:
        return comms.XComSequenceIndexResult(root=self._values(message)[message.offset])

    def _get_xcom_count(self, message: Any) -> Any:
        return comms.XComCountResponse(len=len(self._values(message)))

    def _instances(self, message: Any) -> Iterator[Instance]:
        for (dag_id, run_id), run in self.runs.items():
            if dag_id != message.dag_id or (message.run_ids and run_id not in message.run_ids):
                continue
            for each in run.instances.values():
                is_named = not message.task_ids or each.task.task_id in message.task_ids
                if is_named and message.map_index in (None, each.map_index):
                    yield each

    def _get_ti_count(self, message: Any) -> Any:
        return comms.TICount(count=sum(1 for _ in self._instances(message)))

    def _get_task_states(self, message: Any) -> Any:
        states: dict[str, dict[str, Any]] = {}
        for each in self._instances(message):
            states.setdefault(each.run.run_id, {})[each.name] = each.state
        return comms.TaskStatesResult(task_states=states)

    def _get_dr_count(self, message: Any) -> Any:
        count = sum(
            dag_id == message.dag_id
            and (not message.run_ids or run_id in message.run_ids)
            and (not message.states or run.state in message.states)
            for (dag_id, run_id), run in self.runs.items()
        )
        return comms.DRCount(count=count)

    def _get_dag_run_state(self, message: Any) -> Any:
        return comms.DagRunStateResult(state=self.runs[message.dag_id, message.run_id].state)

    # What users do.

    def mark_success(self, run: Run) -> None:
        """Mark a run as a success: before Airflow 3.3, whatever its tasks did, but for teardowns."""
        if SKIPS_IN_A_SUCCESS:
            self._mark(run, "success")
            return
        before = {name: each.state for name, each in run.instances.items()}
        self._mark(run, "success")
        run.cut_off.clear()
        for name, each in run.instances.items():
            if not each.task.is_teardown or before[name] in ENDED:
                each.state = "success"

    def mark_failed(self, run: Run) -> None:
        """Mark a run as failed: what runs fails, what waits is skipped, and teardowns go on."""
        self._mark(run, "failed")

    def _mark(self, run: Run, state: str) -> None:
        has_teardown = False
        if run.ended_at is None:
            run.ended_at = self.now
        for each in run.instances.values():
            if each.state in ENDED:
                continue
            if each.task.is_teardown:
                has_teardown = True
            else:
                each.state = state if each.state in RUNNING else "skipped"
                if each.state == "skipped":
                    # What runs may still do its work for some seconds.
                    run.cut_off.append(each.name)
                    run.cut_off_at = self.now
        if not has_teardown:
            run.state = state

    def time_out(self, run: Run) -> None:
        """End a run whose time is over: even teardowns are skipped."""
        for each in run.instances.values():
            if each.state not in ENDED:
                each.state = "skipped"
        run.state, run.reason, run.ended_at = "failed", "timed_out", self.now

    def clear(self, instance: Instance, *, alone: bool = False) -> None:
        """Clear a task, and all after it or not, in a run that has ended or not."""
        run = instance.run
        after = {instance.task.task_id}
        if not alone:
            after |= instance.task.get_flat_relative_ids(upstream=False)
        for each in run.instances.values():
            same = each.map_index == instance.map_index or -1 in (each.map_index, instance.map_index)
            if each.task.task_id not in after or not same:
                continue
            if each.name in run.cut_off:
                run.cut_off.remove(each.name)
            # Whatever still runs of it has an id that Airflow does not know any more.
            each.begin_next_try()
            if each.state == "running":
                each.state = "restarting"
            else:
                each.max_tries = each.try_number + each.task.retries
                each.state = None
        if run.state != "running":
            run.state, run.reason, run.started_at = "running", "", self.now
            run.clear_number += 1
        elif COUNTS_EACH_CLEAR:
            run.clear_number += 1
        run.ended_at = None


def refused() -> AirflowRuntimeError:
    """Return what a task sees if the server refuses, or fails."""
    return AirflowRuntimeError(
        error=comms.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500})
    )


def decoded(kwargs: Any) -> dict[str, Any]:
    """Return the arguments that a deferral's message holds."""
    try:
        from airflow.sdk.serde import deserialize
    except ImportError:
        # Airflow 3.1 encodes them only as it sends the message.
        return dict(kwargs or {})
    found: Any = deserialize(kwargs or {})
    return dict(found)


def encoded(kwargs: Any) -> Any:
    """Return arguments as a task that is resumed gets them from the server."""
    try:
        from airflow.sdk.serde import serialize
    except ImportError:
        from airflow.serialization.serialized_objects import BaseSerialization

        return BaseSerialization.serialize(kwargs)
    return serialize(kwargs)


def moment(seconds: float) -> datetime:
    """Return seconds since the epoch as a datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def _key(message: Any) -> tuple[str, str, str, int]:
    index = -1 if message.map_index is None else message.map_index
    return message.dag_id, message.run_id, message.task_id, index


def _expand_input(expanded: Any) -> Any:
    found = getattr(expanded, "_expand_input", None)
    return found if found is not None else expanded._get_specified_expand_input()


def _is_leaf(dag: Any, task: Any) -> bool:
    """Return whether a task's state counts for its run."""
    after = (dag.get_task(task_id) for task_id in task.downstream_task_ids)
    if any(not each.is_teardown or each.on_failure_fail_dagrun for each in after):
        return False
    return not task.is_teardown or task.on_failure_fail_dagrun
