# SPDX-License-Identifier: Apache-2.0
"""Which executions of a pipeline have reached a state since the last look at it, without any I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from airflow_codepipeline_partner._protocol.executions import ENDED, PipelineExecution
from airflow_codepipeline_partner.exceptions import InvalidInput

IN_PROGRESS = "InProgress"
#: An execution that has ended so may go on, and end once more, if somebody retries its stage.
_RETRIABLE = ("Failed", "Stopped")
#: How many executions are known at most: those that were seen last. A look reads 1000 at most.
MAX_KNOWN = 2000
#: Of how many that are on their way their ids are stored at most.
MAX_STORED = 300


@dataclass(frozen=True)
class LastLook:
    """
    What a watcher has to know of the last look of its predecessor.

    :param until: When the newest change was that it saw, by AWS's clock. Later ones are news.
    :param open_ids: The executions that were on their way then. If they have ended, that is news.
    """

    until: datetime
    open_ids: frozenset[str] = frozenset()

    def to_stored(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"until": self.until.isoformat(), "open": sorted(self.open_ids)[:MAX_STORED]}

    @classmethod
    def from_stored(cls, stored: object) -> Self:
        """
        Return what :meth:`to_stored` made.

        :raises InvalidInput: It is something else.
        """
        given = stored if isinstance(stored, Mapping) else {}
        ids = given.get("open")
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise InvalidInput("It names no executions.")
        try:
            until = datetime.fromisoformat(str(given.get("until")))
        except ValueError:
            raise InvalidInput("It holds no time.") from None
        return cls(_in_utc(until), frozenset(ids))


class ExecutionChanges:
    """
    Compares each look at a pipeline's executions with the one before.

    :param states: The states that count.
    :param last_look: What the first look is compared with. If None, its executions are no news.
    """

    def __init__(self, states: Iterable[str], last_look: LastLook | None = None) -> None:
        self._states = frozenset(states)
        self._since = last_look.until if last_look else None
        self._until = self._since
        self._empty_since: datetime | None = None
        self._is_first = True
        #: Execution → its last status, and when it last changed. Those that were seen last are at the end.
        self._known: dict[str, tuple[str, datetime | None]] = {
            each: (IN_PROGRESS, None) for each in (last_look.open_ids if last_look else ())
        }

    @property
    def has_predecessor(self) -> bool:
        """Whether somebody may have looked before the first look."""
        return self._since is not None

    @property
    def open_ids(self) -> frozenset[str]:
        """The executions that are on their way, as far as is known."""
        return frozenset(each for each, (status, _) in self._known.items() if status not in ENDED)

    def reads_on(self, page: Iterable[PipelineExecution]) -> bool:
        """
        Return whether the next page may hold news besides the executions that are on their way.

        The newest executions come first, so what follows a known one is known. The first look reads all
        pages: what is on its way, or has just ended, may have begun long ago.
        """
        return self._is_first or not any(each.execution_id in self._known for each in page)

    def news(self, executions: Iterable[PipelineExecution]) -> list[PipelineExecution]:
        """
        Return the executions that have reached a state since the last look, in the order of their start.

        :param executions: What the look has found, the newest first.
        """
        look = list(executions)[::-1]
        found = [each for each in look if self._is_news(each)]
        for each in look:
            self._known.pop(each.execution_id, None)
            self._known[each.execution_id] = each.status, each.updated_at
        for oldest in list(self._known)[: max(len(self._known) - MAX_KNOWN, 0)]:
            del self._known[oldest]
        self._is_first = False
        return found

    def forget(self, execution_id: str) -> None:
        """Wait no more for an execution that is not there."""
        self._known.pop(execution_id, None)

    def last_look(self, now: datetime) -> LastLook:
        """
        Return what a successor has to know of this look.

        :param now: The time, for a pipeline without executions.
        """
        changes = [_in_utc(at) for _, at in self._known.values() if at is not None]
        self._until = max([*changes, self._until] if self._until else changes, default=None)
        # Airflow's clock counts only as long as there is no change to go by.
        self._empty_since = self._empty_since or _in_utc(now)
        return LastLook(self._until or self._empty_since, self.open_ids)

    def _is_news(self, execution: PipelineExecution) -> bool:
        status, updated_at = execution.status, execution.updated_at
        before = self._known.get(execution.execution_id)
        if before is None:
            if self._is_first and not (self._since and _is_later(updated_at, self._since)):
                return False
            # It has begun since the last look, and may have ended since.
            return status in self._states or IN_PROGRESS in self._states
        is_same = status == before[0]
        if is_same and not (status in _RETRIABLE and before[1] and _is_later(updated_at, before[1])):
            return False
        return status in self._states


def _is_later(at: datetime | None, than: datetime) -> bool:
    return at is not None and _in_utc(at) > _in_utc(than)


def _in_utc(at: datetime) -> datetime:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
