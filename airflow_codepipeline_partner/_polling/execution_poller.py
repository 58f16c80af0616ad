# SPDX-License-Identifier: Apache-2.0
"""
One look at a pipeline's executions for all tasks of one triggerer that wait for them.

Those that wait for executions of the same pipeline by the same connection share it, so the number of calls
does not grow with theirs. A look is ListPipelineExecutions, as far as the awaited executions go back, and one
page of ListActionExecutions for what they are at. It is repeated at the shortest interval of those who wait,
and ends with the last of them. If CodePipeline does not answer, the looks back off, and each wait ends after
its own ``retry_deadline``.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.clock import SYSTEM_CLOCK, PollingClock
from airflow_codepipeline_partner._polling.schedule import PollSchedule
from airflow_codepipeline_partner._polling.shared_hooks import SharedHooks, key_of
from airflow_codepipeline_partner._polling.threads import (
    POLLS,
    POLLS_IN_TROUBLE,
    start_poll_threads,
)
from airflow_codepipeline_partner._protocol.executions import (
    KNOWN_WITHIN,
    ActionExecution,
    PipelineExecution,
    is_unknown_execution,
)
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError, ServiceUnavailable

log = logging.getLogger(__name__)

#: A newcomer is not made to wait longer than this for its first look, in seconds, nor do many of them cause
#: many looks.
FIRST_LOOK_AFTER = 5.0
#: Seconds between attempts to stop an execution, after its task was ended. Airflow waits for 30 s in all.
_STOP_AGAIN_AFTER = (1.0, 2.0, 5.0)

_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, ExecutionPoller]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Look:
    """
    What one look found of one execution.

    :param execution: The execution.
    :param actions: The executions of its actions, as far as they are among the newest of the pipeline.
    """

    execution: PipelineExecution
    actions: Sequence[ActionExecution] = ()


@dataclass(eq=False)
class _Waiter:
    execution_id: str
    interval: float
    retry_deadline: float
    joined_at: float
    #: What is new for this waiter: looks, and an error at the end.
    news: asyncio.Queue[Look | Exception] = field(default_factory=asyncio.Queue)
    #: Whether it was there when a look began.
    has_seen_a_look: bool = False
    #: Whether it waits no more.
    is_done: bool = False

    def tell(self, news: Look | Exception) -> None:
        """Hand on what a look found, or an error, which ends the wait."""
        self.is_done = self.is_done or isinstance(news, Exception) or news.execution.is_ended
        self.news.put_nowait(news)


class ExecutionPoller:
    """
    Look at one pipeline for all who wait for executions of it, as long as there are any.

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
        self._waiters: list[_Waiter] = []
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
        waiter = _Waiter(execution_id, interval, retry_deadline, self._clock.monotonic())
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

    @property
    def _interval(self) -> float:
        return min((each.interval for each in self._waiters if not each.is_done), default=1.0)

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
        if self._waiters or self._task is None:
            return
        self._task.cancel()
        pollers = _pollers.get(self._task.get_loop(), {})
        for key in [key for key, poller in pollers.items() if poller is self]:
            del pollers[key]

    async def _run(self) -> None:
        while self._waiters:
            try:
                if self._schedule.seconds_left <= 0:
                    await self._look()
            except Exception as error:
                # A fault of this package: nobody may wait for ever because of it.
                log.exception("A look at pipeline %s broke.", self._pipeline_name)
                self._note_refusal(error, list(self._waiters))
                self._schedule.end()
            await self._clock.pause(self._changed, self._schedule.seconds_left)

    async def _look(self) -> None:
        self._schedule.begin()
        # Those who come while it looks are for the next look.
        waiters = [waiter for waiter in self._waiters if not waiter.is_done]
        for waiter in waiters:
            waiter.has_seen_a_look = True
        ids = sorted({waiter.execution_id for waiter in waiters})
        pool = POLLS if self._no_answer_since is None else POLLS_IN_TROUBLE
        asking = asyncio.ensure_future(sync_to_async(self._ask, thread_sensitive=False, executor=pool)(ids))
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
            self._no_answer_since = self.trouble = None
            for waiter in waiters:
                news = found[waiter.execution_id]
                is_young = self._clock.monotonic() - waiter.joined_at < KNOWN_WITHIN
                if not (is_young and is_unknown_execution(news)):
                    waiter.tell(news)
            self._schedule.answered(self._interval)
        self._schedule.end()
        if any(not waiter.has_seen_a_look for waiter in self._waiters):
            # They came during this look.
            self._schedule.join(FIRST_LOOK_AFTER)

    def _ask(self, execution_ids: Sequence[str]) -> Mapping[str, Look | CodePipelineProviderError]:
        hook = self._hooks.get(self._aws)
        executions = hook.find_executions(self._pipeline_name, execution_ids)
        found: dict[str, Look | CodePipelineProviderError] = {}
        actions = hook.get_newest_action_executions(self._pipeline_name)
        for each in execution_ids:
            try:
                # An execution that began long ago is not among the newest.
                execution = executions.get(each) or hook.get_execution(self._pipeline_name, each)
            except ServiceUnavailable:
                raise
            except CodePipelineProviderError as error:
                # Of this one only: the others go on.
                found[each] = error
            else:
                found[each] = Look(execution, actions.get(each, ()))
        return found

    def _note_no_answer(self, error: ServiceUnavailable, waiters: Sequence[_Waiter]) -> None:
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

    def _note_refusal(self, error: Exception, waiters: Sequence[_Waiter]) -> None:
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
