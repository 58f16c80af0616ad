# SPDX-License-Identifier: Apache-2.0
"""When a poller polls next: at its interval, later while CodePipeline is in trouble, sooner if woken."""

from __future__ import annotations

from airflow_codepipeline_partner._polling.clock import PollingClock

#: The longest wait between two polls while CodePipeline throttles or cannot be reached, in seconds. A longer
#: poll interval is kept.
MAX_BACKOFF = 60.0
#: How long after it was woken a poller polls, in seconds: an event may come before the job that it announces.
AFTER_WAKING = (0.0, 2.0, 5.0)
#: Seconds from one poll to the next if each is woken for: a thousand events cause no thousand polls.
LEAST_PAUSE = 1.0


class PollSchedule:
    """
    When to poll.

    :param clock: The time; only its monotonic clock is read.
    """

    def __init__(self, clock: PollingClock) -> None:
        self._clock = clock
        self._polled_at = self._due = float("-inf")
        self._delay = 0.0
        self._is_in_trouble = False
        #: When to poll because the poller was woken, the earliest first.
        self._wake_ups: list[float] = []

    @property
    def seconds_left(self) -> float:
        """Seconds until the next poll; 0 or less if it is due."""
        due = self._due
        if self._wake_ups and not self._is_in_trouble:
            due = min(due, max(self._wake_ups[0], self._polled_at + LEAST_PAUSE))
        return due - self._clock.monotonic()

    @property
    def since_poll(self) -> float:
        """Seconds since the last poll."""
        return self._clock.monotonic() - self._polled_at

    @property
    def delay(self) -> float:
        """The wait after the last poll, in seconds, before it is varied."""
        return self._delay

    def join(self, interval: float) -> None:
        """Poll no later than this many seconds after the last poll, for somebody who has come."""
        self._due = min(self._due, self._polled_at + interval)

    def wake(self) -> None:
        """Poll at once, since a job may be there, and a few times more."""
        now = self._clock.monotonic()
        self._wake_ups = [now + seconds for seconds in AFTER_WAKING]

    def begin(self) -> None:
        """Note that a poll begins."""
        # What wakes the poller from now on is not answered by this poll.
        now = self._clock.monotonic()
        self._wake_ups = [at for at in self._wake_ups if at > now]

    def answered(self, delay: float) -> None:
        """
        Note the answer to a poll.

        :param delay: The wait until the next, in seconds.
        """
        self._delay, self._is_in_trouble = delay, False

    def back_off(self, interval: float) -> float:
        """
        Wait longer, since CodePipeline is in trouble, and return for how many seconds.

        :param interval: The usual wait.
        """
        longer = 2 * (self._delay or interval)
        self._delay = max(interval, min(longer, MAX_BACKOFF))
        self._is_in_trouble = True
        return self._delay

    def end(self) -> None:
        """Note that a poll has ended, well or not."""
        self._polled_at = self._clock.monotonic()
        self._due = self._polled_at + self._clock.vary(self._delay)
