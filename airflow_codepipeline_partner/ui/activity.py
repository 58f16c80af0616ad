# SPDX-License-Identifier: Apache-2.0
"""What happens with each action type: how many jobs, how long they wait, what failed last. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Self

from airflow_codepipeline_partner.ui.job_row import JobRow, JobState

#: The states of jobs that may well have succeeded.
_NOT_KNOWN = (JobState.UNREADABLE, JobState.NO_RESULT)
#: Hours that the plots show.
HOURS = 24
#: Action types that are shown, those with most jobs first.
MAX_ACTION_TYPES = 12


@dataclass(frozen=True)
class Polling:
    """
    What Airflow's database shows of the polls for an action type.

    :param waiting_tasks: Deferred tasks that wait for jobs.
    :param watchers: Assets whose watcher polls.
    :param triggerer_seen_at: The last heartbeat of a triggerer that has these triggers, or None.
    :param without_triggerer: How many of these triggers no triggerer has taken.
    :param offered: Different jobs in the events of the watchers in the last hours, as far as they were read.
    :param offered_at: When the last of these events was stored, or None.
    :param polled_at: When a watcher last polled, or None if that is not known: before Airflow 3.3.2.
    :param error: What went wrong at the last poll of a watcher that failed, or None.
    :param error_at: When that was, or None.
    """

    waiting_tasks: int = 0
    watchers: tuple[str, ...] = ()
    triggerer_seen_at: datetime | None = None
    without_triggerer: int = 0
    offered: int | None = None
    offered_at: datetime | None = None
    polled_at: datetime | None = None
    error: str | None = None
    error_at: datetime | None = None


@dataclass(frozen=True)
class Activity:
    """
    What happens with one action type.

    :param action_type: ``category/owner/provider/version``.
    :param jobs_by_hour: Jobs whose claim was recorded in each of the last hours, the oldest first.
    :param waits_by_hour: The median of seconds from a run's queueing to its claim, or None; likewise.
    :param in_progress: Jobs that have no result yet.
    :param last_claim_at: When the newest claim was recorded, or None.
    :param last_failure: The newest job that failed, or None.
    :param polling: What is known of the polls.
    """

    action_type: str
    jobs_by_hour: tuple[int, ...]
    waits_by_hour: tuple[float | None, ...]
    in_progress: int
    last_claim_at: datetime | None
    last_failure: JobRow | None
    polling: Polling

    @classmethod
    def of(cls, action_type: str, rows: Sequence[JobRow], polling: Polling, now: datetime) -> Self:
        """
        Return what happens with an action type.

        :param action_type: The action type.
        :param rows: Its jobs, newest run first.
        :param polling: What is known of the polls.
        :param now: The time at the end of the last hour.
        """
        counts = [0] * HOURS
        waits: list[list[float]] = [[] for _ in range(HOURS)]
        for row in rows:
            hour = _hour_of(row.claimed_at, now)
            if hour is None or row.state in (JobState.LOST, JobState.REFUSED):
                continue
            counts[hour] += 1
            if (wait := row.wait_for_claim) is not None:
                waits[hour].append(wait.total_seconds())
        failed = (row for row in rows if row.state.tone == "bad" and row.state not in _NOT_KNOWN)
        return cls(
            action_type,
            tuple(counts),
            tuple(median(held) if held else None for held in waits),
            sum(row.state.tone == "busy" for row in rows),
            max((row.claimed_at for row in rows if row.claimed_at), default=None),
            next(failed, None),
            polling,
        )

    @property
    def jobs(self) -> int:
        """The jobs of the last hours."""
        return sum(self.jobs_by_hour)

    @property
    def wait(self) -> timedelta | None:
        """The middle of the hours' medians."""
        held = [wait for wait in self.waits_by_hour if wait is not None]
        return timedelta(seconds=median(held)) if held else None


def _hour_of(at: datetime | None, now: datetime) -> int | None:
    """Return in which of the last hours a time lies."""
    if at is None:
        return None
    hours = int((now - at).total_seconds() // 3600)
    return HOURS - 1 - hours if 0 <= hours < HOURS else None


def activities(rows: Iterable[JobRow], pollings: Mapping[str, Polling], now: datetime) -> list[Activity]:
    """
    Return what happens with each action type that has jobs, or that is polled for.

    :param rows: The jobs of the window.
    :param pollings: Action type → what is known of its polls.
    :param now: The time.
    """
    by_type: dict[str, list[JobRow]] = {action_type: [] for action_type in pollings}
    for row in rows:
        if row.action_type is not None:
            by_type.setdefault(row.action_type, []).append(row)
    found = sorted(by_type.items(), key=lambda item: (-len(item[1]), item[0]))[:MAX_ACTION_TYPES]
    return [Activity.of(name, held, pollings.get(name, Polling()), now) for name, held in found]
