# SPDX-License-Identifier: Apache-2.0
"""
How jobs come from CodePipeline to runs: a watcher of an asset, or a sensor in each run.

Simpler than the truth: each event of the watcher makes a run of the dispatching DAG. In truth Airflow
overlooks some that come close together, and the watcher says their jobs again after 5 s
(``_polling/repeats.py``). A poll's thread and the triggerer's loop take no time. ``wake_queue`` is left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.scale.agenda import Agenda
from benchmarks.scale.airflow import Airflow, Run, Task
from benchmarks.scale.codepipeline import CodePipeline, Job
from benchmarks.scale.settings import Settings

#: Of ``_polling/clock.py``, ``_polling/schedule.py``, ``_polling/poller.py`` and ``_polling/redelivery.py``;
#: a test compares them.
JITTER = 0.1
MAX_BACKOFF = 60.0
LONGEST_SILENCE = 2.0
FIRST_REDELIVERY_WAIT = 30.0
MAX_REDELIVERY_WAIT = 300.0
#: Seconds in which ``dispatch_jobs`` starts one run: two questions to the API server and an order.
DISPATCH_SECONDS = 0.05
#: For how long a sensor waits for jobs, in seconds, as in the README.
SENSOR_TIMEOUT = 60.0

Offer = list[tuple[Job, int]]


class Poller:
    """What watcher and sensors share: when to poll, and what a refused poll means."""

    def __init__(
        self, settings: Settings, agenda: Agenda, draw: random.Random, codepipeline: CodePipeline
    ) -> None:
        self.settings, self.agenda, self.codepipeline = settings, agenda, codepipeline
        self._draw = draw
        #: The wait after the last poll; longer while CodePipeline is in trouble (``_polling/schedule.py``).
        self.delay = settings.poll_interval

    def vary(self, seconds: float) -> float:
        """Return an interval varied by a tenth."""
        return seconds * self._draw.uniform(1 - JITTER, 1 + JITTER)

    def ask(self, then: Callable[[list[Job] | None], None]) -> None:
        """Poll once, and go on with the jobs, or with None if the poll was throttled."""
        takes = self.codepipeline.takes("poll", self.agenda.now)
        jobs = self.codepipeline.offer(self.agenda.now) if takes else None
        interval = self.settings.poll_interval
        self.delay = interval if takes else max(interval, min(2 * self.delay, MAX_BACKOFF))
        self.agenda.after(self.settings.call_seconds, then, jobs)

    def is_away(self) -> float:
        """Return for how many seconds the triggerer is away still."""
        settings, now = self.settings, self.agenda.now
        is_away = settings.away and settings.away_from <= now < settings.away_from + settings.away
        return settings.away_from + settings.away - now if is_away else 0.0


class Watcher(Poller):
    """
    Polls all the time, and makes events (``_polling/poller.py``, ``_polling/subscribers.py``).

    :param deliver: Gets the jobs of each event, with their nonces.
    :param airflow: Notes for how long jobs waited for their poll.
    """

    def __init__(
        self,
        settings: Settings,
        agenda: Agenda,
        draw: random.Random,
        codepipeline: CodePipeline,
        airflow: Airflow,
        deliver: Callable[[Offer], None],
    ) -> None:
        super().__init__(settings, agenda, draw, codepipeline)
        self._waits = airflow.waits
        self._deliver = deliver
        self._collected: dict[int, tuple[Job, int]] = {}
        self._seen: set[int] = set()
        self._in_sweep: set[int] = set()
        self._is_sweeping = False
        self._said_at = float("-inf")
        agenda.after(draw.random() * settings.poll_interval, self._poll)

    def _poll(self) -> None:
        if away := self.is_away():
            self.agenda.after(away, self._poll)
        else:
            self.ask(self._answered)

    def _answered(self, jobs: list[Job] | None) -> None:
        now = self.agenda.now
        was_sweeping, self._is_sweeping = self._is_sweeping, False
        if jobs is not None:
            is_full = len(jobs) >= self.settings.max_batch_size
            # Both are asked: each remembers the jobs.
            passed_over, has_new = self._is_passed_over(jobs), self._collect(jobs)
            self._is_sweeping = is_full and (passed_over or has_new)
        if not self._is_sweeping:
            self._in_sweep.clear()
        elif not was_sweeping:
            self._said_at = now
        if not self._is_sweeping or now >= self._said_at + LONGEST_SILENCE:
            self._said_at = now
            if self._collected:
                offer, self._collected = list(self._collected.values()), {}
                self._deliver(offer)
        self.agenda.after(0.0 if self._is_sweeping else self.vary(self.delay), self._poll)

    def _is_passed_over(self, jobs: list[Job]) -> bool:
        numbers = {job.number for job in jobs}
        passed_over = self._seen >= numbers and not self._in_sweep >= numbers
        self._in_sweep |= numbers
        self._seen |= numbers
        return passed_over

    def _collect(self, jobs: list[Job]) -> bool:
        now, found = self.agenda.now, False
        for job in jobs:
            if now >= job.again_at:
                found = True
                if job.redelivery_wait == 0:
                    self._waits["poll"] += now - job.queued_at
                elif job.lost_at is not None:
                    self._waits["offered again"] += now - job.lost_at
                    job.lost_at = None
                wait = job.redelivery_wait or FIRST_REDELIVERY_WAIT
                job.again_at, job.redelivery_wait = now + wait, min(2 * wait, MAX_REDELIVERY_WAIT)
                self._collected[job.number] = (job, job.offers)
        return found


class Sensors(Poller):
    """
    Runs on a schedule; of each, a deferred sensor waits for one batch, and which works on it.

    While ``max_active_runs`` runs work, none is begun and nothing polls, so CodePipeline keeps what is left.

    :param airflow: Starts the tasks.
    :param begin: Begins the work on the jobs of a run.
    """

    def __init__(
        self,
        settings: Settings,
        agenda: Agenda,
        draw: random.Random,
        codepipeline: CodePipeline,
        airflow: Airflow,
        begin: Callable[[Run], None],
    ) -> None:
        super().__init__(settings, agenda, draw, codepipeline)
        self._airflow, self._begin = airflow, begin
        #: Runs that wait for jobs, and until when.
        self._waiting: list[tuple[Run, float]] = []
        self._polled_at = float("-inf")
        self._is_due = False
        self._is_polling = False
        agenda.after(draw.random() * settings.sensor_schedule, self._tick)

    def _tick(self) -> None:
        if self._airflow.runs < self.settings.max_active_runs:
            self._airflow.add_run([], lambda run: self._airflow.add_task(Task("sensor", 1, run, self._defer)))
        self.agenda.after(self.settings.sensor_schedule, self._tick)

    def _defer(self, task: Task) -> None:
        self._airflow.end_task(task)
        self._waiting.append((task.run, self.agenda.now + SENSOR_TIMEOUT))
        self._plan()

    def _plan(self) -> None:
        if not self._is_due and not self._is_polling:
            self._is_due = True
            due = self._polled_at + self.vary(self.delay) - self.agenda.now
            self.agenda.after(max(due, 0.0, self.is_away()), self._poll)

    def _poll(self) -> None:
        self._is_due, self._is_polling = False, True
        self.ask(self._answered)

    def _answered(self, jobs: list[Job] | None) -> None:
        self._is_polling = False
        now = self._polled_at = self.agenda.now
        if jobs:
            run, _ = self._waiting.pop(0)
            self._resume(run, [(job, job.offers) for job in jobs])
            for job in jobs:
                if job.offers == 1:
                    self._airflow.waits["poll"] += now - job.queued_at
                elif job.lost_at is not None:
                    self._airflow.waits["offered again"] += now - job.lost_at
                    job.lost_at = None
        for run, deadline in list(self._waiting):
            if now >= deadline:
                self._waiting.remove((run, deadline))
                self._resume(run, [])
        if self._waiting:
            self._plan()

    def _resume(self, run: Run, jobs: Offer) -> None:
        run.jobs, run.left = jobs, len(jobs)
        self._airflow.add_task(Task("sensor", 1, run, self._resumed))

    def _resumed(self, task: Task) -> None:
        self._airflow.end_task(task)
        if task.run.jobs:
            self._begin(task.run)
        else:
            self._airflow.end_run()
