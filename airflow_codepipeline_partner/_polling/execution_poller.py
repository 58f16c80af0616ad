# SPDX-License-Identifier: Apache-2.0
"""
One look at a pipeline's executions for all in one triggerer that wait for them, or watch them.

Those that look at the same pipeline by the same connection share it, so the number of calls does not grow
with theirs. A look is ListPipelineExecutions, as far as the awaited executions and the new ones go back, and,
if tasks wait, one page of ListActionExecutions for what theirs are at. It is repeated at the shortest
interval of those who look, and ends with the last of them. If CodePipeline does not answer, the looks back
off. A wait ends then after its own ``retry_deadline``, and a watcher never.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.clock import SYSTEM_CLOCK, PollingClock
from airflow_codepipeline_partner._polling.execution_subscribers import (
    ExecutionSubscriber,
    ExecutionWaiter,
    ExecutionWatcher,
    Look,
    Watched,
)
from airflow_codepipeline_partner._polling.schedule import PollSchedule
from airflow_codepipeline_partner._polling.shared_hooks import SharedHooks, key_of
from airflow_codepipeline_partner._polling.threads import (
    POLLS,
    POLLS_IN_TROUBLE,
    start_poll_threads,
)
from airflow_codepipeline_partner._polling.wake_queue import WakeQueue
from airflow_codepipeline_partner._protocol.execution_changes import ExecutionChanges
from airflow_codepipeline_partner._protocol.executions import (
    KNOWN_WITHIN,
    ActionExecution,
    PipelineExecution,
    is_unknown_execution,
)
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._protocol.state_changes import ChangedPipeline
from airflow_codepipeline_partner.exceptions import (
    CodePipelineProviderError,
    PipelineNotFound,
    ServiceUnavailable,
)

log = logging.getLogger(__name__)

#: A newcomer is not made to wait longer than this for its first look, in seconds, nor do many of them cause
#: many looks. Nor does it hear of an end sooner: Airflow 3.1 fails a task that goes on before its executor
#: has said that it was deferred, which takes up to 6 s.
FIRST_LOOK_AFTER = 10.0
#: Seconds between attempts to stop an execution, after its task was ended. Airflow waits for 30 s in all.
_STOP_AGAIN_AFTER = (1.0, 2.0, 5.0)

_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, ExecutionPoller]] = WeakKeyDictionary()


@dataclass
class _Found:
    """
    What one look found.

    :param executions: The executions of the pages that were read, by their ids, the newest first.
    :param looks: What it found of each execution that somebody awaits.
    :param missing: Executions on their way that are not there any more.
    :param silence: Why some could not be asked for.
    """

    executions: dict[str, PipelineExecution] = field(default_factory=dict)
    looks: dict[str, Look | CodePipelineProviderError] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    silence: ServiceUnavailable | None = None


class ExecutionPoller:
    """
    Look at one pipeline for all who wait for executions of it, or watch them, as long as there are any.

    :param pipeline_name: The pipeline.
    :param aws: How CodePipeline is reached.
    :param hooks: The hooks of the loop.
    :param clock: The time and the waits between looks.
    """

    def __init__(
        self, pipeline_name: str, aws: AwsParameters, hooks: SharedHooks, clock: PollingClock
    ) -> None:
        self._pipeline_name = pipeline_name
        self._aws = aws
        self._hooks = hooks
        self._clock = clock
        self._waiters: list[ExecutionWaiter] = []
        self._watchers: list[ExecutionWatcher] = []
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._schedule = PollSchedule(clock)
        self._no_answer_since: float | None = None
        #: Why the last look could not be made. None if it could.
        self.trouble: CodePipelineProviderError | None = None

    @classmethod
    def for_(cls, pipeline_name: str, aws: AwsParameters) -> ExecutionPoller:
        """
        Return the running loop's poller for a pipeline and a connection.

        :param pipeline_name: The pipeline.
        :param aws: How CodePipeline is reached.
        """
        loop = asyncio.get_running_loop()
        pollers = _pollers.setdefault(loop, {})
        key = pipeline_name, key_of(aws)
        if key not in pollers:
            start_poll_threads()
            hooks = SharedHooks.of_running_loop(SYSTEM_CLOCK.monotonic)
            pollers[key] = cls(pipeline_name, aws, hooks, SYSTEM_CLOCK)
        return pollers[key]

    async def follow(
        self, execution_id: str, interval: float, *, retry_deadline: float
    ) -> AsyncGenerator[Look, None]:
        """
        Yield what each look finds of an execution, until it has ended.

        :param execution_id: The execution.
        :param interval: Seconds between two looks, varied by a tenth.
        :param retry_deadline: For how many seconds CodePipeline may fail to answer.
        :raises PipelineNotFound: There is no such pipeline, or no such execution of it.
        :raises CodePipelineProviderError: CodePipeline refused a look, or did not answer.
        """
        waiter = ExecutionWaiter(interval, execution_id, retry_deadline, self._clock.monotonic())
        self._waiters.append(waiter)
        try:
            self._join(interval)
            while True:
                news = await waiter.news.get()
                if isinstance(news, Exception):
                    raise news
                yield news
                if news.execution.is_ended:
                    return
        finally:
            self._waiters.remove(waiter)
            self._leave()

    async def watch(
        self, changes: ExecutionChanges, interval: float, wake_queue: str | None = None
    ) -> AsyncGenerator[Watched, None]:
        """
        Yield what each look has found of the executions that have reached a state, for ever.

        Whatever goes wrong is logged and tried again: nobody would start a watcher that has ended.

        :param changes: Compares the looks: of this watcher only.
        :param interval: Seconds between two looks, varied by a tenth.
        :param wake_queue: The URL of an SQS queue that says when to look besides.
        """
        watcher = ExecutionWatcher(interval, changes, wake_queue)
        if changes.has_predecessor:
            watcher.note_predecessor(self._clock.monotonic())
        self._watchers.append(watcher)
        try:
            if wake_queue is not None:
                WakeQueue.of(wake_queue, self._aws, self._hooks, self._clock).add(self)
            self._join(interval)
            while True:
                yield await watcher.news.get()
        finally:
            self._watchers.remove(watcher)
            if wake_queue is not None and all(each.wake_queue != wake_queue for each in self._watchers):
                WakeQueue.of(wake_queue, self._aws, self._hooks, self._clock).remove(self)
            self._leave()

    def wake(self, subject: ActionType | ChangedPipeline) -> bool:
        """Look soon if an execution of this pipeline has another state; return whether it is this one."""
        if subject != ChangedPipeline(self._pipeline_name):
            return False
        self._schedule.wake()
        self._changed.set()
        return True

    @property
    def _subscribers(self) -> list[ExecutionSubscriber]:
        return [*self._waiters, *self._watchers]

    @property
    def _interval(self) -> float:
        return min((each.interval for each in self._subscribers if not each.is_done), default=1.0)

    def _join(self, interval: float) -> None:
        # Nobody is in a hurry while CodePipeline is in trouble.
        is_in_trouble = self._no_answer_since is not None
        wait = max(interval, self._schedule.delay) if is_in_trouble else min(interval, FIRST_LOOK_AFTER)
        self._schedule.join(wait)
        self._changed.set()
        if self._task is None or self._task.done():
            # In a context of its own: the newcomer's is that of its log, and ends with it.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())

    def _leave(self) -> None:
        if self._subscribers or self._task is None:
            return
        self._task.cancel()
        pollers = _pollers.get(self._task.get_loop(), {})
        for key in [key for key, poller in pollers.items() if poller is self]:
            del pollers[key]

    async def _run(self) -> None:
        while self._subscribers:
            try:
                if self._schedule.seconds_left <= 0:
                    await self._look()
                for watcher in self._watchers:
                    watcher.repeat(self._clock.monotonic())
            except Exception as error:
                # A fault of this package: nobody may wait for ever because of it.
                log.exception("A look at pipeline %s broke.", self._pipeline_name)
                self._note_refusal(error, list(self._waiters))
                self._schedule.end()
            again = [watcher.seconds_left(self._clock.monotonic()) for watcher in self._watchers]
            await self._clock.pause(self._changed, min([self._schedule.seconds_left, *again]))

    async def _look(self) -> None:
        self._schedule.begin()
        # Those who come while it looks are for the next look.
        waiters = [waiter for waiter in self._waiters if not waiter.is_done]
        watchers = list(self._watchers)
        for each in (*waiters, *watchers):
            each.has_seen_a_look = True
        ids = sorted({waiter.execution_id for waiter in waiters})
        changes = [watcher.changes for watcher in watchers]
        pool = POLLS if self._no_answer_since is None else POLLS_IN_TROUBLE
        ask = sync_to_async(self._ask, thread_sensitive=False, executor=pool)
        asking = asyncio.ensure_future(ask(ids, changes))
        # Never cancelled: Airflow 3.1's own look-up of a connection, which it may be in, must be read to its
        # end.
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            found = await asyncio.shield(asking)
        except ServiceUnavailable as error:
            self._note_no_answer(error, waiters)
        except CodePipelineProviderError as error:
            self._note_refusal(error, waiters)
        except Exception as error:
            # Of Airflow's own look-up of the connection, for instance. Its text might hold anything.
            name = type(error).__name__
            self._note_no_answer(ServiceUnavailable(f"The look could not be made: {name}."), waiters)
        else:
            silent = [waiter for waiter in waiters if waiter.execution_id not in found.looks]
            for waiter in waiters:
                if waiter not in silent:
                    self._tell(waiter, found.looks[waiter.execution_id])
            self._tell_watchers(watchers, found)
            if found.silence is not None and silent:
                self._note_no_answer(found.silence, silent)
            else:
                self._no_answer_since = self.trouble = None
                self._schedule.answered(self._interval)
        self._schedule.end()
        is_in_trouble = self._no_answer_since is not None
        if not is_in_trouble and any(not each.has_seen_a_look for each in self._subscribers):
            # They came during this look, or a moment before.
            self._schedule.join(FIRST_LOOK_AFTER)

    def _tell(self, waiter: ExecutionWaiter, news: Look | CodePipelineProviderError) -> None:
        age = self._clock.monotonic() - waiter.joined_at
        if age < KNOWN_WITHIN and is_unknown_execution(news):
            return
        is_end = isinstance(news, Exception) or news.execution.is_ended
        if is_end and age < min(2 * waiter.interval, FIRST_LOOK_AFTER):
            # Airflow may not know yet that the task waits.
            waiter.has_seen_a_look = False
            return
        waiter.tell(news)

    def _ask(self, awaited: Sequence[str], changes: Sequence[ExecutionChanges]) -> _Found:
        hook, found = self._hooks.get(self._aws), _Found()
        on_their_way = {each for one in changes for each in one.open_ids}
        wanted = {*awaited, *on_their_way}
        for page in hook.pages_of_executions(self._pipeline_name):
            # If executions begin meanwhile, one may be on two pages. The later one knows more.
            found.executions |= {each.execution_id: each for each in page}
            if found.executions.keys() >= wanted and not any(one.reads_on(page) for one in changes):
                break
        actions: Mapping[str, Sequence[ActionExecution]] = {}
        try:
            actions = hook.get_newest_action_executions(self._pipeline_name) if awaited else {}
        except ServiceUnavailable:
            raise
        except CodePipelineProviderError as error:
            # Those who only watch need no actions.
            found.looks |= dict.fromkeys(awaited, error)
        for each in sorted(wanted - found.looks.keys()):
            try:
                # An execution that began long ago is not among the newest.
                execution = found.executions.get(each) or hook.get_execution(self._pipeline_name, each)
            except ServiceUnavailable as error:
                found.silence = error
            except CodePipelineProviderError as error:
                # Of this one only: the others go on.
                found.looks[each] = error
                if isinstance(error, PipelineNotFound):
                    found.missing.add(each)
            else:
                found.looks[each] = Look(execution, actions.get(each, ()))
        return found

    def _tell_watchers(self, watchers: Sequence[ExecutionWatcher], found: _Found) -> None:
        now, at = self._clock.monotonic(), datetime.fromtimestamp(self._clock.time(), UTC)
        for watcher in watchers:
            for each in found.missing:
                watcher.changes.forget(each)
            # Of the old ones it hears only of those that it has seen on their way.
            old = (found.looks.get(each) for each in watcher.changes.open_ids - found.executions.keys())
            heard = [each.execution for each in old if isinstance(each, Look)]
            try:
                watcher.compare([*found.executions.values(), *heard], now, at)
            except Exception:
                # A fault of this package: it must not end the waits of others.
                log.exception("What a look at pipeline %s found could not be compared.", self._pipeline_name)

    def _note_no_answer(self, error: ServiceUnavailable, waiters: Sequence[ExecutionWaiter]) -> None:
        now = self._clock.monotonic()
        self.trouble = error
        if self._no_answer_since is None:
            self._no_answer_since = now
        else:
            # Twice in a row: it may be the connection, which may have been corrected since.
            self._hooks.replace(self._aws)
        self._back_off(error)
        for waiter in waiters:
            seconds = now - max(self._no_answer_since, waiter.joined_at)
            if seconds >= waiter.retry_deadline:
                waiter.tell(ServiceUnavailable(f"No answer came in {seconds:.0f} s. {error}"))

    def _note_refusal(self, error: Exception, waiters: Sequence[ExecutionWaiter]) -> None:
        self._hooks.replace(self._aws)
        self._back_off(error)
        for waiter in waiters:
            waiter.tell(error)

    def _back_off(self, trouble: Exception) -> None:
        delay = self._schedule.back_off(self._interval)
        log.warning("%s Looking at pipeline %s again in %.0f s.", trouble, self._pipeline_name, delay)


async def stop(aws: AwsParameters, pipeline_name: str, execution_id: str, *, abandon: bool) -> None:
    """
    Stop an execution, whose waiting task somebody has ended.

    :param aws: How CodePipeline is reached.
    :param pipeline_name: The pipeline.
    :param execution_id: The execution.
    :param abandon: Whether to abandon its actions in progress.
    :raises CodePipelineProviderError: CodePipeline refused it, or did not answer.
    """
    start_poll_threads()
    hooks, reason = SharedHooks.of_running_loop(SYSTEM_CLOCK.monotonic), "The waiting Airflow task was ended."

    def send() -> None:
        hooks.get(aws).stop_pipeline(pipeline_name, execution_id, abandon=abandon, reason=reason)

    for pause in (*_STOP_AGAIN_AFTER, None):
        try:
            await sync_to_async(send, thread_sensitive=False, executor=POLLS)()
        except ServiceUnavailable as error:
            if pause is None:
                raise
            log.warning("%s Stopping execution %s again in %.0f s.", error, execution_id, pause)
            await asyncio.sleep(pause)
        else:
            return
