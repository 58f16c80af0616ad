# SPDX-License-Identifier: Apache-2.0
"""The one place that knows where Airflow 3.1 to 3.3 differ, and what they do not make public."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

# Airflow moved these between 3.1 and 3.2; its compatibility provider, which the amazon provider needs
# itself, knows where they are.
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSensorTimeout,
    AirflowSkipException,
    XCom,
    conf,
)

__all__ = [
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "XCom",
    "conf",
    "forget_cached_connections",
    "is_resolved_later",
    "mask_secret",
    "task_state_store",
]


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


def mask_secret(secret: str | None) -> None:
    """Keep a secret out of this process's logs, and of the supervisor's where there is one."""
    from airflow.sdk.log import mask_secret as mask

    if secret:
        mask(secret)
        # As a service may quote it.
        mask(json.dumps(secret)[1:-1])


def forget_cached_connections() -> None:
    """Have the next look-up of a connection ask the secrets backends anew."""
    from airflow.sdk.execution_time.cache import SecretCache

    # Only a DAG processor has this cache; this ends it for the one callback process that asks.
    SecretCache.reset()  # type: ignore[no-untyped-call]


def is_resolved_later(value: object) -> bool:
    """Tell whether a value is known only in the task: an XComArg, a DAG's parameter, a mapped argument."""
    from airflow.sdk.definitions._internal.mixins import ResolveMixin

    return isinstance(value, ResolveMixin)
