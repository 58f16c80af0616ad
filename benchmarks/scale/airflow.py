# SPDX-License-Identifier: Apache-2.0
"""
Airflow as the simulation has it: runs, a scheduler, places, processors and pools.

Simpler than the truth: the start of a task takes one processor for ``task_cpu`` seconds and its work takes
none; all workers are one machine; a scheduler starts one task after the other, and the time it needs grows
neither with the database nor with the length of a DAG; no task fails. The triggerer, the API server and the
database have no limits.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable

from benchmarks.scale.agenda import Agenda
from benchmarks.scale.codepipeline import Job
from benchmarks.scale.settings import Settings


class Run:
    """
    One run of a DAG.

    :param number: Its place in the order of runs.
    :param jobs: Its jobs, each with its nonce.
    :param queued_at: When it was made.
    """

    __slots__ = ("jobs", "left", "number", "parked", "queued_at", "running")

    def __init__(self, number: int, jobs: list[tuple[Job, int]], queued_at: float) -> None:
        self.number = number
        self.jobs = jobs
        self.queued_at = queued_at
        #: Jobs on which it still works, its tasks that are queued or running, and those that wait for these.
        self.left = len(jobs)
        self.running = 0
        self.parked: list[tuple[int, int, int, Task]] = []


class Task:
    """
    One task of a run.

    :param name: Which one.
    :param priority: The higher, the earlier.
    :param run: Its run.
    :param job: Its job; None for one that works for all jobs of its run.
    :param nonce: The nonce of the job's offer, as the run knows it.
    :param body: What it does when it has started.
    :param pool: Its pool, or empty for the default one, which has no limit here.
    """

    __slots__ = (
        "body",
        "full_before",
        "is_lost",
        "job",
        "name",
        "nonce",
        "pool",
        "priority",
        "ready_at",
        "run",
    )

    def __init__(
        self,
        name: str,
        priority: int,
        run: Run,
        body: Callable[[Task], None],
        job: Job | None = None,
        nonce: int = 0,
        pool: str = "",
    ) -> None:
        self.name, self.priority, self.run, self.body = name, priority, run, body
        self.job, self.nonce, self.pool = job, nonce, pool
        self.ready_at = self.full_before = 0.0
        #: Whether it claimed in vain.
        self.is_lost = False


class Airflow:
    """
    Start tasks.

    :param settings: What is simulated.
    :param agenda: The time.
    :param draw: What is drawn.
    """

    def __init__(self, settings: Settings, agenda: Agenda, draw: random.Random) -> None:
        self._settings = settings
        self._agenda = agenda
        self._draw = draw
        #: Where time was spent, in seconds: cause → sum over all jobs.
        self.waits: defaultdict[str, float] = defaultdict(float)
        self.tasks: Counter[str] = Counter()
        self._runs: deque[tuple[Run, Callable[[Run], None]]] = deque()
        self.active_runs = self.most_active_runs = 0
        self._made_runs = 0
        # Pool → ready tasks: the highest priority first, then the oldest run's (scheduler_job_runner.py,
        # _executable_task_instances_to_queued).
        self._ready: dict[str, list[tuple[int, int, int, Task]]] = {"": []}
        self._ready_number = 0
        self._pools = {"claims": settings.claim_pool, "slow": settings.slow_pool}
        self._in_pool: Counter[str] = Counter()
        self.most_in_pool: Counter[str] = Counter()
        self._is_scheduling = False
        self._limit = settings.parallelism * settings.schedulers
        #: Tasks that are queued or running for Airflow, and those that have a place on a worker.
        self.queued_or_running = self.most_queued_or_running = 0
        self.in_slots = self.most_in_slots = 0
        self.slot_seconds = 0.0
        self._queue_of_workers: deque[tuple[Task, float]] = deque()
        self.in_cores = self.most_in_cores = 0
        self.core_seconds = 0.0
        self._waiting_for_core: deque[tuple[Task, float]] = deque()
        self._full_since: float | None = None
        self._full_for = 0.0

    # Runs

    def add_run(self, jobs: list[tuple[Job, int]], begin: Callable[[Run], None]) -> Run:
        """Make a run of the DAG that works on jobs; it begins when ``max_active_runs`` lets it."""
        run = self.new_run(jobs)
        self._runs.append((run, begin))
        self._begin_runs()
        return run

    def new_run(self, jobs: list[tuple[Job, int]]) -> Run:
        """Make a run that nothing limits, such as one that starts others."""
        self._made_runs += 1
        return Run(self._made_runs, jobs, self._agenda.now)

    @property
    def runs(self) -> int:
        """Runs of the DAG that works on jobs, those that wait too."""
        return self.active_runs + len(self._runs)

    def end_run(self) -> None:
        """Note that a run of the DAG that works on jobs has ended."""
        self.active_runs -= 1
        self._begin_runs()

    def _begin_runs(self) -> None:
        while self._runs and self.active_runs < self._settings.max_active_runs:
            run, begin = self._runs.popleft()
            self.active_runs += 1
            self.most_active_runs = max(self.most_active_runs, self.active_runs)
            self.waits["max_active_runs"] += (self._agenda.now - run.queued_at) * len(run.jobs)
            begin(run)

    # The scheduler

    def add_task(self, task: Task) -> None:
        """Have a task started: a scheduler looks at its run, among all others, and queues it."""
        settings = self._settings
        # dagrun.py, get_running_dag_runs_to_examine: all that run, the longest not looked at first.
        rounds = max(1.0, self.active_runs / (settings.runs_per_loop * settings.schedulers))
        look = self._draw.random() * rounds * settings.loop_seconds
        self.waits["scheduler"] += look
        self._agenda.after(look, self._make_ready, task)

    def _make_ready(self, task: Task) -> None:
        task.ready_at, task.full_before = self._agenda.now, self._full_time()
        self._ready_number += 1
        entry = (-task.priority, task.run.number, self._ready_number, task)
        heapq.heappush(self._ready.setdefault(task.pool, []), entry)
        self._schedule()

    def _schedule(self) -> None:
        if self._is_scheduling or self.queued_or_running >= self._limit:
            return
        task = self._next_task()
        if task is None:
            return
        self._is_scheduling = True
        waited, full = self._agenda.now - task.ready_at, self._full_time() - task.full_before
        self.waits["slots"] += full
        self.waits["pool" if task.pool else "scheduler"] += waited - full
        task.run.running += 1
        self.queued_or_running += 1
        self.most_queued_or_running = max(self.most_queued_or_running, self.queued_or_running)
        if self.queued_or_running == self._limit:
            self._full_since = self._agenda.now
        if task.pool:
            self._in_pool[task.pool] += 1
            self.most_in_pool[task.pool] = max(self.most_in_pool[task.pool], self._in_pool[task.pool])
        seconds = self._settings.scheduler_seconds / self._settings.schedulers
        self._agenda.after(seconds, self._scheduled, task)

    def _next_task(self) -> Task | None:
        while True:
            best: list[tuple[int, int, int, Task]] | None = None
            for pool, ready in self._ready.items():
                has_room = not pool or self._in_pool[pool] < self._pools[pool]
                if ready and has_room and (best is None or ready[0] < best[0]):
                    best = ready
            if best is None:
                return None
            entry = heapq.heappop(best)
            run = entry[-1].run
            if run.running < self._settings.max_active_tasks:
                return entry[-1]
            heapq.heappush(run.parked, entry)

    def _scheduled(self, task: Task) -> None:
        self._is_scheduling = False
        self._queue_of_workers.append((task, self._agenda.now))
        self._fill_slots()
        self._schedule()

    def _full_time(self) -> float:
        """Return for how many seconds until now the schedulers had no place left."""
        now_full = 0.0 if self._full_since is None else self._agenda.now - self._full_since
        return self._full_for + now_full

    # Workers

    def _fill_slots(self) -> None:
        # First in, first out: a broker knows no priorities.
        while self._queue_of_workers and self.in_slots < self._settings.slots:
            task, since = self._queue_of_workers.popleft()
            self.waits["slots"] += self._agenda.now - since
            self.in_slots += 1
            self.most_in_slots = max(self.most_in_slots, self.in_slots)
            self.slot_seconds -= self._agenda.now
            self.waits["task starts"] += self._settings.pod_seconds + self._settings.task_cpu
            self._agenda.after(self._settings.pod_seconds, self._want_core, task)

    def _want_core(self, task: Task) -> None:
        self._waiting_for_core.append((task, self._agenda.now))
        self._fill_cores()

    def _fill_cores(self) -> None:
        while self._waiting_for_core and self.in_cores < self._settings.cores:
            task, since = self._waiting_for_core.popleft()
            self.waits["processors"] += self._agenda.now - since
            self.in_cores += 1
            self.most_in_cores = max(self.most_in_cores, self.in_cores)
            self.core_seconds += self._settings.task_cpu
            self._agenda.after(self._settings.task_cpu, self._started, task)

    def _started(self, task: Task) -> None:
        self.in_cores -= 1
        self._fill_cores()
        self.tasks[task.name] += 1
        task.body(task)

    def end_task(self, task: Task) -> None:
        """Free what a task had."""
        self.in_slots -= 1
        self.slot_seconds += self._agenda.now
        if self._full_since is not None:
            self._full_for += self._agenda.now - self._full_since
            self._full_since = None
        self.queued_or_running -= 1
        task.run.running -= 1
        if task.pool:
            self._in_pool[task.pool] -= 1
        if task.run.parked:
            entry = heapq.heappop(task.run.parked)
            heapq.heappush(self._ready[entry[-1].pool], entry)
        self._fill_slots()
        self._schedule()
