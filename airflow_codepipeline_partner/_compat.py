# SPDX-License-Identifier: Apache-2.0
"""The one module that knows how Airflow 3.1 to 3.3 differ, and what they do not make public."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Mapping, Sized
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Literal, Protocol

# Moved between 3.1 and 3.2; this provider, which the amazon provider needs itself, knows where they are.
from airflow.providers.common.compat.sdk import (
    AirflowConfigException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    DecoratedOperator,
    KeywordParameters,
    XCom,
    conf,
    task_decorator_factory,
)
from packaging.version import Version

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:
    # Its place until Airflow 3.1; the provider above does not know it.
    from airflow.exceptions import AirflowRescheduleException

__all__ = [
    "OUTDATED_TRIES_WRITE",
    "READS_OTHER_DAGS",
    "AirflowConfigException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "DecoratedOperator",
    "KeywordParameters",
    "XCom",
    "api_server_error",
    "asset_state_store",
    "conf",
    "context_names",
    "count_instances",
    "ends_task_otherwise",
    "expanded_over",
    "expect_connection_type",
    "failed_wait",
    "forget_cached_connections",
    "get_task_states",
    "is_empty_argument",
    "is_final",
    "is_paused",
    "is_resolved_later",
    "is_resumed",
    "is_retried",
    "is_started_anew",
    "retry_wait",
    "secrets_backends",
    "start_run",
    "tags_of_dag",
    "task_decorator_factory",
    "task_state_store",
    "threads_ask_in_turn",
    "values_from_another_task",
]

#: Held while a thread of a task asks Airflow: on Airflow 3.1, it may get the answer to another's question.
threads_ask_in_turn = threading.Lock()

#: Before Airflow 3.3, a try that Airflow holds for dead, and that still runs, may write records.
OUTDATED_TRIES_WRITE = Version(version("apache-airflow-task-sdk")) < Version("1.3")
#: From Airflow 3.3 on, a task goes on if Airflow does not answer what it asks.
OUTLIVES_SILENCE = not OUTDATED_TRIES_WRITE
#: From Airflow 3.2 on, a task can ask about another DAG.
READS_OTHER_DAGS = Version(version("apache-airflow-task-sdk")) >= Version("1.2")
#: What a task raises to end in another way than by failing; not all of these are there in every version.
_OTHER_ENDS = frozenset(
    {
        "AirflowRescheduleException",
        "AirflowSkipException",
        "DagRunTriggerException",
        "DownstreamTasksSkipped",
        "TaskAwaitingInput",
        "TaskDeferred",
    }
)
#: The longest wait before a retry that Airflow comes to by itself, in seconds.
MAX_RETRY_WAIT = 86_400.0
#: What fails a task without a retry.
_FINAL = frozenset({"AirflowFailException", "AirflowSensorTimeout", "AirflowTaskTerminated"})


class TaskStateStore(Protocol):
    """What of Airflow 3.3's task state store is used."""

    def get(self, key: str) -> Any:
        """Return what was stored under the key, or None."""

    def set(self, key: str, value: Any) -> None:
        """Store a JSON value under the key."""


def task_state_store(context: Mapping[str, Any]) -> TaskStateStore | None:
    """Return what survives a task's retry (from Airflow 3.3 on), or None before."""
    store: TaskStateStore | None = context.get("task_state_store")
    return store


class AssetStateStore(Protocol):
    """What of Airflow 3.3's store for the state of an asset is used."""

    async def aget(self, key: str) -> Any:
        """Return what was stored under the key, or None."""

    async def aset(self, key: str, value: Any) -> None:
        """Store a JSON value under the key."""


def asset_state_store(trigger: object) -> AssetStateStore | None:
    """Return what a watcher keeps for its successor (from Airflow 3.3.2 on), or None before."""
    store: AssetStateStore | None = getattr(trigger, "asset_state_store", None)
    # Before, its methods block the loop.
    return store if hasattr(store, "aget") else None


def failed_wait(error: BaseException | None) -> Literal["timeout", "failure"] | None:
    """Return how a deferral failed from which an error came; None if it came from something else."""
    while error is not None:
        if "TaskDeferralTimeout" in _names_of(error):
            return "timeout"
        if "TaskDeferralError" in _names_of(error):
            return "failure"
        error = error.__cause__ or error.__context__
    return None


def expanded_over(mapped: Any) -> list[Any]:
    """Return what a mapped task or task group is expanded over, argument by argument."""
    of_task = getattr(mapped, "_get_specified_expand_input", None)
    given = (mapped._expand_input if of_task is None else of_task()).value
    return list(given.values()) if isinstance(given, Mapping) else [given]


def secrets_backends() -> list[Any]:
    """Return where this process looks for connections, in Airflow's order."""
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    return list(ensure_secrets_backend_loaded())


