# SPDX-License-Identifier: Apache-2.0
"""
One poll for all who wait for the same jobs in one triggerer.

All triggers of a triggerer share one process and one event loop. Those that wait for jobs of the same action
type, query and connection subscribe to one shared poller, so the number of polls does not grow with theirs.
It polls at the shortest interval and for the largest batch of its subscribers, and ends with the last of
them. A job waiter gets jobs once, until its deadline; each job goes to one job waiter (``turns`` says which).
A job watcher gets all jobs, for ever. A job waiter with a next-job filter gets only the job that continues
its action: such jobs are routed by their continuation token, before the others are delivered. If CodePipeline
does not answer, the polls back off, and each job waiter ends after its own ``retry_deadline``. boto3 and
Airflow's look-up of connections block, so each poll runs in a thread. A subscriber may name a wake queue: the
poller then also polls when it hears from that queue that an action of its type has started.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from collections.abc import AsyncGenerator, Hashable, Iterable, Mapping
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._client_conn_ids import DEFAULT_TEMPLATE
from airflow_codepipeline_partner._polling.clock import SYSTEM_CLOCK, PollingClock
from airflow_codepipeline_partner._polling.continuation_lookup import ContinuationLookup
from airflow_codepipeline_partner._polling.next_job_filter import NextJobFilter
from airflow_codepipeline_partner._polling.next_job_waiters import NextJobWaiters
from airflow_codepipeline_partner._polling.poll_notes import PollOutcome
from airflow_codepipeline_partner._polling.schedule import PollSchedule
from airflow_codepipeline_partner._polling.shared_hooks import LookupHooks, SharedHooks, key_of
from airflow_codepipeline_partner._polling.subscribers import JobWaiter, JobWatcher, Subscriber
from airflow_codepipeline_partner._polling.threads import POLLS, POLLS_IN_TROUBLE, start_poll_threads
from airflow_codepipeline_partner._polling.turns import Turns
from airflow_codepipeline_partner._polling.wake_queue import WakeQueue
from airflow_codepipeline_partner._protocol.jobs import ActionType, OfferedJob
from airflow_codepipeline_partner._protocol.state_changes import ChangedPipeline
from airflow_codepipeline_partner.exceptions import CodePipelineProviderError, ServiceUnavailable, described

log = logging.getLogger(__name__)

MAX_SEEN_JOBS = 10_000
#: For how many seconds, in a sweep of many polls, watchers collect jobs for one event.
LONGEST_SILENCE = 2.0

_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, SharedPoller]] = WeakKeyDictionary()
_lookup_hooks: WeakKeyDictionary[asyncio.AbstractEventLoop, LookupHooks] = WeakKeyDictionary()


class SharedPoller:
    """
    Poll for all subscribers of one action type, query and connection, as long as there are any.

    :param action_type: What to poll for.
    :param query_param: The query of the polls, or None.
    :param aws: How CodePipeline is reached.
    :param hooks: The hooks of the loop.
    :param lookup: Looks up continuation tokens.
    :param clock: The time and the waits between polls.
    """

    def __init__(
        self,
        action_type: ActionType,
        query_param: Mapping[str, str] | None,
        aws: AwsParameters,
        hooks: SharedHooks,
        lookup: ContinuationLookup,
        clock: PollingClock,
    ) -> None:
        self._clock = clock
        self._action_type = action_type
        self._query_param = query_param
        self._aws = aws
        #: In the order in which they came.
        self._job_waiters: dict[JobWaiter, None] = {}
        #: Those of them who wait for a next job.
        self._next_job_waiters = NextJobWaiters()
        self._job_watchers: list[JobWatcher] = []
        self._hooks = hooks
        self._task: asyncio.Task[None] | None = None
        self._turns = Turns()
        self._lookup = lookup
        #: Client id → its jobs whose continuation tokens are still to be looked up.
        self._unrouted: dict[str | None, dict[str, OfferedJob]] = {}
        #: Client id → its one look-up that runs. A slow one holds up that client's jobs only.
        self._lookups: dict[str | None, asyncio.Task[None]] = {}
        #: Jobs that were offered here before, and those of the polls that followed at once on each other.
        self._seen: dict[str, None] = {}
        self._ids_this_sweep: set[str] = set()
        self._is_sweeping = False
        self._sweep_said_at = float("-inf")
        self._changed = asyncio.Event()
        self._schedule = PollSchedule(clock)
        self._no_answer: ServiceUnavailable | None = None
        self._no_answer_since = 0.0
        #: How the newest poll ended, or None.
        self.last_poll: PollOutcome | None = None

    @classmethod
    def for_(
        cls, action_type: ActionType, aws: AwsParameters, query_param: Mapping[str, str] | None = None
    ) -> SharedPoller:
        """
        Return the shared poller of the running loop for an action type, a query and a connection.

        :param action_type: What to poll for.
        :param query_param: The query of the polls, or None.
        :param aws: How CodePipeline is reached.
        """
        key = action_type, json.dumps(query_param, sort_keys=True), key_of(aws)
        loop = asyncio.get_running_loop()
        pollers = _pollers.setdefault(loop, {})
        if key not in pollers:
            start_poll_threads()
            hooks = SharedHooks.of_running_loop(SYSTEM_CLOCK.monotonic)
            lookup_hooks = _lookup_hooks.setdefault(loop, LookupHooks(SYSTEM_CLOCK.monotonic))
            lookup = ContinuationLookup(lookup_hooks, SYSTEM_CLOCK.monotonic)
            pollers[key] = cls(action_type, query_param, aws, hooks, lookup, SYSTEM_CLOCK)
        return pollers[key]

    async def wait(
        self,
        max_batch_size: int,
        poll_interval: float,
        *,
        deadline: float,
        retry_deadline: float,
        next_job: NextJobFilter | None = None,
        wake_queue: str | None = None,
        template: str = DEFAULT_TEMPLATE,
    ) -> list[OfferedJob]:
        """
        Wait for jobs that no other job waiter gets.

        :param max_batch_size: Most jobs, at least 1.
        :param poll_interval: Seconds between two polls, varied by a tenth.
        :param deadline: Until when, in seconds since the epoch; at least one poll is waited for.
        :param retry_deadline: For how many seconds CodePipeline may fail to answer.
        :param next_job: Wait for this one job only.
        :param wake_queue: The URL of an SQS queue that says when to poll besides.
        :param template: The template of the connections in which the task looks for clients' tokens.
        :raises TimeoutError: There was none until the deadline.
        :raises CodePipelineProviderError: CodePipeline refused the poll, or did not answer when it was last
            asked.
        """
        offer: asyncio.Future[list[OfferedJob]] = asyncio.get_running_loop().create_future()
        waiter = JobWaiter(
            max_batch_size,
            poll_interval,
            deadline,
            retry_deadline,
            self._clock.monotonic(),
            offer,
            next_job,
            template,
            wake_queue=wake_queue,
        )
        self._job_waiters[waiter] = None
        if next_job is not None:
            self._next_job_waiters.add(waiter, next_job)
        try:
            self._join(waiter)
            return await offer
        finally:
            del self._job_waiters[waiter]
            if next_job is not None:
                self._next_job_waiters.remove(waiter, next_job)
            self._leave(waiter)

    async def watch(
        self, max_batch_size: int, poll_interval: float, wake_queue: str | None = None
    ) -> AsyncGenerator[list[OfferedJob], None]:
        """
        Yield the jobs of each poll, for ever.

        Whatever goes wrong is logged and tried again: nobody would start a watcher that has ended.

        :param max_batch_size: Most jobs at once, at least 1.
        :param poll_interval: Seconds between two polls, varied by a tenth.
        :param wake_queue: The URL of an SQS queue that says when to poll besides.
        """
        watcher = JobWatcher(max_batch_size, poll_interval, wake_queue=wake_queue)
        self._job_watchers.append(watcher)
        try:
            self._join(watcher)
            while True:
                yield await watcher.offers.get()
        finally:
            self._job_watchers.remove(watcher)
            self._leave(watcher)

    def wake(self, subject: ActionType | ChangedPipeline) -> bool:
        """Poll soon if an action of this poller's type has started; return whether it is of this type."""
        if subject != self._action_type:
            return False
        self._schedule.wake()
        self._changed.set()
        return True

    @property
    def _subscribers(self) -> list[Subscriber]:
        return [*self._job_waiters, *self._job_watchers]

    @property
    def _interval(self) -> float:
        return min((waiter.poll_interval for waiter in self._subscribers), default=0.0)

    def _join(self, newcomer: Subscriber) -> None:
        # Nobody is in a hurry while CodePipeline is in trouble.
        interval = max(newcomer.poll_interval, self._schedule.delay if self._no_answer else 0.0)
        if isinstance(newcomer, JobWaiter):
            # One poll at least, by its deadline.
            left = max(newcomer.deadline - self._clock.time(), 0.0)
            interval = min(interval, left + self._schedule.since_poll)
        self._schedule.join(interval)
        self._changed.set()
        if newcomer.wake_queue is not None:
            WakeQueue.of(newcomer.wake_queue, self._aws, self._hooks, self._clock).add(self)
        if self._task is None or self._task.done():
            # In a context of its own: the newcomer's is that of its log, and ends with it.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())

    def _leave(self, subscriber: Subscriber) -> None:
        queue = subscriber.wake_queue
        if queue is not None and all(other.wake_queue != queue for other in self._subscribers):
            WakeQueue.of(queue, self._aws, self._hooks, self._clock).remove(self)
        if not self._job_waiters and not self._job_watchers and self._task is not None:
            self._task.cancel()
            pollers = _pollers.get(self._task.get_loop(), {})
            for key in [key for key, poller in pollers.items() if poller is self]:
                del pollers[key]

    async def _run(self) -> None:
        while self._subscribers:
            try:
                if self._schedule.seconds_left <= 0:
                    await self._poll()
                self._end_overdue()
                if not self._is_sweeping or self._clock.monotonic() >= self._sweep_said_at + LONGEST_SILENCE:
                    self._make_events()
            except Exception as error:
                # A fault of this package: nobody may wait for ever because of it.
                log.exception("A poll for %s broke.", self._action_type)
                self._note_refusal(error)
                self._schedule.end()
            left = [waiter.deadline - self._clock.time() for waiter in self._bound_waiters]
            again = [watcher.seconds_left(self._clock.monotonic()) for watcher in self._job_watchers]
            await self._clock.pause(self._changed, min([self._schedule.seconds_left, *left, *again]))

    @property
    def _bound_waiters(self) -> list[JobWaiter]:
        """The job waiters whose deadline counts, since they have seen a poll."""
        return [s for s in self._job_waiters if s.has_seen_a_poll and not s.offer.done()]

    async def _poll(self) -> None:
        self._schedule.begin()
        batch = max(waiter.max_batch_size for waiter in self._subscribers)
        pool = POLLS if self._no_answer is None else POLLS_IN_TROUBLE
        asking = asyncio.ensure_future(sync_to_async(self._ask, thread_sensitive=False, executor=pool)(batch))
        # Never cancelled: Airflow 3.1's own look-up of a connection, which it may be in, must be read to its
        # end. If nobody waits any more, its answer is dropped, and what it was offered is offered again.
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        while not asking.done():
            # Job waiters that have seen a poll do not wait for a slow one beyond their deadline.
            left = [max(waiter.deadline - self._clock.time(), 0.0) for waiter in self._bound_waiters]
            await asyncio.wait({asking}, timeout=min(left, default=None))
            self._end_overdue()
        unclear: set[str | None] = set()
        try:
            jobs = asking.result()
        except ServiceUnavailable as error:
            self._note_no_answer(error)
        except CodePipelineProviderError as error:
            self._note_refusal(error)
        except Exception as error:
            # Of Airflow's own look-up of the connection, for instance. Its text might hold anything.
            name = type(error).__name__
            self._note_no_answer(ServiceUnavailable(f"The poll could not be made: {name}."))
        else:
            self._no_answer = None
            self.last_poll = PollOutcome(self._clock.time())
            others = self._route_known(jobs)
            unclear = self._look_up_unknown(others)
            has_new_jobs = self._deliver(job for job in others if job.client_id not in unclear)
            # If there may be more, the next poll follows at once.
            was_sweeping = self._is_sweeping
            self._is_sweeping = len(jobs) >= batch and (self._is_passed_over(jobs) or has_new_jobs)
            if not self._is_sweeping:
                self._ids_this_sweep.clear()
            elif not was_sweeping:
                self._sweep_said_at = self._clock.monotonic()
            self._schedule.answered(0.0 if self._is_sweeping else self._interval)
        for waiter in self._job_waiters:
            if waiter.next_job is None or waiter.next_job.client_id not in unclear:
                waiter.has_seen_a_poll = True
        self._schedule.end()

    def _ask(self, batch: int) -> list[OfferedJob]:
        return self._hooks.get(self._aws).poll(self._action_type, batch, self._query_param)

    def _is_passed_over(self, jobs: list[OfferedJob]) -> bool:
        """
        Return whether all these jobs were offered before, and nobody has claimed them since.

        CodePipeline may offer the oldest first: jobs that nobody can claim must not hide the others.
        """
        ids = [job.job_id for job in jobs]
        passed_over = self._seen.keys() >= set(ids) and not self._ids_this_sweep >= set(ids)
        self._ids_this_sweep |= set(ids)
        self._seen |= dict.fromkeys(ids)
        while len(self._seen) > MAX_SEEN_JOBS:
            del self._seen[next(iter(self._seen))]
        return passed_over

    def _route_known(self, jobs: list[OfferedJob]) -> list[OfferedJob]:
        """Give jobs whose tokens are known to the tasks that wait for them; return the others."""
        return [
            job
            for job in jobs
            if not self._lookup.knows(job) or not self._give_next_job(job, self._lookup.token_of(job))
        ]

    def _look_up_unknown(self, jobs: list[OfferedJob]) -> set[str | None]:
        """Look up which jobs are next jobs of an action; return the client ids of those that may be."""
        by_client: dict[str | None, dict[str, OfferedJob]] = {}
        for job in jobs:
            if not self._lookup.knows(job) and self._next_job_waiters.have_any_of(job.client_id):
                by_client.setdefault(job.client_id, {})[job.job_id] = job
        for client_id, theirs in by_client.items():
            self._unrouted.setdefault(client_id, {}).update(theirs)
            if client_id not in self._lookups:
                looking = asyncio.get_running_loop().create_task(self._look_up(client_id))
                self._lookups[client_id] = looking
        return set(by_client)

    async def _look_up(self, client_id: str | None) -> None:
        """Route the jobs of one client, and those that are offered meanwhile."""
        try:
            while jobs := self._unrouted.pop(client_id, None):
                await self._route_continuations(client_id, list(jobs.values()))
        finally:
            del self._lookups[client_id]

    async def _route_continuations(self, client_id: str | None, jobs: list[OfferedJob]) -> None:
        """Give the next jobs of one client to the tasks that wait for them, and deliver the others."""
        # Each of the tasks may find the client's token in a connection of its own.
        waiting = [each for each in self._next_job_waiters.of_client(client_id) if not each.offer.done()]
        by_template = {
            each.next_job.aws.client_conn_id_template: each.next_job.aws for each in waiting if each.next_job
        }
        tokens = await self._lookup.tokens_of(jobs, list(by_template.values()))
        theirs = self._next_job_waiters.of_client(client_id)
        has_new_jobs = self._deliver(
            [job for job in jobs if not self._give_next_job(job, tokens[job.job_id])]
        )
        if client_id not in self._unrouted:
            # Otherwise their job may be among those that were offered meanwhile.
            for waiter in theirs:
                waiter.has_seen_a_poll = True
        # Who has a job need not be looked at: a look at all who wait takes long if they are thousands.
        if has_new_jobs or self._next_job_waiters.have_any_of(client_id):
            self._changed.set()

    def _give_next_job(self, job: OfferedJob, token: str | None) -> bool:
        """Give a job to the tasks that wait for it; return whether there are any."""
        waiting = self._next_job_waiters.concerned(job, token)
        for waiter in waiting:
            # Several tasks of one run, of which the first claims it, and the others find that.
            if not waiter.offer.done():
                waiter.offer.set_result([job])
        return bool(waiting)

    def _deliver(self, jobs: Iterable[OfferedJob]) -> bool:
        """Give each job to one waiter, and to each watcher; return whether a watcher had not known one."""
        free = list(jobs)
        self._turns.give(free, self._job_waiters)
        now = self._clock.monotonic()
        return any([watcher.collect(free, now) for watcher in self._job_watchers])

    def _make_events(self) -> None:
        """Have the watchers make events of what they have: one of all polls that followed at once."""
        now = self._sweep_said_at = self._clock.monotonic()
        for watcher in self._job_watchers:
            watcher.deliver(now)

    def _note_no_answer(self, error: ServiceUnavailable) -> None:
        now = self._clock.monotonic()
        if self._no_answer is None:
            self._no_answer_since = now
        else:
            # Twice in a row: it may be the connection, which may have been corrected since.
            self._hooks.replace(self._aws)
        self._no_answer = error
        self._back_off(error)
        for waiter in self._job_waiters:
            seconds = now - max(self._no_answer_since, waiter.joined_at)
            if seconds >= waiter.retry_deadline:
                waiter.end(ServiceUnavailable(f"No poll was answered in {seconds:.0f} s. {error}"))

    def _note_refusal(self, error: Exception) -> None:
        self._hooks.replace(self._aws)
        for waiter in self._job_waiters:
            waiter.end(error)
        self._back_off(error)

    def _back_off(self, trouble: Exception) -> None:
        self._is_sweeping = False
        # The text of any other error may hold anything.
        said = (
            described(trouble) if isinstance(trouble, CodePipelineProviderError) else type(trouble).__name__
        )
        self.last_poll = PollOutcome(self._clock.time(), said)
        delay = self._schedule.back_off(self._interval)
        log.warning("%s Polling again in about %.0f s.", trouble, delay)

    def _end_overdue(self) -> None:
        """End the wait of the job waiters whose deadline has passed."""
        for waiter in self._job_waiters:
            if waiter.has_seen_a_poll and waiter.deadline <= self._clock.time():
                # Without an answer it is not known whether there were jobs, so that is no timeout.
                waiter.end(self._no_answer or TimeoutError())
