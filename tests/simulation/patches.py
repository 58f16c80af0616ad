# SPDX-License-Identifier: Apache-2.0
"""What makes the package's drivers live in a history: its time, its calls, its work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints
from unittest import mock

import jinja2
from airflow.sdk import BaseHook
from airflow.sdk import log as airflow_log
from airflow.sdk.execution_time import task_runner
from pydantic import TypeAdapter

from airflow_codepipeline_partner import hooks, notifications
from airflow_codepipeline_partner._worker import claim_checkpoint, job_runs, next_job, records
from airflow_codepipeline_partner.client_tokens import ClientTokenHook
from airflow_codepipeline_partner.emulator import settings
from airflow_codepipeline_partner.hooks import CodePipelineHook
from airflow_codepipeline_partner.operators import finishing
from simulation import ways
from simulation.codepipeline import Client

if TYPE_CHECKING:
    from simulation.history import History


@cache
def stored_connection(conn_id: str) -> Any:
    """Return a connection; reading it anew for each call would take a third of all time."""
    return BaseHook.get_connection(conn_id)


@cache
def type_adapter(kind: Any) -> Any:
    """Return pydantic's adapter of a type."""
    return TypeAdapter(kind)


def remember_what_stays() -> None:
    """
    Have what never changes in this process be found out once: compiled templates, Airflow's configuration,
    the types of the emulator's settings.

    Without it, a fourth of all time goes there.
    """
    compile_template = jinja2.Environment.compile
    conf = vars(task_runner)["conf"]
    read_option = conf.get
    compiled: dict[Any, Any] = {}
    options: dict[Any, Any] = {}

    def compile_once(environment: jinja2.Environment, source: str, *where: Any, **how: Any) -> Any:
        key = (type(environment), source)
        if where or how:
            return compile_template(environment, source, *where, **how)
        if key not in compiled:
            compiled[key] = compile_template(environment, source)
        return compiled[key]

    def read_once(section: str, key: str, **how: Any) -> Any:
        # A fallback may be of any type; two that are alike may differ in type.
        about = (section, key, *((name, type(value), repr(value)) for name, value in how.items()))
        if about not in options:
            options[about] = read_option(section, key, **how)
        return options[about]

    jinja2.Environment.compile = compile_once  # type: ignore[method-assign]
    conf.get = read_once
    vars(settings)["get_type_hints"] = cache(get_type_hints)


def _nothing(*about: Any, **more: Any) -> None:
    pass


def patches(history: History) -> Iterator[Any]:
    """Yield the patches of a history."""

    class HistorysTime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromtimestamp(history.now, tz or UTC)

    def now() -> float:
        return history.now

    def client(hook: Any, **parameters: Any) -> Client:
        return Client(history.call, history.codepipeline)

    for module in (records, next_job, claim_checkpoint, finishing):
        yield mock.patch.object(module, "datetime", HistorysTime)
    yield mock.patch.object(time, "time", now)
    yield mock.patch.object(time, "monotonic", now)
    yield mock.patch.object(time, "sleep", history.sleep)
    # Each callback is a process of its own here.
    patience = SimpleNamespace(deadline=lambda: history.now + notifications.CALLBACK_SECONDS)
    yield mock.patch.object(notifications, "_patience", patience)
    defaults = CodePipelineHook.__init__.__kwdefaults__
    yield mock.patch.dict(defaults, clock=now, sleep=history.sleep)
    yield mock.patch.object(CodePipelineHook, "get_client_type", client)
    for hook in (CodePipelineHook, ClientTokenHook):
        yield mock.patch.object(hook, "get_connection", staticmethod(stored_connection))
    yield mock.patch.object(CodePipelineHook, "config", hooks.Config())
    # The only connection says so, too. Reading it for each hook takes a twentieth of all time.
    yield mock.patch.object(CodePipelineHook, "region_name", "us-east-1")
    # Airflow's masker never forgets a secret, and slows with each.
    yield mock.patch.object(airflow_log, "mask_secret", _nothing)
    # Airflow makes one for each rendered field, in a third of all time.
    yield mock.patch.object(task_runner, "TypeAdapter", type_adapter)
    # A job that nobody ends would make runs for a day.
    yield mock.patch.object(job_runs, "MAX_ATTEMPTS", 40)
    yield mock.patch.object(ways, "do_work", history.do_work)
    yield mock.patch.object(ways, "is_done", history.is_done)