def api_server_error(backend: Any, conn_id: str) -> str | None:
    """
    Return the name of the error with which the API server answers for a connection; None if it answers.

    :param backend: Where Airflow looks for connections. Only one of them asks the API server.
    :param conn_id: The connection's id.
    """
    if type(backend).__name__ != "ExecutionAPISecretsBackend":
        return None
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    try:
        answer = SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
    except Exception as error:
        return type(error).__name__
    if not isinstance(answer, ErrorResponse) or answer.error.name == "CONNECTION_NOT_FOUND":
        return None
    return answer.error.name


def expect_connection_type(conn_type: str) -> None:
    """
    Keep Airflow 3.1 from a warning at each look-up of a connection of a type with ``_``.

    It is about a URI that Airflow makes for its own use, in which it writes ``-``.
    """
    log = logging.getLogger("airflow.sdk.definitions.connection")
    log.addFilter(lambda record: conn_type not in (record.args or ()))


def values_from_another_task(task: Any, context: Any) -> list[Any]:
    """
    Return the arguments that a task has from another task's result, by ``expand_kwargs``.

    Airflow leaves alone what ``expand`` takes from a result, but renders the mappings and lists of these.

    :param task: The task, for one map index.
    :param context: Its context.
    """
    dag = task.get_dag()
    mapped: Any = None if dag is None else dag.task_dict.get(task.task_id)
    of_task = getattr(mapped, "_get_specified_expand_input", None)
    if of_task is None or isinstance(of_task().value, Mapping | list | tuple):
        return []
    given = {name: getattr(task, name, None) for name in task.template_fields}
    if isinstance(arguments := given.get("op_kwargs"), Mapping) and hasattr(mapped, "op_kwargs_expand_input"):
        # A function's arguments are expanded, not the operator's.
        given = dict(arguments)
    # By their names: fields may also come from default_args, or from a subclass's own __init__.
    expanded, _ = of_task().resolve(context)
    return [value for name, value in given.items() if name in expanded]


def is_empty_argument(values: Any, gave_nothing: Callable[[Any], bool]) -> bool:
    """
    Return whether Airflow counts no value in what a task is expanded over.

    :param values: One argument of ``expand``, or that of ``expand_kwargs``.
    :param gave_nothing: Whether a task returned nothing.
    """

    def is_empty(part: Any) -> bool:
        return is_empty_argument(part, gave_nothing)

    match type(values).__name__:
        case "PlainXComArg":
            return gave_nothing(values.operator)
        case "MapXComArg":
            return is_empty(values.arg)
        case "ZipXComArg" if type(values.fillvalue).__name__ == "ArgNotSet":
            # As long as the shortest.
            return any(map(is_empty, values.args))
        case "ZipXComArg" | "ConcatXComArg":
            return all(map(is_empty, values.args))
    return isinstance(values, Sized) and not values


def is_paused(ti: Any, dag_id: str) -> bool:
    """Return whether a DAG is paused; False if that is not known, as before Airflow 3.2."""
    get_dag = getattr(ti, "get_dag", None)
    try:
        return bool(get_dag is not None and get_dag(dag_id).is_paused)
    except Exception:
        # It may be unknown here; what starts its run says so.
        return False


def tags_of_dag(ti: Any, dag_id: str) -> frozenset[str]:
    """
    Return the tags of any DAG, none if there is no such DAG. Only where :data:`READS_OTHER_DAGS`.

    :raises AirflowRuntimeError: The API server did not answer.
    """
    try:
        return frozenset(ti.get_dag(dag_id).tags)
    except Exception as error:
        if refusal_of(error)[0] != 404:
            raise
        return frozenset()


def start_run(dag_id: str, run_id: str, conf: Mapping[str, Any], note: str | None = None) -> bool:
    """
    Start a run of a DAG from a task. Return whether it was started; False if the DAG has a run of this id.

    Airflow's own operator starts one run for each task.

    :param dag_id: The DAG.
    :param run_id: The run's id.
    :param conf: Its conf.
    :param note: What Airflow's page of the run shows, where a task can say it.
    :raises AirflowRuntimeError: The API server refused.
    """
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    # On Airflow 3.1, a task cannot.
    noted: dict[str, Any] = {"note": note} if "note" in TriggerDagRun.model_fields else {}
    answer = SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=dict(conf), **noted))
    return not isinstance(answer, ErrorResponse)


def refusal_of(error: BaseException) -> tuple[int | None, str | None]:
    """Return why Airflow's server refused something: the HTTP status, and its word for the reason."""
    # In a task, what the supervisor says of the answer; in dag.test(), the answer itself.
    answer = getattr(getattr(error, "error", None), "detail", None)
    response = getattr(error, "response", None)
    if response is not None:
        answer = {"status_code": response.status_code, "detail": getattr(error, "detail", None)}
    if not isinstance(answer, Mapping):
        return None, None
    said = answer.get("detail")
    while isinstance(said, Mapping) and "reason" not in said:
        said = said.get("detail")
    return answer.get("status_code"), said["reason"] if isinstance(said, Mapping) else None


