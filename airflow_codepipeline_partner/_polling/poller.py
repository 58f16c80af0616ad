# SPDX-License-Identifier: Apache-2.0
"""
One poll for all who wait for the same jobs in one triggerer.

In a triggerer all triggers share one process and one event loop. Those that wait for jobs of one action type
over one connection wait at one hub, which polls for all of them: the calls do not grow with their number.
boto3 and Airflow's look-up of connections block, so each poll runs in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import random
import time
from collections.abc import AsyncGenerator, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._polling.subscribers import JobWaiter, JobWatcher, NextJobFilter, Subscriber
from airflow_codepipeline_partner._polling.token_lookup import TokenLookup
from airflow_codepipeline_partner._protocol.jobs import ActionType, OfferedJob
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError, ServiceUnavailable

if TYPE_CHECKING:
    from airflow_codepipeline_partner.hooks import CodePipelineHook

log = logging.getLogger(__name__)

#: Longest wait between two polls while CodePipeline throttles or cannot be reached, in seconds; a longer
#: poll interval is kept.
MAX_POLL_BACKOFF = 60.0
MAX_SEEN_JOBS = 10_000
#: An interval is varied by this part, so that many pollers do not ask at the same moment.
JITTER = 0.1


def with_jitter(seconds: float) -> float:
    """Return an interval of about as many seconds."""
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads load, guards nothing


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, SharedPoller]] = WeakKeyDictionary()


class SharedPoller:
    """
    Poll for all who wait for one action type over one connection, while there are any.

    :param action_type: What to poll for.
    :param query_param: What the polls are restricted to, or None.
    :param aws: How CodePipeline is reached.
    """

    def __init__(
        self, action_type: ActionType, query_param: Mapping[str, str] | None, aws: AwsParameters
    ) -> None:
        self._action_type = action_type
        self._query_param = query_param
        self._aws = aws
        self._sensors: list[JobWaiter] = []
        self._watchers: list[JobWatcher] = []
        self._hook: CodePipelineHook | None = None
        self._task: asyncio.Task[None] | None = None
        self._lookup = TokenLookup()
        self._lookups: set[asyncio.Task[None]] = set()
        #: Jobs that were offered here before, and those of the polls that followed at once on each other.
        self._seen: dict[str, None] = {}
        self._ids_this_sweep: set[str] = set()
        self._changed = asyncio.Event()
        # By the monotonic clock; only the sensors' deadlines are of the clock on the wall.
        self._polled_at = self._due = float("-inf")
        self._delay = 0.0
        self._silence: ServiceUnavailable | None = None
        self._silent_since = 0.0

    @classmethod
    def for_(
        cls, action_type: ActionType, aws: AwsParameters, query_param: Mapping[str, str] | None = None
    ) -> SharedPoller:
        """
        Return the hub of the running loop for an action type, a query and a connection.

        :param action_type: What to poll for.
        :param query_param: What the polls are restricted to, or None.
        :param aws: How CodePipeline is reached.
        """
        parameters = aws.to_arguments()
        # It says how a client's token is found, which no poll needs.
        del parameters["client_conn_id_template"]
        parameters["query_param"] = query_param
        key = action_type, json.dumps(parameters, sort_keys=True, default=str)
        hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
        return hubs.setdefault(key, cls(action_type, query_param, aws))

    async def wait(
        self,
        max_batch_size: int,
        poll_interval: float,
        *,
        deadline: float,
        retry_deadline: float,
        continuation: NextJobFilter | None = None,
    ) -> list[OfferedJob]:
        """
        Wait for some jobs, which nobody else who waits here is given.

        :param max_batch_size: Most jobs, at least 1.
        :param poll_interval: Seconds between two polls, varied by a tenth.
        :param deadline: Until when, in seconds since the epoch; at least one poll is waited for.
        :param retry_deadline: For how many seconds CodePipeline may fail to answer.
        :param continuation: Wait for this one job only.
        :raises TimeoutError: There was none until the deadline.
        :raises CodePipelineProviderError: CodePipeline refused the poll, or did not answer when it was last
            asked.
        """
        offer: asyncio.Future[list[OfferedJob]] = asyncio.get_running_loop().create_future()
        sensor = JobWaiter(
            max_batch_size, poll_interval, deadline, retry_deadline, time.monotonic(), offer, continuation
        )
        self._sensors.append(sensor)
        try:
            self._wake(sensor)
            return await offer
        finally:
            self._sensors.remove(sensor)
            self._end_if_nobody_waits()

    async def watch(
        self, max_batch_size: int, poll_interval: float
    ) -> AsyncGenerator[list[OfferedJob], None]:
        """
        Yield the jobs of each poll, for ever.

        Whatever goes wrong is logged and tried again: nobody would start a watcher that has ended.

        :param max_batch_size: Most jobs at once, at least 1.
        :param poll_interval: Seconds between two polls, varied by a tenth.
        """
        watcher = JobWatcher(max_batch_size, poll_interval)
        self._watchers.append(watcher)
        try:
            self._wake(watcher)
            while True:
                yield await watcher.offers.get()
        finally:
            self._watchers.remove(watcher)
            self._end_if_nobody_waits()

    @property
    def _waiters(self) -> list[Subscriber]:
        return [*self._sensors, *self._watchers]

    @property
    def _since_poll(self) -> float:
        return time.monotonic() - self._polled_at

    @property
    def _interval(self) -> float:
        return min((waiter.poll_interval for waiter in self._waiters), default=0.0)

    def _wake(self, newcomer: Subscriber) -> None:
        # Nobody is in a hurry while CodePipeline is in trouble.
        interval = max(newcomer.poll_interval, self._delay if self._silence else 0.0)
        if isinstance(newcomer, JobWaiter):
            # One poll at least, by its deadline.
            interval = min(interval, max(newcomer.deadline - time.time(), 0.0) + self._since_poll)
        self._due = min(self._due, self._polled_at + interval)
        self._changed.set()
        if self._task is None or self._task.done():
            # In a context of its own: the newcomer's is that of its log, and ends with it.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())

    def _end_if_nobody_waits(self) -> None:
        if not self._waiters and self._task is not None:
            self._task.cancel()
            hubs = _hubs.get(self._task.get_loop(), {})
            for key in [key for key, hub in hubs.items() if hub is self]:
                del hubs[key]

    async def _run(self) -> None:
        while self._waiters:
            try:
                if time.monotonic() >= self._due:
                    await self._poll()
                self._end_overdue()
            except Exception as error:
                # A mistake of ours: nobody may wait for ever because of it.
                log.exception("A poll for %s broke.", self._action_type)
                self._note_refusal(error)
                self._due = time.monotonic() + self._delay
            left = [sensor.deadline - time.time() for sensor in self._bound_sensors]
            await self._pause(min([self._due - time.monotonic(), *left]))

    @property
    def _bound_sensors(self) -> list[JobWaiter]:
        """Those whose deadline counts, since they have seen a poll."""
        return [s for s in self._sensors if s.has_seen_a_poll and not s.offer.done()]

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until somebody comes."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), max(seconds, 0.0))
        self._changed.clear()

    async def _poll(self) -> None:
        batch = max(waiter.max_batch_size for waiter in self._waiters)
        asking = asyncio.ensure_future(sync_to_async(self._ask, thread_sensitive=False)(batch))
        # Never cancelled: Airflow 3.1's own look-up of a connection, which it may be in, must be read to its
        # end. If nobody waits any more, its answer is dropped, and what it was offered is offered again.
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        while not asking.done():
            # Those who have seen a poll do not wait for a slow one beyond their time.
            left = [max(sensor.deadline - time.time(), 0.0) for sensor in self._bound_sensors]
            await asyncio.wait({asking}, timeout=min(left, default=None))
            self._end_overdue()
        unclear: set[str | None] = set()
        try:
            jobs = asking.result()
        except ServiceUnavailable as silence:
            self._note_silence(silence)
        except CodePipelineProviderError as error:
            self._note_refusal(error)
        except Exception as error:
            # Of Airflow's own look-up of the connection, for instance. Its text might hold anything.
            name = type(error).__name__
            self._note_silence(ServiceUnavailable(f"The poll could not be made: {name}."))
        else:
            self._silence, self._delay = None, self._interval
            unclear = self._unclear(jobs)
            news = self._deliver(job for job in jobs if job.client_id not in unclear)
            if len(jobs) >= batch and (self._is_passed_over(jobs) or news):
                # There may be more.
                self._delay = 0.0
            else:
                self._ids_this_sweep.clear()
        for sensor in self._sensors:
            if sensor.continuation is None or sensor.continuation.client_id not in unclear:
                sensor.has_seen_a_poll = True
        self._polled_at = time.monotonic()
        self._due = self._polled_at + with_jitter(self._delay)

    def _ask(self, batch: int) -> list[OfferedJob]:
        if self._hook is None:
            # One attempt a poll: the wait in between belongs to the loop, not to a thread.
            self._hook = self._aws.hook(retry_deadline=0)
        return self._hook.poll(self._action_type, batch, self._query_param)

    def _is_passed_over(self, jobs: list[OfferedJob]) -> bool:
        """
        Tell whether these jobs are all such as nobody has claimed since they were offered before.

        CodePipeline may offer the oldest first: those that nobody can claim must not hide all others.
        """
        ids = [job.job_id for job in jobs]
        passed_over = self._seen.keys() >= set(ids) and not self._ids_this_sweep >= set(ids)
        self._ids_this_sweep |= set(ids)
        self._seen |= dict.fromkeys(ids)
        for job_id in list(self._seen)[:-MAX_SEEN_JOBS]:
            del self._seen[job_id]
        return passed_over

    def _unclear(self, jobs: list[OfferedJob]) -> set[str | None]:
        """Have it found out which jobs continue what somebody here waits for; return whose those jobs are."""
        awaited = {
            sensor.continuation.client_id: sensor.continuation.aws
            for sensor in self._sensors
            if sensor.continuation and not sensor.offer.done()
        }
        unclear: set[str | None] = set()
        for client_id, aws in awaited.items():
            theirs = [job for job in jobs if job.client_id == client_id]
            if theirs:
                unclear.add(client_id)
                looking = asyncio.get_running_loop().create_task(
                    self._route_continuations(client_id, theirs, aws)
                )
                self._lookups.add(looking)
                looking.add_done_callback(self._lookups.discard)
        return unclear

    async def _route_continuations(
        self, client_id: str | None, jobs: list[OfferedJob], aws: AwsParameters
    ) -> None:
        """Give the jobs of one client to the tasks that wait for them, and the others to whoever waits."""
        tokens = await self._lookup.tokens_of(jobs, aws)
        theirs = [s for s in self._sensors if s.continuation and s.continuation.client_id == client_id]
        free = []
        for job in jobs:
            waiting = [
                s for s in theirs if s.continuation and s.continuation.concerns(job, tokens[job.job_id])
            ]
            for waiter in waiting:
                # Several tasks of one run, of which the first claims it, and the others find that.
                if not waiter.offer.done():
                    waiter.offer.set_result([job])
            if not waiting:
                free.append(job)
        self._deliver(free)
        for sensor in theirs:
            sensor.has_seen_a_poll = True
        self._changed.set()

    def _deliver(self, jobs: Iterable[OfferedJob]) -> bool:
        """Give each job to one sensor, and to each watcher; return whether a watcher had not known one."""
        left = free = list(jobs)
        for sensor in self._sensors:
            if left and not sensor.offer.done() and sensor.continuation is None:
                sensor.offer.set_result(left[: sensor.max_batch_size])
                left = left[sensor.max_batch_size :]
        now = time.monotonic()
        return any([watcher.tell(free, now) for watcher in self._watchers])

    def _note_silence(self, silence: ServiceUnavailable) -> None:
        now = time.monotonic()
        if self._silence is None:
            self._silent_since = now
        else:
            # Twice in a row: it may be the connection, which somebody may mend.
            self._hook = None
        self._silence = silence
        self._back_off(silence)
        for sensor in self._sensors:
            seconds = now - max(self._silent_since, sensor.joined_at)
            if seconds >= sensor.retry_deadline:
                sensor.end(ServiceUnavailable(f"No poll was answered in {seconds:.0f} s. {silence}"))

    def _note_refusal(self, error: Exception) -> None:
        self._hook = None
        for sensor in self._sensors:
            sensor.end(error)
        self._back_off(error)

    def _back_off(self, trouble: Exception) -> None:
        longer = 2 * (self._delay or self._interval)
        self._delay = max(self._interval, min(longer, MAX_POLL_BACKOFF))
        log.warning("%s Polling again in about %.0f s.", trouble, self._delay)

    def _end_overdue(self) -> None:
        """End the wait of those whose time is over."""
        for sensor in self._sensors:
            if sensor.has_seen_a_poll and sensor.deadline <= time.time():
                # Whoever could not ask does not know that there was nothing.
                sensor.end(self._silence or TimeoutError())
