# SPDX-License-Identifier: Apache-2.0
"""
A queue that says when to poll: CodePipeline's events of actions and pipelines, from EventBridge, in SQS.

It only makes pollers poll earlier. Whatever is wrong with the queue or with a message, they poll at their
interval. A triggerer reads a queue once for each connection; a message wakes the pollers of all of them.
The triggerers share the messages.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Protocol, Self
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_codepipeline_partner._aws_errors import ServiceError
from airflow_codepipeline_partner._aws_parameters import AwsParameters
from airflow_codepipeline_partner._endpoints import endpoint_of
from airflow_codepipeline_partner._polling.clock import PollingClock
from airflow_codepipeline_partner._polling.shared_hooks import SharedHooks, key_of
from airflow_codepipeline_partner._polling.threads import POLLS, in_thread_of_its_own
from airflow_codepipeline_partner._protocol import state_changes
from airflow_codepipeline_partner._protocol.jobs import ActionType
from airflow_codepipeline_partner._protocol.state_changes import ChangedPipeline
from airflow_codepipeline_partner._secrets import in_closed_frames
from airflow_codepipeline_partner.exceptions import InvalidInput

log = logging.getLogger(__name__)

#: How long SQS waits for a message, in seconds: the longest that it allows.
WAIT_SECONDS = 20
#: After how many seconds a message that was received but not deleted comes again, here or elsewhere.
VISIBILITY_TIMEOUT = 5
#: The wait after trouble with the queue, in seconds; doubled each time.
FIRST_PAUSE = 10.0
LONGEST_PAUSE = 300.0
#: The wait after an answer of no use, in seconds, doubled each time: messages that mean nothing here come
#: again, and an endpoint that is not SQS may answer at once that there are none.
FIRST_PAUSE_AFTER_NOTHING = 1.0

_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], WakeQueue]] = WeakKeyDictionary()


class Outcome(Enum):
    """What becomes of a message: it is deleted, left to other triggerers, or left since it is no event."""

    DONE = auto()
    LEFT = auto()
    RUBBISH = auto()


class Listener(Protocol):
    """A poller that wants to be woken."""

    def wake(self, subject: ActionType | ChangedPipeline) -> bool:
        """Poll soon if an event is about what this poller polls for; return whether it is."""


class QueueUnusable(Exception):
    """Why a queue cannot be read, as a sentence without a secret."""


class WakeQueue:
    """
    Read one SQS queue as long as there are listeners.

    :param url: The queue's URL.
    :param aws: How AWS is reached: as for the polls.
    :param hooks: The hooks of the loop.
    :param clock: The time and the waits between two calls.
    """

    def __init__(self, url: str, aws: AwsParameters, hooks: SharedHooks, clock: PollingClock) -> None:
        self._url = url
        self._aws = aws
        self._hooks = hooks
        self._clock = clock
        self._listeners: list[Listener] = []
        self._task: asyncio.Task[None] | None = None
        self._never = asyncio.Event()
        self._pause = 0.0
        self._has_warned_of_rubbish = False

    @classmethod
    def of(cls, url: str, aws: AwsParameters, hooks: SharedHooks, clock: PollingClock) -> Self:
        """Return the running loop's reader of a queue by a connection."""
        queues: dict[tuple[str, str], Any] = _queues.setdefault(asyncio.get_running_loop(), {})
        key = url, key_of(aws)
        if key not in queues:
            queues[key] = cls(url, aws, hooks, clock)
        found: Self = queues[key]
        return found

    def add(self, listener: Listener) -> None:
        """Let a poller be woken from now on."""
        if listener not in self._listeners:
            self._listeners.append(listener)
        if self._task is None or self._task.done():
            # In a context of its own, as the poller's.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())

    def remove(self, listener: Listener) -> None:
        """
        Wake a poller no more.

        After the last one, the question that SQS has is left to its end: who comes meanwhile has it. Another
        one beside it would not get the messages that this one takes.
        """
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def _run(self) -> None:
        try:
            await self._read_on()
        finally:
            queues = _queues.get(asyncio.get_running_loop(), {})
            for key in [key for key, queue in queues.items() if queue is self]:
                del queues[key]

    async def _read_on(self) -> None:
        client = None
        while self._listeners:
            try:
                if client is None:
                    # Airflow's own look-up of a connection works only in such a thread.
                    make = sync_to_async(self._make_client, thread_sensitive=False, executor=POLLS)
                    client = await make()
                await self._hear(client)
            except Exception as error:
                # Made anew: the connection may be corrected meanwhile.
                client = None
                if not _is_the_queues_fault(error):
                    self._hooks.replace(self._aws)
                self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
                log.warning(
                    "The wake queue %s cannot be read: %s Polls go on at their interval; the queue is tried "
                    "again in %.0f s.",
                    self._url,
                    _reason(error),
                    self._pause,
                )
            if self._pause:
                await self._clock.pause(self._never, self._pause)

    def _make_client(self) -> Any:
        hook = self._hooks.get(self._aws)

        def make() -> Any:
            session, endpoint_url = hook.get_session(hook.region_name), endpoint_of(hook.conn_config, "sqs")
            # SQS may take its whole time to answer.
            given: Any = hook.config
            patient = type(given)(read_timeout=max(given.read_timeout, WAIT_SECONDS + 10))
            return session.client(
                "sqs", endpoint_url=endpoint_url, config=given.merge(patient), verify=hook.verify
            )

        client = in_closed_frames(make)
        place, here = state_changes.region_of_queue(self._url), client.meta.region_name
        if place is not None and place != here:
            raise QueueUnusable(f"It is in {place}, and CodePipeline is asked in {here}.")
        return client

    async def _hear(self, client: Any) -> None:
        began = self._clock.monotonic()
        # SQS answers at once if there is a message. A triggerer that stops does not wait for it.
        answer = await in_thread_of_its_own(
            lambda: client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=WAIT_SECONDS,
                VisibilityTimeout=VISIBILITY_TIMEOUT,
            )
        )
        # If nobody is left to hear of them, they are left: who comes meanwhile gets them again.
        messages = answer.get("Messages") or []
        read = [self._read(str(message.get("Body"))) for message in messages]
        done = [message for message, outcome in zip(messages, read, strict=True) if outcome is Outcome.DONE]
        if done:
            await in_thread_of_its_own(lambda: self._delete(client, done))
        has_not_waited = self._clock.monotonic() - began < FIRST_PAUSE_AFTER_NOTHING
        is_of_no_use = set(read) <= {Outcome.RUBBISH} and (bool(read) or has_not_waited)
        longer = max(2 * self._pause, FIRST_PAUSE_AFTER_NOTHING)
        self._pause = min(longer, VISIBILITY_TIMEOUT) if is_of_no_use else 0.0

    def _read(self, body: str) -> Outcome:
        """Wake the pollers that a message concerns; return what becomes of it."""
        try:
            subject = state_changes.subject_of(body)
        except InvalidInput as error:
            # It is left: it may be somebody else's, in a queue that was named by mistake.
            if not self._has_warned_of_rubbish:
                self._has_warned_of_rubbish = True
                log.warning(
                    "The wake queue %s holds a message that is left there. %s Is it the right queue? Further "
                    "such messages are not logged.",
                    self._url,
                    error,
                )
            return Outcome.RUBBISH
        if subject is None:
            return Outcome.DONE
        # All of them: those with another query, too.
        is_heard = any([listener.wake(subject) for listener in self._all_listeners()])
        # Another triggerer may wait for it.
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        return Outcome.LEFT if not is_heard and state_changes.is_fresh(body, now) else Outcome.DONE

    def _all_listeners(self) -> list[Listener]:
        """Return who listens to this queue, also by other AWS parameters: a message comes only once."""
        queues = _queues.get(asyncio.get_running_loop(), {}).values()
        return [listener for queue in queues if queue._url == self._url for listener in queue._listeners]

    def _delete(self, client: Any, messages: Sequence[Mapping[str, Any]]) -> None:
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(messages)
        ]
        for failed in client.delete_message_batch(QueueUrl=self._url, Entries=entries).get("Failed") or ():
            log.debug("A message of the wake queue comes again: %s.", failed.get("Code"))


def _is_the_queues_fault(error: Exception) -> bool:
    """Return whether another client would not help, so that the polls keep theirs."""
    answered = ServiceError.of(error)
    if answered is None:
        return isinstance(error, QueueUnusable)
    return _is_missing(answered) or answered.is_access_denied


def _is_missing(answered: ServiceError) -> bool:
    return "NonExistentQueue" in answered.code or "QueueDoesNotExist" in answered.code


def _reason(error: Exception) -> str:
    if isinstance(error, QueueUnusable):
        return str(error)
    answered = ServiceError.of(error)
    if answered is None:
        return f"{type(error).__name__}."
    if _is_missing(answered):
        return "There is no such queue."
    if answered.is_access_denied:
        return "The credentials may not do sqs:ReceiveMessage or sqs:DeleteMessage there."
    return f"{answered.operation} was answered with {answered.code}."
