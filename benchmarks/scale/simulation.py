# SPDX-License-Identifier: Apache-2.0
"""
Jobs from their queue to their result: polls, runs, claims, work and results, one event after the other.

The rules are those of the package, and each part names the module that it follows. Claims and results are
``hooks.py`` (two calls and one), their retries ``_transport.py``, runs for jobs
``operators/dispatch_jobs.py``, priorities ``operators/finish.py`` and ``_claiming_operator.py``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.scale.agenda import Agenda
from benchmarks.scale.airflow import Airflow, Run, Task
from benchmarks.scale.codepipeline import CodePipeline, Job
from benchmarks.scale.polling import DISPATCH_SECONDS, Offer, Sensors, Watcher
from benchmarks.scale.settings import Settings

#: Of one call, in seconds (``_transport.py``; a test compares the first). For so long it is repeated.
MAX_CALL_BACKOFF, RETRY_DEADLINE = 20.0, 300.0
#: Until ``finish_job`` is tried again after that, in seconds: 10 to 300 in truth.
FINISH_AGAIN = 60.0


@dataclass(frozen=True)
class Outcome:
    """
    What came of it.

    :param jobs: All jobs.
    :param claimed: Seconds from queued to claimed, of each job that was claimed, in order of size.
    :param done: Seconds from queued to the result, of each job that has one, in order of size.
    :param done_of_others: The same without the slow customer's.
    :param timed_out: Jobs whose action ended by its timeout.
    :param late_claims: Claims that were lost to a newer offer of the same job.
    :param seconds: Until the last job ended.
    :param calls: Operation → calls, those that were refused too.
    :param refused: Operation → calls that were throttled.
    :param most_calls: The most calls in one second.
    :param tasks: Task → how often it was started.
    :param waits: Cause → seconds that jobs spent on it, in all.
    :param most: What is limited → the most that was used of it at once.
    :param slots: Places on workers that were used, on average until the last job ended.
    :param cores: Processors that started tasks, likewise.
    """

    jobs: int
    claimed: Sequence[float]
    done: Sequence[float]
    done_of_others: Sequence[float]
    timed_out: int
    late_claims: int
    seconds: float
    calls: Counter[str]
    refused: Counter[str]
    most_calls: int
    tasks: Counter[str]
    waits: Mapping[str, float]
    most: dict[str, int] = field(default_factory=dict)
    slots: float = 0.0
    cores: float = 0.0

    @property
    def bottleneck(self) -> str:
        """On what jobs spent the most time, besides their work."""
        return max(sorted(self.waits), key=lambda cause: self.waits[cause], default="nothing")


def simulate(settings: Settings) -> Outcome:
    """Simulate, and return what came of it. The same settings give the same."""
    return _Simulation(settings).run()


def _times_to_result(jobs: Iterable[Job]) -> list[float]:
    return sorted(job.done_at - job.queued_at for job in jobs if job.done_at is not None)


class _Simulation:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Of different things, so that a change of one setting does not change the jobs.
        self._draw_jobs = random.Random(settings.seed)  # noqa: S311 - of a simulation
        self._draw = random.Random(settings.seed + 1)  # noqa: S311 - of a simulation
        self.agenda = Agenda()
        self.codepipeline = CodePipeline(settings)
        self.airflow = Airflow(settings, self.agenda, self._draw)
        self.jobs: list[Job] = []
        #: Job number → seconds of its work; drawn with the job, whatever happens to it.
        self._work: list[float] = []
        self.late_claims = 0
        self._is_all_queued = False
        if settings.intake == "asset":
            Watcher(settings, self.agenda, self._draw, self.codepipeline, self.airflow, self._dispatch)
        else:
            Sensors(settings, self.agenda, self._draw, self.codepipeline, self.airflow, self._begin)

    def run(self) -> Outcome:
        for _ in range(self.settings.burst):
            self._queue()
        self._queue_next()
        self.agenda.run(lambda: self._is_all_queued and not self.codepipeline.open_jobs)
        claimed = [job.claimed_at - job.queued_at for job in self.jobs if job.claimed_at is not None]
        ended = [job for job in self.jobs if job.done_at is not None]
        airflow, seconds = self.airflow, max(self.agenda.now, 1.0)
        in_slots = airflow.slot_seconds + airflow.in_slots * self.agenda.now
        return Outcome(
            jobs=len(self.jobs),
            claimed=sorted(claimed),
            done=_times_to_result(ended),
            done_of_others=_times_to_result(job for job in ended if not job.is_slow),
            timed_out=self.codepipeline.timed_out,
            late_claims=self.late_claims,
            seconds=self.agenda.now,
            calls=self.codepipeline.calls,
            refused=self.codepipeline.refused,
            most_calls=max(self.codepipeline.calls_in.values(), default=0),
            tasks=airflow.tasks,
            waits=airflow.waits,
            most={
                "runs": airflow.most_active_runs,
                "queued or running": airflow.most_queued_or_running,
                "slots": airflow.most_in_slots,
                "cores": airflow.most_in_cores,
                **airflow.most_in_pool,
            },
            slots=in_slots / seconds,
            cores=airflow.core_seconds / seconds,
        )

    # Jobs

    def _queue_next(self) -> None:
        rate = self.settings.jobs_per_hour / 3600
        pause = self._draw_jobs.expovariate(rate) if rate else float("inf")
        if self.agenda.now + pause >= self.settings.hours * 3600:
            self._is_all_queued = True
        else:
            self.agenda.after(pause, self._queue_and_go_on)

    def _queue_and_go_on(self) -> None:
        self._queue()
        self._queue_next()

    def _queue(self) -> None:
        is_slow = self._draw_jobs.random() < self.settings.slow_share
        mean = self.settings.slow_seconds if is_slow else self.settings.work_seconds
        self._work.append(self._draw_jobs.gammavariate(4, mean / 4) if mean else 0.0)
        job = Job(len(self.jobs), self.agenda.now, is_slow)
        self.jobs.append(job)
        self.codepipeline.queue(job)

    # Runs

    def _dispatch(self, offer: Offer) -> None:
        """Have an event's run start runs (``assets.dispatch_jobs``), or work on the jobs itself."""
        if not self.settings.has_run_for_each_job:
            # Also of jobs that another run is still to claim: one of the two claims in vain.
            self.airflow.add_run(offer, self._list_jobs)
            return
        run = self.airflow.new_run(offer)
        self.airflow.add_task(Task("dispatch", 1, run, self._start_dispatching))

    def _start_dispatching(self, task: Task) -> None:
        self.agenda.after(DISPATCH_SECONDS * len(task.run.jobs), self._dispatched, task)

    def _dispatched(self, task: Task) -> None:
        self.airflow.end_task(task)
        for job, nonce in task.run.jobs:
            if not job.has_run and job.claimed_at is None and job.is_open:
                job.has_run = True
                self.airflow.add_run([(job, nonce)], self._begin)

    def _list_jobs(self, run: Run) -> None:
        """Have the first task of a run of many jobs list them (``assets.offered_jobs``)."""
        self.airflow.add_task(Task("list", 1, run, self._listed))

    def _listed(self, task: Task) -> None:
        self.airflow.end_task(task)
        self._begin(task.run)

    def _begin(self, run: Run) -> None:
        for job, nonce in run.jobs:
            self._add(next(iter(self.settings.tasks)), run, job, nonce)

    def _add(self, name: str, run: Run, job: Job, nonce: int = 0) -> None:
        body: dict[str, Callable[[Task], None]] = {
            "claim": self._claim,
            "function": self._claim,
            "work": self._work_on,
            "finish": self._finish,
            "check": self._end,
        }
        pool = ""
        if self.settings.claim_pool and name == "claim":
            pool = "claims"
        elif self.settings.slow_pool and job.is_slow and name in ("work", "function"):
            pool = "slow"
        self.airflow.add_task(Task(name, self.settings.tasks[name], run, body[name], job, nonce, pool))

    def _end(self, task: Task) -> None:
        """End a task, and have the next one of its job started; after the last one its run may end."""
        assert task.job is not None  # noqa: S101 - only tasks that have one
        self.airflow.end_task(task)
        names = [*self.settings.tasks, None]
        following = names[names.index(task.name) + 1]
        if following is None or task.is_lost:
            self._leave(task)
        else:
            self._add(following, task.run, task.job)

    def _leave(self, task: Task) -> None:
        task.run.left -= 1
        if not task.run.left:
            self.airflow.end_run()

    # Calls

    def _call(self, operation: str, then: Callable[..., None], *arguments: Any) -> None:
        self._try(operation, 1, self.agenda.now, then, arguments)

    def _try(
        self, operation: str, number: int, since: float, then: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        now = self.agenda.now
        if self.codepipeline.takes(operation, now):
            self.agenda.after(self.settings.call_seconds, then, True, *arguments)
            return
        pause = min(MAX_CALL_BACKOFF, 0.5 * 2 ** (number - 1)) + 0.5 * self._draw.random()
        if now - since + pause > RETRY_DEADLINE:
            self.agenda.after(0.0, then, False, *arguments)
        else:
            self.airflow.waits["throttling"] += pause
            self.agenda.after(pause, self._try, operation, number + 1, since, then, arguments)

    def _claim(self, task: Task) -> None:
        self._call("details", self._knows_details, task)

    def _knows_details(self, is_answered: bool, task: Task) -> None:
        if is_answered:
            self._call("acknowledge", self._claimed, task)
        else:
            self._claimed(False, task)

    def _claimed(self, is_answered: bool, task: Task) -> None:
        job, now = task.job, self.agenda.now
        assert job is not None  # noqa: S101 - a claim has one
        if self.codepipeline.is_over(job, now) or job.claimed_at is not None:
            is_ours = False
        elif self.settings.owner == "Custom" and task.nonce != job.offers:
            self.late_claims += 1
            is_ours = False
        else:
            is_ours = is_answered
        if not is_ours:
            # The task is skipped, and so are those after it. The job is offered again.
            task.is_lost, job.has_run = True, False
            job.lost_at = None if job.claimed_at is not None else now
            self._end(task)
            return
        job.claimed_at = now
        if task.name == "function":
            self.agenda.after(self._work[job.number], self._finish, task)
        else:
            self._end(task)

    def _work_on(self, task: Task) -> None:
        assert task.job is not None  # noqa: S101 - work has one
        self.agenda.after(self._work[task.job.number], self._end, task)

    def _finish(self, task: Task) -> None:
        self._call("result", self._finished, task)

    def _finished(self, is_answered: bool, task: Task) -> None:
        assert task.job is not None  # noqa: S101 - a result has one
        if not is_answered and not self.codepipeline.is_over(task.job, self.agenda.now):
            self.airflow.waits["throttling"] += FINISH_AGAIN
            self.agenda.after(FINISH_AGAIN, self._finish, task)
            return
        self.codepipeline.finish(task.job, self.agenda.now)
        self._end(task)
