# SPDX-License-Identifier: Apache-2.0
"""Who looks at a pipeline's executions: a task that waits for one of them, a watcher that hears of all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from airflow_codepipeline_partner._polling.repeats import Repeats
from airflow_codepipeline_partner._protocol.execution_changes import ExecutionChanges, LastLook
from airflow_codepipeline_partner._protocol.executions import ActionExecution, PipelineExecution


@dataclass(frozen=True)
class Look:
    """
    What one look found of one execution.

    :param execution: The execution.
    :param actions: The executions of its actions, as far as they are among the newest of the pipeline.
    """

    execution: PipelineExecution
    actions: Sequence[ActionExecution] = ()


@dataclass(frozen=True)
class Watched:
    """
    What a watcher hears of one look.

    :param executions: The executions of an event; without any there is no event.
    :param last_look: What its successor has to know of this look.
    :param is_over: Whether nothing of the looks before is still to be said again.
    """

    executions: Sequence[PipelineExecution]
    last_look: LastLook
    is_over: bool = True


@dataclass(eq=False)
class ExecutionSubscriber:
    """
    One that looks at a pipeline.

    :param interval: Seconds between two looks.
    :param has_seen_a_look: Whether it was there when a look began.
    :param is_done: Whether it waits no more.
    """

    interval: float
    has_seen_a_look: bool = field(default=False, kw_only=True)
    is_done: bool = field(default=False, kw_only=True)


@dataclass(eq=False)
class ExecutionWaiter(ExecutionSubscriber):
    """
    Waits until one execution has ended.

    :param execution_id: The execution.
    :param retry_deadline: For how many seconds CodePipeline may fail to answer.
    :param joined_at: When it subscribed, by the monotonic clock.
    :param news: Looks, and an error at the end.
    """

    execution_id: str
    retry_deadline: float
    joined_at: float
    news: asyncio.Queue[Look | Exception] = field(default_factory=asyncio.Queue)

    def tell(self, news: Look | Exception) -> None:
        """Hand on what a look found, or an error, which ends the wait."""
        self.is_done = self.is_done or isinstance(news, Exception) or news.execution.is_ended
        self.news.put_nowait(news)


@dataclass(eq=False)
class ExecutionWatcher(ExecutionSubscriber):
    """
    Hears, for ever, which executions have reached a state.

    :param changes: Compares the looks.
    :param wake_queue: The URL of an SQS queue that says when to look besides.
    :param news: What it hears: something of each look.
    """

    changes: ExecutionChanges
    wake_queue: str | None = None
    news: asyncio.Queue[Watched] = field(default_factory=asyncio.Queue)
    _repeats: Repeats[PipelineExecution] = field(
        default_factory=lambda: Repeats(lambda execution: execution.execution_id)
    )
    _last_look: LastLook | None = None

    def note_predecessor(self, now: float) -> None:
        """
        Take it that another watcher has made an event a moment ago, and did not live to repeat it.

        :param now: By the monotonic clock.
        """
        self._repeats.note_event((), now)

    def compare(self, executions: Sequence[PipelineExecution], now: float, at: datetime) -> None:
        """
        Hear of a look.

        :param executions: What it has found, the newest first.
        :param now: By the monotonic clock.
        :param at: The time.
        """
        reached, is_over = self.changes.news(executions), self.seconds_left(now) == float("inf")
        if reached:
            self._repeats.note_event(reached, now)
        self._last_look = self.changes.last_look(at)
        self.news.put_nowait(Watched(reached, self._last_look, is_over))

    def repeat(self, now: float) -> None:
        """Hear once more what Airflow may have overlooked, if it is time."""
        if (executions := self._repeats.take(now)) and self._last_look is not None:
            self.news.put_nowait(Watched(executions, self._last_look, is_over=False))

    def seconds_left(self, now: float) -> float:
        """Return the seconds until something is said again; infinite if there is nothing."""
        return self._repeats.seconds_left(now)