def get_run_state(dag_id: str, run_id: str) -> str | None:
    """Return the state of a run, also where there is no task instance to ask; None if there is none."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        state = RuntimeTaskInstance.get_dagrun_state(dag_id=dag_id, run_id=run_id)
    except Exception as error:
        if refusal_of(error)[0] == 404:
            return None
        raise
    return str(getattr(state, "value", state))


def count_instances(dag_id: str, run_id: str, task_id: str) -> int:
    """Return how many instances a task has in a run."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return int(RuntimeTaskInstance.get_ti_count(dag_id=dag_id, run_ids=[run_id], task_ids=[task_id]))


def get_task_states(dag_id: str, run_ids: list[str]) -> Any:
    """Return the states of all task instances of some runs; also where there is no task instance to ask."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=run_ids)


def forget_cached_connections() -> None:
    """Have the next look-up of a connection ask the secrets backends anew."""
    from airflow.sdk.execution_time.cache import SecretCache

    # Only a DAG processor has this cache; this ends it for the one callback process that asks.
    SecretCache.reset()  # type: ignore[no-untyped-call]


def is_started_anew(context: Mapping[str, Any]) -> bool:
    """Return whether this is a retry, or a task that was rescheduled: Airflow has cleared its XCom."""
    ti = context["ti"]
    is_again = ti.try_number > 1 or bool(context.get("task_reschedule_count"))
    return is_again and not is_resumed(ti)


def is_resumed(ti: Any) -> bool:
    """Return whether the running task was deferred before, so that its XCom of this try is still there."""
    from_server = getattr(ti, "_ti_context_from_server", None)
    return from_server is not None and from_server.next_method is not None


def is_resolved_later(value: object) -> bool:
    """Return whether a value is known only in the task: an XComArg, a DAG's parameter, a mapped argument."""
    from airflow.sdk.definitions._internal.mixins import ResolveMixin

    return isinstance(value, ResolveMixin)


def context_names() -> frozenset[str]:
    """Return the names of a task's context, which a function may have as parameters."""
    from airflow.sdk.definitions.context import KNOWN_CONTEXT_KEYS

    return frozenset(KNOWN_CONTEXT_KEYS)


def ends_task_otherwise(error: BaseException) -> bool:
    """Return whether Airflow would not fail a task for this, but skip, defer or reschedule it."""
    return not _OTHER_ENDS.isdisjoint(_names_of(error))


def is_final(error: BaseException) -> bool:
    """Return whether Airflow fails a task for this without a retry."""
    return not _FINAL.isdisjoint(_names_of(error))


def retry_wait(task: Any, try_number: int) -> float:
    """
    Return how long Airflow waits before it retries a task at the most, in seconds.

    :param task: The task, for which :func:`is_retried` was asked.
    :param try_number: The number of the try that has failed.
    """
    policy = getattr(task, "retry_policy", None)
    delay = policy.delay if isinstance(policy, _Decided) else None
    if delay is not None:
        return float(delay.total_seconds())
    wait = float(task.retry_delay.total_seconds())
    given = task.retry_exponential_backoff
    # A multiplier from Airflow 3.3 on, a boolean before.
    multiplier = 2.0 if given is True else float(given)
    if multiplier in (0.0, 1.0):
        return wait
    # Airflow varies it by as much as itself.
    wait = 2 * max(1.0, math.ceil(wait * multiplier ** min(try_number - 1, 32)))
    longest = task.max_retry_delay
    return min(wait, MAX_RETRY_WAIT if not longest else longest.total_seconds())


def is_retried(context: Mapping[str, Any], error: BaseException) -> bool:
    """
    Return whether Airflow will retry the running task for this.

    :param context: The task's context.
    :param error: What it is about to raise; none that :func:`ends_task_otherwise`.
    """
    if is_final(error):
        return False
    ti, task = context["ti"], context["task"]
    # The server knows more than the numbers say: a task that was cleared while it ran is run again.
    answer = getattr(ti, "_ti_context_from_server", None)
    is_left = ti.try_number <= ti.max_tries if answer is None else bool(answer.should_retry)
    policy = getattr(task, "retry_policy", None)
    if not is_left or policy is None:
        return is_left
    # From Airflow 3.3 on.
    from airflow.sdk.definitions.retry_policy import RetryAction

    try:
        decision = policy.evaluate(
            exception=error, try_number=ti.try_number, max_tries=ti.max_tries, context=context
        )
    except Exception:
        # Airflow does so, too, when it asks again.
        return is_left
    # A policy may be slow, or decide anew each time it is asked; Airflow is to hear the same.
    task.retry_policy = _Decided(decision)
    return bool(decision.action is not RetryAction.FAIL)


class _Decided:
    """A retry policy that has been asked already."""

    def __init__(self, decision: Any) -> None:
        self._decision = decision

    @property
    def delay(self) -> timedelta | None:
        """How long Airflow waits before the retry; None if the policy leaves that to the task."""
        delay: timedelta | None = self._decision.retry_delay
        return delay

    def evaluate(self, **facts: Any) -> Any:
        """Return the decision."""
        return self._decision


def _names_of(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__}


def find_stored_connections() -> None:
    """Have a command find the connections in Airflow's database, as Airflow's own commands do."""
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
