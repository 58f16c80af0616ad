# SPDX-License-Identifier: Apache-2.0
"""
Continuation tokens that name the task which waits for an action's next job.

A result with a continuation token makes CodePipeline offer a new job of the same action to any worker that
polls. The token says which task the job is for. It is stored in CodePipeline and in Airflow's database, and
holds no secret. Tokens that a user chose are not read here; they are passed on unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

#: The first member of such a token, and its version.
_MARK = "airflow_codepipeline_partner"
_VERSION = 1
#: What would lead elsewhere as a part of a URL.
_LEADS_ELSEWHERE = re.compile(r"[/?#%\\\x00-\x1f]|\A\.{1,2}\Z").search


@dataclass(frozen=True)
class TaskInstanceRef:
    """
    A reference to a task instance: the one that waits for a job, or whose XCom holds a record.

    :param dag_id: Its DAG.
    :param run_id: Its run.
    :param task_id: Its task.
    :param map_index: The instance of a mapped task; -1 for an unmapped task.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @classmethod
    def of(cls, ti: Any) -> Self:
        """Return the reference to a task instance of Airflow's."""
        return cls(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)

    @classmethod
    def from_token(cls, token: str | None) -> Self | None:
        """Return the task that a token of this package names, or None for any other token."""
        if token is None or _MARK not in token:
            return None
        try:
            held = json.loads(token)
        except ValueError:
            return None
        if not isinstance(held, Mapping) or held.get(_MARK) != _VERSION:
            return None
        return cls.from_value(held)

    @classmethod
    def from_value(cls, value: object) -> Self | None:
        """
        Return the task that a mapping names, or None for anything else.

        Anybody may have written it, and Airflow puts the names into URLs of its server as they are.
        """
        if not isinstance(value, Mapping):
            return None
        named: dict[str, Any] = {field.name: value.get(field.name) for field in fields(cls)}
        is_one = all(isinstance(held, int if name == "map_index" else str) for name, held in named.items())
        if not is_one or any(isinstance(held, str) and _LEADS_ELSEWHERE(held) for held in named.values()):
            return None
        return cls(**named)

    @property
    def token(self) -> str:
        """
        The continuation token that names this task.

        It fits into the 2048 characters of the API with the longest names that Airflow takes (250 each).
        """
        return json.dumps({_MARK: _VERSION, **asdict(self)}, ensure_ascii=False, separators=(",", ":"))

    def is_of_run(self, dag_id: str, run_id: str) -> bool:
        """Return whether it is a task of this run."""
        return (self.dag_id, self.run_id) == (dag_id, run_id)

    def __str__(self) -> str:
        """Name the task, for logs and errors."""
        return f"task {self.task_id} of run {self.run_id} of DAG {self.dag_id}"
