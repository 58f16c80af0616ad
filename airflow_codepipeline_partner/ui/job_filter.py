# SPDX-License-Identifier: Apache-2.0
"""Which jobs of a window a page shows: filters and pages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Generic, Self, TypeVar
from urllib.parse import urlencode

from airflow_codepipeline_partner.ui.job_row import JobRow, JobState

#: Jobs on one page.
PAGE_SIZE = 50
Item = TypeVar("Item")


@dataclass(frozen=True)
class JobFilter:
    """
    What a user filters the list by; an empty text is no filter.

    :param state: A :class:`JobState`.
    :param action_type: ``category/owner/provider/version``.
    :param pipeline: The pipeline's name.
    :param dag: The DAG's id.
    """

    state: str = ""
    action_type: str = ""
    pipeline: str = ""
    dag: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """Return the filter in an address."""
        return cls(**{field.name: query.get(field.name, "") for field in fields(cls)})

    @property
    def is_empty(self) -> bool:
        """Whether it lets all jobs through."""
        return self == type(self)()

    def fits(self, row: JobRow) -> bool:
        """Return whether it lets a job through."""
        return all(not wanted or wanted == held for wanted, held in self._pairs(row))

    def _pairs(self, row: JobRow) -> Iterable[tuple[str, str | None]]:
        yield self.state, row.state.value
        yield self.action_type, row.action_type
        yield self.pipeline, row.pipeline_name
        yield self.dag, row.place.dag_id

    def query(self, **others: object) -> str:
        """Return the filter as the query of an address, with other members."""
        held = {field.name: getattr(self, field.name) for field in fields(self)} | others
        return urlencode({name: value for name, value in held.items() if value not in ("", None)})


@dataclass(frozen=True)
class Choices:
    """What can be filtered by: only what the jobs of the window have."""

    states: list[JobState]
    action_types: list[str]
    pipelines: list[str]
    dags: list[str]

    @classmethod
    def of(cls, rows: Sequence[JobRow]) -> Self:
        """Return the choices of some jobs."""
        held = {row.state for row in rows}
        return cls(
            [state for state in JobState if state in held],
            _names(rows, lambda row: row.action_type),
            _names(rows, lambda row: row.pipeline_name),
            _names(rows, lambda row: row.place.dag_id),
        )


def _names(rows: Sequence[JobRow], name_of: Callable[[JobRow], str | None]) -> list[str]:
    return sorted({name for row in rows if (name := name_of(row))})


@dataclass(frozen=True)
class Page(Generic[Item]):
    """
    One page of a list.

    :param items: What is on it.
    :param number: Its number, from 1 on.
    :param count: How many pages there are, at least 1.
    :param total: How many items there are on all of them.
    """

    items: Sequence[Item]
    number: int
    count: int
    total: int

    @classmethod
    def of(cls, items: Sequence[Item], number: int, size: int = PAGE_SIZE) -> Self:
        """Return a page of a list; the nearest one if there is none of that number."""
        count = max(-(-len(items) // size), 1)
        number = min(max(number, 1), count)
        return cls(items[(number - 1) * size : number * size], number, count, len(items))

    @property
    def first(self) -> int:
        """The place of its first item in the list, from 1 on; 0 if it is empty."""
        return (self.number - 1) * PAGE_SIZE + 1 if self.items else 0

    @property
    def last(self) -> int:
        """The place of its last item in the list."""
        return max(self.first + len(self.items) - 1, 0)
