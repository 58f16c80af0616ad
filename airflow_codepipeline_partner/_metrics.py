# SPDX-License-Identifier: Apache-2.0
"""
The metrics of this package, as one table, and how they are sent: through Airflow's own Stats.

A metric is an extra: whatever is wrong with its backend, no job notices. Nothing here is a secret, and
nothing that grows without bound is a tag: no job, no client, no run.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Protocol

log = logging.getLogger(__name__)

#: The tags of what is about an action type. Without a known action type, their value is ``unknown``.
TYPE_TAGS = ("category", "owner", "provider", "version")
#: How many jobs a process remembers to have been offered.
MAX_SEEN_JOBS = 10_000


class _ActionType(Protocol):
    def to_api(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Metric:
    """
    One metric.

    :param name: Its name, without the prefix that Airflow's settings add.
    :param kind: What it is for statsd.
    :param meaning: What it counts or measures, for the documentation.
    :param tags: The names of its tags.
    """

    name: str
    kind: Literal["counter", "timer"]
    meaning: str
    tags: tuple[str, ...] = TYPE_TAGS


JOBS_OFFERED = Metric("codepipeline.jobs.offered", "counter", "jobs that a poll of this process saw first")
JOBS_OFFERED_AGAIN = Metric(
    "codepipeline.jobs.offered_again", "counter", "offers of jobs that it saw before: nobody has claimed them"
)
JOBS_CLAIMED = Metric("codepipeline.jobs.claimed", "counter", "jobs that a task has claimed for certain")
JOBS_LOST = Metric("codepipeline.jobs.lost", "counter", "claims of jobs that another worker or run has")
JOBS_REFUSED = Metric("codepipeline.jobs.refused", "counter", "tries to claim that CodePipeline refused")
JOBS_UNKNOWN = Metric("codepipeline.jobs.unknown", "counter", "claims of which the answer was lost")
JOBS_SUCCEEDED = Metric("codepipeline.jobs.succeeded", "counter", "claimed jobs that ended with success")
JOBS_CONTINUED = Metric(
    "codepipeline.jobs.continued",
    "counter",
    "claimed jobs that ended, and the action goes on in a new job",
)
JOBS_FAILED = Metric(
    "codepipeline.jobs.failed",
    "counter",
    "claimed jobs that ended with failure",
    (*TYPE_TAGS, "failure_type"),
)
JOBS_RESULT_REFUSED = Metric(
    "codepipeline.jobs.result_refused", "counter", "claimed jobs that CodePipeline had ended: no result taken"
)
JOBS_CLAIM_DELAY = Metric(
    "codepipeline.jobs.claim_delay", "timer", "from when the run for a job was due until the job's claim"
)
JOBS_DURATION = Metric(
    "codepipeline.jobs.duration", "timer", "from a job's claim until its result", (*TYPE_TAGS, "result")
)
POLLS = Metric("codepipeline.polls", "counter", "polls for jobs, answered or not")
POLL_ERRORS = Metric(
    "codepipeline.poll_errors", "counter", "polls that ended with an error", (*TYPE_TAGS, "error")
)
POLL_DURATION = Metric(
    "codepipeline.poll_duration", "timer", "how long a poll took, with its retries, answered or not"
)
CLIENT_TOKENS_REFUSED = Metric(
    "codepipeline.client_tokens_refused", "counter", "calls refused because of a client token"
)
EXECUTIONS_STARTED = Metric(
    "codepipeline.executions.started", "counter", "executions that a task started", ("pipeline",)
)
EXECUTION_WAITS_ENDED = Metric(
    "codepipeline.executions.waits_ended",
    "counter",
    "ended waits for an execution, by its status; InProgress if it has not ended",
    ("pipeline", "status"),
)
METRICS = (
    *(JOBS_OFFERED, JOBS_OFFERED_AGAIN, JOBS_CLAIMED, JOBS_LOST, JOBS_REFUSED, JOBS_UNKNOWN),
    *(JOBS_SUCCEEDED, JOBS_CONTINUED, JOBS_FAILED, JOBS_RESULT_REFUSED, JOBS_CLAIM_DELAY, JOBS_DURATION),
    *(POLLS, POLL_ERRORS, POLL_DURATION, CLIENT_TOKENS_REFUSED, EXECUTIONS_STARTED, EXECUTION_WAITS_ENDED),
)

_seen: dict[str, None] = {}
_seeing = threading.Lock()
_troubles: set[str] = set()


def count(metric: Metric, action_type: _ActionType | None = None, *, by: int = 1, **tags: str) -> None:
    """
    Count something.

    :param metric: The counter.
    :param action_type: What it is about, if the metric has its tags; None if that is not known.
    :param by: How many.
    :param tags: The values of its other tags.
    """
    _send("incr", metric, by, action_type, tags)


def measure(metric: Metric, seconds: float, action_type: _ActionType | None = None, **tags: str) -> None:
    """
    Record how long something took.

    :param metric: The timer.
    :param seconds: How long. Less than none, by clocks that differ, is none.
    :param action_type: See :func:`count`.
    :param tags: See :func:`count`.
    """
    # Airflow's backends take plain numbers for milliseconds, and know what a timedelta is.
    _send("timing", metric, timedelta(seconds=max(seconds, 0)), action_type, tags)


@contextmanager
def polling(action_type: _ActionType) -> Generator[None, None, None]:
    """Count a poll, its duration, and its error. Not in an event loop: the first use may look up a host."""
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        count(POLL_ERRORS, action_type, error=type(error).__name__)
        raise
    finally:
        count(POLLS, action_type)
        measure(POLL_DURATION, time.monotonic() - began, action_type)


def count_offers(action_type: _ActionType, job_ids: Iterable[str]) -> None:
    """Count the jobs of a poll: those that this process had not seen before, and the others."""
    ids = set(job_ids)
    with _seeing:
        new = ids - _seen.keys()
        _seen.update(dict.fromkeys(new))
        while len(_seen) > MAX_SEEN_JOBS:
            del _seen[next(iter(_seen))]
    if new:
        count(JOBS_OFFERED, action_type, by=len(new))
    if ids - new:
        count(JOBS_OFFERED_AGAIN, action_type, by=len(ids - new))


def _send(method: str, metric: Metric, value: Any, action_type: _ActionType | None, tags: Any) -> None:
    with harmless():
        about = {} if action_type is None else action_type.to_api()
        of_type = {name: about.get(name, "unknown") for name in TYPE_TAGS if name in metric.tags}
        getattr(_stats(), method)(metric.name, value, tags=of_type | tags)


@contextmanager
def harmless() -> Generator[None, None, None]:
    """Let nothing that goes wrong with a metric be noticed by a job: it is logged once for each kind."""
    try:
        yield
    except Exception as error:
        # Its text might hold anything. Once for each kind, or each job would have such a line.
        name = type(error).__name__
        if name not in _troubles:
            _troubles.add(name)
            log.warning("Metrics are not sent: %s. This is not logged again by this process.", name)


@functools.cache
def _stats() -> Any:
    """Return Airflow's Stats."""
    try:
        # From Airflow 3.2 on, Stats is silent until it is initialized. A task's process has done that, the
        # process of the triggers has not. Importing this does it by Airflow's settings, once: a second time
        # would lose what an OpenTelemetry backend has not sent yet.
        import airflow.sdk.serde  # noqa: F401
        from airflow.sdk.observability.stats import Stats
    except ImportError:
        from airflow.stats import Stats  # Airflow 3.1
    return Stats
